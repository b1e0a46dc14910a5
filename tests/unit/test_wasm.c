/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * verify/wasm.c: what is a whole Wasm binary, wherever it is cut, in pieces and by skipping.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "verify/wasm.h"

#define MODULE "\0asm\1\0\0\0"
#define COMPONENT "\0asm\x0d\0\1\0"
/* type section: one function type () -> (); export of nothing; a custom section "name" */
#define TYPES "\1\4\1\x60\0\0"
#define CUSTOM "\0\7\4nameab"
/* an import section of a component; a core module inside a component, which is 8 bytes alone */
#define INNER "\1\x08" MODULE
#define PADDED "\0\x87\x80\x80\x80\0\4nameab"

#define BYTES(text) { (const unsigned char *)(text), sizeof(text) - 1 }

static const struct row {
	const char *name;
	struct span bytes;
	const char *said; /* NULL: it is whole */
	size_t broken_at; /* the byte with which it is known not to be whole; else its length */
	bool is_component;
} rows[] = {
	{ "an empty module", BYTES(MODULE), NULL, 0, false },
	{ "an empty component", BYTES(COMPONENT), NULL, 0, true },
	{ "a module", BYTES(MODULE TYPES CUSTOM), NULL, 0, false },
	{ "a component", BYTES(COMPONENT INNER CUSTOM), NULL, 0, true },
	{ "sizes longer than they have to be", BYTES(MODULE PADDED CUSTOM), NULL, 0, false },
	{ "a section of a kind unknown", BYTES(MODULE "\x7f\1a"), NULL, 0, false },
	{ "nothing", BYTES(""), "unexpected end-of-file (at offset 0x0)", 0, false },
	{ "three bytes", BYTES("abc"), "unexpected end-of-file (at offset 0x0)", 3, false },
	{ "a magic number alone", BYTES("\0asm"), "unexpected end-of-file (at offset 0x4)", 4, false },
	{ "half a version", BYTES("\0asm\1\0\0"), "unexpected end-of-file (at offset 0x4)", 7, false },
	{ "text", BYTES("(module)"), "magic header not detected: bad magic number - expected=[0x0, 0x61, 0x73, 0x6d] "
	  "actual=[0x28, 0x6d, 0x6f, 0x64] (at offset 0x0)", 3, false },
	{ "another magic number", BYTES("\0asn\1\0\0\0"), "magic header not detected: bad magic number - "
	  "expected=[0x0, 0x61, 0x73, 0x6d] actual=[0x0, 0x61, 0x73, 0x6e] (at offset 0x0)", 3, false },
	{ "an ELF file", BYTES("\177ELF\2\1\1\0"), "magic header not detected: ", 3, false },
	{ "version 2", BYTES("\0asm\2\0\0\0"), "unknown binary version: 0x2 (at offset 0x0)", 7, false },
	{ "version 257", BYTES("\0asm\1\1\0\0"), "unknown binary version: 0x101 (at offset 0x0)", 7, false },
	{ "a module in layer 1", BYTES("\0asm\1\0\1\0"), "unsupported component version: 0x1 (at offset 0x0)", 7,
	  true },
	{ "a component in layer 0", BYTES("\0asm\x0d\0\0\0"), "unknown binary version: 0xd (at offset 0x0)", 7,
	  false },
	{ "a component in layer 2", BYTES("\0asm\x0d\0\2\0"), "unknown binary version:    0x2000d (at offset 0x4)", 7,
	  false },
	{ "an older component", BYTES("\0asm\x0c\0\1\0"), "unsupported component version: 0xc (at offset 0x0)", 7,
	  true },
	{ "a newer component", BYTES("\0asm\x0e\0\1\0"), "unknown component version: 0xe (at offset 0x0)", 7, true },
	{ "zeroes behind", BYTES(MODULE TYPES "\0\0\0\0"), "unexpected end-of-file (at offset 0x10)", 15, false },
	{ "one byte behind", BYTES(MODULE TYPES "\0"), "unexpected end-of-file (at offset 0xf)", 15, false },
	{ "text behind", BYTES(MODULE TYPES "Hello, World"), "unexpected end-of-file (at offset 0x10)", 26, false },
	{ "a section without a size", BYTES(MODULE "\1"), "unexpected end-of-file (at offset 0x9)", 9, false },
	{ "a section of no bytes", BYTES(MODULE "\1\0"), "unexpected end-of-file (at offset 0xa)", 9, false },
	{ "a section of no bytes, padded", BYTES(MODULE "\1\x80\x80\0"), "unexpected end-of-file (at offset 0xc)", 11,
	  false },
	{ "a size of 2^32", BYTES(MODULE "\1\x80\x80\x80\x80\x10"),
	  "invalid var_u32: integer too large (at offset 0xd)", 13, false },
	{ "a size of six bytes", BYTES(MODULE "\1\x80\x80\x80\x80\x80\0"),
	  "invalid var_u32: integer representation too long (at offset 0xd)", 13, false },
	{ "a size of 2^32-1", BYTES(MODULE "\1\xff\xff\xff\xff\x0f"), "unexpected end-of-file (at offset 0xe)", 14,
	  false },
	{ "a section cut short", BYTES(MODULE "\1\5\1\x60\0\0"), "unexpected end-of-file (at offset 0xa)", 14, false },
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

static struct span part(struct span all, size_t from, size_t to)
{
	return (struct span){ all.data + from, to - from };
}

/** Look at a file in pieces of `piece` bytes. @return the verdict; `at` is where it came, or the end */
static int check(struct span bytes, size_t piece, size_t *at, struct fault *flt)
{
	struct wasm_framing framing;

	wasm_framing_init(&framing);
	for (*at = 0; *at < bytes.length; *at += piece) {
		size_t end = bytes.length - *at < piece ? bytes.length : *at + piece;
		int r = wasm_framing_append(&framing, part(bytes, *at, end), flt);

		if (!r)
			continue;
		*at = (size_t)framing.length;
		/* It stays so, whatever comes. */
		assert_int_equal(wasm_framing_append(&framing, bytes, NULL), WARG_INVALID);
		assert_int_equal(wasm_framing_end(&framing, NULL), WARG_INVALID);
		assert_int_equal(wasm_framing_skip(&framing), 0);
		return r;
	}
	*at = (size_t)framing.length;
	return wasm_framing_end(&framing, flt);
}

/** The same by looking at no more bytes than it must. */
static int check_by_skipping(struct span bytes, size_t *looked_at)
{
	struct wasm_framing framing;
	size_t at = 0;
	int r = 0;

	*looked_at = 0;
	wasm_framing_init(&framing);
	while (!r && at < bytes.length) {
		uint64_t skip = wasm_framing_skip(&framing);

		if (skip > bytes.length - at)
			skip = bytes.length - at;
		wasm_framing_pass(&framing, skip);
		at += skip;
		if (!skip)
			r = wasm_framing_append(&framing, part(bytes, at, at + 1), NULL);
		*looked_at += !skip;
		at += !skip;
	}
	return r ? r : wasm_framing_end(&framing, NULL);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		for (size_t piece = 1; piece <= 64; piece++) {
			struct fault flt = {0};
			size_t at;
			int r = check(rows[i].bytes, piece, &at, &flt);

			if (piece == 1)
				print_message("  %s: %s\n", rows[i].name, flt.what);
			assert_int_equal(r, rows[i].said ? WARG_INVALID : 0);
			assert_int_equal(flt.verdict, r);
			assert_int_equal(at, rows[i].said ? rows[i].broken_at : rows[i].bytes.length);
			assert_ptr_equal(strstr(flt.what, rows[i].said ? rows[i].said : ""), flt.what);
		}
	}
}

static void test_kind(void **state)
{
	struct wasm_framing framing;

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		wasm_framing_init(&framing);
		if (!wasm_framing_append(&framing, rows[i].bytes, NULL))
			assert_int_equal(framing.is_component, rows[i].is_component);
	}
}

/* Of each file that is whole, what is cut short is whole just where a section ends. */
static void test_cut_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		size_t at, ends = 0;

		for (size_t length = 0; !rows[i].said && length < rows[i].bytes.length; length++) {
			struct fault flt = {0};
			int r = check(part(rows[i].bytes, 0, length), 3, &at, &flt);

			assert_true(r == 0 || r == WARG_INVALID);
			assert_int_equal(flt.verdict, r);
			assert_int_equal(at, length);
			ends += r == 0;
		}
		/* Behind the preamble, and behind each section but the last. */
		assert_true(ends <= 2);
		if (!rows[i].said && rows[i].bytes.length > 24)
			assert_int_equal(ends, 2);
	}
}

static void test_skipping(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		size_t at, looked_at;

		assert_int_equal(check_by_skipping(rows[i].bytes, &looked_at), check(rows[i].bytes, 7, &at, NULL));
	}
	/* Of two sections, their heads. */
	size_t looked_at;

	assert_int_equal(check_by_skipping(rows[2].bytes, &looked_at), 0);
	assert_int_equal(looked_at, 8 + 2 + 2);
}

/* As large as they come: two sections of 2^32-1 bytes are counted right. */
static void test_large(void **state)
{
	static const unsigned char head[] = MODULE "\1\xff\xff\xff\xff\x0f";
	struct wasm_framing framing;
	struct fault flt = {0};

	(void)state;
	wasm_framing_init(&framing);
	assert_int_equal(wasm_framing_append(&framing, (struct span){ head, sizeof(head) - 1 }, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(wasm_framing_skip(&framing), UINT32_MAX);
		wasm_framing_pass(&framing, UINT32_MAX - 1);
		assert_int_equal(wasm_framing_end(&framing, NULL), WARG_INVALID);
		wasm_framing_pass(&framing, 1);
		assert_int_equal(wasm_framing_end(&framing, NULL), 0);
		if (!i)
			assert_int_equal(wasm_framing_append(&framing, (struct span){ head + 8, sizeof(head) - 9 },
							     NULL), 0);
	}
	assert_int_equal(framing.length, 8 + 2 * (6 + (uint64_t)UINT32_MAX));
	assert_int_equal(wasm_framing_append(&framing, (struct span)BYTES("\0\0"), &flt), WARG_INVALID);
	assert_string_equal(flt.what, "unexpected end-of-file (at offset 0x200000014)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_skipping),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
