/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Completions and the clock thread that ends waits (see completion.h).
 *
 * One lock covers all lists. No waiter's `done` is called while it is held: waiters are taken off the lists first.
 */
#include "completion.h"
#include "thread.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct deadlines {
	pthread_mutex_t mutex;
	pthread_cond_t sooner; /* a deadline came that is before `wakes` */
	pthread_t clock;
	clock_ms wakes; /* when the clock thread looks next */
	bool closing;
	struct completion *completions;
};

static void list_completion(struct deadlines *deadlines, struct completion *completion)
{
	completion->previous = NULL;
	completion->next = deadlines->completions;
	if (deadlines->completions)
		deadlines->completions->previous = completion;
	deadlines->completions = completion;
	completion->listed = true;
}

static void unlist_completion(struct deadlines *deadlines, struct completion *completion)
{
	if (completion->previous)
		completion->previous->next = completion->next;
	else
		deadlines->completions = completion->next;
	if (completion->next)
		completion->next->previous = completion->previous;
	completion->listed = false;
}

/* Take a waiter off its completion, and the completion off the deadlines's list with the last one. */
static void detach(struct deadlines *deadlines, struct waiter *waiter)
{
	struct completion *completion = waiter->completion;

	if (waiter->previous)
		waiter->previous->next = waiter->next;
	else
		completion->waiters = waiter->next;
	if (waiter->next)
		waiter->next->previous = waiter->previous;
	waiter->completion = NULL;
	if (!completion->waiters)
		unlist_completion(deadlines, completion);
}

/* Tell a chain of detached waiters, linked by `next`. */
static void tell(struct waiter *chain, int verdict, const struct fault *flt)
{
	while (chain) {
		struct waiter *waiter = chain;

		chain = chain->next;
		waiter->done(waiter, verdict, flt);
	}
}

/* Detach every waiter whose deadline has passed; tell in `wakes` when the next one will. */
static struct waiter *detach_late(struct deadlines *deadlines, clock_ms now)
{
	struct waiter *late = NULL;

	deadlines->wakes = CLOCK_NEVER;
	for (struct completion *completion = deadlines->completions, *after; completion; completion = after) {
		after = completion->next;
		for (struct waiter *waiter = completion->waiters, *next; waiter; waiter = next) {
			next = waiter->next;
			if (waiter->deadline <= now) {
				detach(deadlines, waiter);
				waiter->next = late;
				late = waiter;
			} else if (waiter->deadline < deadlines->wakes) {
				deadlines->wakes = waiter->deadline;
			}
		}
	}
	return late;
}

static void sleep_until_sooner(struct deadlines *deadlines)
{
	struct timespec at;

	if (deadlines->wakes == CLOCK_NEVER) {
		pthread_cond_wait(&deadlines->sooner, &deadlines->mutex);
		return;
	}
	at.tv_sec = deadlines->wakes / 1000;
	at.tv_nsec = deadlines->wakes % 1000 * 1000000;
	pthread_cond_timedwait(&deadlines->sooner, &deadlines->mutex, &at);
}

static void *run_clock(void *argument)
{
	struct deadlines *deadlines = argument;
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_TIMEOUT, "no answer before the deadline");
	fault_blame(&flt, FAULT_BY_NETWORK);
	pthread_mutex_lock(&deadlines->mutex);
	while (!deadlines->closing) {
		struct waiter *late = detach_late(deadlines, clock_now());

		if (!late) {
			sleep_until_sooner(deadlines);
			continue;
		}
		pthread_mutex_unlock(&deadlines->mutex);
		tell(late, flt.verdict, &flt);
		pthread_mutex_lock(&deadlines->mutex);
	}
	pthread_mutex_unlock(&deadlines->mutex);
	return NULL;
}

int deadlines_new(struct deadlines **out, struct fault *flt)
{
	struct deadlines *deadlines = calloc(1, sizeof(*deadlines));
	int error;

	if (!deadlines)
		return fault_no_memory(flt);
	deadlines->wakes = CLOCK_NEVER;
	pthread_mutex_init(&deadlines->mutex, NULL);
	thread_condition_init(&deadlines->sooner);
	error = thread_start(&deadlines->clock, run_clock, deadlines);
	if (error) {
		pthread_cond_destroy(&deadlines->sooner);
		pthread_mutex_destroy(&deadlines->mutex);
		free(deadlines);
		return fault_system(flt, error, "the clock thread cannot be started");
	}
	*out = deadlines;
	return 0;
}

void deadlines_free(struct deadlines *deadlines)
{
	if (!deadlines)
		return;
	pthread_mutex_lock(&deadlines->mutex);
	deadlines->closing = true;
	pthread_cond_signal(&deadlines->sooner);
	pthread_mutex_unlock(&deadlines->mutex);
	pthread_join(deadlines->clock, NULL);
	pthread_cond_destroy(&deadlines->sooner);
	pthread_mutex_destroy(&deadlines->mutex);
	free(deadlines);
}

void completion_join(struct deadlines *deadlines, struct completion *completion, struct waiter *waiter)
{
	struct fault flt = {0};

	pthread_mutex_lock(&deadlines->mutex);
	if (waiter->left) {
		pthread_mutex_unlock(&deadlines->mutex);
		fault_undecided(&flt, FAULT_CANCELLED, "the wait was given up");
		waiter->done(waiter, flt.verdict, &flt);
		return;
	}
	if (!completion->listed)
		list_completion(deadlines, completion);
	waiter->completion = completion;
	waiter->previous = NULL;
	waiter->next = completion->waiters;
	if (completion->waiters)
		completion->waiters->previous = waiter;
	completion->waiters = waiter;
	if (waiter->deadline < deadlines->wakes) {
		deadlines->wakes = waiter->deadline;
		pthread_cond_signal(&deadlines->sooner);
	}
	pthread_mutex_unlock(&deadlines->mutex);
}

bool completion_is_awaited(struct deadlines *deadlines, const struct completion *completion)
{
	bool is_awaited;

	pthread_mutex_lock(&deadlines->mutex);
	is_awaited = completion->waiters;
	pthread_mutex_unlock(&deadlines->mutex);
	return is_awaited;
}

bool completion_leave(struct deadlines *deadlines, struct waiter *waiter)
{
	bool was_waiting;

	pthread_mutex_lock(&deadlines->mutex);
	was_waiting = waiter->completion != NULL;
	if (was_waiting)
		detach(deadlines, waiter);
	waiter->left = true;
	pthread_mutex_unlock(&deadlines->mutex);
	return was_waiting;
}

void completion_finish(struct deadlines *deadlines, struct completion *completion, int verdict, const struct fault *flt)
{
	struct waiter *all;

	pthread_mutex_lock(&deadlines->mutex);
	all = completion->waiters;
	for (struct waiter *waiter = all; waiter; waiter = waiter->next)
		waiter->completion = NULL;
	completion->waiters = NULL;
	if (completion->listed)
		unlist_completion(deadlines, completion);
	pthread_mutex_unlock(&deadlines->mutex);
	tell(all, verdict, flt);
}

static void blocking_done(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct blocking_waiter *blocking = (struct blocking_waiter *)waiter; /* its first member */

	pthread_mutex_lock(&blocking->mutex);
	blocking->verdict = verdict;
	if (verdict && flt)
		blocking->fault = *flt;
	blocking->is_done = true;
	pthread_cond_signal(&blocking->finished);
	pthread_mutex_unlock(&blocking->mutex);
}

void blocking_waiter_init(struct blocking_waiter *blocking, clock_ms deadline)
{
	*blocking = (struct blocking_waiter){.waiter = {.done = blocking_done, .deadline = deadline}};
	pthread_mutex_init(&blocking->mutex, NULL);
	pthread_cond_init(&blocking->finished, NULL);
}

int blocking_waiter_wait(struct blocking_waiter *blocking, struct fault *flt)
{
	pthread_mutex_lock(&blocking->mutex);
	while (!blocking->is_done)
		pthread_cond_wait(&blocking->finished, &blocking->mutex);
	pthread_mutex_unlock(&blocking->mutex);
	pthread_cond_destroy(&blocking->finished);
	pthread_mutex_destroy(&blocking->mutex);
	if (blocking->verdict && flt && !flt->verdict)
		*flt = blocking->fault;
	return blocking->verdict;
}
