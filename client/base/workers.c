/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A queue of jobs and the threads that take from it (see workers.h).
 */
#include "workers.h"
#include "thread.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t queued;
	struct job *first, **last;
	bool closing;
	unsigned waiting; /* jobs in the queue */
	unsigned idle;    /* threads that have none */
	unsigned count, most;
	pthread_t threads[];
};

static struct job *take(struct workers *workers)
{
	struct job *job;

	pthread_mutex_lock(&workers->mutex);
	workers->idle++;
	while (!workers->first && !workers->closing)
		pthread_cond_wait(&workers->queued, &workers->mutex);
	workers->idle--;
	job = workers->first;
	if (job) {
		workers->waiting--;
		workers->first = job->next;
		if (!workers->first)
			workers->last = &workers->first;
	}
	pthread_mutex_unlock(&workers->mutex);
	return job;
}

static void *run_worker(void *argument)
{
	struct workers *workers = argument;
	struct job *job;

	while ((job = take(workers)))
		job->run(job);
	return NULL;
}

/* The mutex is held, or nobody else knows of them yet. @return 0 or an errno */
static int start_thread(struct workers *workers)
{
	int error = thread_start(&workers->threads[workers->count], run_worker, workers);

	if (!error)
		workers->count++;
	return error;
}

int workers_new(unsigned threads, struct workers **out, struct fault *flt)
{
	struct workers *workers = calloc(1, sizeof(*workers) + threads * sizeof(workers->threads[0]));
	int error;

	if (!workers)
		return fault_no_memory(flt);
	pthread_mutex_init(&workers->mutex, NULL);
	pthread_cond_init(&workers->queued, NULL);
	workers->last = &workers->first;
	workers->most = threads;
	error = start_thread(workers);
	if (error) {
		workers_free(workers);
		return fault_system(flt, error, "a worker thread cannot be started");
	}
	*out = workers;
	return 0;
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	pthread_mutex_lock(&workers->mutex);
	workers->closing = true;
	pthread_cond_broadcast(&workers->queued);
	pthread_mutex_unlock(&workers->mutex);
	for (unsigned i = 0; i < workers->count; i++)
		pthread_join(workers->threads[i], NULL);
	pthread_cond_destroy(&workers->queued);
	pthread_mutex_destroy(&workers->mutex);
	free(workers);
}

void workers_run(struct workers *workers, struct job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&workers->mutex);
	*workers->last = job;
	workers->last = &job->next;
	workers->waiting++;
	/* Where another cannot be had, those that are there come to it in time. */
	if (workers->waiting > workers->idle && workers->count < workers->most && !workers->closing)
		start_thread(workers);
	pthread_cond_signal(&workers->queued);
	pthread_mutex_unlock(&workers->mutex);
}
