/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Contents that no record names are removed, and none that a record comes to name meanwhile: garbage.h. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "forge.h"
#include "scratch.h"
#include "server/content_files.h"
#include "server/database_parts.h"
#include "server/garbage.h"
#include "server/operator_records.h"
#include "server/package_names.h"
#include "server/waiting.h"

static char *folder;
static struct database *database, *reading, *writing;
static struct operator_log *operator;
static struct append_state state_now;
static struct ecdsa_private_key *key, *publisher;
static int contents;

/* Called once while published records are read, after the snapshot of the database was taken. */
static void (*meanwhile)(void);

void *memmem(const void *bytes, size_t length, const void *part, size_t part_length)
{
	void (*call)(void) = meanwhile;

	meanwhile = NULL;
	if (call)
		call();
	for (size_t i = 0; i + part_length <= length; i++)
		if (!memcmp((const char *)bytes + i, part, part_length))
			return (char *)(uintptr_t)bytes + i;
	return NULL;
}

/* ---- A registry ---- */

static const char *path_of(const char *text)
{
	const struct digest digest = digest_of(span_of_text(text));
	char name[CONTENT_FILE_NAME_SIZE];

	content_file_name(&digest, name);
	return scratch_path(scratch_path(folder, "files"), name);
}

static bool is_there(const char *text)
{
	return !access(path_of(text), F_OK);
}

static void receive(const char *text)
{
	char statement[160], digest[DIGEST_TEXT_SIZE];
	const struct digest id = digest_of(span_of_text(text));

	scratch_write_text(path_of(text), text);
	digest_format(&id, digest);
	snprintf(statement, sizeof(statement), "INSERT OR IGNORE INTO received VALUES (x'%s')",
		 strchr(digest, ':') + 1);
	assert_int_equal(database_run(database, statement, NULL), 0);
}

/* A record of a package of its own that releases two contents. */
static struct published_record make(const char *name, const char *one, const char *other, struct forge_record *out)
{
	struct record_entry entries[] = {
		forge_init(publisher), forge_release("1.0.0", one), forge_release("1.1.0", other),
	};
	const struct record record = {
		.kind = RECORD_PACKAGE, .time = {1700000000, 0}, .entries = entries, .entry_count = 3,
	};
	const struct name parsed = forge_name(name);

	forge_record(RECORD_PACKAGE, &record, publisher, out);
	return (struct published_record){
		.log_id = name_log_id(&parsed),
		.record_id = out->id,
		.envelope = forge_envelope(out),
	};
}

static void publish(const char *name, const char *one, const char *other)
{
	struct forge_record forged;
	const struct published_record record = make(name, one, other, &forged);

	assert_int_equal(append_records(database, &state_now, &record, 1, key, 1700000000, NULL), 0);
	forge_record_release(&forged);
}

/* Let the record wait for its second content. */
static void submit(const char *name, const char *one, const char *other)
{
	const struct digest missing = digest_of(span_of_text(other));
	const struct name parsed = forge_name(name);
	struct forge_record forged;
	const struct published_record record = make(name, one, other, &forged);

	assert_int_equal(database_begin(database, NULL), 0);
	assert_int_equal(package_names_add(database, &parsed, NULL), 0);
	assert_int_equal(waiting_add(database, &record, &missing, 1, NULL, (uint64_t)time(NULL), NULL), 0);
	assert_int_equal(database_commit(database, NULL), 0);
	forge_record_release(&forged);
}

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	key = forge_key(1);
	publisher = forge_key(2);
	meanwhile = NULL;
	assert_int_equal(database_open(scratch_path(folder, "data"), &database, NULL), 0);
	assert_int_equal(append_load(database, &state_now, NULL), 0);
	assert_int_equal(operator_records_load(database, &operator, NULL), 0);
	assert_int_equal(operator_records_ensure(database, &state_now, &operator, key,
						 &(struct operator_wish){"test", NULL}, 1, NULL), 0);
	assert_int_equal(database_reopen_reading(database, &reading, NULL), 0);
	assert_int_equal(database_reopen_writing(database, &writing, NULL), 0);
	publish("test:has", "a", "b");
	scratch_write_text(path_of("a"), "a");
	scratch_write_text(path_of("b"), "b");
	contents = open(scratch_path(folder, "files"), O_RDONLY | O_DIRECTORY);
	return contents < 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(contents);
	database_close(reading);
	database_close(writing);
	database_close(database);
	operator_log_unref(operator);
	ecdsa_private_key_free(key);
	ecdsa_private_key_free(publisher);
	scratch_free(folder);
	return 0;
}

static int try_collect(enum garbage_scope scope, struct garbage_counts *out, struct fault *flt)
{
	const struct garbage garbage = {.reading = reading, .writing = writing, .folder = contents, .scope = scope};

	return garbage_collect(&garbage, out, flt);
}

/* @return how many were removed */
static uint64_t collect(enum garbage_scope scope)
{
	struct garbage_counts counts;
	struct fault flt = {0};

	if (try_collect(scope, &counts, &flt))
		fail_msg("%s", flt.what);
	assert_true(is_there("a") && is_there("b"));
	return counts.contents;
}

/* ---- Tests ---- */

static void test_taken(void **state)
{
	(void)state;
	receive("left");
	receive("waited for");
	receive("a");
	submit("test:waits", "waited for", "to come");
	scratch_write_text(path_of("of nobody"), "of nobody");
	assert_int_equal(collect(GARBAGE_RECEIVED), 1);
	assert_false(is_there("left"));
	assert_true(is_there("waited for") && is_there("of nobody"));
	/* A new file may belong to a running import. */
	assert_int_equal(collect(GARBAGE_ALL), 0);
	receive("to come");
	assert_int_equal(collect(GARBAGE_ALL), 0);
	assert_true(is_there("to come") && is_there("of nobody"));
}

static void submit_meanwhile(void)
{
	submit("test:new", "left", "to come");
}

static void publish_meanwhile(void)
{
	publish("test:new", "left", "b");
}

static void wait_meanwhile(void)
{
	submit("test:new", "b", "left");
}

/* Named after the published records were read. */
static void test_named_meanwhile(void **state)
{
	static void (*const calls[])(void) = {submit_meanwhile, publish_meanwhile, wait_meanwhile};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(calls) / sizeof(calls[0]); i++) {
		tear_down(NULL);
		set_up(NULL);
		receive("left");
		receive("other");
		meanwhile = calls[i / 2];
		assert_int_equal(collect(i % 2 ? GARBAGE_ALL : GARBAGE_RECEIVED), 1);
		assert_null(meanwhile);
		assert_true(is_there("left"));
		assert_false(is_there("other"));
	}
}

/* Nothing is removed unless the records match the last checkpoint. */
static void test_damaged(void **state)
{
	static const char *const harms[] = {
		"UPDATE records SET content = zeroblob(9) WHERE registry_index = 1",
		"UPDATE records SET record_id = zeroblob(32) WHERE registry_index = 1",
		"DELETE FROM records WHERE registry_index = 0", "DELETE FROM records WHERE registry_index = 1",
		"UPDATE records SET log = 1 WHERE registry_index = 1",
		"UPDATE checkpoints SET log_root = zeroblob(32)", "DELETE FROM checkpoints WHERE log_length = 2",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		struct garbage_counts counts;

		tear_down(NULL);
		set_up(NULL);
		receive("left");
		assert_int_equal(database_run(database, harms[i], NULL), 0);
		assert_int_equal(try_collect(i % 2 ? GARBAGE_ALL : GARBAGE_RECEIVED, &counts, NULL), WARG_INVALID);
		assert_true(is_there("left"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {TEST(test_taken), TEST(test_named_meanwhile), TEST(test_damaged)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
