/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Workers: every job runs once, in order on one thread, and those still queued run before the end.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/base/workers.h"
#include "torture.h"

#define JOBS 500

struct counted {
	struct job job;
	size_t number;
};

static atomic_size_t ran;
static size_t order[JOBS];

static void count(struct job *job)
{
	struct counted *counted = (struct counted *)job;

	order[atomic_fetch_add(&ran, 1)] = counted->number;
	free(counted);
}

static void queue(struct workers *workers, size_t number)
{
	struct counted *counted = calloc(1, sizeof(*counted));

	counted->job.run = count;
	counted->number = number;
	workers_run(workers, &counted->job);
}

static void test_in_order(void **state)
{
	struct workers *workers;

	(void)state;
	atomic_store(&ran, 0);
	assert_int_equal(workers_new(1, &workers, NULL), 0);
	for (size_t i = 0; i < JOBS; i++)
		queue(workers, i);
	workers_free(workers);
	assert_int_equal(atomic_load(&ran), JOBS);
	for (size_t i = 0; i < JOBS; i++)
		assert_int_equal(order[i], i);
}

static void *queue_many(void *argument)
{
	for (size_t i = 0; i < JOBS / 4; i++)
		queue(argument, i);
	return NULL;
}

static void test_many_threads(void **state)
{
	struct workers *workers;
	pthread_t threads[4];

	(void)state;
	atomic_store(&ran, 0);
	assert_int_equal(workers_new(3, &workers, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, queue_many, workers), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	workers_free(workers);
	assert_int_equal(atomic_load(&ran), JOBS);
}

/* Two jobs that wait for each other end only if both run at once. */
struct meeting {
	struct job job;
	pthread_barrier_t *barrier;
};

static void meet(struct job *job)
{
	pthread_barrier_wait(((struct meeting *)job)->barrier);
}

static void test_side_by_side(void **state)
{
	pthread_barrier_t barrier;
	struct meeting meetings[2] = {{{.run = meet}, &barrier}, {{.run = meet}, &barrier}};
	struct workers *workers;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(workers_new(2, &workers, NULL), 0);
	workers_run(workers, &meetings[0].job);
	workers_run(workers, &meetings[1].job);
	workers_free(workers);
	pthread_barrier_destroy(&barrier);
	workers_free(NULL);
}

static int open_once(void *context, struct fault *flt)
{
	struct workers *workers = NULL;
	int verdict = workers_new(2, &workers, flt);

	(void)context;
	workers_free(workers);
	return verdict;
}

static void test_torture(void **state)
{
	(void)state;
	torture(open_once, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_side_by_side),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
