/*
 * One update, from (old view, wanted packages) to (new view or fault): protocol.md section 7.
 *
 * At most four round trips one after the other for any number of packages: checkpoint, logs, inclusion, consistency;
 * and one for each further page of a log of more than CAP_REQUEST_RECORDS new records.
 *
 * The records of what was proven are put into an archive, which keeps them until somebody accepts or refuses them.
 */
#ifndef WARG_CLIENT_SYNC_H
#define WARG_CLIENT_SYNC_H

#include "archive.h"
#include "view.h"

/** A package that is wanted, and how it went. */
struct sync_wanted {
	struct name name;
	/** The log to go on from, as it lay in the archive; NULL: none. Not believed before its head is proven. */
	struct package_log *stored;
	struct store_position stored_position;
	/* Of no interest here: the shared store has `stored` too; it is proven at the view's checkpoint. */
	bool is_shared, is_proven;
	/** After the update: verdict 0 if the new view has the package at its checkpoint, else why not. */
	struct fault fault;
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
	struct operator_log *operator; /* with SYNC_INCONSISTENT: proven at `offered`, and a reference; else NULL */
};

/**
 * Bring `base` to the registry's newest checkpoint, with every package that it knows, and those that are wanted.
 *
 * A package that fails keeps the log that was proven before, with its fault beside it, and hides no other. An equal
 * checkpoint is one request.
 *
 * @param archive  NULL: records are not kept
 * @param base  NULL, or one without checkpoint: first contact. One with `verified_at` 0 lay in the store: the registry
 *              must not contradict its checkpoint, and its operator's log is not believed before it is proven
 *              If it is held to a longer checkpoint than its own, the registry must not contradict either
 * @param wanted  packages that `base` may lack; each gets its own fault, as in sync_add()
 * @param out   a new reference
 * @param refused  may be NULL; filled in always
 * @return 0; WARG_INVALID for a rollback, a fork, a checkpoint that the operator's log does not bear out, an operator's
 *         log that breaks a rule; then nothing changed
 */
int sync_refresh(const struct api *api, struct archive *archive, const struct view *base, struct sync_wanted *wanted,
		 size_t count, clock_ms deadline, struct view **out, struct sync_refused *refused, struct fault *flt);

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
