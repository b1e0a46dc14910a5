/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Versions and requirements: SemVer's own examples, and the answers of the Rust crate (tests/data/valid/semver).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "data.h"
#include "verify/semver.h"

static struct semver version(struct span text)
{
	struct semver out = { 0 };

	if (semver_parse(text, &out, NULL))
		fail_msg("not a version: %.*s", (int)text.length, (const char *)text.data);
	return out;
}

static int sign(int number)
{
	return (number > 0) - (number < 0);
}

/* SemVer 2.0.0, section 11, and build metadata behind it as the reference orders it: interop.md C 12. */
static void test_order(void **state)
{
	static const char *const ascending[] = {
		"0.9.9", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-alpha", "1.0.0-alpha.1",
		"1.0.0-alpha.beta",
		"1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.0+0", "1.0.0+00", "1.0.0+1",
		"1.0.0+01", "1.0.0+001", "1.0.0+2", "1.0.0+10", "1.0.0+10.a", "1.0.0+A", "1.0.0+a", "1.0.0+a.b",
		"2.0.0",
		"2.1.0", "2.1.1", "18446744073709551615.0.0",
	};
	const size_t count = sizeof(ascending) / sizeof(ascending[0]);

	(void)state;
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < count; j++) {
			struct semver a = version(span_of_text(ascending[i])), b = version(span_of_text(ascending[j]));

			assert_int_equal(sign(semver_compare(&a, &b)), (i > j) - (i < j));
		}
	}
}

static void test_parts(void **state)
{
	struct semver v = version(span_of_text("1.20.300-a.0b.-+001.x-"));

	(void)state;
	assert_int_equal(v.major, 1);
	assert_int_equal(v.minor, 20);
	assert_int_equal(v.patch, 300);
	assert_true(span_is(v.prerelease, "a.0b.-"));
	assert_true(span_is(v.build, "001.x-"));
}

static void test_refused(void **state)
{
	static const char *const texts[] = {
		"", "1", "1.2", "1.2.", "1.2.3.4", "v1.2.3", " 1.2.3", "1.2.3 ", "01.2.3", "1.02.3", "1.2.03", "1.2.3-",
		"1.2.3+", "1.2.3-01", "1.2.3-a..b", "1.2.3+a+b", "1.2.3-a_b", "18446744073709551616.0.0", "1.2.3/..",
		"-1.2.3", "1.2.3\n", "1.2.3-\xc3\xa9",
	};
	struct semver out, before;
	struct fault flt;
	char text[CAP_VERSION + 2];
	struct span longest;

	(void)state;
	memset(&out, 0x5a, sizeof(out));
	before = out;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		flt = (struct fault){ 0 };
		assert_int_equal(semver_parse(span_of_text(texts[i]), &out, &flt), WARG_INVALID);
		assert_int_equal(flt.kind, FAULT_FORGED);
		assert_memory_equal(&out, &before, sizeof(out));
	}
	assert_int_equal(semver_parse((struct span){ (const unsigned char *)"1.2.3\0", 6 }, &out, NULL), WARG_INVALID);
	memset(text, 'a', sizeof(text));
	memcpy(text, "1.2.3-", 6);
	longest = (struct span){ (unsigned char *)text, CAP_VERSION };
	assert_int_equal(semver_parse(longest, &out, NULL), 0);
	longest.length++;
	assert_int_equal(semver_parse(longest, &out, NULL), WARG_INVALID);
}

static void test_requirements(void **state)
{
	static const struct {
		const char *requirement, *version;
		bool matches;
	} rows[] = {
		{ "*", "1.2.3", true },           { "*", "1.2.3-a", false },        { "1.2.3", "1.9.0", true },
		{ "1.2.3", "2.0.0", false },      { "0.1.2", "0.1.9", true },       { "0.1.2", "0.2.0", false },
		{ "^0.0.3", "0.0.3", true },      { "^0.0.3", "0.0.4", false },     { "^0.0", "0.0.9", true },
		{ "^0", "0.9.0", true },          { "~1.2.3", "1.2.9", true },      { "~1.2.3", "1.3.0", false },
		{ "~1", "1.9.0", true },          { "1.*", "1.9.9", true },         { "1.2.*", "1.3.0", false },
		{ "=1.2", "1.2.9", true },        { "=1.2.3", "1.2.3+b", true },    { ">1.2", "1.2.9", false },
		{ ">1.2", "1.3.0", true },        { "<=1.2", "1.2.9", true },       { "<2, >=1.5", "1.6.0", true },
		{ "<2, >=1.5", "2.0.0", false },  { ">=1.2.3-a", "1.2.3-b", true }, { ">=1.2.3-a", "1.2.4-b", false },
		{ "^1.2.3-a", "1.2.3", true },    { "<1.2.3", "1.2.3-a", false },
		{ ">=1.0.0, <1.2.3-b", "1.2.3-a", true },
	};
	struct semver_requirement requirement;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct semver v = version(span_of_text(rows[i].version));

		assert_int_equal(semver_requirement_parse(span_of_text(rows[i].requirement), &requirement, NULL), 0);
		if (semver_requirement_matches(&requirement, &v) != rows[i].matches)
			fail_msg("%s and %s", rows[i].requirement, rows[i].version);
	}
}

static void ask_version(struct span text, bool accepted)
{
	struct semver out;

	assert_int_equal(semver_parse(text, &out, NULL), accepted ? 0 : WARG_INVALID);
}

static void ask_order(struct span a, struct span b, int order)
{
	struct semver first = version(a), second = version(b);

	assert_int_equal(sign(semver_compare(&first, &second)), order);
	assert_int_equal(sign(semver_compare(&second, &first)), -order);
}

static void ask_requirement(struct span text, bool accepted)
{
	struct semver_requirement out;

	assert_int_equal(semver_requirement_parse(text, &out, NULL), accepted ? 0 : WARG_INVALID);
}

static void ask_match(struct span text, struct span version_text, bool matches)
{
	struct semver_requirement requirement;
	struct semver v = version(version_text);

	assert_int_equal(semver_requirement_parse(text, &requirement, NULL), 0);
	assert_int_equal(semver_requirement_matches(&requirement, &v), matches);
}

static void test_as_the_crate(void **state)
{
	struct buf table = data_read("tests/data/valid/semver/crate.tsv");
	struct span rest = buf_span(&table), line;
	size_t lines = 0;

	(void)state;
	for (; data_next(&rest, '\n', &line); lines++) {
		struct span whole = line, cells[4] = { 0 };
		size_t count = 0;
		int answer;

		while (count < 4 && data_next(&line, '\t', &cells[count]))
			count++;
		assert_true(count >= 3);
		answer = cells[count - 1].data[cells[count - 1].length - 1] - '0';
		if (cells[count - 1].data[0] == '-')
			answer = -answer;
		print_message("%.*s\n", (int)whole.length, (const char *)whole.data);
		if (span_is(cells[0], "version"))
			ask_version(cells[1], answer);
		else if (span_is(cells[0], "order"))
			ask_order(cells[1], cells[2], answer);
		else if (span_is(cells[0], "requirement"))
			ask_requirement(cells[1], answer);
		else
			ask_match(cells[1], cells[2], answer);
	}
	assert_true(lines > 2000);
	buf_release(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_requirements),
		cmocka_unit_test(test_as_the_crate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
