/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The operator's log of a registry here, and keys in files: operator_records.h, key_file.h. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "forge.h"
#include "scratch.h"
#include "server/key_file.h"
#include "server/operator_records.h"

static char *folder;
static struct database *database;
static struct operator_log *operator;
static struct append_state place;
static struct ecdsa_private_key *key;

static int set_up(void **state)
{
	(void)state;
	folder = scratch_new();
	key = forge_key(1);
	assert_int_equal(database_open(scratch_path(folder, "data"), &database, NULL), 0);
	assert_int_equal(append_load(database, &place, NULL), 0);
	assert_int_equal(operator_records_load(database, &operator, NULL), 0);
	assert_null(operator_log_head(operator));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	operator_log_unref(operator);
	ecdsa_private_key_free(key);
	database_close(database);
	scratch_free(folder);
	return 0;
}

static int ensure(const struct operator_wish *wishes, size_t count, const struct ecdsa_private_key *signer,
		  struct fault *flt)
{
	return operator_records_ensure(database, &place, &operator, signer, wishes, count, flt);
}

/* What is in the database is what is in memory. */
static void expect_same(uint64_t records)
{
	struct operator_log *stored;

	assert_int_equal(operator_records_load(database, &stored, NULL), 0);
	assert_true(digest_equals(&operator_log_head(stored)->record_id, &operator_log_head(operator)->record_id));
	assert_int_equal(place.roots.length, records);
	assert_int_equal(checkpoint_verify(&place.last.checkpoint, stored, NULL), 0);
	operator_log_unref(stored);
}

static void begun(void **state)
{
	(void)state;
	assert_int_equal(ensure(NULL, 0, key, NULL), 0);
	expect_same(1);
	assert_int_equal(ensure(NULL, 0, key, NULL), 0);
	expect_same(1);
}

static void namespaces(void **state)
{
	const struct operator_wish wishes[] = {{"one", NULL}, {"two", "example.com"}, {"one", NULL}};
	const struct operator_wish more[] = {{"one", NULL}, {"three", NULL}};
	size_t count;

	(void)state;
	assert_int_equal(ensure(wishes, 3, key, NULL), 0);
	expect_same(1);
	operator_log_namespaces(operator, &count);
	assert_int_equal(count, 2);
	assert_string_equal(operator_log_find(operator, span_of_text("two"))->registry, "example.com");
	assert_int_equal(ensure(wishes, 3, key, NULL), 0);
	expect_same(1);
	assert_int_equal(ensure(more, 2, key, NULL), 0);
	expect_same(2);
	assert_non_null(operator_log_find(operator, span_of_text("three")));
}

static void wishes_that_cannot_be(void **state)
{
	const struct operator_wish good[] = {{"one", NULL}, {"two", "example.com"}};
	static const struct operator_wish bad[] = {
		{"one", "example.com"}, {"two", NULL}, {"two", "example.org"}, {"Three", NULL}, {"", NULL},
		{"a:b", NULL},
		/* A domain that clients would refuse is not signed. */
		{"new", ""}, {"new", "https://reg.example/"}, {"new", "reg.example/path"}, {"new", "user@reg.example"},
		{"new", "reg.example:"}, {"new", "reg.example:99999"}, {"new", "reg example"}, {"new", "reg.example?q"},
		{"new", "http://localhost"}, {"new", "[::1"}, {"new", "r\xc3\xa9g.example"},
		{"two", "https://example.com"},
	};
	const struct operator_wish twice[] = {{"new", "example.com"}, {"new", "example.org"}}, both[] = {
		{"new", "example.com"}, {"new", NULL},
	}, same[] = {{"two", "EXAMPLE.com"}, {"two", "example.com:443"}, {"one", NULL}, {"one", NULL}};

	(void)state;
	assert_int_equal(ensure(good, 2, key, NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fault flt = {0};

		assert_int_equal(ensure(&bad[i], 1, key, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_MISUSE);
		expect_same(1);
	}
	assert_int_equal(ensure(twice, 2, key, NULL), WARG_UNDECIDED);
	assert_int_equal(ensure(both, 2, key, NULL), WARG_UNDECIDED);
	expect_same(1);
	/* Another spelling of the same domain: there is nothing to sign. */
	assert_int_equal(ensure(same, 4, key, NULL), 0);
	expect_same(1);
}

static void another_key(void **state)
{
	struct ecdsa_private_key *other = forge_key(2);
	struct fault flt = {0};

	(void)state;
	assert_int_equal(ensure(NULL, 0, key, NULL), 0);
	assert_int_equal(ensure(NULL, 0, other, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_DENIED);
	expect_same(1);
	ecdsa_private_key_free(other);
}

/* ---- The key ---- */

static void key_is_kept(void **state)
{
	const char *data = scratch_path(folder, "data");
	int fd = open(data, O_RDONLY | O_DIRECTORY);
	struct ecdsa_private_key *made, *again;
	struct fault flt = {0};
	struct stat status;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(key_file_keep(fd, KEY_FILE_OPERATOR, false, &made, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_NO_KEY);
	assert_int_equal(key_file_keep(fd, KEY_FILE_OPERATOR, true, &made, NULL), 0);
	assert_int_equal(key_file_keep(fd, KEY_FILE_OPERATOR, true, &again, NULL), 0);
	assert_true(digest_equals(ecdsa_public_key_id(ecdsa_private_key_public(made)),
				  ecdsa_public_key_id(ecdsa_private_key_public(again))));
	assert_int_equal(stat(scratch_path(data, KEY_FILE_OPERATOR), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	ecdsa_private_key_free(made);
	ecdsa_private_key_free(again);
	close(fd);
}

static void key_in_a_file(void **state)
{
	static const struct {
		const char *text;
		bool is_fine;
	} rows[] = {
		{"ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=", true},
		{"ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=\n", true},
		{"ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=\r\n", true},
		{" ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk=", false},
		{"", false},
		{"\n", false},
	};
	const char *path = scratch_path(folder, "key");
	struct ecdsa_private_key *read = NULL;
	struct fault flt = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		scratch_write_text(path, rows[i].text);
		chmod(path, 0600);
		assert_int_equal(!key_file_read(path, &read, NULL), rows[i].is_fine);
		if (rows[i].is_fine)
			ecdsa_private_key_free(read);
	}
	chmod(path, 0604);
	assert_int_equal(key_file_read(path, &read, &flt), WARG_UNDECIDED);
	assert_non_null(strstr(flt.what, "others may read"));
	assert_int_equal(key_file_read(scratch_path(folder, "none"), &read, NULL), WARG_UNDECIDED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(begun), TEST(namespaces), TEST(wishes_that_cannot_be), TEST(another_key), TEST(key_is_kept),
		TEST(key_in_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
