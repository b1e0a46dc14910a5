/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is in the registry's log: records, the logs that they make, and the checkpoints over all of them.
 *
 * Reading functions see one state between database_begin() and database_commit(); what they find malformed, the
 * database being a stranger as every file is, is WARG_INVALID. Writing functions stand between the two as well.
 */
#ifndef WARG_SERVER_PUBLISHED_H
#define WARG_SERVER_PUBLISHED_H

#include "map_nodes.h"
#include "verify/checkpoint.h"
#include "verify/record.h"

/** A record in its place. */
struct published_record {
	uint64_t registry_index;
	struct digest log_id, record_id;
	struct record_envelope envelope; /* borrowed */
};

/** A log, as it is at its end. */
struct published_log {
	enum record_kind kind;
	uint64_t length; /* records */
	uint64_t head; /* the last one's place in the registry's log */
};

/** A checkpoint, with its map. */
struct published_checkpoint {
	struct signed_checkpoint checkpoint;
	struct map_root map;
};

/* ---- Writing ---- */

/**
 * Put a record at the end of the registry's log, which is where its place has to be.
 * @return 0; WARG_INVALID if that place is taken, or its log has the record already
 */
int published_append(struct database *database, const struct published_record *record, struct fault *flt);
/** Keep a checkpoint; one of the same length gives way. */
int published_put_checkpoint(struct database *database, const struct published_checkpoint *checkpoint,
			     struct fault *flt);

/* ---- Reading ---- */

/** How many records there are, lost ones too. */
int published_length(struct database *database, uint64_t *out, struct fault *flt);

/** The checkpoint of this length, or the longest. @return 0; FAULT_ABSENT: there is none */
int published_checkpoint_at(struct database *database, uint64_t length, struct published_checkpoint *out,
			    struct fault *flt);
int published_last_checkpoint(struct database *database, struct published_checkpoint *out, struct fault *flt);

/** A log. @return 0; FAULT_ABSENT: nothing of it was published yet */
int published_find_log(struct database *database, const struct digest *log_id, struct published_log *out,
		       struct fault *flt);
/** Where a record of a log stands in the registry's. @return 0; FAULT_ABSENT: it does not */
int published_find_record(struct database *database, const struct digest *log_id, const struct digest *record_id,
			  uint64_t *registry_index, struct fault *flt);

/**
 * The records of one log, in order: from the registry index `first` on, below `length`, at most `limit`.
 * @param take  called for each; what it borrows lives until it returns. It uses no database. Non-zero ends the walk
 * @return 0, or what `take` returned
 */
int published_walk(struct database *database, const struct digest *log_id, uint64_t first, uint64_t length,
		   uint64_t limit, int (*take)(void *user, const struct published_record *record, struct fault *flt),
		   void *user, struct fault *flt);

/**
 * Walk over all records of one log, and check that each hashes to its id and none is lost.
 * @return as published_walk(); WARG_INVALID if one is damaged or missing
 */
int published_walk_whole(struct database *database, const struct digest *log_id,
			 int (*take)(void *user, const struct published_record *record, struct fault *flt), void *user,
			 struct fault *flt);

/**
 * The record at a place, for its proofs.
 * @param is_head  whether it is its log's last one among the first `length` of the registry
 * @return 0; FAULT_ABSENT: the registry's log is shorter
 */
int published_leaf(struct database *database, uint64_t registry_index, uint64_t length, struct merkle_map_entry *out,
		   bool *is_head, struct fault *flt);

/* Walks over all of a kind, as published_walk(), in the order of their places, lengths and log ids. */
int published_walk_all(struct database *database,
		       int (*take)(void *user, const struct published_record *record, struct fault *flt), void *user,
		       struct fault *flt);
int published_walk_checkpoints(struct database *database,
			       int (*take)(void *user, const struct published_checkpoint *checkpoint,
					   struct fault *flt),
			       void *user, struct fault *flt);
int published_walk_logs(struct database *database,
			int (*take)(void *user, const struct digest *log_id, const struct published_log *log,
				    struct fault *flt),
			void *user, struct fault *flt);

/** Append the ledger's entries from `first` up to, not including, `end`: 64 bytes each, log id and record id. */
int published_ledger(struct database *database, uint64_t first, uint64_t end, struct buf *out, struct fault *flt);

#endif
