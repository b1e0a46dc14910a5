/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Threads that take no signals, which are for the program's own threads, which wait for them; and conditions that are
 * waited for with a deadline.
 */
#ifndef WARG_CLIENT_THREAD_H
#define WARG_CLIENT_THREAD_H

#include <pthread.h>

/**
 * Start a thread that no signal goes to, from its first instruction on, nor to those that it starts.
 * @return 0 or an errno, as pthread_create()
 */
int thread_start(pthread_t *out, void *(*run)(void *argument), void *argument);
/** The same with a smaller stack, for threads that are many. @param stack  bytes */
int thread_start_small(pthread_t *out, size_t stack, void *(*run)(void *argument), void *argument);

/** Init a condition whose deadlines are by CLOCK_MONOTONIC, as clock_now(). */
void thread_condition_init(pthread_cond_t *condition);

#endif
