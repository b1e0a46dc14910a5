/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Workers: a few threads for what may block on the disk or takes the processor for long, so that neither the event loop
 * nor a FUSE thread ever does.
 */
#ifndef WARG_CLIENT_WORKERS_H
#define WARG_CLIENT_WORKERS_H

#include "verify/fault.h"

struct workers;

/** A job; embed it in what it works on. `run` may free it. */
struct job {
	void (*run)(struct job *job);
	struct job *next; /* the queue's own */
};

/** Start one thread, and others, up to that many in all, when jobs find none idle. */
int workers_new(unsigned threads, struct workers **out, struct fault *flt);
/** Runs what is queued, then ends the threads. NULL is fine. */
void workers_free(struct workers *workers);
/** Queue a job; first come, first served. */
void workers_run(struct workers *workers, struct job *job);

#endif
