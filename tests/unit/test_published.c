/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* What a registry's log has, from the database: published.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"
#include "scratch.h"
#include "server/published.h"
#include "server/database_parts.h"
#include "torture.h"

static char *folder;
static struct database *database;
static struct forge forge;

static struct published_record record_at(uint64_t index)
{
	const struct forge_record *record = &forge.records[index];

	return (struct published_record){
		.registry_index = index,
		.log_id = record->log_id,
		.record_id = record->id,
		.envelope = forge_envelope(record),
	};
}

/* An operator's record, two packages whose records alternate, and one more. */
static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	assert_int_equal(database_open(scratch_path(folder, "data"), &database, NULL), 0);
	forge_open(&forge, "test");
	for (int i = 0; i < 5; i++) {
		char version[16];

		snprintf(version, sizeof(version), "0.%d.0", i);
		forge_publish(&forge, "test:a", version, "a");
		forge_publish(&forge, "test:b", version, "b");
	}
	forge_publish(&forge, "test:c", "1.0.0", "c");
	assert_int_equal(database_begin(database, NULL), 0);
	for (uint64_t i = 0; i < forge.count; i++) {
		const struct published_record record = record_at(i);

		assert_int_equal(published_append(database, &record, NULL), 0);
	}
	assert_int_equal(database_commit(database, NULL), 0);
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

static struct digest log_of(const char *text)
{
	struct name name = forge_name(text);

	return name_log_id(&name);
}

static void test_logs(void **state)
{
	const struct digest operator = name_operator_log_id(), a = log_of("test:a"), none = log_of("test:none");
	struct published_log log;
	struct fault flt = {0};
	uint64_t length;

	(void)state;
	assert_int_equal(published_length(database, &length, NULL), 0);
	assert_int_equal(length, forge.count);
	assert_int_equal(published_find_log(database, &operator, &log, NULL), 0);
	assert_int_equal(log.kind, RECORD_OPERATOR);
	assert_int_equal(log.length, 1);
	assert_int_equal(log.head, 0);
	assert_int_equal(published_find_log(database, &a, &log, NULL), 0);
	assert_int_equal(log.kind, RECORD_PACKAGE);
	assert_int_equal(log.length, 5);
	assert_int_equal(log.head, 9);
	assert_int_equal(published_find_log(database, &none, &log, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
}

/* What a walk is to meet. */
struct walk {
	uint64_t expected[16];
	size_t count;
	int verdict; /* at the end */
};

static int take(void *user, const struct published_record *record, struct fault *flt)
{
	struct walk *walk = user;
	const struct published_record expected = record_at(walk->expected[walk->count]);

	(void)flt;
	assert_int_equal(record->registry_index, walk->expected[walk->count++]);
	assert_true(digest_equals(&record->log_id, &expected.log_id));
	assert_true(digest_equals(&record->record_id, &expected.record_id));
	assert_true(digest_equals(&record->envelope.key_id, &expected.envelope.key_id));
	assert_true(span_equals(record->envelope.content, expected.envelope.content));
	assert_true(span_equals(record->envelope.signature, expected.envelope.signature));
	return walk->verdict;
}

static void walk(const char *name, uint64_t first, uint64_t length, uint64_t limit, struct walk expected)
{
	const struct digest log_id = log_of(name);
	size_t count = expected.count;

	expected.count = 0;
	assert_int_equal(published_walk(database, &log_id, first, length, limit, take, &expected, NULL),
			 expected.verdict);
	assert_int_equal(expected.count, count);
}

static void test_walks(void **state)
{
	(void)state;
	walk("test:a", 0, 100, 100, (struct walk){.expected = {1, 3, 5, 7, 9}, .count = 5});
	walk("test:b", 3, 100, 2, (struct walk){.expected = {4, 6}, .count = 2});
	walk("test:b", 0, 6, 100, (struct walk){.expected = {2, 4}, .count = 2});
	walk("test:b", 11, 100, 100, (struct walk){.count = 0});
	walk("test:none", 0, 100, 100, (struct walk){.count = 0});
	walk("test:a", 0, 100, 100, (struct walk){.expected = {1}, .count = 1, .verdict = WARG_UNDECIDED});
	walk("test:a", 0, 100, 100, (struct walk){.expected = {1, 3, 5, 7, 9}, .count = 5});
}

static void test_records(void **state)
{
	const struct digest a = log_of("test:a"), b = log_of("test:b");
	const struct published_record record = record_at(7);
	struct fault flt = {0};
	uint64_t index;

	(void)state;
	assert_int_equal(published_find_record(database, &a, &record.record_id, &index, NULL), 0);
	assert_int_equal(index, 7);
	assert_int_equal(published_find_record(database, &b, &record.record_id, &index, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
}

static void test_leaves(void **state)
{
	const struct published_record record = record_at(7);
	struct merkle_map_entry leaf;
	struct fault flt = {0};
	bool is_head;

	(void)state;
	assert_int_equal(published_leaf(database, 7, 9, &leaf, &is_head, NULL), 0);
	assert_true(digest_equals(&leaf.log_id, &record.log_id));
	assert_true(digest_equals(&leaf.record_id, &record.record_id));
	assert_true(is_head);
	assert_int_equal(published_leaf(database, 7, 10, &leaf, &is_head, NULL), 0);
	assert_false(is_head);
	assert_int_equal(published_leaf(database, forge.count, 100, &leaf, &is_head, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
}

static void test_ledger(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1 << 16);
	assert_int_equal(published_ledger(database, 2, 5, &out, NULL), 0);
	assert_int_equal(out.length, 3 * 64);
	for (size_t i = 0; i < 3; i++) {
		assert_memory_equal(out.data + 64 * i, forge.records[2 + i].log_id.bytes, 32);
		assert_memory_equal(out.data + 64 * i + 32, forge.records[2 + i].id.bytes, 32);
	}
	assert_int_equal(published_ledger(database, 100, 200, &out, NULL), 0);
	assert_int_equal(out.length, 3 * 64);
	buf_release(&out);
}

/* Neither twice, nor with a gap; and nothing is left of what was refused. */
static void test_append_refused(void **state)
{
	struct published_record record = record_at(3);
	struct digest log_id = log_of("test:a");
	struct published_log log;

	(void)state;
	assert_int_equal(published_append(database, &record, NULL), WARG_INVALID);
	record.registry_index = forge.count + 1;
	assert_int_equal(published_append(database, &record, NULL), WARG_INVALID);
	record.registry_index = forge.count;
	assert_int_equal(database_begin(database, NULL), 0);
	assert_int_equal(published_append(database, &record, NULL), WARG_INVALID);
	database_rollback(database);
	assert_int_equal(published_find_log(database, &log_id, &log, NULL), 0);
	assert_int_equal(log.length, 5);
}

static struct published_checkpoint checkpoint_of(uint64_t length, uint64_t timestamp)
{
	struct published_checkpoint made = {.map = map_nodes_empty()};
	struct checkpoint contents = {length, merkle_log_root(forge.log, length), made.map.hash, timestamp};
	struct merkle_map_entry entry = {forge.records[0].log_id, forge.records[0].id};

	assert_int_equal(map_nodes_set(database, &made.map, &entry, 1, NULL), 0);
	contents.map_root = made.map.hash;
	assert_int_equal(checkpoint_sign(&contents, forge.operator_key, &made.checkpoint, NULL), 0);
	return made;
}

static void expect_checkpoint(const struct published_checkpoint *a, const struct published_checkpoint *b)
{
	assert_true(checkpoint_same_state(&a->checkpoint.contents, &b->checkpoint.contents));
	assert_int_equal(a->checkpoint.contents.timestamp, b->checkpoint.contents.timestamp);
	assert_true(digest_equals(&a->checkpoint.key_id, &b->checkpoint.key_id));
	assert_string_equal(a->checkpoint.signature, b->checkpoint.signature);
	assert_int_equal(a->map.node, b->map.node);
	assert_true(digest_equals(&a->map.hash, &b->map.hash));
}

static void test_checkpoints(void **state)
{
	struct published_checkpoint first, second, again, found;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(published_last_checkpoint(database, &found, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	first = checkpoint_of(3, 1000);
	second = checkpoint_of(8, 1001);
	again = checkpoint_of(8, 1002);
	assert_int_equal(published_put_checkpoint(database, &second, NULL), 0);
	assert_int_equal(published_put_checkpoint(database, &first, NULL), 0);
	assert_int_equal(published_last_checkpoint(database, &found, NULL), 0);
	expect_checkpoint(&found, &second);
	assert_int_equal(published_put_checkpoint(database, &again, NULL), 0);
	assert_int_equal(published_last_checkpoint(database, &found, NULL), 0);
	expect_checkpoint(&found, &again);
	assert_int_equal(published_checkpoint_at(database, 3, &found, NULL), 0);
	expect_checkpoint(&found, &first);
	flt = (struct fault){0};
	assert_int_equal(published_checkpoint_at(database, 4, &found, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
}

/* The file is a stranger's. */
static void test_damaged(void **state)
{
	const struct digest a = log_of("test:a");
	struct published_checkpoint checkpoint = checkpoint_of(3, 1000);
	struct walk met = {.expected = {1}};
	struct merkle_map_entry leaf;
	struct buf out;
	bool is_head;

	(void)state;
	assert_int_equal(published_put_checkpoint(database, &checkpoint, NULL), 0);
	assert_int_equal(database_run(database,
				      "PRAGMA ignore_check_constraints=ON; UPDATE records SET record_id ="
				      " x'00' || registry_index; UPDATE checkpoints SET signature ="
				      " zeroblob(4096)",
				      NULL),
			 0);
	assert_int_equal(published_walk(database, &a, 0, 100, 100, take, &met, NULL), WARG_INVALID);
	assert_int_equal(published_leaf(database, 1, 100, &leaf, &is_head, NULL), WARG_INVALID);
	assert_int_equal(published_last_checkpoint(database, &checkpoint, NULL), WARG_INVALID);
	buf_init(&out, 1 << 16);
	assert_int_equal(published_ledger(database, 0, 5, &out, NULL), WARG_INVALID);
	assert_int_equal(out.length, 0);
	buf_release(&out);
}

static int read_ledger(void *context, struct fault *flt)
{
	struct buf out;
	int r;

	(void)context;
	buf_init(&out, 1 << 16);
	r = published_ledger(database, 0, 5, &out, flt);
	buf_release(&out);
	return r;
}

static void test_torture(void **state)
{
	(void)state;
	torture(read_ledger, NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_logs),	TEST(test_walks),   TEST(test_records),
		TEST(test_leaves),	TEST(test_ledger),  TEST(test_append_refused),
		TEST(test_checkpoints), TEST(test_damaged), TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
