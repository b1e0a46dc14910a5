/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The folders of a server: opened once by path and then used by descriptor, so they may be moved.
 */
#ifndef WARG_SERVER_FOLDER_H
#define WARG_SERVER_FOLDER_H

#include <limits.h>
#include <stdbool.h>

#include "verify/fault.h"

/**
 * Open a folder. Follows symbolic links in `path`, which the operator configured.
 * @param make  make missing folders, synced: parents, too; mode 0700 at most
 * @param fd    close() it
 */
int folder_open(const char *path, bool make, int *fd, struct fault *flt);

/**
 * The current path of an open folder, without symbolic links, for libraries that need one.
 * @return 0; ENOENT if the folder was removed
 */
int folder_path(int fd, char out[static PATH_MAX], struct fault *flt);

/**
 * The fault of a folder whose lock file another server has claimed (file_claim()). Names its process where that can be
 * told. Returns WARG_UNDECIDED.
 */
int folder_taken(int fd, const char *lock, const char *path, struct fault *flt);

#endif
