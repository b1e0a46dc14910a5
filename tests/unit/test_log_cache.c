/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The cache of package logs: which are kept, and which are rebuilt: server/log_cache.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"
#include "scratch.h"
#include "server/append.h"
#include "server/database_parts.h"
#include "server/log_cache.h"

#define NOW 1800000000u
#define RECORDS 6
#define LARGE (1u << 20)

static char *folder;
static struct database *database;
static struct append_state place;
static struct forge forge;
static struct log_cache *logs;
static char names[3][32]; /* the first two have log ids that begin alike */

static void find_names(void)
{
	unsigned char first;
	unsigned number = 0;

	snprintf(names[0], sizeof(names[0]), "test:one");
	snprintf(names[2], sizeof(names[2]), "test:far");
	first = name_log_id(&(struct name[]){forge_name(names[0])}[0]).bytes[0];
	do
		snprintf(names[1], sizeof(names[1]), "test:p%u", number++);
	while (name_log_id(&(struct name[]){forge_name(names[1])}[0]).bytes[0] != first);
}

static void publish(const char *name, unsigned version)
{
	char text[16];

	snprintf(text, sizeof(text), "0.%u.0", version);
	forge_publish(&forge, name, text, "content");
}

static struct record_envelope last(void)
{
	return forge_envelope(&forge.records[forge.count - 1]);
}

/* Commit all records made so far. */
static void commit_all(void)
{
	struct published_record records[4 * RECORDS];
	size_t count = 0;

	for (uint64_t i = place.roots.length; i < forge.count; i++)
		records[count++] = (struct published_record){
			.log_id = forge.records[i].log_id,
			.record_id = forge.records[i].id,
			.envelope = forge_envelope(&forge.records[i]),
		};
	assert_int_equal(append_records(database, &place, records, count, forge.operator_key, NOW, NULL), 0);
}

static void begin(size_t cap)
{
	log_cache_free(logs);
	assert_int_equal(log_cache_new(database, cap, &logs, NULL), 0);
}

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	logs = NULL;
	find_names();
	assert_int_equal(database_open(scratch_path(folder, "data"), &database, NULL), 0);
	assert_int_equal(append_load(database, &place, NULL), 0);
	forge_open(&forge, "test");
	for (unsigned version = 0; version < RECORDS; version++)
		for (int i = 0; i < 3; i++)
			publish(names[i], version);
	commit_all();
	begin(LARGE);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	log_cache_free(logs);
	forge_close(&forge);
	database_close(database);
	scratch_free(folder);
	return 0;
}

/* Judge the last record made, which is of this package. */
static int judge(const char *name, bool append, struct fault *flt)
{
	const struct name parsed = forge_name(name);
	const struct record_envelope record = last();
	bool is_signed;

	*flt = (struct fault){0};
	return log_cache_check(logs, &parsed, &record, append, &is_signed, flt);
}

static void expect(const char *name, bool append, int verdict)
{
	struct fault flt;

	if (judge(name, append, &flt) != verdict)
		fail_msg("%s: %d, not %d: %s", name, flt.verdict, verdict, flt.what);
}

/* A log that is rebuilt is found to be broken. */
static void break_records(void)
{
	assert_int_equal(database_run(database, "UPDATE records SET content = x'00'", NULL), 0);
}

/* Two logs in one chain of the hash table are both kept. */
static void kept_side_by_side(void **state)
{
	(void)state;
	publish(names[0], RECORDS);
	expect(names[0], false, 0);
	publish(names[1], RECORDS);
	expect(names[1], false, 0);
	break_records();
	expect(names[1], false, 0);
	publish(names[0], RECORDS + 1); /* follows one that was never appended */
	expect(names[0], false, WARG_INVALID);
}

static void those_used_last_are_kept(void **state)
{
	struct fault flt;

	(void)state;
	begin(1);
	publish(names[0], RECORDS);
	expect(names[0], false, 0);
	break_records();
	expect(names[0], false, 0);
	publish(names[2], RECORDS);
	assert_int_equal(judge(names[2], false, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	/* It failed, and is not cached. */
	publish(names[0], RECORDS + 1);
	expect(names[0], false, WARG_INVALID);
}

static void room_is_made(void **state)
{
	struct fault flt;

	(void)state;
	begin(1);
	publish(names[0], RECORDS);
	expect(names[0], false, 0);
	publish(names[2], RECORDS);
	expect(names[2], false, 0);
	break_records();
	expect(names[2], false, 0);
	publish(names[0], RECORDS + 1);
	assert_int_equal(judge(names[0], false, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
}

/* A log with records that are not in the database yet is not dropped to make room: it could not be rebuilt. */
static void appended_are_kept(void **state)
{
	struct fault flt;

	(void)state;
	begin(1);
	publish(names[0], RECORDS);
	expect(names[0], true, 0);
	publish(names[2], RECORDS);
	expect(names[2], true, 0);
	publish(names[0], RECORDS + 1);
	expect(names[0], true, 0);
	/* Dropped, as its record did not enter the database: the log is rebuilt without it. */
	log_cache_forget(logs);
	expect(names[0], true, WARG_INVALID);
	/* Logs that entered may be dropped, except the last used. */
	commit_all();
	begin(1);
	publish(names[0], RECORDS + 2);
	expect(names[0], true, 0);
	publish(names[2], RECORDS + 1);
	expect(names[2], true, 0);
	commit_all();
	log_cache_keep(logs);
	break_records();
	publish(names[2], RECORDS + 2);
	expect(names[2], true, 0);
	publish(names[0], RECORDS + 3);
	assert_int_equal(judge(names[0], true, &flt), WARG_UNDECIDED);
}

/* Records were verified before they entered: only fsck checks signatures again. */
static void signatures_are_not_verified_again(void **state)
{
	const struct name name = forge_name(names[0]);
	struct package_log *log = NULL;

	(void)state;
	assert_int_equal(database_run(database, "UPDATE records SET signature = CAST('ecdsa-p256:AAAA' AS BLOB)", NULL),
			 0);
	publish(names[0], RECORDS);
	expect(names[0], true, 0);
	assert_int_equal(log_cache_load(database, &name, &log, NULL), WARG_INVALID);
	/* The new one's is. */
	begin(LARGE);
	publish(names[0], RECORDS + 1);
	forge.records[forge.count - 1].signature[20] ^= 1;
	expect(names[0], true, WARG_INVALID);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kept_side_by_side), TEST(those_used_last_are_kept),	  TEST(room_is_made),
		TEST(appended_are_kept), TEST(signatures_are_not_verified_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
