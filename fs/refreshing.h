/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A refresh that a command has asked for on the mount's socket: the command learns from the end of the connection that
 * programs see the newest checkpoint through this mount.
 */
#ifndef WARGFS_FS_REFRESHING_H
#define WARGFS_FS_REFRESHING_H

#include "mount_parts.h"

/**
 * Have a new checkpoint looked for, of every registry that is open, and close `fd` once the kernel has been told of
 * what is new, or once that failed. Waits for nothing.
 * @param fd  taken over
 */
void refreshing_begin(struct mount *mount, int fd);

#endif
