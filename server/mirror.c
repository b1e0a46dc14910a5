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

static void look(struct mirror *follower)
{
	const struct mirror_options *options = &follower->options;
	struct fault flt = {0};
	int r = import_update(&options->import, &follower->state, &follower->operator, &flt);

	if (r && flt.kind != FAULT_CANCELLED)
		options->failed(options->user, &flt);
	else if (!r)
		options->stands(options->user, &follower->state, follower->operator);
}

/* @return false: it is time to end */
static bool pause_for(struct mirror *follower, unsigned seconds)
{
	struct timespec until;
	bool go_on;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&follower->mutex);
	while (!follower->stopping && !pthread_cond_timedwait(&follower->told, &follower->mutex, &until))
		;
	go_on = !follower->stopping;
	pthread_mutex_unlock(&follower->mutex);
	return go_on;
}

static void *run(void *argument)
{
	struct mirror *follower = argument;

	while (pause_for(follower, follower->options.refresh))
		look(follower);
	return NULL;
}

static void follower_free(struct mirror *follower)
{
	operator_log_unref(follower->operator);
	pthread_cond_destroy(&follower->told);
	pthread_mutex_destroy(&follower->mutex);
	free(follower);
}

int mirror_start(const struct mirror_options *options, const struct append_state *state, struct operator_log *operator,
		 struct mirror **out, struct fault *flt)
{
	struct mirror *follower = calloc(1, sizeof(*follower));
	int error;

	if (!follower)
		return fault_no_memory(flt);
	follower->options = *options;
	follower->state = *state;
	follower->operator = operator_log_ref(operator);
	pthread_mutex_init(&follower->mutex, NULL);
	thread_condition_init(&follower->told);
	error = thread_start(&follower->thread, run, follower);
	if (error) {
		follower_free(follower);
		return fault_system(flt, error, "the thread that follows the origin cannot be started");
	}
	*out = follower;
	return 0;
}

void mirror_stop(struct mirror *follower)
{
	if (!follower)
		return;
	pthread_mutex_lock(&follower->mutex);
	follower->stopping = true;
	pthread_cond_signal(&follower->told);
	pthread_mutex_unlock(&follower->mutex);
	http_stop(follower->options.import.api.http);
	pthread_join(follower->thread, NULL);
	follower_free(follower);
}
