/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Threads for CPU-bound requests. Clients take turns, each with one job at a time, so a client with many requests
 * delays itself only.
 */
#ifndef WARG_SERVER_LANES_H
#define WARG_SERVER_LANES_H

#include <pthread.h>

#include "verify/fault.h"

struct lanes;

/** A job; embed it in a struct of the caller. */
struct lane_job {
	/** Runs on one of the threads. lanes_leave() must follow, at once or later, from any thread. */
	void (*run)(struct lane_job *job);
	struct lane_job *next; /* the queue's own */
};

/** A client's place in the queue; embed it. It must live until lanes_leave() of its last job. */
struct lane_place {
	struct lane_job *first, **last;
	bool is_taken;           /* taken by a job without lanes_leave() yet */
	bool is_held_up;         /* its next job has to wait */
	struct lane_place *next; /* list of places whose next job may run */
};

/** An empty one. */
void lane_place_init(struct lane_place *place);

/** @param threads  at least one */
int lanes_new(unsigned threads, struct lanes **out, struct fault *flt);
/** Call it with no job left. NULL is fine. */
void lanes_free(struct lanes *lanes);

/** Append a job to its place's queue. */
void lanes_run(struct lanes *lanes, struct lane_place *place, struct lane_job *job);
/** Let a place's next job wait, or run again. */
void lanes_hold_up(struct lanes *lanes, struct lane_place *place, bool held_up);
/** End the job that ran: the next one of its place may run. */
void lanes_leave(struct lanes *lanes, struct lane_place *place);

#endif
