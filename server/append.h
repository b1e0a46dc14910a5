/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The commit: records enter the registry's log and map, and a checkpoint over them is signed, all in one transaction
 * that is synced once. Whatever is cut off leaves the registry as it was before.
 *
 * Whether a record may enter is decided before: package_log.h, operator_log.h.
 */
#ifndef WARG_SERVER_APPEND_H
#define WARG_SERVER_APPEND_H

#include "published.h"
#include "verify/merkle_log.h"

/** Where the registry stands: all that is needed to go on, whatever its length. A value: may be copied. */
struct append_state {
	struct merkle_log_roots roots;
	struct published_checkpoint last; /* zero while the registry has no records */
};

/**
 * Read where the registry stands.
 * @return 0; WARG_INVALID if the records are not those of the last checkpoint, or its log's root is another
 */
int append_load(struct database *database, struct append_state *out, struct fault *flt);

/**
 * Let records enter, in this order, at least one, within database_begin() and database_commit(). Each gets the next
 * place, whatever its `registry_index` says.
 * @param state  as it is; on success as it is once that is committed. After a failure use it no more
 * @param key    the operator's
 * @param now    seconds since 1970; a checkpoint is never earlier than the one before
 * @return 0; else nothing has entered: WARG_INVALID if a log has one of them already, FAULT_SYSTEM with ENOSPC …
 */
int append_enter(struct database *database, struct append_state *state, const struct published_record *records,
		 size_t count, const struct ecdsa_private_key *key, uint64_t now, struct fault *flt);

/**
 * The same in two halves, for records that another registry has under a checkpoint: they enter, in as many pieces as
 * one likes, and then its checkpoint is kept, if it is one of just these.
 * @return append_follow(): WARG_INVALID if the log or the map has another root
 */
int append_grow(struct database *database, struct append_state *state, const struct published_record *records,
		size_t count, struct fault *flt);
int append_follow(struct database *database, struct append_state *state, const struct signed_checkpoint *checkpoint,
		  struct fault *flt);

/** The same in a transaction of its own; `state` is untouched unless 0. */
int append_records(struct database *database, struct append_state *state, const struct published_record *records,
		   size_t count, const struct ecdsa_private_key *key, uint64_t now, struct fault *flt);

#endif
