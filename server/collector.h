/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The thread that removes what publishers left behind: it runs at the start, and after each rejected record.
 *
 * garbage.h decides what is removed. A run with something to remove reads all published records, so the thread then
 * rests for many times as long as the run took. Each run first rejects records that have waited too long.
 */
#ifndef WARG_SERVER_COLLECTOR_H
#define WARG_SERVER_COLLECTOR_H

#include <stdint.h>

#include "database.h"
#include "verify/digest.h"

struct collector;

/** Options. Borrowed objects must outlive the collector. */
struct collector_options {
	const struct database *database; /* used by others: the collector opens connections of its own; borrowed */
	int folder;                      /* of contents; borrowed */
	/**
	 * Reject a record that has waited too long, unless its contents are being uploaded. Blocks until it is done.
	 */
	void (*expire)(void *user, const struct digest *log_id, const struct digest *record_id);
	/** Report a fault; the collector tries again later. */
	void (*failed)(void *user, const struct fault *flt);
	void *user;
};

/** Start the thread; its first run begins at once. */
int collector_start(const struct collector_options *options, struct collector **out, struct fault *flt);
/** Wake the thread. From any thread; does not block. NULL is fine. */
void collector_wake(struct collector *collector);
/** End the thread; collector_wake() may still be called, and does nothing then. NULL is fine. */
void collector_stop(struct collector *collector);
/** NULL is fine. */
void collector_free(struct collector *collector);

#endif
