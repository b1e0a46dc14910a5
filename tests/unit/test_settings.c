/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Our own settings: a value set is found, other members stay, and a damaged file is reported.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/user/settings.h"
#include "scratch.h"
#include "torture.h"

static const char *file_of(const char *folder)
{
	return scratch_path(folder, "wargfs/settings.json");
}

static void expect(const char *folder, const char *label, const struct digest *key)
{
	struct digest found_key;
	bool found = !key;

	assert_int_equal(settings_find_operator_key(file_of(folder), label, &found_key, &found, NULL), 0);
	assert_int_equal(found, key != NULL);
	if (key)
		assert_true(digest_equals(&found_key, key));
}

static void test_set(void **state)
{
	const struct digest one = digest_of(span_of_text("1")), two = digest_of(span_of_text("2"));
	char *folder = scratch_new();

	(void)state;
	expect(folder, "a.example", NULL);
	assert_int_equal(settings_set_operator_key(file_of(folder), "a.example", &one, NULL), 0);
	assert_int_equal(settings_set_operator_key(file_of(folder), "b.example", &one, NULL), 0);
	assert_int_equal(settings_set_operator_key(file_of(folder), "b.example", &two, NULL), 0);
	expect(folder, "a.example", &one);
	expect(folder, "b.example", &two);
	expect(folder, "c.example", NULL);
	assert_int_equal(settings_set_operator_key(file_of(folder), "b.example", NULL, NULL), 0);
	expect(folder, "a.example", &one);
	expect(folder, "b.example", NULL);
	scratch_free(folder);
}

static void expect_ca_file(const char *folder, const char *path)
{
	char *found;

	assert_int_equal(settings_read_ca_file(file_of(folder), &found, NULL), 0);
	assert_int_equal(found != NULL, path != NULL);
	if (path)
		assert_string_equal(found, path);
	free(found);
}

/* Neither setting loses the other. */
static void test_ca_file(void **state)
{
	const struct digest one = digest_of(span_of_text("1"));
	char *folder = scratch_new();

	(void)state;
	expect_ca_file(folder, NULL);
	assert_int_equal(settings_set_ca_file(file_of(folder), "/a/ca.pem", NULL), 0);
	assert_int_equal(settings_set_operator_key(file_of(folder), "a.example", &one, NULL), 0);
	expect_ca_file(folder, "/a/ca.pem");
	assert_int_equal(settings_set_ca_file(file_of(folder), "/b.pem", NULL), 0);
	expect_ca_file(folder, "/b.pem");
	assert_int_equal(settings_set_ca_file(file_of(folder), NULL, NULL), 0);
	expect_ca_file(folder, NULL);
	expect(folder, "a.example", &one);
	scratch_free(folder);
}

/* If the file is a symbolic link, the link stays. */
static void test_link(void **state)
{
	const struct digest one = digest_of(span_of_text("1"));
	char *folder = scratch_new();

	(void)state;
	assert_int_equal(settings_set_operator_key(file_of(folder), "a.example", &one, NULL), 0);
	assert_int_equal(rename(file_of(folder), scratch_path(folder, "kept")), 0);
	assert_int_equal(symlink("../kept", file_of(folder)), 0);
	assert_int_equal(settings_set_operator_key(file_of(folder), "b.example", &one, NULL), 0);
	assert_int_equal(unlink(file_of(folder)), 0);
	assert_int_equal(rename(scratch_path(folder, "kept"), file_of(folder)), 0);
	expect(folder, "a.example", &one);
	expect(folder, "b.example", &one);
	scratch_free(folder);
}

/* A damaged file neither counts as missing nor is replaced. */
static void test_damaged(void **state)
{
	static const char *const texts[] = {
		"", "{", "[]", "{}", "{\"format\":\"wargfs-settings\",\"formatVersion\":1}",
		"{\"format\":\"wargfs-settings\",\"formatVersion\":2,\"operatorKeys\":{}}",
		"{\"format\":\"wargfs-settings\",\"formatVersion\":1,\"operatorKeys\":{},\"more\":1}",
		"{\"format\":\"wargfs-settings\",\"formatVersion\":1,\"operatorKeys\":{\"b\":\"sha256:0\"}}",
		"{\"format\":\"wargfs-settings\",\"formatVersion\":1,\"operatorKeys\":{\"b\":null}}",
		"{\"format\":\"wargfs-settings\",\"formatVersion\":1,\"operatorKeys\":{},\"caFile\":1}",
		"{\"format\":\"wargfs-settings\",\"formatVersion\":1,\"operatorKeys\":{},\"caFile\":\"ca.pem\"}",
		"{\"format\":\"wargfs-settings\",\"formatVersion\":1,\"operatorKeys\":{},\"caFile\":\"/a\\u0000b\"}",
	};
	const struct digest one = digest_of(span_of_text("1"));
	char *folder = scratch_new();

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fault flt = {0};
		struct digest key;
		bool found;

		scratch_write_text(file_of(folder), texts[i]);
		assert_int_not_equal(settings_find_operator_key(file_of(folder), "a", &key, &found, &flt), 0);
		assert_false(found);
		assert_int_equal(flt.party, FAULT_BY_CACHE);
		assert_non_null(strstr(flt.where, "settings.json"));
		assert_int_not_equal(settings_set_operator_key(file_of(folder), "a", &one, NULL), 0);
	}
	scratch_free(folder);
}

/* A folder, a device and a FIFO, also behind a link: refused, and not waited for. */
static void test_no_file(void **state)
{
	static const char *const targets[] = { "/dev/zero", "../fifo", "../folder" };
	char *folder = scratch_new();

	(void)state;
	assert_int_equal(mkfifo(scratch_path(folder, "fifo"), 0600), 0);
	assert_int_equal(mkdir(scratch_path(folder, "folder"), 0700), 0);
	assert_int_equal(mkdir(scratch_path(folder, "wargfs"), 0700), 0);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		struct fault flt = {0};
		struct digest key;
		bool found;

		assert_int_equal(symlink(targets[i], file_of(folder)), 0);
		alarm(10);
		assert_int_not_equal(settings_find_operator_key(file_of(folder), "a", &key, &found, &flt), 0);
		alarm(0);
		assert_false(found);
		assert_non_null(strstr(flt.where, "settings.json"));
		assert_int_equal(unlink(file_of(folder)), 0);
	}
	assert_int_equal(symlink("nothing", file_of(folder)), 0);
	expect(folder, "a", NULL);
	scratch_free(folder);
}

static void test_no_home(void **state)
{
	struct digest key = {0};
	bool found = true;

	(void)state;
	assert_int_equal(settings_find_operator_key(NULL, "a", &key, &found, NULL), 0);
	assert_false(found);
	assert_int_not_equal(settings_set_operator_key(NULL, "a", &key, NULL), 0);
}

static void note(void *user, const char *label, const struct digest *key)
{
	const struct digest one = digest_of(span_of_text("1")), two = digest_of(span_of_text("2"));
	unsigned *seen = user;

	assert_true(digest_equals(key, *label == 'a' ? &one : &two));
	*seen |= *label == 'a' ? 1 : 2;
}

static void test_list(void **state)
{
	const struct digest one = digest_of(span_of_text("1")), two = digest_of(span_of_text("2"));
	char *folder = scratch_new();
	unsigned seen = 0;

	(void)state;
	assert_int_equal(settings_list_operator_keys(NULL, note, &seen, NULL), 0);
	assert_int_equal(settings_list_operator_keys(file_of(folder), note, &seen, NULL), 0);
	assert_int_equal(seen, 0);
	assert_int_equal(settings_set_operator_key(file_of(folder), "a.example", &one, NULL), 0);
	assert_int_equal(settings_set_operator_key(file_of(folder), "b.example", &two, NULL), 0);
	assert_int_equal(settings_list_operator_keys(file_of(folder), note, &seen, NULL), 0);
	assert_int_equal(seen, 3);
	scratch_free(folder);
}

static int set_once(void *context, struct fault *flt)
{
	const struct digest one = digest_of(span_of_text("1"));

	return settings_set_operator_key(file_of(context), "b.example", &one, flt);
}

static int find_once(void *context, struct fault *flt)
{
	struct digest key;
	bool found;

	return settings_find_operator_key(file_of(context), "b.example", &key, &found, flt);
}

static void test_torture(void **state)
{
	char *folder = scratch_new();

	(void)state;
	torture(set_once, folder);
	torture(find_once, folder);
	scratch_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_set),     cmocka_unit_test(test_link),    cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_no_home), cmocka_unit_test(test_no_file), cmocka_unit_test(test_torture),
		cmocka_unit_test(test_list),    cmocka_unit_test(test_ca_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
