/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The open transaction, as a folder: /.publish/<namespace>/<package>/ holds the releases that are to be in its record.
 * It is the one of `publish start`, whoever began it; there is one a registry.
 */
#ifndef WARGFS_FS_TRANSACTION_H
#define WARGFS_FS_TRANSACTION_H

#include "client/publish/pending.h"
#include "request.h"
#include "tree.h"

/** Attempt a lookup in /.publish: request->path is of a kind that path_is_for_writing(), and no file of a package's. */
void transaction_attempt_lookup(struct request *request);

/** Attempt to open an entry for reading. */
void transaction_attempt_open(struct request *request);

/**
 * Whether a file may be made in the transaction.
 * @return false: the request waits or has failed, and must not be touched
 */
bool transaction_allows(struct request *request);

/**
 * List a folder of /.publish, but for what was written there.
 * @param pending  what the entries borrow from: a zeroed one, which stays where it is; pending_release() it after them
 */
int transaction_list(struct mount *mount, const struct path *folder, struct pending *pending,
		     struct tree_entries *entries, struct fault *flt);

/** The size of an entry, if its content is there; else 0. */
uint64_t transaction_size(struct mount *mount, const struct node *node);

/**
 * Blocking jobs: begin a transaction, abort it, take an entry out of it.
 * @return NULL without memory
 */
struct blocking_job *transaction_begin(struct mount *mount, const struct path *package);
struct blocking_job *transaction_abort(struct mount *mount, const struct path *package);
struct blocking_job *transaction_take_out(struct mount *mount, const struct path *entry);

#endif
