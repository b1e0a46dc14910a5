/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Writing a release again, as programs do that copy a tree a second time. It succeeds if the bytes are the release's.
 *
 * The file that is written cannot be the release's node: the kernel would show what is written to all readers of the
 * release. So open() fails with ESTALE, upon which the kernel looks the name up again and repeats open(). That lookup,
 * by the same thread, finds a draft without a name; close() compares the digest of the draft with the release's.
 */
#ifndef WARGFS_FS_REPEAT_H
#define WARGFS_FS_REPEAT_H

#include "request.h"

/**
 * Prepare that the thread of an open() writes the release again: the lookup that follows finds a new draft.
 * @return 0: reply ESTALE; WARG_UNDECIDED with FAULT_EXISTS if the file cannot be written that way
 */
int repeat_begin(struct request *request, struct fault *flt);

/** The draft for this lookup, with a reference; NULL: none is prepared for the thread and the path. */
struct node *repeat_find(struct request *request);

/** The draft is open now: later lookups by the thread find the release. */
void repeat_opened(struct request *request);

/** Let go of all that is prepared. */
void repeat_end_all(struct mount *mount);

/** Whether request->path is a release: a file that is renamed to it is compared with it. */
bool repeat_is_of_release(const struct request *request);

/** What a file is to a version of the registry. */
enum repeat_answer {
	REPEAT_NEW,   /* the version is not released, as far as is known */
	REPEAT_SAME,  /* it is, with these bytes */
	REPEAT_OTHER, /* it is with others, or it was yanked: `flt` says so */
};
/** Compare a draft with a release. Hashes the draft if there is one: for a thread that may block. */
enum repeat_answer repeat_compare(struct mount *mount, const struct node *node, const struct path *version,
				  struct fault *flt);

#endif
