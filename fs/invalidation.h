/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Telling the kernel what does not hold any more: it keeps names and attributes until it is told.
 *
 * The kernel may have whoever tells it wait for a folder's lock, so that is done by a thread of its own. A lookup holds
 * that lock while it waits for the network: but where there is something to tell of a folder's names, what is in it is
 * known, and no lookup waits (see lookup.c), unless the listing that said so could not be had again since.
 */
#ifndef WARGFS_FS_INVALIDATION_H
#define WARGFS_FS_INVALIDATION_H

#include "mount_parts.h"

struct invalidation;

/** Nothing is told before invalidation_start(), when the kernel knows nothing yet. */
int invalidation_new(struct mount *mount, struct invalidation **out, struct fault *flt);
int invalidation_start(struct invalidation *invalidation, struct fault *flt);

/** A view took the place of another. Changes that pile up are told as one. Does not block, from beginning to end. */
void invalidation_changed(struct invalidation *invalidation, const struct view *before, const struct view *after);

/** A namespace lives in another registry now, or does not any more. Does not block. */
void invalidation_namespace_changed(struct invalidation *invalidation, const char *namespace);

/** Close a descriptor once the kernel has been told of all changes until now. Does not block. @param fd  taken over */
void invalidation_close(struct invalidation *invalidation, int fd);

/** End the thread; requests must still be taken. What was not told yet is dropped. NULL is fine, here and below. */
void invalidation_stop(struct invalidation *invalidation);
void invalidation_free(struct invalidation *invalidation);

#endif
