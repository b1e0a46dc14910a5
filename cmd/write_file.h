/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Writing a file for the user: whole or not at all.
 */
#ifndef WARGFS_CMD_WRITE_FILE_H
#define WARGFS_CMD_WRITE_FILE_H

#include "verify/fault.h"

#include <stdint.h>

/**
 * Where to write: `path`, or `name` in it if it is a folder or ends with a slash.
 * @return free() it; NULL without memory
 */
char *write_file_target(const char *path, const char *name);

/**
 * Copy `size` bytes from the start of `fd` to `path`; "-" is stdout.
 *
 * A regular file, or one that is not there yet, is replaced by temp, fsync and rename: whoever looks sees the old or
 * the whole new one. A device or a pipe is written to.
 */
int write_file_copy(int fd, uint64_t size, const char *path, struct fault *flt);

#endif
