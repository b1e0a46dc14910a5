/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The stored map: roots and proofs as the one in memory has them, now and of every map that it was: map_nodes.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "scratch.h"
#include "server/database_parts.h"
#include "server/map_nodes.h"
#include "torture.h"

#define ROUNDS 40
#define LOGS 500
#define MOST 30 /* entries of a round */

static char *folder;
static struct database *database;

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	assert_int_equal(database_open(scratch_path(folder, "data"), &database, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	database_close(database);
	scratch_free(folder);
	return 0;
}

static struct digest digest_at(const char *what, uint64_t number)
{
	const struct span parts[] = { span_of_text(what), { (const unsigned char *)&number, sizeof(number) } };

	return digest_of_parts(parts, 2);
}

/* Some entries, of which two may be of one log. @return how many */
static size_t make_entries(unsigned *seed, struct merkle_map_entry out[static MOST])
{
	size_t count = 1 + (size_t)rand_r(seed) % MOST;

	for (size_t i = 0; i < count; i++)
		out[i] = (struct merkle_map_entry){digest_at("log", (uint64_t)rand_r(seed) % LOGS),
						   digest_at("record", (uint64_t)rand_r(seed))};
	return count;
}

/* A map as it was: the one in memory is made again from all that was set. */
struct past {
	struct map_root root;
	size_t count; /* entries that were set until then */
};

static void expect_same(struct merkle_map_bundle *ours, struct merkle_map_bundle *expected)
{
	struct buf a, b;

	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	assert_int_equal(merkle_map_bundle_encode(ours, &a, NULL), 0);
	assert_int_equal(merkle_map_bundle_encode(expected, &b, NULL), 0);
	assert_true(span_equals(buf_span(&a), buf_span(&b)));
	buf_release(&a);
	buf_release(&b);
	merkle_map_bundle_release(ours);
	merkle_map_bundle_release(expected);
}

/* What was set until then, set in memory: the same root, and the same proofs of some logs. */
static void expect_past(const struct past *past, const struct merkle_map_entry *all)
{
	struct digest log_ids[4], root;
	struct merkle_map_bundle ours, expected;
	struct merkle_map *map;

	assert_int_equal(merkle_map_new(&map, NULL), 0);
	for (size_t i = 0; i < past->count; i++)
		assert_int_equal(merkle_map_set(map, &all[i], NULL), 0);
	root = merkle_map_root(map);
	assert_true(digest_equals(&root, &past->root.hash));
	for (size_t i = 0; i < 4; i++)
		log_ids[i] = all[(past->count - 1) * i / 3].log_id;
	assert_int_equal(map_nodes_prove(database, &past->root, log_ids, 4, &ours, NULL), 0);
	assert_int_equal(merkle_map_prove(map, log_ids, 4, &expected, NULL), 0);
	expect_same(&ours, &expected);
	merkle_map_free(map);
}

static void set(struct map_root *root, const struct merkle_map_entry *entries, size_t count)
{
	assert_int_equal(database_begin(database, NULL), 0);
	assert_int_equal(map_nodes_set(database, root, entries, count, NULL), 0);
	assert_int_equal(database_commit(database, NULL), 0);
}

static void test_rounds(void **state)
{
	struct merkle_map_entry all[ROUNDS * MOST];
	struct past pasts[ROUNDS];
	struct map_root root = map_nodes_empty();
	unsigned seed = 1;
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < ROUNDS; i++) {
		size_t more = make_entries(&seed, all + count);

		set(&root, all + count, more);
		count += more;
		pasts[i] = (struct past){root, count};
	}
	for (size_t i = 0; i < ROUNDS; i++)
		expect_past(&pasts[i], all);
}

/* One after the other comes to what all at once come to. */
static void test_order(void **state)
{
	struct map_root one_by_one = map_nodes_empty(), at_once = one_by_one, empty = one_by_one;
	struct merkle_map_entry entries[200];

	(void)state;
	for (size_t i = 0; i < 200; i++)
		entries[i] = (struct merkle_map_entry){digest_at("log", i), digest_at("record", i)};
	for (size_t i = 0; i < 200; i++)
		set(&one_by_one, &entries[i], 1);
	set(&at_once, entries, 200);
	assert_true(digest_equals(&one_by_one.hash, &at_once.hash));
	set(&at_once, entries, 0);
	assert_true(digest_equals(&one_by_one.hash, &at_once.hash));
	assert_false(digest_equals(&empty.hash, &at_once.hash));
}

/* Each fork above what is set is written once, however many there are below it. */
static void test_copied_once(void **state)
{
	struct map_root root = map_nodes_empty();
	struct merkle_map_entry entries[256];

	(void)state;
	for (size_t i = 0; i < 256; i++)
		entries[i] = (struct merkle_map_entry){digest_at("log", i), digest_at("record", i)};
	set(&root, entries, 256);
	assert_int_equal(root.node, 256 + 255);
	for (size_t i = 0; i < 256; i++)
		entries[i].record_id = digest_at("another", i);
	set(&root, entries, 256);
	assert_int_equal(root.node, 2 * (256 + 255));
}

static void test_absent(void **state)
{
	const struct merkle_map_entry entry = {digest_at("log", 1), digest_at("record", 1)};
	const struct digest other = digest_at("log", 2);
	struct map_root root = map_nodes_empty();
	struct merkle_map_bundle bundle;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(map_nodes_prove(database, &root, &other, 1, &bundle, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	set(&root, &entry, 1);
	flt = (struct fault){0};
	assert_int_equal(map_nodes_prove(database, &root, &other, 1, &bundle, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
}

/* Nodes that are gone, lead upwards, or lead round in a circle. */
static void test_damaged(void **state)
{
	static const char *const harms[] = {
		"DELETE FROM map_nodes WHERE id < 3", "UPDATE map_nodes SET depth = 0 WHERE id < 3",
		"UPDATE map_nodes SET depth = 300 WHERE id < 3", "UPDATE map_nodes SET path = x'00' WHERE id < 3",
		"UPDATE map_nodes SET leaf_hash = NULL WHERE id < 3",
	};
	struct merkle_map_entry entries[2] = {{digest_at("log", 1), digest_at("record", 1)},
					      {digest_at("log", 2), digest_at("record", 2)}};
	struct map_root root = map_nodes_empty();
	struct merkle_map_bundle bundle;

	(void)state;
	set(&root, entries, 2);
	assert_int_equal(root.node, 3);
	assert_int_equal(database_run(database, "PRAGMA ignore_check_constraints=ON; PRAGMA foreign_keys=OFF", NULL),
			 0);
	for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		struct merkle_map_entry more = {digest_at("log", 1), digest_at("record", 9)};
		struct map_root changed = root;

		assert_int_equal(database_begin(database, NULL), 0);
		assert_int_equal(database_run(database, harms[i], NULL), 0);
		assert_int_equal(map_nodes_prove(database, &root, &entries[0].log_id, 1, &bundle, NULL), WARG_INVALID);
		assert_int_equal(map_nodes_set(database, &changed, &more, 1, NULL), WARG_INVALID);
		assert_int_equal(changed.node, root.node);
		database_rollback(database);
	}
	assert_int_equal(database_run(database, "UPDATE map_nodes SET left = 3, right = 3 WHERE id = 3", NULL), 0);
	assert_int_equal(map_nodes_prove(database, &root, &entries[0].log_id, 1, &bundle, NULL), WARG_INVALID);
}

static int set_and_prove(void *context, struct fault *flt)
{
	const struct merkle_map_entry entry = {digest_at("log", 1), digest_at("record", 1)};
	struct map_root root = map_nodes_empty();
	struct merkle_map_bundle bundle;
	int r = database_begin(database, flt);

	(void)context;
	if (!r)
		r = map_nodes_set(database, &root, &entry, 1, flt);
	if (!r)
		r = map_nodes_prove(database, &root, &entry.log_id, 1, &bundle, flt);
	if (!r)
		merkle_map_bundle_release(&bundle);
	database_rollback(database);
	return r;
}

static void test_torture(void **state)
{
	(void)state;
	torture(set_and_prove, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_rounds), TEST(test_order), TEST(test_copied_once), TEST(test_absent), TEST(test_damaged),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
