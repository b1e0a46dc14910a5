/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Package names and log ids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "data.h"
#include "verify/name.h"

static void test_parts(void **state)
{
	static const char *const good[] = { "a", "abc", "a1", "a-b", "a1-b2-c3", "x0-y" };
	static const char *const bad[] = {
		"", "-", "A", "aB", "1", "1a", "a-", "-a", "a--b", "a-1", "a-B", "a_b", "a.b", "a/b", "..", "a b",
		"a\n", "a:b",
		"a%2f", "\xc3\xa9", "a\x7f",
	};
	char longest[CAP_NAME_PART + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(name_is_part(span_of_text(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(name_is_part(span_of_text(bad[i])));
	assert_false(name_is_part((struct span){ (const unsigned char *)"a\0", 2 }));
	memset(longest, 'a', sizeof(longest));
	assert_true(name_is_part((struct span){ (unsigned char *)longest, CAP_NAME_PART }));
	assert_false(name_is_part((struct span){ (unsigned char *)longest, CAP_NAME_PART + 1 }));
}

static void test_parse(void **state)
{
	static const char *const bad[] = {
		"", ":", "a", "a:", ":b", "a:b:c", "a::b", " a:b", "a:b ", "A:b", "a:B", "a/b", "a:../b", "a-:b",
		"a:b\n",
	};
	struct name name, joined, before;

	(void)state;
	assert_int_equal(name_parse(span_of_text("wasi:http-2x"), &name, NULL), WARG_INVALID);
	assert_int_equal(name_parse(span_of_text("wasi:http-x2"), &name, NULL), 0);
	assert_string_equal(name.text, "wasi:http-x2");
	assert_int_equal(name.colon, 4);
	assert_true(span_is(name_namespace(&name), "wasi"));
	assert_true(span_is(name_package(&name), "http-x2"));
	assert_int_equal(name_join(span_of_text("wasi"), span_of_text("http-x2"), &joined, NULL), 0);
	assert_string_equal(joined.text, name.text);
	memset(&name, 0x5a, sizeof(name));
	before = name;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fault flt = { 0 };

		assert_int_equal(name_parse(span_of_text(bad[i]), &name, &flt), WARG_INVALID);
		assert_int_equal(flt.verdict, WARG_INVALID);
		assert_memory_equal(&name, &before, sizeof(name));
	}
	assert_int_equal(name_join(span_of_text("a:b"), span_of_text("c"), &name, NULL), WARG_INVALID);
	assert_int_equal(name_join(span_of_text("a"), span_of_text("b:c"), &name, NULL), WARG_INVALID);
}

/* Both parts as long as they may be: the length before the name takes two bytes then. */
static void test_longest(void **state)
{
	char text[2 * CAP_NAME_PART + 2];
	struct name name;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[CAP_NAME_PART] = ':';
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(name_parse(span_of_text(text), &name, NULL), 0);
	assert_string_equal(name.text, text);
	struct digest id = name_log_id(&name);
	struct digest expected = digest_of_parts((struct span[]){
		span_of_text("WARG-PACKAGE-LOG-ID-V0:WARG-PACKAGE-ID-V0\xff\x03"), span_of_text(text) }, 2);

	assert_true(digest_equals(&id, &expected));
}

/* What the reference answered when it was asked for the names of its logs. */
static void test_recorded_ids(void **state)
{
	struct buf file = data_read("tests/data/valid/reference/names.json");
	const struct json *packages = NULL;
	struct json *value = NULL;
	struct json_walk walk;
	size_t count = 0;

	(void)state;
	assert_int_equal(json_parse(buf_span(&file), &value, NULL), 0);
	assert_int_equal(json_read_object(value, "packages", &packages, NULL), 0);
	for (walk = json_walk(packages); json_step(&walk); count++) {
		char text[DIGEST_TEXT_SIZE];
		struct digest id;
		struct name name;
		struct span span;

		assert_int_equal(json_as_text(walk.value, &span, NULL), 0);
		assert_int_equal(name_parse(span, &name, NULL), 0);
		id = name_log_id(&name);
		digest_format(&id, text);
		assert_string_equal(text, walk.name);
	}
	assert_true(count >= 5);
	json_free(value);
	buf_release(&file);
}

/* The first record of the reference's ledger is the operator's. */
static void test_operator_id(void **state)
{
	struct buf ledger = data_read("tests/data/valid/reference/ledger.bin");
	struct digest id = name_operator_log_id();

	(void)state;
	assert_true(ledger.length > 64);
	assert_memory_equal(ledger.data, id.bytes, DIGEST_SIZE);
	buf_release(&ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_recorded_ids),
		cmocka_unit_test(test_operator_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
