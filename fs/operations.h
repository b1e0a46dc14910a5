/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the kernel asks, as libfuse hands it over. What changes anything it asks only of mounts that may be written to.
 */
#ifndef WARGFS_FS_OPERATIONS_H
#define WARGFS_FS_OPERATIONS_H

#include "request.h"

extern const struct fuse_lowlevel_ops operations;

/* lookup.c */
void operations_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void operations_forget(fuse_req_t fuse, fuse_ino_t number, uint64_t count);
void operations_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets);
void operations_getattr(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);
/** The attempt to answer with the attributes of request->node, once they are known. */
void operations_answer_attributes(struct request *request);
void operations_readlink(fuse_req_t fuse, fuse_ino_t number);

/* reading.c */
void operations_open(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);
void operations_read(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file);
void operations_release(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);

/* readdir.c */
void operations_opendir(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);
void operations_readdir(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset, struct fuse_file_info *file);
void operations_readdirplus(fuse_req_t fuse, fuse_ino_t number, size_t size, off_t offset,
			    struct fuse_file_info *file);
void operations_releasedir(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);

/* writing.c */
void operations_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode,
		       struct fuse_file_info *file);
void operations_write(fuse_req_t fuse, fuse_ino_t number, const char *bytes, size_t size, off_t offset,
		      struct fuse_file_info *file);
void operations_flush(fuse_req_t fuse, fuse_ino_t number, struct fuse_file_info *file);
void operations_fsync(fuse_req_t fuse, fuse_ino_t number, int datasync, struct fuse_file_info *file);
void operations_fsyncdir(fuse_req_t fuse, fuse_ino_t number, int datasync, struct fuse_file_info *file);
void operations_setattr(fuse_req_t fuse, fuse_ino_t number, struct stat *attributes, int to_set,
			struct fuse_file_info *file);

/* directory.c */
void operations_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode);
void operations_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void operations_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name);
void operations_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		       const char *new_name, unsigned flags);
void operations_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t device);
void operations_symlink(fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name);
void operations_link(fuse_req_t fuse, fuse_ino_t number, fuse_ino_t parent, const char *name);

/* xattr.c */
void operations_getxattr(fuse_req_t fuse, fuse_ino_t number, const char *name, size_t size);
void operations_listxattr(fuse_req_t fuse, fuse_ino_t number, size_t size);

#endif
