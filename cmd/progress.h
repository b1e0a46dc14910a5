/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A line at the terminal about long work: it appears after a second, is drawn anew as the work goes on, and is gone
 * when the work is over. Where stderr is no terminal there is none.
 *
 * Calling sequence: progress_begin(), the work, progress_end(); one at a time. Nothing else may be printed in between,
 * and nothing may fork. A signal that ends the process takes the line away first.
 */
#ifndef WARGFS_CMD_PROGRESS_H
#define WARGFS_CMD_PROGRESS_H

#include "client/base/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

/** How far the work is. Where `done` gets smaller, other work began, with a rate of its own. */
struct progress_state {
	char what[192];   /* what is worked on; as given to progress_begin() until it is changed */
	uint64_t done;
	uint64_t whole;   /* 0: not known */
	const char *unit; /* what is counted; NULL: bytes */
};

/** Whoever shows it keeps it; its parts are private. */
struct progress {
	void (*measure)(void *user, struct progress_state *state);
	void *user;
	struct progress_state state;
	clock_ms since;
	struct {
		clock_ms since;  /* the last look at which nothing was done of the present work */
		clock_ms looked; /* the last look at all, and what was done then */
		uint64_t done;
	} flow;
	bool running;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t ends;
	bool over; /* under the mutex */
	struct sigaction interrupted, terminated;
};

/** From now on nothing is shown: the output is for a program. */
void progress_forbid(void);

/**
 * Begin to show that something is worked on.
 * @param measure  called by a thread of its own, again and again until progress_end(); NULL: the time that it takes is
 *                 all that is shown
 */
void progress_begin(struct progress *progress, const char *what,
		    void (*measure)(void *user, struct progress_state *state), void *user);

/** The work is over: take the line away. */
void progress_end(struct progress *progress);

/** Take the line away, for a program that is about to end. */
void progress_wipe(void);

#endif
