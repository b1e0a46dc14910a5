/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Strict base64: RFC 4648 and every way to write it otherwise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "torture.h"
#include "verify/base64.h"

/* RFC 4648 section 10. */
static const struct {
	const char *bytes, *text;
} rows[] = {
	{ "", "" },           { "f", "Zg==" },         { "fo", "Zm8=" },         { "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
	{ "\xfb\xff\xbe", "+/++" },
};

static void test_rfc(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf text, bytes;

		buf_init(&text, 100);
		buf_init(&bytes, strlen(rows[i].bytes));
		assert_int_equal(base64_encode(span_of_text(rows[i].bytes), &text, NULL), 0);
		assert_true(span_is(buf_span(&text), rows[i].text));
		assert_int_equal(base64_decode(buf_span(&text), &bytes, NULL), 0);
		assert_true(span_is(buf_span(&bytes), rows[i].bytes));
		buf_release(&text);
		buf_release(&bytes);
	}
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"Z", "Zg", "Zg=", "Zg===", "====", "=", "Z===", "Zm9v=", "Zh==", "Zm9=", "Zm8=Zm8=", "Zg==Zg==",
		"Zm9v\n", " Zm9v", "Zm9v    ", "Zm-_", "Zm\xff=", "=m9v", "Z=9v", "Zm=v", "Zm9v====",
	};
	struct buf out;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(buf_append_text(&out, "kept", NULL), 0);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fault flt = { 0 };

		assert_int_equal(base64_decode(span_of_text(texts[i]), &out, &flt), WARG_INVALID);
		assert_int_equal(flt.verdict, WARG_INVALID);
		assert_true(span_is(buf_span(&out), "kept"));
	}
	assert_int_equal(base64_decode((struct span){ (const unsigned char *)"Zm9\0", 4 }, &out, NULL), WARG_INVALID);
	buf_release(&out);
}

static void test_cap(void **state)
{
	struct fault flt = { 0 };
	struct buf out;

	(void)state;
	buf_init(&out, 5);
	assert_int_equal(base64_decode(span_of_text("Zm9vYmFy"), &out, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_int_equal(base64_encode(span_of_text("foob"), &out, NULL), WARG_UNDECIDED);
	assert_int_equal(out.length, 0);
	buf_release(&out);
}

static int both_ways(void *context, struct fault *flt)
{
	struct buf text, bytes;
	int r;

	(void)context;
	buf_init(&text, 100);
	buf_init(&bytes, 100);
	r = base64_encode(span_of_text("foobar"), &text, flt);
	if (!r)
		r = base64_decode(buf_span(&text), &bytes, flt);
	assert_int_equal(bytes.length, r ? 0 : 6);
	buf_release(&text);
	buf_release(&bytes);
	return r;
}

static void test_no_memory(void **state)
{
	(void)state;
	torture(both_ways, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
