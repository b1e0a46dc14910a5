/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Files that are written: what is done with open ones, and with those that are not published.
 *
 * close() of a file with a version's name publishes it if it was written since the last close, and returns the result.
 * An incomplete file stays for further writes. close() of an empty file fails, as nothing was published.
 */
#ifndef WARGFS_FS_WRITING_H
#define WARGFS_FS_WRITING_H

#include "request.h"

/**
 * Answer an open() that is the business of writing: of a file that was written here, or for writing to anything.
 * @return false: it is not, and nothing was replied
 */
bool writing_open(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);

/** Answer a read() or release() of such a file. @return false: it is none, and nothing was replied */
bool writing_read(fuse_req_t fuse, size_t size, off_t offset, struct fuse_file_info *file);
bool writing_release(fuse_req_t fuse, struct fuse_file_info *file);

/** Have a request answered with an open file. @param fd  taken over */
void writing_reply_open(struct request *request, int fd);

/**
 * Check the name of a file to be written: a name that ends in ".wasm" must be a version, a version must end in ".wasm",
 * and the tree's own links and folders are not allowed.
 */
int writing_check_name(const struct path *path, struct fault *flt);

/** Reply with a fault that is told at the folder of the package that `path` is of, too. The request is over then. */
void writing_fail(struct request *request, const struct path *path, const struct fault *flt);

#endif
