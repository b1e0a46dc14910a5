/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Temporary files that are locked while they are written. The lock shows that the writer is alive: a sweep removes only
 * files whose lock it gets, which a killed program left.
 *
 * Calling sequence: temp_file_make(), write to its descriptor, fsync, rename it to its place (or unlink it), close.
 */
#ifndef WARG_CLIENT_TEMP_FILE_H
#define WARG_CLIENT_TEMP_FILE_H

#include <stdbool.h>

#include "verify/fault.h"

#define TEMP_FILE_PREFIX "wargfs-"

struct temp_file {
	int fd;
	char name[64];
};

/**
 * Make a temporary file in a folder, for this user alone (mode 0600, as the reference's contents), and lock it.
 * @param made  false if a sweep got the lock first, or the folder was removed: try again
 */
int temp_file_make(int folder, struct temp_file *out, bool *made, struct fault *flt);

/** Remove the temporary files in the folder `top`/`inner` whose writers are gone. Errors are ignored. */
void temp_file_sweep(const char *top, const char *inner);

#endif
