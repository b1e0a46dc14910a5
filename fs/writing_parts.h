/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What writing.c and closing.c share. Not for others.
 */
#ifndef WARGFS_FS_WRITING_PARTS_H
#define WARGFS_FS_WRITING_PARTS_H

#include "draft.h"
#include "writing.h"

/*
 * An open file, of a node that is held by a reference. The kernel sends the release of a handle after the answers to
 * all its other requests, but the thread that has sent an answer may still be in the function that sent it: so a read
 * holds a reference, too.
 */
struct writing {
	struct handle handle; /* first, so that one is found from the other */
	struct node *node;
	int fd;
	bool may_write;
	atomic_uint references;
};

/** The open file behind a handle. Files that are only read have none: reading.c needs none. */
struct writing *writing_of(const struct fuse_file_info *file);

/** The release, or the transaction's entry, that a draft with such a name is to become. @return false: none */
bool writing_becomes(const struct path *draft, struct path *out);

#endif
