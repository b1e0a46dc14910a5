/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Chores (see chore.h).
 */
#include "chore.h"

#include "mount_parts.h"

void chore_init(struct chore *chore, struct mount *mount, int (*run)(struct chore *chore, struct fault *flt),
		void (*free)(struct chore *chore))
{
	chore->flight = (struct flight){0};
	chore->mount = mount;
	chore->workers = mount->chores;
	chore->run = run;
	chore->free = free;
	atomic_init(&chore->references, 1);
}

struct chore *chore_ref(struct chore *chore)
{
	atomic_fetch_add_explicit(&chore->references, 1, memory_order_relaxed);
	return chore;
}

void chore_unref(struct chore *chore)
{
	if (chore && atomic_fetch_sub_explicit(&chore->references, 1, memory_order_acq_rel) == 1)
		chore->free(chore);
}

static void run(struct job *job)
{
	struct chore *chore = (struct chore *)job;
	struct fault flt = {0};
	int verdict = chore->run(chore, &flt);

	flight_land(federation_airport(chore->mount->federation), &chore->flight, verdict, &flt);
	chore_unref(chore);
}

void chore_begin(struct chore *chore, struct waiter *waiter)
{
	struct mount *mount = chore->mount;

	/* Two: for the thread, and for this function, as whoever waits may be done before it is. */
	atomic_fetch_add_explicit(&chore->references, 2, memory_order_relaxed);
	chore->job.run = run;
	if (waiter)
		flight_join(federation_airport(mount->federation), &chore->flight, waiter);
	workers_run(chore->workers, &chore->job);
	chore_unref(chore);
}

void chore_join(struct chore *chore, struct waiter *waiter)
{
	flight_join(federation_airport(chore->mount->federation), &chore->flight, waiter);
}

bool chore_is_awaited(struct chore *chore)
{
	return flight_is_awaited(federation_airport(chore->mount->federation), &chore->flight);
}
