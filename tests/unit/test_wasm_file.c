/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * client/store/wasm_file.c: files as they lie on the disk, small, large, sparse and cut short.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/store/wasm_file.h"
#include "verify/caps.h"

#define MODULE "\0asm\1\0\0\0"

static int fd;

static int set_up(void **state)
{
	(void)state;
	fd = memfd_create("wasm", MFD_CLOEXEC);
	assert_true(fd >= 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	close(fd);
	return 0;
}

static void put(uint64_t at, const char *bytes, size_t length)
{
	assert_int_equal(pwrite(fd, bytes, length, (off_t)at), length);
}

/* Put the head of a section there. @return where its end is */
static uint64_t put_section(uint64_t at, uint32_t size)
{
	unsigned char head[6] = { 0 };

	for (int i = 0; i < 5; i++)
		head[i + 1] = (unsigned char)((size >> (7 * i) & 127) | (i < 4 ? 128 : 0));
	put(at, (const char *)head, sizeof(head));
	return at + sizeof(head) + size;
}

static void expect(int verdict, const char *words)
{
	struct fault flt = { 0 };

	assert_int_equal(wasm_file_check(fd, &flt), verdict);
	assert_int_equal(flt.verdict, verdict);
	assert_non_null(strstr(flt.what, words));
	assert_int_equal(flt.party, verdict == WARG_INVALID ? FAULT_BY_USER : FAULT_BY_UNKNOWN);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
}

static void test_small(void **state)
{
	(void)state;
	expect(WARG_INVALID, "(at offset 0x0)");
	put(0, MODULE, 4);
	expect(WARG_INVALID, "(at offset 0x4)");
	put(0, MODULE, 8);
	expect(0, "");
	put(8, "\1", 1);
	expect(WARG_INVALID, "(at offset 0x9)");
	put(9, "\4\1\x60\0", 4);
	expect(WARG_INVALID, "(at offset 0xa)");
	put(13, "\0", 1);
	expect(0, "");
	put(0, "M", 1);
	expect(WARG_INVALID, "(at offset 0x0)");
}

/* Sections whose ends lie wherever they may with regard to the pieces that are read. */
static void test_sizes(void **state)
{
	(void)state;
	for (uint32_t first = 4060; first < 4110; first++) {
		uint64_t end;

		assert_int_equal(ftruncate(fd, 0), 0);
		put(0, MODULE, 8);
		end = put_section(put_section(put_section(8, first), 1), 8192 + first);
		assert_int_equal(ftruncate(fd, (off_t)end), 0);
		expect(0, "");
		assert_int_equal(ftruncate(fd, (off_t)end - 1), 0);
		assert_int_equal(wasm_file_check(fd, NULL), WARG_INVALID);
		assert_int_equal(ftruncate(fd, (off_t)end + 1), 0);
		assert_int_equal(wasm_file_check(fd, NULL), WARG_INVALID);
		assert_int_equal(ftruncate(fd, (off_t)end + 2), 0);
		assert_int_equal(wasm_file_check(fd, NULL), WARG_INVALID);
	}
}

/* Nearly as large as they come, and sparse: that would take seconds if all was read. */
static void test_large(void **state)
{
	uint64_t end;

	(void)state;
	put(0, MODULE, 8);
	end = put_section(put_section(8, 0x7ffffff0), 0x7fffff00);
	assert_true(end <= CAP_CONTENT);
	assert_int_equal(ftruncate(fd, (off_t)end), 0);
	expect(0, "");
	assert_int_equal(ftruncate(fd, (off_t)end - 1), 0);
	expect(WARG_INVALID, "(at offset 0x80000004)");
	assert_int_equal(ftruncate(fd, (off_t)CAP_CONTENT + 1), 0);
	expect(WARG_UNDECIDED, "");
}

static void test_no_file(void **state)
{
	struct fault flt = { 0 };
	int ends[2];

	(void)state;
	assert_int_equal(wasm_file_check(-1, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EBADF);
	assert_int_equal(pipe(ends), 0);
	flt = (struct fault){ 0 };
	assert_int_equal(wasm_file_check(ends[0], &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EINVAL);
	close(ends[0]);
	close(ends[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_small), TEST(test_sizes), TEST(test_large), TEST(test_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
