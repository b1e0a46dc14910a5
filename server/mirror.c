/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Looking again and again (see mirror.h).
 */
#include "mirror.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "client/base/thread.h"

struct mirror {
	struct mirror_options options;
	struct append_state state;
	struct operator_log *operator;
	pthread_t thread;
	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t told;
	bool stopping;
};

static void look(struct mirror *mirror)
{
	const struct mirror_options *options = &mirror->options;
	struct fault flt = {0};
	int r = import_update(&options->import, &mirror->state, &mirror->operator, &flt);

	if (r && flt.kind != FAULT_CANCELLED)
		options->failed(options->user, &flt);
	else if (!r)
		options->stands(options->user, &mirror->state, mirror->operator);
}

/* @return false: it is time to end */
static bool pause_for(struct mirror *mirror, unsigned seconds)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&mirror->mutex);
	while (!mirror->stopping && !pthread_cond_timedwait(&mirror->told, &mirror->mutex, &until))
		;
	go_on = !mirror->stopping;
	pthread_mutex_unlock(&mirror->mutex);
	return go_on;
}

static void *run(void *argument)
{
	struct mirror *mirror = argument;

	while (pause_for(mirror, mirror->options.refresh))
		look(mirror);
	return NULL;
}

static void follower_free(struct mirror *mirror)
{
	operator_log_unref(mirror->operator);
	pthread_cond_destroy(&mirror->told);
	pthread_mutex_destroy(&mirror->mutex);
	free(mirror);
}

int mirror_start(const struct mirror_options *options, const struct append_state *state, struct operator_log *operator,
		 struct mirror **out, struct fault *flt)
{
	struct mirror *mirror = calloc(1, sizeof(*mirror));
	int error;

	if (!mirror)
		return fault_no_memory(flt);
	mirror->options = *options;
	mirror->state = *state;
	mirror->operator = operator_log_ref(operator);
	pthread_mutex_init(&mirror->mutex, NULL);
	thread_condition_init(&mirror->told);
	error = thread_start(&mirror->thread, run, mirror);
	if (error) {
		follower_free(mirror);
		return fault_system(flt, error, "the thread that follows the origin cannot be started");
	}
	*out = mirror;
	return 0;
}

void mirror_stop(struct mirror *mirror)
{
	if (!mirror)
		return;
	pthread_mutex_lock(&mirror->mutex);
	mirror->stopping = true;
	pthread_cond_signal(&mirror->told);
	pthread_mutex_unlock(&mirror->mutex);
	http_stop(mirror->options.import.api.http);
	pthread_join(mirror->thread, NULL);
	follower_free(mirror);
}
