/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records that were sent and are not in the registry's log: those that wait for contents, and those that were rejected.
 * One that was published is not here any more.
 *
 * Writing functions stand between database_begin() and database_commit().
 */
#ifndef WARG_SERVER_WAITING_H
#define WARG_SERVER_WAITING_H

#include "published.h"

/* ---- Writing ---- */

/**
 * Keep a record of a package whose name is known.
 * @param missing  the contents that it waits for, at least one; or with a reason, none
 * @param reason   why it is rejected; NULL: it is not
 * @param now      seconds since 1970
 */
int waiting_add(struct database *database, const struct published_record *record, const struct digest *missing,
		size_t count, const char *reason, uint64_t now, struct fault *flt);

/** Set the contents that a record waits for; none: it is complete. */
int waiting_wait(struct database *database, const struct digest *log_id, const struct digest *record_id,
		 const struct digest *missing, size_t count, struct fault *flt);

/** Set a waiting record aside, complete or not, until waiting_wait(). */
int waiting_set_aside(struct database *database, const struct digest *log_id, const struct digest *record_id,
		      struct fault *flt);

/** Reject one that waits. */
int waiting_reject(struct database *database, const struct digest *log_id, const struct digest *record_id,
		   const char *reason, struct fault *flt);

/** Forget one: it was published. None is fine. */
int waiting_remove(struct database *database, const struct digest *log_id, const struct digest *record_id,
		   struct fault *flt);

/** Note that a published record names the content: it can no longer become garbage (garbage.h). */
int waiting_published(struct database *database, const struct digest *content, struct fault *flt);

/** A content is there now: no record waits for it any more. */
int waiting_arrived(struct database *database, const struct digest *content, struct fault *flt);

/* ---- Reading ---- */

/** What is known of a record that is not published. */
struct waiting_state {
	bool is_rejected;
	uint64_t lacking; /* contents that it waits for */
	char reason[CAP_MESSAGE + 1]; /* "" unless it is */
};
/** @return 0; FAULT_ABSENT: there is no such record here */
int waiting_find(struct database *database, const struct digest *log_id, const struct digest *record_id,
		 struct waiting_state *out, struct fault *flt);

/** The contents that a record waits for, in its own order. @param out  free() it; NULL if there are none */
int waiting_missing(struct database *database, const struct digest *log_id, const struct digest *record_id,
		    struct digest **out, size_t *count, struct fault *flt);

/** Whether a record waits for this content. */
int waiting_misses(struct database *database, const struct digest *log_id, const struct digest *record_id,
		   const struct digest *content, bool *out, struct fault *flt);

/** Whether any record waits for a content. */
int waiting_waits_for(struct database *database, const struct digest *content, bool *out, struct fault *flt);

/** The record of a log that waits for contents. @return 0; FAULT_ABSENT: none does */
int waiting_waiting(struct database *database, const struct digest *log_id, struct digest *record_id, uint64_t *since,
		    struct fault *flt);

/**
 * A record that waits for nothing any more.
 * @param out     its envelope borrows from `bytes`, which is filled; both until the next
 * @return 0; FAULT_ABSENT: there is none
 */
int waiting_complete(struct database *database, struct published_record *out, struct buf *bytes, struct fault *flt);

/**
 * Iterate over waiting records: the next one after row `id`, 0 at first.
 * @param id   set to its row
 * @param out  as waiting_complete()
 * @return 0; FAULT_ABSENT: there are no more
 */
int waiting_next(struct database *database, uint64_t *id, struct published_record *out, struct buf *bytes,
		 struct fault *flt);

#endif
