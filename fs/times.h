/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Times of folders and of package links. They come from records, which may have to be fetched first, so that they do
 * not depend on earlier requests.
 *
 * A stat() waits a few seconds at most: the kernel requests the attributes of each folder on the way to a file, and
 * cached files must be readable while the registry is unreachable. An unknown time is 1970-01-01.
 */
#ifndef WARGFS_FS_TIMES_H
#define WARGFS_FS_TIMES_H

#include "request.h"

/** Seconds that the kernel caches the attributes of a node without a known time. */
#define TIMES_UNKNOWN_SECONDS 1

/**
 * Let a request wait until the record with its node's time is fetched. For sequential requests the following packages
 * are fetched along.
 * @return false: the time is known, or cannot be fetched now: then request->lacks_time is set. True: the request waits,
 *         and must not be touched
 */
bool times_want(struct request *request);

/** Whether fetching a node's time failed at the view's checkpoint. */
bool times_are_vain(const struct view *view, const struct node *node);

#endif
