/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Why something cannot be made under a name: what the folder has instead, and where files go.
 */
#ifndef WARGFS_FS_MISNAMED_H
#define WARGFS_FS_MISNAMED_H

#include "path.h"
#include "verify/fault.h"

/**
 * Set the fault of a name for which path_child() has no place in a folder.
 * @param errnum  of the folder's own rules; a name that is too long or cannot be shown has its own errno anywhere
 * @return the errno to reply with
 */
int misnamed_in(const struct path *folder, const char *name, int errnum, struct fault *flt);

/** Set the fault of a file to be written where files cannot be. Returns WARG_UNDECIDED. */
int misnamed_file(const struct path *file, struct fault *flt);

#endif
