/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Spans and buffers: what they hold, the cap, and no memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "torture.h"
#include "verify/buf.h"

static void test_spans(void **state)
{
	const struct span empty = { NULL, 0 }, nul = { (const unsigned char *)"a\0b", 3 };

	(void)state;
	assert_true(span_equals(empty, span_of_text("")));
	assert_true(span_is(empty, ""));
	assert_true(span_is(span_of_text("abc"), "abc"));
	assert_false(span_is(span_of_text("abc"), "ab"));
	assert_false(span_is(span_of_text("abc"), "abd"));
	assert_false(span_is(nul, "a"));
	assert_true(span_equals(nul, nul));
}

static void test_growth(void **state)
{
	struct buf buf;

	(void)state;
	buf_init(&buf, 100000);
	assert_null(buf.data);
	for (int i = 0; i < 100000; i++) {
		unsigned char byte = (unsigned char)(i % 251);

		assert_int_equal(buf_append(&buf, (struct span){ &byte, 1 }, NULL), 0);
	}
	assert_int_equal(buf_span(&buf).length, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf.data[i], i % 251);
	buf_release(&buf);
	assert_null(buf.data);
	assert_int_equal(buf.length, 0);
	assert_int_equal(buf.cap, 100000);
	assert_int_equal(buf_append_text(&buf, "again", NULL), 0);
	buf_wipe(&buf);
	assert_null(buf.data);
	buf_wipe(&buf);
}

static void test_cap(void **state)
{
	struct fault flt = { 0 };
	struct buf buf;

	(void)state;
	buf_init(&buf, 5);
	assert_int_equal(buf_append_text(&buf, "abc", &flt), 0);
	assert_int_equal(buf_append_text(&buf, "def", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_true(span_is(buf_span(&buf), "abc"));
	/* Lengths that would wrap around when added. */
	assert_int_equal(buf_reserve(&buf, SIZE_MAX, NULL), WARG_UNDECIDED);
	assert_int_equal(buf_reserve(&buf, SIZE_MAX - 2, NULL), WARG_UNDECIDED);
	assert_int_equal(buf_append_format(&buf, NULL, "%d", 100), WARG_UNDECIDED);
	assert_true(span_is(buf_span(&buf), "abc"));
	/* Exactly full: the NUL of the formatting is not counted. */
	assert_int_equal(buf_append_format(&buf, NULL, "%d", 42), 0);
	assert_true(span_is(buf_span(&buf), "abc42"));
	assert_int_equal(buf_append(&buf, (struct span){ NULL, 0 }, NULL), 0);
	buf_release(&buf);

	buf_init(&buf, 0);
	assert_int_equal(buf_append_text(&buf, "", NULL), 0);
	assert_int_equal(buf_append_text(&buf, "a", NULL), WARG_UNDECIDED);
	buf_release(&buf);

	flt = (struct fault){ 0 };
	buf_init(&buf, SIZE_MAX);
	assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2 - 1, &flt), WARG_UNDECIDED);
	assert_int_equal(buf.length, 0);
	buf_release(&buf);
}

static int fill(void *context, struct fault *flt)
{
	struct buf buf;
	size_t length = 0;
	int r = 0;

	(void)context;
	buf_init(&buf, 4096);
	for (int i = 0; i < 100 && !r; i++) {
		length = buf.length;
		r = i % 2 ? buf_append_text(&buf, "some text", flt) : buf_append_format(&buf, flt, "%d", i);
	}
	if (r)
		assert_int_equal(buf.length, length);
	buf_release(&buf);
	return r;
}

static void test_no_memory(void **state)
{
	(void)state;
	torture(fill, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_cap),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
