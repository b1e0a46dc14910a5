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

#include "committed.h"

/**
 * Check the log of a registry, its last checkpoint and its map, and repair what can be repaired. Reads each record's
 * ids, not its bytes: some seconds for a million.
 *
 * @param key   the operator's; NULL: a mirror: its last records are fetched again if no signed checkpoint covers them
 * @param is_thorough  also check the whole of a large map: some 236 hashes for each package
 * @param tell  called with each finding
 * @param gaps  number of lost records; the ledger lacks them
 * @return 0 even if some damage remains; WARG_UNDECIDED: memory, the disk
 */
int recovery_run(struct database *database, const struct ecdsa_private_key *key,
		 bool is_thorough, void (*tell)(void *user, const struct fault *flt), void *user, uint64_t *gaps,
		 struct fault *flt);

#endif
