/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetching contents (see fetch_contents.h).
 */
#include "fetch_contents.h"
#include "client/base/thread.h"
#include "progress.h"

#include <stdlib.h>
#include <time.h>

#define STEP 100 /* milliseconds until a signal is noticed */

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
	caught = number;
}

/* Everybody who is waited for. */
struct crowd {
	struct fetch_contents_want *wants;
	struct member *members;
	size_t count;
	bool size_is_asked; /* for the bar */
	pthread_mutex_t mutex;
	pthread_cond_t all_finished;
	size_t finished; /* under the mutex */
};

struct member {
	struct waiter waiter;
	struct crowd *crowd;
};

static void complete(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct member *member = (struct member *)waiter;
	struct crowd *crowd = member->crowd;

	pthread_mutex_lock(&crowd->mutex);
	if (verdict)
		crowd->wants[member - crowd->members].fault = *flt;
	if (++crowd->finished == crowd->count)
		pthread_cond_signal(&crowd->all_finished);
	pthread_mutex_unlock(&crowd->mutex);
}

/* @return whether all are finished, within a step */
static bool wait_step(struct crowd *crowd)
{
	clock_ms when = clock_now() + STEP;
	const struct timespec at = {.tv_sec = when / 1000, .tv_nsec = when % 1000 * 1000000};
	bool over;

	pthread_mutex_lock(&crowd->mutex);
	if (crowd->finished < crowd->count)
		pthread_cond_timedwait(&crowd->all_finished, &crowd->mutex, &at);
	over = crowd->finished == crowd->count;
	pthread_mutex_unlock(&crowd->mutex);
	return over;
}

/* Step out of every wait that is not over this very moment. */
static void give_up(struct crowd *crowd)
{
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_CANCELLED, "interrupted");
	for (size_t i = 0; i < crowd->count; i++) {
		if (registry_leave(crowd->wants[i].registry, &crowd->members[i].waiter))
			complete(&crowd->members[i].waiter, flt.verdict, &flt);
	}
}

static void wait_for_all(struct crowd *crowd)
{
	const struct sigaction action = {.sa_handler = catch_signal};
	struct sigaction old_int, old_term;
	bool given_up = false;

	sigaction(SIGINT, &action, &old_int);
	sigaction(SIGTERM, &action, &old_term);
	while (!wait_step(crowd)) {
		if (caught && !given_up)
			give_up(crowd);
		given_up = given_up || caught;
	}
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
}

/* One content is told of in bytes, many by how many are there. */
static void measure(void *user, struct progress_state *state)
{
	struct content_counters counters;
	struct crowd *crowd = user;
	struct content *content;

	if (crowd->count > 1) {
		state->unit = "contents";
		state->whole = crowd->count;
		pthread_mutex_lock(&crowd->mutex);
		state->done = crowd->finished;
		pthread_mutex_unlock(&crowd->mutex);
		return;
	}
	content = registry_content(crowd->wants->registry);
	content_count(content, &counters);
	state->done = counters.bytes_received;
	if (!content_find_size(content, &crowd->wants->digest, &state->whole) || state->whole < state->done)
		state->whole = 0;
	/* Only a bar needs it ahead of the content. */
	if (!state->whole && !crowd->size_is_asked)
		content_prefetch_sizes(content, &crowd->wants->digest, 1);
	crowd->size_is_asked = true;
}

/* What is there now: `done` only says that it was. */
static void look(struct fetch_contents_want *want)
{
	struct content_file *file;

	if (want->fault.verdict)
		return;
	file = content_find(registry_content(want->registry), &want->digest);
	if (file)
		want->size = file->size;
	else
		fault_undecided(&want->fault, FAULT_SYSTEM, "the content is gone from the cache again");
	content_file_unref(file);
}

static int worst_of(const struct fetch_contents_want *wants, size_t count)
{
	int worst = 0;

	for (size_t i = 0; i < count; i++) {
		/* A lie weighs more than what could not be found out. */
		if (wants[i].fault.verdict && worst != WARG_INVALID)
			worst = wants[i].fault.verdict;
	}
	return worst;
}

static void join_all(struct crowd *crowd)
{
	for (size_t i = 0; i < crowd->count; i++) {
		crowd->members[i] = (struct member){{.done = complete, .deadline = CLOCK_NEVER}, crowd};
		content_fetch(registry_content(crowd->wants[i].registry), &crowd->wants[i].digest,
			      &crowd->members[i].waiter);
	}
}

int fetch_contents_fetch(const char *what, struct fetch_contents_want *wants, size_t count)
{
	struct crowd crowd = {.wants = wants, .count = count};
	struct progress progress;

	crowd.members = calloc(count + 1, sizeof(*crowd.members));
	if (!crowd.members) {
		for (size_t i = 0; i < count; i++)
			fault_no_memory(&wants[i].fault);
		return WARG_UNDECIDED;
	}
	pthread_mutex_init(&crowd.mutex, NULL);
	thread_condition_init(&crowd.all_finished);
	progress_begin(&progress, what, measure, &crowd);
	join_all(&crowd);
	wait_for_all(&crowd);
	progress_end(&progress);
	for (size_t i = 0; i < count; i++)
		look(&wants[i]);
	pthread_cond_destroy(&crowd.all_finished);
	pthread_mutex_destroy(&crowd.mutex);
	free(crowd.members);
	return worst_of(wants, count);
}

void fetch_contents_die_of_signal(void)
{
	if (!caught)
		return;
	signal(caught, SIG_DFL);
	raise(caught);
}
