/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Faults: the first wins, texts are printable, and the sentence holds all of it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "verify/fault.h"

static void test_first_wins(void **state)
{
	struct fault flt = { 0 };

	(void)state;
	assert_int_equal(fault_invalid(&flt, "lie %d", 1), WARG_INVALID);
	assert_int_equal(fault_undecided(&flt, FAULT_TIMEOUT, "late"), WARG_UNDECIDED);
	assert_int_equal(fault_system(&flt, EIO, "disk"), WARG_UNDECIDED);
	assert_int_equal(flt.verdict, WARG_INVALID);
	assert_int_equal(flt.kind, FAULT_FORGED);
	assert_int_equal(flt.errnum, 0);
	assert_string_equal(flt.what, "lie 1");
}

/* Passing a fault on copies it; passing none leaves none. */
static void test_pass(void **state)
{
	struct fault none = { 0 }, first = { 0 }, second = { 0 }, flt = { 0 };

	(void)state;
	fault_invalid(&first, "first");
	fault_undecided(&second, FAULT_TIMEOUT, "second");
	fault_pass(&none, &flt);
	assert_int_equal(flt.verdict, 0);
	fault_pass(&first, &flt);
	fault_pass(&none, &flt);
	fault_pass(&second, &flt);
	assert_string_equal(flt.what, "first");
	assert_int_equal(flt.verdict, WARG_INVALID);
	fault_pass(&first, NULL);
}

static void test_kinds(void **state)
{
	struct fault flt = { 0 };

	(void)state;
	assert_int_equal(fault_undecided(&flt, FAULT_ABSENT, "%s", "nothing there"), WARG_UNDECIDED);
	assert_int_equal(flt.verdict, WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_string_equal(flt.what, "nothing there");

	flt = (struct fault){ 0 };
	assert_int_equal(fault_system(&flt, ENOSPC, "writing %s", "x"), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	assert_int_equal(flt.errnum, ENOSPC);
	assert_string_equal(flt.what, "writing x: No space left on device");

	flt = (struct fault){ 0 };
	assert_int_equal(fault_system(&flt, 9999, "writing"), WARG_UNDECIDED);
	assert_string_equal(flt.what, "writing: error 9999");

	flt = (struct fault){ 0 };
	assert_int_equal(fault_no_memory(&flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, ENOMEM);
}

static void test_where(void **state)
{
	struct fault flt = { 0 };

	(void)state;
	fault_at(&flt, "nowhere");
	assert_string_equal(flt.where, "");
	fault_invalid(&flt, "bad");
	fault_at(&flt, "entry %d", 1);
	fault_at(&flt, "record %d", 3);
	assert_string_equal(flt.where, "record 3, entry 1");
}

static void test_more(void **state)
{
	struct fault flt = { 0 };

	(void)state;
	fault_add(&flt, "nothing");
	assert_string_equal(flt.what, "");
	fault_invalid(&flt, "bad");
	fault_add(&flt, "see %s", "file\t1");
	assert_string_equal(flt.what, "bad; see file\\x091");
	for (int i = 0; i < 100; i++)
		fault_add(&flt, "and more");
	assert_int_equal(strlen(flt.what), sizeof(flt.what) - 1);
	fault_add(NULL, "x");
}

static void test_blame(void **state)
{
	struct fault flt = { 0 };

	(void)state;
	fault_blame(&flt, FAULT_BY_CACHE);
	assert_int_equal(flt.party, FAULT_BY_UNKNOWN);
	fault_invalid(&flt, "bad");
	fault_blame(&flt, FAULT_BY_REGISTRY);
	fault_blame(&flt, FAULT_BY_CACHE);
	assert_int_equal(flt.party, FAULT_BY_REGISTRY);
}

static void test_without_a_fault(void **state)
{
	(void)state;
	assert_int_equal(fault_invalid(NULL, "x"), WARG_INVALID);
	assert_int_equal(fault_undecided(NULL, FAULT_LIMIT, "x"), WARG_UNDECIDED);
	assert_int_equal(fault_system(NULL, EIO, "x"), WARG_UNDECIDED);
	assert_int_equal(fault_no_memory(NULL), WARG_UNDECIDED);
	fault_at(NULL, "x");
	fault_blame(NULL, FAULT_BY_USER);
}

static void test_sentences(void **state)
{
	static const struct {
		enum fault_party party;
		bool forged;
		const char *where, *sentence;
	} rows[] = {
		{ FAULT_BY_UNKNOWN, true, "", "bad" },
		{ FAULT_BY_UNKNOWN, true, "record 3", "record 3: bad" },
		{ FAULT_BY_REGISTRY, true, "record 3", "the registry's answer is not valid: record 3: bad" },
		{ FAULT_BY_REGISTRY, false, "record 3", "record 3: bad" },
		{ FAULT_BY_SOURCE, true, "", "the content source's answer is not valid: bad" },
		{ FAULT_BY_SOURCE, false, "", "bad" },
		{ FAULT_BY_CACHE, true, "", "bad" },
		{ FAULT_BY_NETWORK, false, "", "bad" },
		{ FAULT_BY_USER, true, "", "bad" },
		{ FAULT_BY_SYSTEM, true, "x", "x: bad" },
	};
	char sentence[FAULT_SENTENCE_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault flt = { 0 };

		if (rows[i].forged)
			fault_invalid(&flt, "bad");
		else
			fault_undecided(&flt, FAULT_REFUSED, "bad");
		if (rows[i].where[0])
			fault_at(&flt, "%s", rows[i].where);
		fault_blame(&flt, rows[i].party);
		fault_sentence(&flt, sentence);
		assert_string_equal(sentence, rows[i].sentence);
	}
}

/* A stranger's words neither move a terminal's cursor nor break a line of the log, and are cut where they must be. */
static void test_hostile_texts(void **state)
{
	char sentence[FAULT_SENTENCE_SIZE], longest[2000];
	struct fault flt = { 0 };

	(void)state;
	fault_invalid(&flt, "a\033[2J\nb\x7f\xc3\xa9\xff");
	fault_at(&flt, "x\ty");
	assert_string_equal(flt.what, "a\\x1b[2J\\x0ab\\x7f\xc3\xa9\\xff");
	assert_string_equal(flt.where, "x\\x09y");

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	flt = (struct fault){ 0 };
	fault_system(&flt, EIO, "%s", longest);
	assert_int_equal(strlen(flt.what), sizeof(flt.what) - 1);
	fault_at(&flt, "inner");
	fault_at(&flt, "%s", longest);
	assert_int_equal(strlen(flt.where), sizeof(flt.where) - 1);
	fault_blame(&flt, FAULT_BY_SOURCE);
	flt.kind = FAULT_FORGED;
	fault_sentence(&flt, sentence);
	/* Nothing of it is cut a second time. */
	assert_int_equal(strlen(sentence), strlen(fault_accusation(&flt)) + strlen(": ") + sizeof(flt.where) - 1 +
					   sizeof(flt.what) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_wins),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_more),
		cmocka_unit_test(test_blame),
		cmocka_unit_test(test_without_a_fault),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_hostile_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
