/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Starting threads, and what they wait for (see thread.h).
 */
#include "thread.h"

#include <signal.h>
#include <time.h>

static int start(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *argument), void *argument)
{
	sigset_t all, before;
	int error;

	/* It inherits what is blocked here: one that did so itself could be hit before. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(out, attributes, run, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

int thread_start(pthread_t *out, void *(*run)(void *argument), void *argument)
{
	return start(out, NULL, run, argument);
}

int thread_start_small(pthread_t *out, size_t stack, void *(*run)(void *argument), void *argument)
{
	pthread_attr_t attributes;
	int error;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack);
	error = start(out, &attributes, run, argument);
	pthread_attr_destroy(&attributes);
	return error;
}

void thread_condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t monotonic;

	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &monotonic);
	pthread_condattr_destroy(&monotonic);
}
