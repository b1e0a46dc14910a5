/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a daemon leaves when it is killed: a mount where every call fails with ENOTCONN, until somebody takes it away.
 */
#ifndef WARGFS_CMD_DEAD_MOUNT_H
#define WARGFS_CMD_DEAD_MOUNT_H

#include "verify/fault.h"

#include <stdbool.h>

/**
 * Take away the mounts of ours on `folder`, an absolute path, behind which there is no daemon any more. Whatever else
 * is there stays. Before any thread is started.
 */
void dead_mount_clear(const char *folder);

/**
 * Unmount what is on `folder`. Before any thread is started.
 * @param lazy  take it away though programs use it: it ends with the last of them
 * @return 0; WARG_UNDECIDED if a program uses it, or it is somebody else's
 */
int dead_mount_unmount(const char *folder, bool lazy, struct fault *flt);

/** Whether the mount on `folder` has no daemon any more. Before any thread is started. */
bool dead_mount_is_dead(const char *folder);

#endif
