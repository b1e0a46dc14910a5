/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A queue of places, each with a queue of jobs (see lanes.h).
 */
#include "lanes.h"

#include <stdlib.h>

#include "client/base/thread.h"

struct lanes {
	pthread_mutex_t mutex; /* for what follows, and for the places */
	pthread_cond_t ready;
	struct lane_place *first, **last; /* places whose next job may run */
	bool ending;
	unsigned count;
	pthread_t threads[];
};

void lane_place_init(struct lane_place *place)
{
	*place = (struct lane_place){.last = &place->first};
}

/* Called with the mutex. Queue a place that has a job to run. */
static void line_up(struct lanes *lanes, struct lane_place *place)
{
	if (!place->first || place->is_taken || place->is_held_up)
		return;
	place->is_taken = true;
	place->next = NULL;
	*lanes->last = place;
	lanes->last = &place->next;
	pthread_cond_signal(&lanes->ready);
}

/* @return NULL: it is time to end */
static struct lane_job *take_job(struct lanes *lanes)
{
	struct lane_job *job = NULL;
	struct lane_place *place;

	pthread_mutex_lock(&lanes->mutex);
	while (!lanes->first && !lanes->ending)
		pthread_cond_wait(&lanes->ready, &lanes->mutex);
	place = lanes->first;
	if (place) {
		lanes->first = place->next;
		if (!lanes->first)
			lanes->last = &lanes->first;
		job = place->first;
		place->first = job->next;
		if (!place->first)
			place->last = &place->first;
	}
	pthread_mutex_unlock(&lanes->mutex);
	return job;
}

static void *run(void *argument)
{
	struct lane_job *job;

	while ((job = take_job(argument)))
		job->run(job);
	return NULL;
}

int lanes_new(unsigned threads, struct lanes **out, struct fault *flt)
{
	struct lanes *lanes = calloc(1, sizeof(*lanes) + threads * sizeof(lanes->threads[0]));
	int error = 0;

	if (!lanes)
		return fault_no_memory(flt);
	pthread_mutex_init(&lanes->mutex, NULL);
	pthread_cond_init(&lanes->ready, NULL);
	lanes->last = &lanes->first;
	while (lanes->count < threads && !error) {
		error = thread_start(&lanes->threads[lanes->count], run, lanes);
		lanes->count += !error;
	}
	if (error) {
		lanes_free(lanes);
		return fault_system(flt, error, "a thread for long requests cannot be started");
	}
	*out = lanes;
	return 0;
}

void lanes_free(struct lanes *lanes)
{
	if (!lanes)
		return;
	pthread_mutex_lock(&lanes->mutex);
	lanes->ending = true;
	pthread_cond_broadcast(&lanes->ready);
	pthread_mutex_unlock(&lanes->mutex);
	while (lanes->count)
		pthread_join(lanes->threads[--lanes->count], NULL);
	pthread_cond_destroy(&lanes->ready);
	pthread_mutex_destroy(&lanes->mutex);
	free(lanes);
}

void lanes_run(struct lanes *lanes, struct lane_place *place, struct lane_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&lanes->mutex);
	*place->last = job;
	place->last = &job->next;
	line_up(lanes, place);
	pthread_mutex_unlock(&lanes->mutex);
}

void lanes_hold_up(struct lanes *lanes, struct lane_place *place, bool held_up)
{
	pthread_mutex_lock(&lanes->mutex);
	place->is_held_up = held_up;
	line_up(lanes, place);
	pthread_mutex_unlock(&lanes->mutex);
}

void lanes_leave(struct lanes *lanes, struct lane_place *place)
{
	pthread_mutex_lock(&lanes->mutex);
	place->is_taken = false;
	line_up(lanes, place);
	pthread_mutex_unlock(&lanes->mutex);
}
