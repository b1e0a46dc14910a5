/*
 * What the kernel asks, as libfuse hands it over. Anything that is not here is refused by the kernel: the mount is
 * read-only.
 */
#ifndef WARGFS_FS_OPERATIONS_H
#define WARGFS_FS_OPERATIONS_H

#include "mount_parts.h"

extern const struct fuse_lowlevel_ops operations;

/* lookup.c */
void operations_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void operations_forget(fuse_req_t fuse, fuse_ino_t number, uint64_t count);
void operations_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets);
void operations_getattr(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);
void operations_readlink(fuse_req_t fuse, fuse_ino_t number);

/* reading.c */
void operations_open(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);
void operations_read(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file);
void operations_release(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);

/* folders.c */
void operations_opendir(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);
void operations_readdir(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file);
void operations_readdirplus(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset,
			    struct fuse_file_info *file);
void operations_releasedir(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);

/* xattr.c */
void operations_getxattr(fuse_req_t fuse, fuse_ino_t number, const char *name, size_t size);
void operations_listxattr(fuse_req_t fuse, fuse_ino_t number, size_t size);

#endif
