/*
 * Files that are written: what is done with open ones, and with those that are not published.
 *
 * Whoever closes a file that is called like a version publishes it, if something was written since it was closed last,
 * and learns by close() what became of it. What is not whole as yet stays, for the next who writes on.
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
 * Whether a version's file may be called like that: what ends in ".wasm" is a version, or a link of the mount's.
 * Otherwise says so.
 */
int writing_check_name(const struct path *path, struct fault *flt);

/** Reply with a fault that is told at the folder of the package that `path` is of, too. The request is over then. */
void writing_fail(struct request *request, const struct path *path, const struct fault *flt);

#endif
