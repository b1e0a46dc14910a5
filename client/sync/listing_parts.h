/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What listing.c and listing_logs.c share. Not for others.
 */
#ifndef WARG_CLIENT_LISTING_PARTS_H
#define WARG_CLIENT_LISTING_PARTS_H

#include "listing.h"

/** As listing_find_log(), of a listing that nobody else sees yet: its entry may be changed. */
struct listing_log *listing_log_of(const struct listing *listing, const struct digest *log_id);

/** Set the logs of a listing: those of the listing before, and those that the ledger has more. */
int listing_take_ledger(struct ledger *ledger, const struct listing *base, const struct checkpoint *checkpoint,
			struct listing *listing, struct fault *flt);

/**
 * Bring the ledger to the checkpoint, and set the logs of a listing. What was damaged on disk meanwhile is fetched
 * again.
 * @param has_ledger  false if the registry has none; then the listing has no logs
 */
int listing_read_ledger(const struct api *api, struct ledger *ledger, const struct listing *base,
			const struct signed_checkpoint *checkpoint, clock_ms deadline, struct listing *listing,
			bool *has_ledger, struct fault *flt);

#endif
