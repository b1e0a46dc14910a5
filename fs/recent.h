/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What was published lately, and by whom: programs set times and permissions of a file when they are done with it, and
 * have to find that this works.
 */
#ifndef WARGFS_FS_RECENT_H
#define WARGFS_FS_RECENT_H

#include "mount_parts.h"

/** A process has published the release, or what is in the package, at `path`. */
void recent_remember(struct mount *mount, const struct path *path, pid_t process);

/**
 * Whether this process has just published a version, or for a folder, whether anybody has published something in it.
 * @param thread  as the kernel names who asks
 */
bool recent_has(struct mount *mount, const struct path *path, pid_t thread);

#endif
