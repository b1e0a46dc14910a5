/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * This user's mounts, as their daemons tell of them, and those whose daemon is gone.
 */
#ifndef WARGFS_CMD_MOUNTS_H
#define WARGFS_CMD_MOUNTS_H

#include "client/base/json.h"
#include "client/user/config.h"

/** The mounts that were asked for. Zero it; mounts_release() it whatever became of it. */
struct mounts {
	struct json **answers; /* what each daemon that answered tells: fs/status.h. Owned */
	size_t count;
	struct fault silent;   /* of the first daemon that did not answer; verdict 0: all did */
	char **dead;           /* mount points that have no daemon any more. Owned */
	size_t dead_count;
};

/**
 * Ask all daemons of this user.
 * @param folder  a mount point, as realpath(3) gives it: only what is mounted there counts; NULL: all
 * @return 0, also if nothing is mounted
 */
int mounts_ask(const struct config_environment *environment, const char *folder, struct mounts *mounts,
	       struct fault *flt);
void mounts_release(struct mounts *mounts);

/** The path of a mount point, without asking its daemon. @param out  free() it */
int mounts_resolve(const char *typed, char **out, struct fault *flt);

/** The fault of a folder that has no mount of this user's. */
int mounts_none(const char *typed, struct fault *flt);

#endif
