/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Who may publish what: authorized_keys.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"
#include "scratch.h"
#include "server/authorized_keys.h"
#include "torture.h"

#define ONE_DIGITS ":1111111111111111111111111111111111111111111111111111111111111111"
#define ONE "sha256" ONE_DIGITS
#define TWO "sha256:2222222222222222222222222222222222222222222222222222222222222222"

static const char file[] =
	"# a comment\n"
	"\n"
	"[namespace.all]\n"
	"keys = [\"" ONE "\"]\n"
	"[namespace.delegated] # another\r\n"
	"delegation = true\r\n"
	"keys = [\"" ONE "\"]\r\n"
	"  [ package . \"some:one\" ]\n"
	"keys = [\n"
	"\t'" ONE "', # the first\n"
	"\t\"" TWO "\",\n"
	"]\n"
	"delegation = false\n"
	"[namespace.\"none\"]\n"
	"keys=[]";

static bool may(const struct authorized_keys *keys, const char *package, const char *key, enum record_entry_type type)
{
	struct record_entry entries[2] = {{.type = type}, {.type = ENTRY_RELEASE}};
	const struct record record = {.entries = entries, .entry_count = 2};
	const struct name name = forge_name(package);
	struct fault flt = {0};
	struct digest key_id;
	int r;

	assert_int_equal(digest_parse(span_of_text(key), &key_id, NULL), 0);
	r = authorized_keys_check(keys, &name, &key_id, &record, &flt);
	if (r) {
		assert_int_equal(r, WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_DENIED);
		assert_non_null(strstr(flt.what, key));
	}
	return !r;
}

static void rules(void **state)
{
	struct authorized_keys *keys;

	(void)state;
	assert_int_equal(authorized_keys_parse(span_of_text(file), &keys, NULL), 0);
	assert_true(may(keys, "all:a", ONE, ENTRY_INIT));
	assert_false(may(keys, "all:a", TWO, ENTRY_INIT));
	assert_false(may(keys, "all:a", TWO, ENTRY_YANK));
	assert_true(may(keys, "delegated:a", ONE, ENTRY_INIT));
	assert_false(may(keys, "delegated:a", TWO, ENTRY_INIT));
	assert_true(may(keys, "delegated:a", TWO, ENTRY_YANK));
	assert_true(may(keys, "some:one", ONE, ENTRY_INIT));
	assert_true(may(keys, "some:one", TWO, ENTRY_INIT));
	assert_false(may(keys, "some:other", ONE, ENTRY_INIT));
	assert_false(may(keys, "none:a", ONE, ENTRY_YANK));
	assert_false(may(keys, "unknown:a", ONE, ENTRY_YANK));
	authorized_keys_free(keys);
	authorized_keys_free(NULL);
}

static void empty_file(void **state)
{
	struct authorized_keys *keys;

	(void)state;
	assert_int_equal(authorized_keys_parse((struct span){0}, &keys, NULL), 0);
	assert_false(may(keys, "all:a", ONE, ENTRY_INIT));
	authorized_keys_free(keys);
}

/* Each way in which TOML writes the same: dots, braces, pieces, escapes, and behind a byte order mark. */
static void written_in_many_ways(void **state)
{
	static const char *const texts[] = {
		"namespace.all.keys = ['" ONE "']\npackage.\"some:one\".keys = ['" TWO "']\n"
		"namespace.delegated = {keys = [], delegation = true}",
		"\xef\xbb\xbfnamespace = {all.keys = ['" ONE "'], delegated = {keys = [], delegation = true}}\n"
		"package = {\"some:one\" = {keys = [\"\"\"\\\n  " TWO "\"\"\"]}}",
		"[namespace]\nall.keys = [\"\\u0073ha256" ONE_DIGITS "\"]\r\n[namespace.delegated]\nkeys = []\n"
		"delegation = true\n[package]\n\"some:\\u006fne\" = {keys = ['''" TWO "''',]}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct authorized_keys *keys = NULL;
		struct fault flt = {0};

		if (authorized_keys_parse(span_of_text(texts[i]), &keys, &flt))
			fail_msg("%s\n: %s: %s", texts[i], flt.where, flt.what);
		assert_true(may(keys, "all:a", ONE, ENTRY_INIT));
		assert_false(may(keys, "all:a", TWO, ENTRY_INIT));
		assert_true(may(keys, "some:one", TWO, ENTRY_INIT));
		assert_false(may(keys, "some:one", ONE, ENTRY_YANK));
		assert_true(may(keys, "delegated:a", ONE, ENTRY_YANK));
		assert_false(may(keys, "delegated:a", ONE, ENTRY_INIT));
		assert_null(authorized_keys_warning(keys));
		authorized_keys_free(keys);
	}
}

/* What is no id or no namespace matches nothing, as at the reference, and all else holds. */
static void what_matches_nothing(void **state)
{
	static const struct {
		const char *text, *warning;
	} rows[] = {
		{"[namespace.all]\nkeys = ['sha256:11', '" ONE "']", "line 2: 'sha256:11' is no key id"},
		{"[namespace.all]\nkeys = [\n'" ONE "',\n\"\\u001b\"]", "line 4: '\\x1b' is no key id"},
		{"[namespace.ALL]\nkeys = ['" TWO "']\n[namespace.all]\nkeys=['" ONE "']",
		 "line 1: 'ALL' is no namespace"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct authorized_keys *keys = NULL;

		assert_int_equal(authorized_keys_parse(span_of_text(rows[i].text), &keys, NULL), 0);
		assert_true(may(keys, "all:a", ONE, ENTRY_INIT));
		assert_false(may(keys, "all:a", TWO, ENTRY_INIT));
		assert_int_equal(strncmp(authorized_keys_warning(keys), rows[i].warning, strlen(rows[i].warning)), 0);
		authorized_keys_free(keys);
	}
	assert_null(authorized_keys_warning(NULL));
}

static void malformed(void **state)
{
	static const struct {
		const char *text, *line;
	} rows[] = {
		{"keys = []", "line 1"},
		{"[namespace.a]\nkeys = []\nkeys = []", "line 3"},
		{"[namespace.a]\nkeys = [] x", "line 2"},
		{"\n[namespace.a]\ndelegation = true", "line 2"},
		{"[namespace.a]\nkeys = []\ndelegation = \"true\"\n", "line 3"},
		{"[namespace.a]\nkeys = []\ndelegation = 1\n", "line 3"},
		{"[namespace.a]\nother = []", "line 2"},
		{"[namespace.a]\nkeys = \"" ONE "\"", "line 2"},
		{"[namespace.a]\nkeys = [\n1979-05-27]", "line 3"},
		{"[namespace.a]\nkeys = [\"" ONE "\"", "line 2"},
		{"[namespace.a]\nkeys = []\n[namespace.a]\nkeys = []", "line 3"},
		{"[[namespace.a]]\nkeys = []", "line 1"},
		{"[[namespace]]\na.keys = []", "line 1"},
		{"[namespace.a.b]\nkeys = []", "line 1"},
		{"[package.one]\nkeys = []", "line 1"},
		{"[package.\"a:B\"]\nkeys = []", "line 1"},
		{"[registry.a]\nkeys = []", "line 1"},
		{"namespace = 1", "line 1"},
		{"namespace.a = 1", "line 1"},
		{"\n\n\"", "line 3"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct authorized_keys *keys = NULL;
		struct fault flt = {0};

		if (authorized_keys_parse(span_of_text(rows[i].text), &keys, &flt) != WARG_INVALID)
			fail_msg("%s\n: it was read", rows[i].text);
		assert_null(keys);
		if (!strstr(flt.where, rows[i].line))
			fail_msg("%s\n: %s, %s", rows[i].text, flt.where, flt.what);
	}
}

static void from_a_file(void **state)
{
	char *folder = scratch_new();
	struct authorized_keys *keys;
	struct fault flt = {0};

	(void)state;
	scratch_write_text(scratch_path(folder, "keys"), file);
	assert_int_equal(authorized_keys_read(scratch_path(folder, "keys"), &keys, NULL), 0);
	authorized_keys_free(keys);
	scratch_write_text(scratch_path(folder, "keys"), "[");
	assert_int_equal(authorized_keys_read(scratch_path(folder, "keys"), &keys, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.where, "keys, line 1"));
	assert_int_equal(authorized_keys_read(scratch_path(folder, "none"), &keys, NULL), WARG_UNDECIDED);
	scratch_free(folder);
}

static int parse_again(void *context, struct fault *flt)
{
	struct authorized_keys *keys;
	int r = authorized_keys_parse(span_of_text(context), &keys, flt);

	if (!r)
		authorized_keys_free(keys);
	return r;
}

static void without_memory(void **state)
{
	char text[sizeof(file)];

	(void)state;
	memcpy(text, file, sizeof(file));
	torture(parse_again, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules), cmocka_unit_test(empty_file), cmocka_unit_test(written_in_many_ways),
		cmocka_unit_test(what_matches_nothing), cmocka_unit_test(malformed),
		cmocka_unit_test(from_a_file), cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
