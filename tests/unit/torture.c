/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Allocations that fail on demand: torture.h.
 */
#include "torture.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TORTURE_ROUNDS 100000 /* an operation that still fails then never succeeds */

/* How many allocations this thread has left until one fails; below 0 nothing fails. Others go on undisturbed. */
static _Thread_local long left = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t size);

/* Whether this allocation is the one to fail. Only one does: what comes after it has memory again. */
static bool fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
	return fails() ? NULL : __real_reallocarray(old, count, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t size)
{
	return fails() ? NULL : __real_strndup(text, size);
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return size ? malloc(size) : NULL;
}

static void *openssl_realloc(void *old, size_t size, const char *file, int line)
{
	(void)file;
	(void)line;
	return realloc(old, size);
}

static void openssl_free(void *memory, const char *file, int line)
{
	(void)file;
	(void)line;
	free(memory);
}

/* OpenSSL takes these only before its first allocation, so before main(). jansson's go through client/base/json.c. */
__attribute__((constructor)) static void hook_openssl(void)
{
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
		abort();
}

static size_t run(torture_operation *operation, void *context, long step)
{
	struct fault flt = { 0 };

	assert_int_equal(operation(context, &flt), 0);
	for (long round = 0; round < TORTURE_ROUNDS; round += step) {
		bool failed;
		int verdict;

		flt = (struct fault){ 0 };
		left = round;
		verdict = operation(context, &flt);
		failed = left < 0;
		left = -1;
		if (verdict == 0) {
			/* It may do without what it could not have; only when nothing failed is this the end. */
			assert_int_equal(flt.verdict, 0);
			if (!failed)
				return (size_t)round;
			continue;
		}
		if (verdict != WARG_UNDECIDED || flt.verdict != WARG_UNDECIDED)
			print_error("allocation %ld failed: verdict %d, fault %d: %s\n", round, verdict, flt.verdict,
				    flt.what);
		assert_int_equal(verdict, WARG_UNDECIDED);
		assert_int_equal(flt.verdict, WARG_UNDECIDED);
		assert_true(failed);
	}
	fail_msg("still failing after %d rounds", TORTURE_ROUNDS);
	return 0;
}

size_t torture_some(torture_operation *operation, void *context, long step)
{
	size_t count = run(operation, context, step);

	assert_true(count > 0);
	return count;
}

size_t torture(torture_operation *operation, void *context)
{
	return torture_some(operation, context, 1);
}

size_t torture_any(torture_operation *operation, void *context)
{
	return run(operation, context, 1);
}
