/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Blocking jobs (see blocking job.h).
 */
#include "blocking_job.h"

#include "mount_parts.h"

void blocking_job_init(struct blocking_job *blocking_job, struct mount *mount,
		       int (*run)(struct blocking_job *blocking_job, struct fault *flt),
		       void (*free)(struct blocking_job *blocking_job))
{
	blocking_job->completion = (struct completion){0};
	blocking_job->mount = mount;
	blocking_job->workers = mount->blocking_jobs;
	blocking_job->run = run;
	blocking_job->free = free;
	atomic_init(&blocking_job->references, 1);
}

struct blocking_job *blocking_job_ref(struct blocking_job *blocking_job)
{
	atomic_fetch_add_explicit(&blocking_job->references, 1, memory_order_relaxed);
	return blocking_job;
}

void blocking_job_unref(struct blocking_job *blocking_job)
{
	if (blocking_job && atomic_fetch_sub_explicit(&blocking_job->references, 1, memory_order_acq_rel) == 1)
		blocking_job->free(blocking_job);
}

static void run(struct job *job)
{
	struct blocking_job *blocking_job = (struct blocking_job *)job;
	struct fault flt = {0};
	int verdict = blocking_job->run(blocking_job, &flt);

	completion_finish(federation_deadlines(blocking_job->mount->federation), &blocking_job->completion, verdict,
			  &flt);
	blocking_job_unref(blocking_job);
}

void blocking_job_begin(struct blocking_job *blocking_job, struct waiter *waiter)
{
	struct mount *mount = blocking_job->mount;

	/* Two: for the thread, and for this function, as whoever waits may be done before it is. */
	atomic_fetch_add_explicit(&blocking_job->references, 2, memory_order_relaxed);
	blocking_job->job.run = run;
	if (waiter)
		completion_join(federation_deadlines(mount->federation), &blocking_job->completion, waiter);
	workers_run(blocking_job->workers, &blocking_job->job);
	blocking_job_unref(blocking_job);
}

void blocking_job_join(struct blocking_job *blocking_job, struct waiter *waiter)
{
	completion_join(federation_deadlines(blocking_job->mount->federation), &blocking_job->completion, waiter);
}

bool blocking_job_is_awaited(struct blocking_job *blocking_job)
{
	return completion_is_awaited(federation_deadlines(blocking_job->mount->federation), &blocking_job->completion);
}
