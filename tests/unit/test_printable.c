/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which characters are shown and which are escaped; neither is truncated in the middle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "verify/printable.h"

static const struct {
	const char *text, *shown;
	bool is_utf8;
} rows[] = {
	{"", "", true},
	{"plain ~text\\", "plain ~text\\", true},
	{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", true},
	{"a\tb\n\x7f\x1b[2J", "a\\x09b\\x0a\\x7f\\x1b[2J", true},
	{"\xc2\x9b" "2J", "\\xc2\\x9b2J", true},                  /* C1 */
	{"\xc2\xa0", "\xc2\xa0", true},                           /* the first after C1 */
	{"a\xe2\x80\xae" "b", "a\\xe2\\x80\\xae" "b", true},      /* turns the direction */
	{"\xe2\x80\xa8\xef\xbb\xbf", "\\xe2\\x80\\xa8\\xef\\xbb\\xbf", true},
	{"\xf3\xa0\x80\x81", "\\xf3\\xa0\\x80\\x81", true},       /* a tag */
	{"\xff", "\\xff", false},
	{"a\x80z", "a\\x80z", false},
	{"\xc3", "\\xc3", false},                                 /* without its end */
	{"\xc3(", "\\xc3(", false},
	{"\xc0\xaf\xe0\x80\xaf", "\\xc0\\xaf\\xe0\\x80\\xaf", false}, /* longer than needed */
	{"\xed\xa0\x80", "\\xed\\xa0\\x80", false},               /* half of a pair */
	{"\xf4\x90\x80\x80\xf8\x88\x80\x80\x80", "\\xf4\\x90\\x80\\x80\\xf8\\x88\\x80\\x80\\x80",
	 false},                                                  /* past the last */
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct span text = span_of_text(rows[i].text);
		char out[100];
		struct buf buf;

		assert_int_equal(printable_write(text, out, sizeof(out)), strlen(rows[i].shown));
		assert_string_equal(out, rows[i].shown);
		assert_int_equal(printable_is(text), !strcmp(rows[i].text, rows[i].shown));
		assert_int_equal(printable_is_utf8(text), rows[i].is_utf8);
		/* Escaping twice changes nothing. */
		assert_true(printable_is(span_of_text(rows[i].shown)));
		buf_init(&buf, sizeof(out));
		assert_int_equal(printable_append(text, &buf, NULL), 0);
		assert_true(span_is(buf_span(&buf), rows[i].shown));
		buf_release(&buf);
	}
}

/* With any buffer size the result is a prefix of the whole, and itself a text that is shown as it is. */
static void test_cut(void **state)
{
	char whole[100], out[100];
	struct buf small;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		size_t length = printable_write(span_of_text(rows[i].text), whole, sizeof(whole));

		for (size_t size = 1; size <= length + 1; size++) {
			memset(out, '!', sizeof(out));
			assert_true(printable_write(span_of_text(rows[i].text), out, size) < size);
			assert_memory_equal(out, whole, strlen(out));
			assert_true(printable_is(span_of_text(out)));
			assert_int_equal(strlen(out) == length, size == length + 1);
			assert_true(strstr(out, "\\x") == NULL || strlen(strrchr(out, '\\')) >= 4);
			assert_int_equal(out[size], '!');
		}
	}
	buf_init(&small, 3);
	assert_int_equal(printable_append(span_of_text("\xff"), &small, NULL), WARG_UNDECIDED);
	buf_release(&small);
}

/* All pairs of bytes: the escaped form is shown as it is, and the test for UTF-8 agrees with jansson's. */
static void test_pairs(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 0x10000; i++) {
		unsigned char pair[2] = {(unsigned char)(i >> 8), (unsigned char)i};
		struct json *object = json_new_object();
		struct buf text;
		char out[16];

		printable_write((struct span){pair, 2}, out, sizeof(out));
		assert_true(printable_is(span_of_text(out)));
		buf_init(&text, 100);
		json_put_span(object, "a", (struct span){pair, 2});
		assert_int_equal(json_render(object, JSON_SHOWN_COMPACT, &text, NULL) == 0,
				 printable_is_utf8((struct span){pair, 2}));
		buf_release(&text);
		json_free(object);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
