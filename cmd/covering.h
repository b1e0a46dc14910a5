/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Refuses a mount that would cover wargfs's own folders: the daemon would request its own files from itself, and
 * deadlock in a state that SIGKILL does not end.
 */
#ifndef WARGFS_CMD_COVERING_H
#define WARGFS_CMD_COVERING_H

#include "client/user/config.h"

/**
 * Whether resolving `path`, symbolic links included, passes through `folder` or ends there. Components that do not
 * exist are taken literally.
 * @param folder  absolute, without links, as realpath(3) writes it
 * @param path    absolute, or relative to the working directory
 */
bool covering_is(const char *folder, const char *path);

/**
 * Check that no folder of ours is at or below a mount point: configuration, keys, cache, contents, state, sockets, and
 * a local registry.
 * @param mountpoint  as `folder` above
 * @param local       folder of a local registry; may be NULL
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE, which names the folder
 */
int covering_check(const char *mountpoint, const struct config_environment *environment, const struct config *config,
		   const char *local, struct fault *flt);

/**
 * Open the folders that a mount uses, for the life of the process, so that a mount over one of them later does not
 * redirect our files. A folder that cannot be opened is used by path.
 */
void covering_hold(const struct config *config);

#endif
