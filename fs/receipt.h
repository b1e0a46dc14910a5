/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts in the mount: what was published from here, by whichever program, is told by files on the disk, and not by
 * the view.
 */
#ifndef WARGFS_FS_RECEIPT_H
#define WARGFS_FS_RECEIPT_H

#include "request.h"
#include "tree.h"

/** Attempt a lookup of a receipt. */
void receipt_attempt_lookup(struct request *request);

/** Names that a listing borrows. */
struct receipt_listed {
	char stem[2 * DIGEST_SIZE + 1];
};
/**
 * Put a package's receipts behind the other entries of their folder.
 * @param out  which they borrow from; free() it. NULL if there are none
 */
int receipt_list(struct mount *mount, const struct path *folder, struct tree_entries *entries,
		 struct receipt_listed **out, struct fault *flt);

/**
 * Append a receipt's text.
 * @param out  NULL: only whether it is there is wanted
 * @return 0; WARG_UNDECIDED with FAULT_ABSENT if there is none
 */
int receipt_render(struct mount *mount, const struct path *path, struct buf *out, struct fault *flt);

#endif
