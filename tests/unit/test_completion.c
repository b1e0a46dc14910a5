/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Completions: who waits is told once, at the landing, at the deadline, or not at all.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/base/completion.h"
#include "torture.h"

static struct deadlines *deadlines;

struct counting {
	struct waiter waiter;
	unsigned times;
	int verdict;
	enum fault_kind kind;
};

static void counted(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct counting *counting = (struct counting *)waiter;

	counting->times++;
	counting->verdict = verdict;
	counting->kind = verdict ? flt->kind : FAULT_NONE;
}

static struct counting counting(clock_ms deadline)
{
	return (struct counting){.waiter = {.done = counted, .deadline = deadline}};
}

static void test_landing(void **state)
{
	struct counting a = counting(CLOCK_NEVER), b = counting(CLOCK_NEVER);
	struct completion completion = {0};
	struct fault flt = {0};

	(void)state;
	completion_join(deadlines, &completion, &a.waiter);
	completion_join(deadlines, &completion, &b.waiter);
	completion_finish(deadlines, &completion, 0, &flt);
	assert_int_equal(a.times, 1);
	assert_int_equal(b.times, 1);
	assert_int_equal(a.verdict, 0);
	/* A completion may be flown again. */
	b = counting(CLOCK_NEVER);
	completion_join(deadlines, &completion, &b.waiter);
	fault_invalid(&flt, "a lie");
	completion_finish(deadlines, &completion, flt.verdict, &flt);
	assert_int_equal(a.times, 1);
	assert_int_equal(b.verdict, WARG_INVALID);
	assert_int_equal(b.kind, FAULT_FORGED);
}

static void test_leaving(void **state)
{
	struct counting a = counting(CLOCK_NEVER), b = counting(CLOCK_NEVER), c = counting(CLOCK_NEVER);
	struct completion completion = {0};
	struct fault flt = {0};

	(void)state;
	completion_join(deadlines, &completion, &a.waiter);
	completion_join(deadlines, &completion, &b.waiter);
	completion_join(deadlines, &completion, &c.waiter);
	assert_true(completion_leave(deadlines, &b.waiter));
	assert_false(completion_leave(deadlines, &b.waiter));
	completion_finish(deadlines, &completion, 0, &flt);
	assert_false(completion_leave(deadlines, &a.waiter));
	assert_int_equal(a.times, 1);
	assert_int_equal(b.times, 0);
	assert_int_equal(c.times, 1);
}

static void test_left_before_it_joined(void **state)
{
	struct counting a = counting(CLOCK_NEVER);
	struct completion completion = {0};

	(void)state;
	assert_false(completion_leave(deadlines, &a.waiter));
	completion_join(deadlines, &completion, &a.waiter);
	assert_int_equal(a.times, 1);
	assert_int_equal(a.kind, FAULT_CANCELLED);
	assert_null(completion.waiters);
}

/* One deadline passes, and the completion goes on for the others. */
static void test_deadline(void **state)
{
	struct counting patient = counting(CLOCK_NEVER);
	struct blocking_waiter late;
	struct completion completion = {0};
	struct fault flt = {0};

	(void)state;
	completion_join(deadlines, &completion, &patient.waiter);
	blocking_waiter_init(&late, clock_now());
	completion_join(deadlines, &completion, &late.waiter);
	assert_int_equal(blocking_waiter_wait(&late, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	completion_finish(deadlines, &completion, 0, &(struct fault){0});
	assert_int_equal(patient.times, 1);
	assert_int_equal(patient.verdict, 0);
}

#define THREADS 4
#define TURNS 400

static struct completion shared;

static void *join_and_leave(void *argument)
{
	size_t *told = argument;

	for (size_t i = 0; i < TURNS; i++) {
		struct blocking_waiter blocking;

		/* Some deadlines have passed, some are never. */
		blocking_waiter_init(&blocking, i % 3 ? CLOCK_NEVER : clock_now());
		completion_join(deadlines, &shared, &blocking.waiter);
		if (i % 2 && completion_leave(deadlines, &blocking.waiter))
			blocking.waiter.done(&blocking.waiter, 0, NULL);
		blocking_waiter_wait(&blocking, NULL);
		(*told)++;
	}
	return NULL;
}

static atomic_bool landed_all;

static void *land_again(void *argument)
{
	while (!atomic_load(&landed_all)) {
		completion_finish(deadlines, &shared, 0, &(struct fault){0});
		sched_yield();
	}
	return argument;
}

static void test_many_threads(void **state)
{
	size_t told[THREADS] = {0};
	pthread_t threads[THREADS], lander;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, join_and_leave, &told[i]), 0);
	assert_int_equal(pthread_create(&lander, NULL, land_again, NULL), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(told[i], TURNS);
	}
	atomic_store(&landed_all, true);
	pthread_join(lander, NULL);
}

static int open_once(void *context, struct fault *flt)
{
	struct deadlines *opened = NULL;
	int verdict = deadlines_new(&opened, flt);

	(void)context;
	deadlines_free(opened);
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
		cmocka_unit_test(test_landing),
		cmocka_unit_test(test_leaving),
		cmocka_unit_test(test_left_before_it_joined),
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_torture),
	};
	int failed;

	if (deadlines_new(&deadlines, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	deadlines_free(deadlines);
	return failed;
}
