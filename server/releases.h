/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a record releases.
 */
#ifndef WARG_SERVER_RELEASES_H
#define WARG_SERVER_RELEASES_H

#include "verify/record.h"

/**
 * The contents of a package's record, each once, in the record's order.
 * @param out  free() it, also if there are none
 */
int releases_list(const struct record *record, struct digest **out, size_t *count, struct fault *flt);

#endif
