/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Strict hexadecimal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "verify/hex.h"

static void test_round_trip(void **state)
{
	unsigned char bytes[256], back[256];
	char text[513];

	(void)state;
	for (int i = 0; i < 256; i++)
		bytes[i] = (unsigned char)i;
	hex_encode((struct span){ bytes, 256 }, text);
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102", 6);
	assert_string_equal(text + 506, "fdfeff");
	assert_int_equal(hex_decode(span_of_text(text), back, 256, NULL), 0);
	assert_memory_equal(back, bytes, 256);
	hex_encode((struct span){ NULL, 0 }, text);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode((struct span){ NULL, 0 }, back, 0, NULL), 0);
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"", "0", "01", "012", "01234", "012345", "01AB", "01aG", "01ag", "01 2", "0x12", "01a\n", "01a/",
		"01a:", "01a`",
		"01a@", "01a\xff",
	};
	unsigned char out[2] = { 0x5a, 0x5a };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct fault flt = { 0 };

		assert_int_equal(hex_decode(span_of_text(texts[i]), out, 2, &flt), WARG_INVALID);
		assert_int_equal(flt.verdict, WARG_INVALID);
		assert_true(out[0] == 0x5a && out[1] == 0x5a);
	}
	assert_int_equal(hex_decode((struct span){ (const unsigned char *)"01a\0", 4 }, out, 2, NULL), WARG_INVALID);
	assert_int_equal(hex_decode(span_of_text("01"), out, SIZE_MAX / 2 + 2, NULL), WARG_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
