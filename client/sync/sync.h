/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * One update, from (old view, wanted packages) to (new view or fault): protocol.md section 7.
 *
 * At most four round trips one after the other for any number of packages: checkpoint, logs, inclusion, consistency;
 * and one for each further page of a log of more than CAP_REQUEST_RECORDS new records.
 *
 * With the ledger of the view before, an update costs what changed: the ledger's growth names the logs with new
 * records, which alone are asked for, and proves that the log is the one before, grown. Four round trips: checkpoint,
 * growth, logs, inclusion; three if no log of interest grew, and one more for the names of new logs.
 *
 * The records of what was proven are put into an archive, which keeps them until somebody accepts or refuses them.
 */
#ifndef WARG_CLIENT_SYNC_H
#define WARG_CLIENT_SYNC_H

#include "client/store/archive.h"
#include "view.h"

/** A package that is wanted, and how it went. */
struct sync_wanted {
	struct name name;
	/** The log to go on from, as it lay in the archive; NULL: none. Not believed before its head is proven. */
	struct package_log *stored;
	struct store_position stored_position;
	bool is_ahead;  /* nobody waits for it: it fails with FAULT_LIMIT if its log has more than CAP_AHEAD bytes */
	bool is_left;   /* and that is known: nothing is fetched of it */
	bool is_proven; /* of no interest here: it is proven at the view's checkpoint */
	/** After the update: verdict 0 if the new view has the package at its checkpoint, else why not. */
	struct fault fault;
	/** With verdict 0: damage found in the archive, if any. Blamed on the cache. */
	struct fault damage;
	/** Beside FAULT_ABSENT: the domain of the registry that its namespace is said to live in; "": nothing is. */
	char hint[CAP_DOMAIN + 1];
};

/** How a checkpoint that was refused contradicts the one of `base`. */
enum sync_contradiction {
	SYNC_NO_CONTRADICTION, /* it was refused for another reason, or not at all */
	SYNC_ROLLBACK,         /* its log is shorter */
	SYNC_FORK,             /* same length, another root */
	SYNC_INCONSISTENT,     /* the proof that its log is the one before, grown, does not hold */
};
struct sync_refused {
	enum sync_contradiction contradiction;
	struct signed_checkpoint offered;
	struct operator_log *operator; /* with SYNC_INCONSISTENT: proven at `offered`, a reference; else NULL */
	struct fault damage;           /* as in sync_wanted, for the operator's log */
};

/**
 * Bring `base` to the registry's newest checkpoint, with every package that it knows, and those that are wanted.
 *
 * A package that fails keeps the log proven before, and its fault; other packages are not affected. If the checkpoint
 * has not changed, this sends one request.
 *
 * @param archive  NULL: records are not kept
 * @param ledger   the one that the listing of `base` was made from, to be brought to the newest checkpoint; NULL: every
 *                 known package is asked for. On success the new view may have the listing of its checkpoint
 * @param base  NULL, or one without checkpoint: first contact. One with `verified_at` 0 lay in the store: the registry
 *              must not contradict its checkpoint, and its operator's log is not believed before it is proven
 *              If it is held to other checkpoints than its own, the registry must not contradict any
 * @param wanted  packages that `base` may lack; each gets its own fault, as in sync_add()
 * @param out   a new reference
 * @param refused  may be NULL; filled in always
 * @return 0; WARG_INVALID for a rollback, a fork, a checkpoint that the operator's log does not bear out, an operator's
 *         log that breaks a rule; then nothing changed
 */
int sync_refresh(const struct api *api, struct archive *archive, struct ledger *ledger, const struct view *base,
		 struct sync_wanted *wanted, size_t count, clock_ms deadline, struct view **out,
		 struct sync_refused *refused, struct fault *flt);

/**
 * Add packages to a view at the checkpoint that it has: logs and inclusion, two round trips.
 *
 * @param archive  NULL: records are not kept
 * @param wanted  no name twice; each gets its own fault; one that fails hides no other
 * @param out     a new reference, with those packages that were proven
 * @return 0 even when packages failed; else the fault that concerned all of them
 */
int sync_add(const struct api *api, struct archive *archive, const struct view *base, struct sync_wanted *wanted,
	     size_t count, clock_ms deadline, struct view **out, struct fault *flt);

#endif
