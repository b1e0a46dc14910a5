/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The stored log: roots and proofs as the one in memory has them, at every length: log_nodes.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"
#include "server/database_parts.h"
#include "server/log_nodes.h"

#define LENGTH 300

static char *folder;
static struct database *database;
static struct merkle_log *memory;

static struct digest leaf_at(uint64_t index)
{
	return digest_of((struct span){(const unsigned char *)&index, sizeof(index)});
}

static void append_all(void)
{
	struct merkle_log_roots roots = {0};

	assert_int_equal(database_begin(database, NULL), 0);
	for (uint64_t i = 0; i < LENGTH; i++) {
		const struct digest leaf = leaf_at(i);

		assert_int_equal(log_nodes_append(database, &roots, &leaf, NULL), 0);
		assert_int_equal(merkle_log_append(memory, &leaf, NULL), 0);
	}
	assert_int_equal(database_commit(database, NULL), 0);
}

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	assert_int_equal(database_open(scratch_path(folder, "data"), &database, NULL), 0);
	assert_int_equal(merkle_log_new(&memory, NULL), 0);
	append_all();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	merkle_log_free(memory);
	database_close(database);
	scratch_free(folder);
	return 0;
}

static void expect_same(struct merkle_log_bundle *ours, struct merkle_log_bundle *expected)
{
	struct buf a, b;

	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_int_equal(merkle_log_bundle_encode(ours, &a, NULL), 0);
	assert_int_equal(merkle_log_bundle_encode(expected, &b, NULL), 0);
	assert_true(span_equals(buf_span(&a), buf_span(&b)));
	buf_release(&a);
	buf_release(&b);
	merkle_log_bundle_release(ours);
	merkle_log_bundle_release(expected);
}

static void test_roots(void **state)
{
	(void)state;
	for (uint64_t length = 0; length <= LENGTH; length++) {
		struct digest expected = merkle_log_root(memory, length), root;
		struct merkle_log_roots roots;

		assert_int_equal(log_nodes_roots(database, length, &roots, NULL), 0);
		assert_int_equal(roots.length, length);
		root = merkle_log_roots_fold(&roots);
		assert_true(digest_equals(&root, &expected));
	}
}

static void test_inclusion(void **state)
{
	(void)state;
	for (uint64_t length = 1; length <= LENGTH; length += 7) {
		const uint64_t indices[] = {length - 1, 0, length / 2, length - 1};
		struct merkle_log_bundle ours, expected;

		assert_int_equal(log_nodes_prove_inclusion(database, length, indices, 4, &ours, NULL), 0);
		assert_int_equal(merkle_log_prove_inclusion(memory, length, indices, 4, &expected, NULL), 0);
		expect_same(&ours, &expected);
	}
}

static void test_consistency(void **state)
{
	(void)state;
	for (uint64_t from = 1; from <= LENGTH; from += 13)
		for (uint64_t to = from; to <= LENGTH; to += 29) {
			struct merkle_log_bundle ours, expected;

			assert_int_equal(log_nodes_prove_consistency(database, from, to, &ours, NULL), 0);
			assert_int_equal(merkle_log_prove_consistency(memory, from, to, &expected, NULL), 0);
			expect_same(&ours, &expected);
		}
}

static void test_refused(void **state)
{
	const uint64_t index = 5;
	struct merkle_log_bundle bundle;
	struct merkle_log_roots roots;

	(void)state;
	assert_int_equal(log_nodes_prove_inclusion(database, 5, &index, 1, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(log_nodes_prove_inclusion(database, 5, &index, 0, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(log_nodes_prove_consistency(database, 6, 5, &bundle, NULL), WARG_UNDECIDED);
	assert_int_equal(log_nodes_prove_consistency(database, 0, 5, &bundle, NULL), WARG_UNDECIDED);
	/* Longer than it is. */
	assert_int_equal(log_nodes_roots(database, LENGTH + 1, &roots, NULL), WARG_INVALID);
	assert_int_equal(log_nodes_prove_inclusion(database, 2 * LENGTH, &index, 1, &bundle, NULL), WARG_INVALID);
}

/* A node that is gone, or is none, is no proof. */
static void test_damaged(void **state)
{
	const uint64_t index = 5;
	struct merkle_log_bundle bundle;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(database_run(database, "DELETE FROM log_nodes WHERE node = 8", NULL), 0);
	assert_int_equal(log_nodes_prove_inclusion(database, LENGTH, &index, 1, &bundle, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "node 8"));
	assert_int_equal(database_run(database, "PRAGMA ignore_check_constraints=ON;"
						"INSERT INTO log_nodes VALUES (8, x'0011')", NULL), 0);
	assert_int_equal(log_nodes_prove_inclusion(database, LENGTH, &index, 1, &bundle, NULL), WARG_INVALID);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_roots), TEST(test_inclusion), TEST(test_consistency), TEST(test_refused), TEST(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
