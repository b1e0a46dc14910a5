/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Growing arrays: array.h.
 */
#include "array.h"

#include <stdlib.h>
#include <string.h>

int array_reserve(void *array, size_t count, size_t *capacity, size_t size, struct fault *flt)
{
	size_t doubled = *capacity ? 2 * *capacity : 1;
	void *items;

	if (count < *capacity)
		return 0;
	/* The pointer may be one to any type: it is copied, not read as a void *. */
	memcpy(&items, array, sizeof(items));
	items = doubled > *capacity ? reallocarray(items, doubled, size) : NULL;
	if (!items)
		return fault_no_memory(flt);
	memcpy(array, &items, sizeof(items));
	*capacity = doubled;
	return 0;
}
