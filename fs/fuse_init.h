/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a mount and the kernel agree on at the beginning.
 */
#ifndef WARGFS_FS_FUSE_INIT_H
#define WARGFS_FS_FUSE_INIT_H

#include "mount_parts.h"

/** Choose among what the kernel can do: the `init` of fuse_lowlevel_ops. */
void fuse_init_choose(void *user, struct fuse_conn_info *connection);

/** Have the answer completed that libfuse gives the kernel. After fuse_session_mount(), before any request is taken. */
int fuse_init_complete(struct fuse_session *session, struct fault *flt);

#endif
