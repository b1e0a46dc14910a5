/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Waits that a callback can end (see door.h).
 */
#include "door.h"

#include <string.h>
#include <time.h>

#include "client/base/thread.h"

#define STEP 100 /* milliseconds between two calls of the callback */

int door_ask(const struct warg *warg, const struct door_watch *watch, struct fault *flt)
{
	struct warg_progress progress = {.size = sizeof(progress), .what = watch->what};

	if (!warg->progress)
		return 0;
	if (watch->measure)
		watch->measure(watch->user, &progress);
	if (!warg->progress(warg->user, &progress))
		return 0;
	fault_undecided(flt, FAULT_CANCELLED, "cancelled");
	fault_blame(flt, FAULT_BY_USER);
	return WARG_UNDECIDED;
}

static void end(struct door_wait *wait, int verdict, const struct fault *flt)
{
	pthread_mutex_lock(&wait->mutex);
	wait->verdict = verdict;
	if (verdict)
		wait->fault = *flt;
	wait->is_over = true;
	pthread_cond_signal(&wait->over);
	pthread_mutex_unlock(&wait->mutex);
}

static void done(struct waiter *waiter, int verdict, const struct fault *flt)
{
	end((struct door_wait *)waiter, verdict, flt);
}

void door_wait_init(struct door_wait *wait, clock_ms deadline)
{
	*wait = (struct door_wait){.waiter = {.done = done, .deadline = deadline}};
	pthread_mutex_init(&wait->mutex, NULL);
	thread_condition_init(&wait->over);
}

/* @return whether it is over, within a step; without a callback that is waited for */
static bool step(const struct warg *warg, struct door_wait *wait)
{
	clock_ms when = clock_now() + STEP;
	const struct timespec at = {.tv_sec = when / 1000, .tv_nsec = when % 1000 * 1000000};
	bool is_over;

	pthread_mutex_lock(&wait->mutex);
	while (!wait->is_over && !warg->progress)
		pthread_cond_wait(&wait->over, &wait->mutex);
	if (!wait->is_over)
		pthread_cond_timedwait(&wait->over, &wait->mutex, &at);
	is_over = wait->is_over;
	pthread_mutex_unlock(&wait->mutex);
	return is_over;
}

/* What does not leave is over soon: its `done` is being called, or will be as soon as it joins. */
static void give_up(const struct warg *warg, struct door_wait *wait, const struct door_watch *watch,
		    const struct fault *flt)
{
	if (watch->stop)
		watch->stop(watch->user);
	else if (federation_leave(warg->federation, &wait->waiter))
		end(wait, flt->verdict, flt);
}

int door_wait_end(const struct warg *warg, struct door_wait *wait, const struct door_watch *watch, struct fault *flt)
{
	struct fault cancelled = {0};
	int verdict;

	while (!step(warg, wait)) {
		if (cancelled.verdict || !door_ask(warg, watch, &cancelled))
			continue;
		give_up(warg, wait, watch, &cancelled);
	}
	verdict = wait->verdict;
	if (verdict)
		fault_pass(&wait->fault, flt);
	pthread_cond_destroy(&wait->over);
	pthread_mutex_destroy(&wait->mutex);
	return verdict;
}

/* ---- What blocks ---- */

struct blocking_job {
	struct door_wait wait;
	int (*work)(void *user, struct fault *flt);
	void *user;
};

static void *run(void *argument)
{
	struct blocking_job *job = argument;
	struct fault flt = {0};
	int verdict = job->work(job->user, &flt);

	end(&job->wait, verdict, &flt);
	return NULL;
}

int door_run(const struct warg *warg, const struct door_watch *watch, int (*work)(void *user, struct fault *flt),
	     void *user, struct fault *flt)
{
	struct blocking_job job = {.work = work, .user = user};
	pthread_t thread;
	int verdict = door_ask(warg, watch, flt), error;

	if (verdict)
		return verdict;
	/* Without a callback nothing can end the wait: this thread may do the work itself. */
	if (!warg->progress)
		return work(user, flt);
	door_wait_init(&job.wait, CLOCK_NEVER);
	error = thread_start(&thread, run, &job);
	if (error) {
		struct fault own = {0};

		fault_system(&own, error, "a thread cannot be started");
		end(&job.wait, own.verdict, &own);
	}
	verdict = door_wait_end(warg, &job.wait, watch, flt);
	if (!error)
		pthread_join(thread, NULL);
	return verdict;
}
