/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * SHA-256: FIPS 180 examples, pieces of any size, and the text form.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "verify/digest.h"

static void check(struct digest digest, const char *expected)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(&digest, text);
	assert_string_equal(text, expected);
}

static void test_examples(void **state)
{
	(void)state;
	check(digest_of((struct span){ NULL, 0 }),
	      "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	check(digest_of(span_of_text("abc")),
	      "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check(digest_of(span_of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")),
	      "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_pieces(void **state)
{
	static unsigned char bytes[1000];
	const struct span whole = { bytes, sizeof(bytes) };
	struct digest expected;

	(void)state;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)(i * 7);
	expected = digest_of(whole);
	for (size_t step = 1; step < 200; step++) {
		struct digest_stream stream, copy;
		struct digest digest;

		digest_stream_init(&stream);
		for (size_t at = 0; at < sizeof(bytes); at += step) {
			size_t left = sizeof(bytes) - at;

			digest_stream_update(&stream, (struct span){ bytes + at, left < step ? left : step });
		}
		copy = stream;
		digest = digest_stream_final(&stream);
		assert_true(digest_equals(&digest, &expected));
		digest = digest_stream_final(&copy);
		assert_true(digest_equals(&digest, &expected));
		digest = digest_of_parts((struct span[]){ { bytes, step }, { NULL, 0 },
							  { bytes + step, sizeof(bytes) - step } }, 3);
		assert_true(digest_equals(&digest, &expected));
	}
}

#define DIGITS "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85"

static void test_text(void **state)
{
	static const char *const texts[] = {
		"", "sha256", "sha256:", DIGITS "5", "sha256:" DIGITS, "sha256:" DIGITS "55", "sha256:" DIGITS "B",
		"SHA256:" DIGITS "5", "sha512:" DIGITS "5", "sha256: " DIGITS, "sha256:" DIGITS "g",
		" sha256:" DIGITS "5",
		"sha256:" DIGITS "5\n", "sha256-" DIGITS "5",
	};
	struct digest out, before, expected = digest_of((struct span){ NULL, 0 });

	(void)state;
	memset(&out, 0x5a, sizeof(out));
	before = out;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fault flt = { 0 };

		assert_int_equal(digest_parse(span_of_text(texts[i]), &out, &flt), WARG_INVALID);
		assert_int_equal(flt.verdict, WARG_INVALID);
		assert_true(digest_equals(&out, &before));
	}
	assert_int_equal(digest_parse((struct span){ NULL, 0 }, &out, NULL), WARG_INVALID);
	assert_int_equal(digest_parse(span_of_text("sha256:" DIGITS "5"), &out, NULL), 0);
	assert_true(digest_equals(&out, &expected));
	assert_true(span_equals(digest_span(&out), digest_span(&expected)));
}

static void test_order(void **state)
{
	struct digest low = { { 0 } }, high = { { 0 } };

	(void)state;
	low.bytes[31] = 0x7f;
	high.bytes[31] = 0x80;
	assert_true(digest_compare(&low, &high) < 0);
	assert_true(digest_compare(&high, &low) > 0);
	assert_int_equal(digest_compare(&low, &low), 0);
	low.bytes[0] = 1;
	assert_true(digest_compare(&low, &high) > 0);
	assert_false(digest_equals(&low, &high));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
