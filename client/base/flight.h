/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Flights: one piece of work that many wait for, each with a deadline of its own, and each free to leave.
 *
 * Calling sequence: whoever wants something finds or makes its flight and joins it with a waiter. Whoever does the work
 * lands the flight: every waiter's `done` is called. A waiter whose deadline passes is told so by the airport's clock
 * thread, and the flight goes on without it.
 */
#ifndef WARG_CLIENT_FLIGHT_H
#define WARG_CLIENT_FLIGHT_H

#include "clock.h"
#include "verify/fault.h"

#include <pthread.h>
#include <stdbool.h>

/** The clock thread and the lock behind a set of flights. */
struct airport;

/** Start the clock thread. */
int airport_new(struct airport **out, struct fault *flt);
/** Every flight must have landed. NULL is fine. */
void airport_free(struct airport *airport);

/** Somebody who waits. Embed it in what is waited with; zero it, set `done` and `deadline`. */
struct waiter {
	/**
	 * Called once, with no lock held, from any thread, perhaps from within flight_join(). May free the waiter.
	 * @param verdict  0 when the work is done; else `flt` says why not (FAULT_TIMEOUT: the deadline;
	 *                 FAULT_CANCELLED: flight_leave() came before flight_join())
	 */
	void (*done)(struct waiter *waiter, int verdict, const struct fault *flt);
	clock_ms deadline;

	/* The flight's own. */
	struct flight *flight; /* NULL: not waiting */
	struct waiter *next, *previous;
	bool left;
};

/** Work under way. Embed it in what describes the work; zero it. */
struct flight {
	struct waiter *waiters;
	struct flight *next, *previous; /* among the airport's flights with waiters */
	bool listed;
};

/** Wait for a flight that has not landed. */
void flight_join(struct airport *airport, struct flight *flight, struct waiter *waiter);

/**
 * Wait no more.
 * @return true if the waiter was waiting: `done` will not be called. False if `done` was or is being called, or if the
 *         waiter has not joined yet: then flight_join() calls `done` with FAULT_CANCELLED at once.
 */
bool flight_leave(struct airport *airport, struct waiter *waiter);

/** Whether anybody waits for a flight now: work that has not begun may be left undone if nobody does. */
bool flight_is_awaited(struct airport *airport, const struct flight *flight);

/** The work is over: call `done` of everybody who waits. Afterwards the flight has no waiters. */
void flight_land(struct airport *airport, struct flight *flight, int verdict, const struct fault *flt);

/** A waiter for threads that may block: zero it, blocking_waiter_init(), join, blocking_waiter_wait(). */
struct blocking_waiter {
	struct waiter waiter;
	pthread_mutex_t mutex;
	pthread_cond_t landed;
	bool is_done;
	int verdict;
	struct fault fault;
};
void blocking_waiter_init(struct blocking_waiter *blocking, clock_ms deadline);
/** Wait for `done`, destroy what init made. @return the verdict, with its fault in `flt` */
int blocking_waiter_wait(struct blocking_waiter *blocking, struct fault *flt);

#endif
