/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Ages by a given clock: right, ahead, behind, jumping; checkpoints that are new, replayed, of the future, kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/sync/freshness.h"
#include "verify/caps.h"

#define T 1795000000ll /* when the measure begins, if the clock is right */
#define YEAR 31536000ll
#define BOOT 5000ll
#define UNKNOWN (-1)

/* What happens `at` so many seconds after the beginning, while the clock on the wall is off by `off`. */
struct step {
	int64_t at, off;
	int64_t timestamp; /* seen then, after T; STEP_NONE: nothing is */
	enum freshness_source source;
	int64_t age;       /* the age afterwards */
	int64_t ahead;     /* what the sentence about the clock says; 0: there is none */
};
#define STEP_NONE INT64_MIN

struct row {
	const char *name;
	struct step steps[8]; /* the first one's `off` is that of the beginning; ends with an all-zero one */
};

static const struct row rows[] = {
	{"new ones refresh", {
		{0, 0, -3, FRESHNESS_OFFERED, 3, 0},
		{10, 0, 8, FRESHNESS_OFFERED, 2, 0},
		{30, 0, STEP_NONE, 0, 22, 0},
	}},
	{"a replay refreshes nothing", {
		{1, 0, 0, FRESHNESS_OFFERED, 1, 0},
		{100, 0, 0, FRESHNESS_OFFERED, 100, 0},
		{200, 0, -50, FRESHNESS_OFFERED, 200, 0},
		{300, 0, 299, FRESHNESS_OFFERED, 1, 0},
	}},
	{"one that was kept has its age", {
		{1, 0, -1000, FRESHNESS_KEPT, 1001, 0},
		{2, 0, -1000, FRESHNESS_OFFERED, 1002, 0},
		{3, 0, 2, FRESHNESS_OFFERED, 1, 0},
	}},
	{"a clock a little behind", {
		{1, -20, 0, FRESHNESS_OFFERED, 0, 0},
		{11, -20, STEP_NONE, 0, 10, 0},
		{12, -20, 0, FRESHNESS_OFFERED, 0, 0}, /* the tolerance, and no more */
		{61, -20, 0, FRESHNESS_OFFERED, 41, 0},
	}},
	{"a clock years ahead: all is old", {
		{1, YEAR, 0, FRESHNESS_OFFERED, YEAR + 1, 0},
		{2, YEAR, 2, FRESHNESS_OFFERED, YEAR, 0},
		{3, 0, 3, FRESHNESS_OFFERED, YEAR, 0}, /* setting it right later does not help: that may be a jump */
	}},
	{"a clock years behind: counted from first sight", {
		{1, -YEAR, 0, FRESHNESS_OFFERED, 0, YEAR - 1},
		{100, -YEAR, 0, FRESHNESS_OFFERED, 99, YEAR - 100},
		{200, -YEAR, 195, FRESHNESS_OFFERED, 0, YEAR - 5},
		{300, -YEAR, 195, FRESHNESS_OFFERED, 100, YEAR - 105},
		{301, -YEAR, 100, FRESHNESS_OFFERED, 101, YEAR - 201},
	}},
	{"a clock years behind, and one that was kept", {
		{1, -YEAR, 0, FRESHNESS_KEPT, UNKNOWN, YEAR - 1},
		{2, -YEAR, 0, FRESHNESS_OFFERED, UNKNOWN, YEAR - 2},
		{3, -YEAR, 1, FRESHNESS_OFFERED, 0, YEAR - 2},
	}},
	{"a clock that is set right after the start", {
		{1, -YEAR, 0, FRESHNESS_OFFERED, 0, YEAR - 1},
		{20, 0, 15, FRESHNESS_OFFERED, 5, 0},
		{50, 0, STEP_NONE, 0, 35, 0},
		{60, -YEAR, 15, FRESHNESS_OFFERED, 45, YEAR - 45},
		{80, -70, 15, FRESHNESS_OFFERED, 65, 0}, /* by the wall it would be of the past, and younger */
	}},
	{"jumps change nothing", {
		{0, 0, 0, FRESHNESS_OFFERED, 0, 0},
		{100, YEAR, STEP_NONE, 0, 100, 0},
		{101, YEAR, 99, FRESHNESS_OFFERED, 2, 0},
		{200, -YEAR, STEP_NONE, 0, 101, 0},
		{201, -YEAR, 99, FRESHNESS_OFFERED, 102, 0},
		{300, -YEAR, 298, FRESHNESS_OFFERED, 2, 0},
	}},
	{"a registry ahead of its time, that comes back", {
		{1, 0, YEAR, FRESHNESS_OFFERED, 0, YEAR - 1},
		{100, 0, YEAR, FRESHNESS_OFFERED, 99, YEAR - 100},
		{200, 0, 198, FRESHNESS_OFFERED, 2, 0},
		{300, 0, YEAR, FRESHNESS_OFFERED, 102, YEAR - 300},
	}},
	{"numbers without end", {
		{1, 0, INT64_MAX - T, FRESHNESS_OFFERED, 0, (int64_t)CAP_SECONDS - T - 1},
		{9, 0, INT64_MAX - T - 5, FRESHNESS_OFFERED, 8, (int64_t)CAP_SECONDS - T - 9},
	}},
};

static struct freshness_now now_at(int64_t at, int64_t off)
{
	return (struct freshness_now){ (T + at + off) * 1000, (BOOT + at) * 1000 };
}

static int64_t age_of(const struct freshness *freshness, struct freshness_now now)
{
	uint64_t age;

	return freshness_age(freshness, now, &age) ? (int64_t)age : UNKNOWN;
}

static void check_step(const struct row *row, struct freshness *freshness, const struct step *step)
{
	struct freshness_now now = now_at(step->at, step->off);
	struct fault flt = {0};
	char words[64];
	int64_t age;

	if (step->timestamp != STEP_NONE)
		freshness_see(freshness, (uint64_t)(T + step->timestamp), step->source, now);
	age = age_of(freshness, now);
	if (age != step->age)
		fail_msg("%s: at %lld the age is %lld, not %lld", row->name, (long long)step->at, (long long)age,
			 (long long)step->age);
	freshness_check_clock(freshness, &flt);
	snprintf(words, sizeof(words), "wrong by %lld s", (long long)step->ahead);
	if (step->ahead ? !strstr(flt.what, words) : flt.verdict)
		fail_msg("%s: at %lld it says '%s', not '%s'", row->name, (long long)step->at, flt.what, words);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct step *steps = rows[i].steps;
		struct freshness freshness;

		freshness_init(&freshness, now_at(0, steps[0].off));
		for (size_t j = 0; j < 8 && (!j || steps[j].at); j++)
			check_step(&rows[i], &freshness, &steps[j]);
	}
}

/* Nothing is fresh before anything was seen, and everything is without a bound. */
static void test_bound(void **state)
{
	struct freshness freshness;
	struct fault flt = {0};

	(void)state;
	freshness_init(&freshness, now_at(0, 0));
	assert_int_equal(freshness_left(&freshness, 0, now_at(1, 0)), CLOCK_NEVER);
	assert_int_equal(freshness_check(&freshness, 0, now_at(1, 0), NULL), 0);
	assert_int_equal(freshness_left(&freshness, 60, now_at(1, 0)), 0);
	assert_int_equal(freshness_check(&freshness, 60, now_at(1, 0), &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	assert_non_null(strstr(flt.what, "is not known"));
	freshness_see(&freshness, T, FRESHNESS_OFFERED, now_at(0, 0));
	assert_int_equal(freshness_left(&freshness, 60, now_at(20, 0)), 40000);
	assert_int_equal(freshness_check(&freshness, 60, now_at(59, 0), NULL), 0);
	assert_int_equal(freshness_left(&freshness, 60, now_at(60, 0)), 0);
	assert_int_equal(freshness_left(&freshness, UINT32_MAX, now_at(60, 0)), UINT32_MAX * 1000ll - 60000);
}

static void check_says(const struct freshness *freshness, int64_t at, const char *words, bool doubts_the_clock)
{
	struct fault flt = {0};

	assert_int_equal(freshness_check(freshness, 60, now_at(at, 0), &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	assert_non_null(strstr(flt.what, words));
	assert_int_equal(strstr(flt.what, "the clock here") != NULL, doubts_the_clock);
}

/* The sentence doubts the clock where it may be to blame, and only there. */
static void test_sentence(void **state)
{
	struct freshness freshness;

	(void)state;
	freshness_init(&freshness, now_at(0, 0));
	freshness_see(&freshness, T, FRESHNESS_OFFERED, now_at(1, 0));
	check_says(&freshness, 100, "100 s old, and max_age is 60 s", false);
	freshness_see(&freshness, T, FRESHNESS_OFFERED, now_at(101, 0));
	check_says(&freshness, 102, "102 s old, and max_age is 60 s; it was too old when it came", true);

	freshness_init(&freshness, now_at(0, 0));
	freshness_see(&freshness, T - 1000, FRESHNESS_KEPT, now_at(1, 0));
	check_says(&freshness, 2, "1002 s old", false);

	freshness_init(&freshness, now_at(0, 0));
	freshness_see(&freshness, T + YEAR, FRESHNESS_KEPT, now_at(0, 0));
	check_says(&freshness, 2, "31536000 s ahead", true);
}

/* What another process saw of the future is not seen for the first time. */
static void test_remembered(void **state)
{
	struct freshness freshness;

	(void)state;
	freshness_init(&freshness, now_at(0, -YEAR));
	freshness_remember(&freshness, T + 5);
	freshness_remember(&freshness, T);
	freshness_see(&freshness, T + 5, FRESHNESS_OFFERED, now_at(6, -YEAR));
	assert_int_equal(age_of(&freshness, now_at(7, -YEAR)), UNKNOWN);
	freshness_see(&freshness, T + 6, FRESHNESS_OFFERED, now_at(7, -YEAR));
	assert_int_equal(age_of(&freshness, now_at(9, -YEAR)), 2);

	/* It has no age itself. */
	freshness_init(&freshness, now_at(0, 0));
	freshness_remember(&freshness, T);
	assert_int_equal(age_of(&freshness, now_at(1, 0)), UNKNOWN);
}

static void test_verified(void **state)
{
	struct freshness freshness;
	uint64_t ago;

	(void)state;
	freshness_init(&freshness, now_at(0, 0));
	freshness_see(&freshness, T, FRESHNESS_KEPT, now_at(1, 0));
	assert_false(freshness_verified(&freshness, now_at(2, 0), &ago));
	freshness_see(&freshness, T, FRESHNESS_OFFERED, now_at(2, 0));
	assert_true(freshness_verified(&freshness, now_at(5, YEAR), &ago));
	assert_int_equal(ago, 3);
}

static void test_now(void **state)
{
	struct freshness_now before = freshness_now(), after = freshness_now();

	(void)state;
	assert_true(before.wall > 1700000000000ll);
	assert_true(before.boot > 0 && before.boot <= after.boot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_sentence),
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_verified),
		cmocka_unit_test(test_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
