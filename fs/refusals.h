/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Why files could not be written, for `user.warg.last_error` of the file. The kernel may forget a file's node at once,
 * so the last few reasons are kept here.
 */
#ifndef WARGFS_FS_REFUSALS_H
#define WARGFS_FS_REFUSALS_H

#include "path.h"
#include "verify/fault.h"

struct refusals;

/** Make an empty one, to be freed. */
int refusals_new(struct refusals **out, struct fault *flt);
/** NULL is fine. */
void refusals_free(struct refusals *refusals);

/** Keep the reason for a path, in place of an earlier one. @param sentence  NULL: there is none any more */
void refusals_put(struct refusals *refusals, const struct path *path, const char *sentence);

/** @return whether there is a reason; from any thread, as all of these */
bool refusals_find(struct refusals *refusals, const struct path *path, char out[static FAULT_SENTENCE_SIZE]);

#endif
