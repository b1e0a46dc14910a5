/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Completions: one piece of work that many callers wait for, each with its own deadline, and each free to leave.
 *
 * Calling sequence: a caller that wants something finds or makes the completion of that work and joins it with a
 * waiter. The thread that did the work finishes the completion, which calls every waiter's `done`. A waiter whose
 * deadline passes is called by the clock thread of the deadlines, and the work goes on without it.
 */
#ifndef WARG_CLIENT_COMPLETION_H
#define WARG_CLIENT_COMPLETION_H

#include "clock.h"
#include "verify/fault.h"

#include <pthread.h>
#include <stdbool.h>

/** The clock thread and the lock behind a set of completions. */
struct deadlines;

/** Start the clock thread. */
int deadlines_new(struct deadlines **out, struct fault *flt);
/** Every completion must have been finished. NULL is fine. */
void deadlines_free(struct deadlines *deadlines);

/** A caller that waits. Embed it in the caller's struct; zero it, set `done` and `deadline`. */
struct waiter {
	/**
	 * Called once, with no lock held, from any thread, perhaps from within completion_join(). May free the waiter.
	 * @param verdict  0 when the work is done; else `flt` says why not (FAULT_TIMEOUT: the deadline;
	 *                 FAULT_CANCELLED: completion_leave() came before completion_join())
	 */
	void (*done)(struct waiter *waiter, int verdict, const struct fault *flt);
	clock_ms deadline;

	/* The completion's own. */
	struct completion *completion; /* NULL: not waiting */
	struct waiter *next, *previous;
	bool left;
};

/** Work under way. Embed it in what describes the work; zero it. */
struct completion {
	struct waiter *waiters;
	struct completion *next, *previous; /* among the deadlines's completions with waiters */
	bool listed;
};

/** Wait for a completion that is not finished. */
void completion_join(struct deadlines *deadlines, struct completion *completion, struct waiter *waiter);

/**
 * Wait no more.
 * @return true if the waiter was waiting: `done` will not be called. False if `done` was or is being called, or if the
 *         waiter has not joined yet: then completion_join() calls `done` with FAULT_CANCELLED at once.
 */
bool completion_leave(struct deadlines *deadlines, struct waiter *waiter);

/** Whether a completion has waiters now: work that has not begun may be left undone without any. */
bool completion_is_awaited(struct deadlines *deadlines, const struct completion *completion);

/** The work is over: call `done` of everybody who waits. Afterwards the completion has no waiters. */
void completion_finish(struct deadlines *deadlines, struct completion *completion, int verdict,
		       const struct fault *flt);

/** A waiter for threads that may block: zero it, blocking_waiter_init(), join, blocking_waiter_wait(). */
struct blocking_waiter {
	struct waiter waiter;
	pthread_mutex_t mutex;
	pthread_cond_t finished;
	bool is_done;
	int verdict;
	struct fault fault;
};
void blocking_waiter_init(struct blocking_waiter *blocking, clock_ms deadline);
/** Wait for `done`, destroy what init made. @return the verdict, with its fault in `flt` */
int blocking_waiter_wait(struct blocking_waiter *blocking, struct fault *flt);

#endif
