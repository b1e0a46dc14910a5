/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Flights and the clock thread that ends waits (see flight.h).
 *
 * One lock covers all lists. Nobody's `done` is called under it: waiters are taken off the lists first, then told.
 */
#include "flight.h"
#include "thread.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct airport {
	pthread_mutex_t mutex;
	pthread_cond_t sooner; /* a deadline came that is before `wakes` */
	pthread_t clock;
	clock_ms wakes; /* when the clock thread looks next */
	bool closing;
	struct flight *flights;
};

static void list_flight(struct airport *airport, struct flight *flight)
{
	flight->previous = NULL;
	flight->next = airport->flights;
	if (airport->flights)
		airport->flights->previous = flight;
	airport->flights = flight;
	flight->listed = true;
}

static void unlist_flight(struct airport *airport, struct flight *flight)
{
	if (flight->previous)
		flight->previous->next = flight->next;
	else
		airport->flights = flight->next;
	if (flight->next)
		flight->next->previous = flight->previous;
	flight->listed = false;
}

/* Take a waiter off its flight, and the flight off the airport's list with the last one. */
static void detach(struct airport *airport, struct waiter *waiter)
{
	struct flight *flight = waiter->flight;

	if (waiter->previous)
		waiter->previous->next = waiter->next;
	else
		flight->waiters = waiter->next;
	if (waiter->next)
		waiter->next->previous = waiter->previous;
	waiter->flight = NULL;
	if (!flight->waiters)
		unlist_flight(airport, flight);
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
static struct waiter *detach_late(struct airport *airport, clock_ms now)
{
	struct waiter *late = NULL;

	airport->wakes = CLOCK_NEVER;
	for (struct flight *flight = airport->flights, *after; flight; flight = after) {
		after = flight->next;
		for (struct waiter *waiter = flight->waiters, *next; waiter; waiter = next) {
			next = waiter->next;
			if (waiter->deadline <= now) {
				detach(airport, waiter);
				waiter->next = late;
				late = waiter;
			} else if (waiter->deadline < airport->wakes) {
				airport->wakes = waiter->deadline;
			}
		}
	}
	return late;
}

static void sleep_until_sooner(struct airport *airport)
{
	struct timespec at;

	if (airport->wakes == CLOCK_NEVER) {
		pthread_cond_wait(&airport->sooner, &airport->mutex);
		return;
	}
	at.tv_sec = airport->wakes / 1000;
	at.tv_nsec = airport->wakes % 1000 * 1000000;
	pthread_cond_timedwait(&airport->sooner, &airport->mutex, &at);
}

static void *run_clock(void *argument)
{
	struct airport *airport = argument;
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_TIMEOUT, "no answer before the deadline");
	fault_blame(&flt, FAULT_BY_NETWORK);
	pthread_mutex_lock(&airport->mutex);
	while (!airport->closing) {
		struct waiter *late = detach_late(airport, clock_now());

		if (!late) {
			sleep_until_sooner(airport);
			continue;
		}
		pthread_mutex_unlock(&airport->mutex);
		tell(late, flt.verdict, &flt);
		pthread_mutex_lock(&airport->mutex);
	}
	pthread_mutex_unlock(&airport->mutex);
	return NULL;
}

int airport_new(struct airport **out, struct fault *flt)
{
	struct airport *airport = calloc(1, sizeof(*airport));
	int error;

	if (!airport)
		return fault_no_memory(flt);
	airport->wakes = CLOCK_NEVER;
	pthread_mutex_init(&airport->mutex, NULL);
	thread_condition_init(&airport->sooner);
	error = thread_start(&airport->clock, run_clock, airport);
	if (error) {
		pthread_cond_destroy(&airport->sooner);
		pthread_mutex_destroy(&airport->mutex);
		free(airport);
		return fault_system(flt, error, "the clock thread cannot be started");
	}
	*out = airport;
	return 0;
}

void airport_free(struct airport *airport)
{
	if (!airport)
		return;
	pthread_mutex_lock(&airport->mutex);
	airport->closing = true;
	pthread_cond_signal(&airport->sooner);
	pthread_mutex_unlock(&airport->mutex);
	pthread_join(airport->clock, NULL);
	pthread_cond_destroy(&airport->sooner);
	pthread_mutex_destroy(&airport->mutex);
	free(airport);
}

void flight_join(struct airport *airport, struct flight *flight, struct waiter *waiter)
{
	struct fault flt = {0};

	pthread_mutex_lock(&airport->mutex);
	if (waiter->left) {
		pthread_mutex_unlock(&airport->mutex);
		fault_undecided(&flt, FAULT_CANCELLED, "the wait was given up");
		waiter->done(waiter, flt.verdict, &flt);
		return;
	}
	if (!flight->listed)
		list_flight(airport, flight);
	waiter->flight = flight;
	waiter->previous = NULL;
	waiter->next = flight->waiters;
	if (flight->waiters)
		flight->waiters->previous = waiter;
	flight->waiters = waiter;
	if (waiter->deadline < airport->wakes) {
		airport->wakes = waiter->deadline;
		pthread_cond_signal(&airport->sooner);
	}
	pthread_mutex_unlock(&airport->mutex);
}

bool flight_is_awaited(struct airport *airport, const struct flight *flight)
{
	bool is_awaited;

	pthread_mutex_lock(&airport->mutex);
	is_awaited = flight->waiters;
	pthread_mutex_unlock(&airport->mutex);
	return is_awaited;
}

bool flight_leave(struct airport *airport, struct waiter *waiter)
{
	bool was_waiting;

	pthread_mutex_lock(&airport->mutex);
	was_waiting = waiter->flight != NULL;
	if (was_waiting)
		detach(airport, waiter);
	waiter->left = true;
	pthread_mutex_unlock(&airport->mutex);
	return was_waiting;
}

void flight_land(struct airport *airport, struct flight *flight, int verdict, const struct fault *flt)
{
	struct waiter *all;

	pthread_mutex_lock(&airport->mutex);
	all = flight->waiters;
	for (struct waiter *waiter = all; waiter; waiter = waiter->next)
		waiter->flight = NULL;
	flight->waiters = NULL;
	if (flight->listed)
		unlist_flight(airport, flight);
	pthread_mutex_unlock(&airport->mutex);
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
	pthread_cond_signal(&blocking->landed);
	pthread_mutex_unlock(&blocking->mutex);
}

void blocking_waiter_init(struct blocking_waiter *blocking, clock_ms deadline)
{
	*blocking = (struct blocking_waiter){ .waiter = { .done = blocking_done, .deadline = deadline } };
	pthread_mutex_init(&blocking->mutex, NULL);
	pthread_cond_init(&blocking->landed, NULL);
}

int blocking_waiter_wait(struct blocking_waiter *blocking, struct fault *flt)
{
	pthread_mutex_lock(&blocking->mutex);
	while (!blocking->is_done)
		pthread_cond_wait(&blocking->landed, &blocking->mutex);
	pthread_mutex_unlock(&blocking->mutex);
	pthread_cond_destroy(&blocking->landed);
	pthread_mutex_destroy(&blocking->mutex);
	if (blocking->verdict && flt && !flt->verdict)
		*flt = blocking->fault;
	return blocking->verdict;
}
