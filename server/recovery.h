/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Finds and repairs damage in the database before a registry serves: rows changed by the disk, or by hand.
 *
 * State shared by all packages is redundant: the log's nodes and the records' ids follow from each other, and the logs'
 * ends, the map and the last checkpoint from both. So a damaged row of these is computed from the others, and checked
 * against the root that the operator signed. Data that cannot be recomputed, such as a record's bytes, belongs to one
 * package: its loss is reported, and all other packages are served.
 */
#ifndef WARG_SERVER_RECOVERY_H
#define WARG_SERVER_RECOVERY_H

#include <stdatomic.h>

#include "published.h"

/** How much is checked, unless damage is found: then all of it. */
enum recovery_depth {
	RECOVERY_END, /* that the log ends as was signed; up to CAP_CHECKED_LOG records as RECOVERY_LOG */
	RECOVERY_LOG, /* each record's ids, not its bytes: two seconds for a million; and a map of CAP_CHECKED_MAP */
	RECOVERY_ALL  /* also a larger map: some 236 hashes for each package */
};

struct recovery_task {
	struct database *database;
	/** The operator's; NULL: a mirror: its last records are fetched again if no signed checkpoint covers them. */
	const struct ecdsa_private_key *key;
	enum recovery_depth depth;
	/** Once true the check ends with FAULT_CANCELLED; others may write until damage is found. May be NULL. */
	const atomic_bool *is_stopping;
	/** Called with each finding. */
	void (*tell)(void *user, const struct fault *flt);
	void *user;
};

struct recovery_result {
	uint64_t gaps;   /* number of lost records; the ledger lacks them */
	bool is_partial; /* only the end was checked */
};

/**
 * Check the log of a registry, its last checkpoint and its map, and repair what can be repaired.
 *
 * @return 0 even if some damage remains; WARG_UNDECIDED: memory, the disk
 */
int recovery_run(const struct recovery_task *task, struct recovery_result *out, struct fault *flt);

#endif
