/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Growing arrays.
 */
#ifndef WARG_VERIFY_ARRAY_H
#define WARG_VERIFY_ARRAY_H

#include "fault.h"

#include <stddef.h>

/**
 * Make room for one more item: array_reserve(&list->items, list->count, &list->capacity, sizeof(*list->items), flt).
 * The capacity doubles, so that adding n items copies fewer than 2 n.
 *
 * @param array     the address of the pointer to the first item; NULL there is an empty array
 * @param capacity  items that there is room for; 0 for an empty array
 * @param size      of an item, in bytes
 * @return 0; WARG_UNDECIDED without memory, with the array unchanged
 */
int array_reserve(void *array, size_t count, size_t *capacity, size_t size, struct fault *flt);

#endif
