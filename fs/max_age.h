/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What age forbids: past `-o max_age=`, what may have changed is not told any more (see client/sync/freshness.h).
 *
 * What cannot have changed is: namespaces, packages and versions that are known, and contents that lie here. What the
 * mount says of itself, in /.warg, is told always.
 */
#ifndef WARGFS_FS_MAX_AGE_H
#define WARGFS_FS_MAX_AGE_H

#include "request.h"

/**
 * Whether a request may be told what may have changed. One that met a checkpoint too old has a new one looked for
 * first, and fails if that does not help.
 * @return false: the request waits or has failed, and must not be touched
 */
bool max_age_allows(struct request *request);

/** Seconds for which the kernel may keep what may change: not longer than it may be told. */
double max_age_timeout(const struct mount *mount, const struct path *path);

/**
 * The same for a link: none in a mount that is written to, where the kernel is not told of names (invalidation
 * thread.c).
 */
double max_age_timeout_of_link(const struct mount *mount, const struct path *path);

#endif
