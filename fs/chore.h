/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Chores: what a request needs done that may block for long, by threads that may. The request waits for a chore as it
 * waits for the registry: it can be interrupted, and other requests are served meanwhile.
 */
#ifndef WARGFS_FS_CHORE_H
#define WARGFS_FS_CHORE_H

#include "client/base/flight.h"
#include "client/base/workers.h"

#include <stdatomic.h>

struct mount;

/** Embed it in what it works on. */
struct chore {
	struct job job; /* first, so that one is found from the other */
	struct flight flight;
	struct mount *mount;
	struct workers *workers; /* worker threads: mount->chores, or others for chores that wait for the registry */
	atomic_uint references;
	/** Called once, on a thread that may block. */
	int (*run)(struct chore *chore, struct fault *flt);
	/** Called with the last reference, from any thread. */
	void (*free)(struct chore *chore);
};

/** Initialise a chore on mount->chores with one reference; does not touch the struct around it. */
void chore_init(struct chore *chore, struct mount *mount, int (*run)(struct chore *chore, struct fault *flt),
		void (*free)(struct chore *chore));
/** One reference more. @return the chore */
struct chore *chore_ref(struct chore *chore);
/** NULL is fine. */
void chore_unref(struct chore *chore);

/** Have it done. @param waiter  is told the verdict; NULL: nobody waits */
void chore_begin(struct chore *chore, struct waiter *waiter);

/** Wait for it, too. The caller knows that it has not ended, and keeps it from ending meanwhile. */
void chore_join(struct chore *chore, struct waiter *waiter);

/** Whether somebody waits for it now. */
bool chore_is_awaited(struct chore *chore);

#endif
