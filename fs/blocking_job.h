/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Blocking jobs: what a request needs done that may block for long, by threads that may. The request waits for a
 * blocking job as it waits for the registry: it can be interrupted, and other requests are served meanwhile.
 */
#ifndef WARGFS_FS_BLOCKING_JOB_H
#define WARGFS_FS_BLOCKING_JOB_H

#include "client/base/completion.h"
#include "client/base/workers.h"

#include <stdatomic.h>

struct mount;

/** Embed it in what it works on. */
struct blocking_job {
	struct job job; /* first, so that one is found from the other */
	struct completion completion;
	struct mount *mount;
	struct workers *workers; /* mount->blocking_jobs, or other threads for jobs that wait for the registry */
	atomic_uint references;
	/** Called once, on a thread that may block. */
	int (*run)(struct blocking_job *blocking_job, struct fault *flt);
	/** Called with the last reference, from any thread. */
	void (*free)(struct blocking_job *blocking_job);
};

/** Initialise a blocking job on mount->blocking_jobs with one reference; does not touch the struct around it. */
void blocking_job_init(struct blocking_job *blocking_job, struct mount *mount,
		       int (*run)(struct blocking_job *blocking_job, struct fault *flt),
		       void (*free)(struct blocking_job *blocking_job));
/** One reference more. @return the blocking job */
struct blocking_job *blocking_job_ref(struct blocking_job *blocking_job);
/** NULL is fine. */
void blocking_job_unref(struct blocking_job *blocking_job);

/** Have it done. @param waiter  is told the verdict; NULL: nobody waits */
void blocking_job_begin(struct blocking_job *blocking_job, struct waiter *waiter);

/** Wait for it, too. The caller knows that it has not ended, and keeps it from ending meanwhile. */
void blocking_job_join(struct blocking_job *blocking_job, struct waiter *waiter);

/** Whether somebody waits for it now. */
bool blocking_job_is_awaited(struct blocking_job *blocking_job);

#endif
