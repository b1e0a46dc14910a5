/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Deadlines: clock.h. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "client/base/clock.h"

static void test_now(void **state)
{
	struct timespec before, after;
	clock_ms now;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &before);
	now = clock_now();
	clock_gettime(CLOCK_MONOTONIC, &after);
	assert_true(now >= (clock_ms)before.tv_sec * 1000 + before.tv_nsec / 1000000);
	assert_true(now <= (clock_ms)after.tv_sec * 1000 + after.tv_nsec / 1000000);
}

static void test_in_seconds(void **state)
{
	clock_ms now = clock_now();

	(void)state;
	assert_true(clock_in_seconds(0) >= now);
	assert_true(clock_in_seconds(3600) >= now + 3600000);
	assert_true(clock_in_seconds(3600) < CLOCK_NEVER);
	/* What does not fit is never, not the past. */
	assert_true(clock_in_seconds(UINT64_MAX) == CLOCK_NEVER);
	assert_true(clock_in_seconds(UINT64_MAX / 1000) == CLOCK_NEVER);
	assert_true(clock_in_seconds(INT64_MAX / 1000) == CLOCK_NEVER);
	assert_true(clock_in_seconds(INT64_MAX / 1000 + 1) == CLOCK_NEVER);
}

static void test_left(void **state)
{
	clock_ms now = clock_now();

	(void)state;
	assert_int_equal(clock_left(0), 0);
	assert_int_equal(clock_left(INT64_MIN), 0);
	assert_int_equal(clock_left(now), 0);
	assert_true(clock_left(now + 3600000) > 0);
	assert_true(clock_left(now + 3600000) <= 3600000);
	assert_int_equal(clock_left(CLOCK_NEVER), INT_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_now),
		cmocka_unit_test(test_in_seconds),
		cmocka_unit_test(test_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
