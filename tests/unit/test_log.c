/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * fs/log.c: the log is rate-limited.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/log.h"
#include "scratch.h"
#include "verify/buf.h"

/* Log faults with different numbers, and return the text on stderr. */
static void gather(unsigned first, unsigned count, struct log *log, struct buf *out)
{
	int before = dup(STDERR_FILENO), file = open(scratch_place(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char piece[4096];
	ssize_t got;

	assert_true(before >= 0 && file >= 0);
	fflush(stderr);
	dup2(file, STDERR_FILENO);
	for (unsigned i = first; i < first + count; i++) {
		struct fault flt = {0};

		fault_invalid(&flt, "number %u\n", i);
		log_fault(log, "a/b", &flt);
		log_fault(log, "a/b", &flt);
	}
	fflush(stderr);
	dup2(before, STDERR_FILENO);
	close(before);
	lseek(file, 0, SEEK_SET);
	while ((got = read(file, piece, sizeof(piece))) > 0)
		buf_append(out, (struct span){(const unsigned char *)piece, (size_t)got}, NULL);
	close(file);
	buf_append(out, (struct span){(const unsigned char *)"", 1}, NULL);
}

static unsigned lines_of(const struct buf *text)
{
	unsigned count = 0;

	for (size_t i = 0; i < text->length; i++)
		count += text->data[i] == '\n';
	return count;
}

static void test_flood(void **state)
{
	struct log *log = NULL;
	struct buf said;
	char sentence[FAULT_SENTENCE_SIZE];
	int64_t when;

	(void)state;
	assert_int_equal(log_new("somebody", &log, NULL), 0);
	assert_false(log_last(log, sentence, &when));
	buf_init(&said, 1 << 20);
	gather(0, 2, log, &said);
	assert_string_equal((const char *)said.data, "somebody: a/b: number 0\\x0a\nsomebody: a/b: number 1\\x0a\n");
	buf_release(&said);
	gather(2, 1000, log, &said);
	assert_int_equal(lines_of(&said), LOG_BURST - 2);
	buf_release(&said);
	/* A fault that is not logged is still recorded. */
	assert_true(log_last(log, sentence, &when));
	assert_string_equal(sentence, "number 1001\\x0a");
	log_free(log);
	log_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
