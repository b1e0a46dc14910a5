/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Records enter the log, the map and a checkpoint together, or not at all: append.h. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "forge.h"
#include "scratch.h"
#include "server/append.h"
#include "server/database_parts.h"
#include "server/log_nodes.h"
#include "torture.h"

#define NOW 1800000000u
#define MOST 64

static char *folder;
static const char *data_dir;
static struct database *database;
static struct append_state place; /* where the registry stands */
static struct forge forge;

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	data_dir = scratch_path(folder, "data");
	assert_int_equal(database_open(data_dir, &database, NULL), 0);
	assert_int_equal(append_load(database, &place, NULL), 0);
	forge_open(&forge, "test");
	for (int i = 0; i < 30; i++) {
		char name[16], version[16];

		snprintf(name, sizeof(name), "test:p%d", i % 7);
		snprintf(version, sizeof(version), "0.%d.0", i);
		forge_publish(&forge, name, version, "content");
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	forge_close(&forge);
	database_close(database);
	scratch_free(folder);
	return 0;
}

static struct published_record record_at(uint64_t index)
{
	const struct forge_record *record = &forge.records[index];

	return (struct published_record){
		.log_id = record->log_id,
		.record_id = record->id,
		.envelope = forge_envelope(record),
	};
}

/* Up to `length`, all that lack. */
static int try_commit(uint64_t length, uint64_t now, struct fault *flt)
{
	struct published_record records[MOST];
	uint64_t first = place.roots.length;

	for (uint64_t i = first; i < length; i++)
		records[i - first] = record_at(i);
	return append_records(database, &place, records, (size_t)(length - first), forge.operator_key, now, flt);
}

static void commit(uint64_t length)
{
	struct signed_checkpoint expected = forge_checkpoint(&forge, length, NOW);

	assert_int_equal(try_commit(length, NOW, NULL), 0);
	assert_int_equal(place.roots.length, length);
	assert_true(checkpoint_same_state(&place.last.checkpoint.contents, &expected.contents));
}

/* The very proof that a client asks for. */
static void expect_proven(const struct published_checkpoint *checkpoint, uint64_t index)
{
	const struct checkpoint *contents = &checkpoint->checkpoint.contents;
	struct merkle_map_entry entry;
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
	bool is_head;

	assert_int_equal(published_leaf(database, index, contents->log_length, &entry, &is_head, NULL), 0);
	if (!is_head)
		return;
	const struct merkle_log_leaf_at leaf = {index, merkle_log_leaf(&entry.log_id, &entry.record_id)};

	assert_int_equal(log_nodes_prove_inclusion(database, contents->log_length, &index, 1, &log, NULL), 0);
	assert_int_equal(merkle_log_check_inclusion(&log, contents->log_length, &contents->log_root, &leaf, 1, NULL),
			 0);
	assert_int_equal(map_nodes_prove(database, &checkpoint->map, &entry.log_id, 1, &map, NULL), 0);
	assert_int_equal(merkle_map_check_inclusion(&map, &contents->map_root, &entry, 1, NULL), 0);
	merkle_log_bundle_release(&log);
	merkle_map_bundle_release(&map);
}

static void expect_all_proven(uint64_t length)
{
	struct published_checkpoint checkpoint;

	assert_int_equal(published_checkpoint_at(database, length, &checkpoint, NULL), 0);
	for (uint64_t i = 0; i < length; i++)
		expect_proven(&checkpoint, i);
}

static void test_grows(void **state)
{
	static const uint64_t lengths[] = {1, 2, 5, 13, 14, 31};

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		commit(lengths[i]);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		expect_all_proven(lengths[i]);
}

static void expect_place(const struct append_state *expected)
{
	struct append_state loaded;
	struct digest a = merkle_log_roots_fold(&expected->roots), b;

	assert_int_equal(append_load(database, &loaded, NULL), 0);
	b = merkle_log_roots_fold(&loaded.roots);
	assert_int_equal(loaded.roots.length, expected->roots.length);
	assert_true(digest_equals(&a, &b));
	assert_int_equal(loaded.last.map.node, expected->last.map.node);
	assert_string_equal(loaded.last.checkpoint.signature, expected->last.checkpoint.signature);
}

static void test_loaded(void **state)
{
	(void)state;
	expect_place(&place);
	commit(9);
	expect_place(&place);
	database_close(database);
	assert_int_equal(database_open(data_dir, &database, NULL), 0);
	expect_place(&place);
	commit(20);
	expect_all_proven(20);
}

/* A clock that is put back does not put checkpoints back. */
static void test_clock(void **state)
{
	(void)state;
	assert_int_equal(try_commit(1, NOW, NULL), 0);
	assert_int_equal(try_commit(2, NOW - 1000, NULL), 0);
	assert_int_equal(place.last.checkpoint.contents.timestamp, NOW);
	assert_int_equal(try_commit(3, NOW + 5, NULL), 0);
	assert_int_equal(place.last.checkpoint.contents.timestamp, NOW + 5);
}

/* A record that is there already takes those with it down that came before it in the batch. */
static void test_all_or_none(void **state)
{
	struct published_record records[2];

	(void)state;
	commit(5);
	records[0] = record_at(5);
	records[1] = record_at(3);
	assert_int_equal(append_records(database, &place, records, 2, forge.operator_key, NOW, NULL), WARG_INVALID);
	assert_int_equal(place.roots.length, 5);
	expect_place(&place);
	commit(6);
	expect_all_proven(6);
}

static void test_killed(void **state)
{
	pid_t other;
	int status;

	(void)state;
	commit(5);
	database_close(database);
	other = fork();
	if (other == 0) {
		const struct published_record record = record_at(5);
		const struct digest leaf = merkle_log_leaf(&record.log_id, &record.record_id);

		if (!database_open(data_dir, &database, NULL) && !database_begin(database, NULL))
			log_nodes_append(database, &place.roots, &leaf, NULL);
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(other, &status, 0), other);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(database_open(data_dir, &database, NULL), 0);
	expect_place(&place);
	commit(6);
}

static void test_damaged(void **state)
{
	static const char *const harms[] = {
		"DELETE FROM checkpoints",
		"DELETE FROM log_nodes WHERE node = 7",
		"UPDATE log_nodes SET hash = zeroblob(32) WHERE node = 7",
		"UPDATE checkpoints SET log_root = zeroblob(32)",
	};
	struct append_state loaded;

	(void)state;
	commit(9);
	for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		assert_int_equal(database_begin(database, NULL), 0);
		assert_int_equal(database_run(database, harms[i], NULL), 0);
		assert_int_equal(append_load(database, &loaded, NULL), WARG_INVALID);
		database_rollback(database);
	}
	expect_place(&place);
	/* A lost record affects its package only: the registry continues after its index, which was signed. */
	assert_int_equal(database_run(database, "DELETE FROM records WHERE registry_index = 8", NULL), 0);
	expect_place(&place);
}

static int commit_once(void *context, struct fault *flt)
{
	const struct append_state before = place;
	int r = try_commit(5, NOW, flt);

	(void)context;
	if (r)
		assert_int_equal(place.roots.length, before.roots.length);
	else
		database_run(database,
			     "DELETE FROM checkpoints; DELETE FROM records; DELETE FROM logs;"
			     "DELETE FROM log_nodes; DELETE FROM map_nodes",
			     NULL);
	place = before;
	return r;
}

static void test_torture(void **state)
{
	(void)state;
	torture(commit_once, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_grows),  TEST(test_loaded),  TEST(test_clock),   TEST(test_all_or_none),
		TEST(test_killed), TEST(test_damaged), TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
