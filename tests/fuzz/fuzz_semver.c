/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Versions and requirements. An input is a requirement and two versions, one a line.
 */
#include <string.h>

#include "fuzz.h"
#include "verify/semver.h"

static struct span take_line(struct span *rest)
{
	const unsigned char *end = rest->length ? memchr(rest->data, '\n', rest->length) : NULL;
	struct span line = { rest->data, end ? (size_t)(end - rest->data) : rest->length };

	rest->data += line.length + (end != NULL);
	rest->length -= line.length + (end != NULL);
	return line;
}

/* "1.2.3-a" and, if `build` is asked for, "+b". */
static void format(const struct semver *version, bool build, struct buf *out)
{
	fuzz_require(buf_append_format(out, NULL, "%llu.%llu.%llu", (unsigned long long)version->major,
				       (unsigned long long)version->minor, (unsigned long long)version->patch) == 0);
	if (version->prerelease.length)
		fuzz_require(buf_append_text(out, "-", NULL) == 0 && buf_append(out, version->prerelease, NULL) == 0);
	if (build && version->build.length)
		fuzz_require(buf_append_text(out, "+", NULL) == 0 && buf_append(out, version->build, NULL) == 0);
}

static void check_text(const struct semver *version, struct span text)
{
	struct buf out;

	buf_init(&out, CAP_VERSION);
	format(version, true, &out);
	fuzz_require(span_equals(buf_span(&out), text));
	buf_release(&out);
}

/* A version is exactly itself, and is what a caret in front of it allows. */
static void check_own_requirement(const struct semver *version)
{
	static const char *const operators[] = { "=", "^", "~", ">=", "<=", "" };
	struct semver_requirement requirement;

	for (size_t i = 0; i < sizeof(operators) / sizeof(operators[0]); i++) {
		struct buf text;

		buf_init(&text, CAP_VERSION + 8);
		fuzz_require(buf_append_text(&text, operators[i], NULL) == 0);
		format(version, false, &text);
		fuzz_require(semver_requirement_parse(buf_span(&text), &requirement, NULL) == 0);
		fuzz_require(semver_requirement_matches(&requirement, version));
		buf_release(&text);
	}
}

static bool parse(struct span text, struct semver *out)
{
	struct fault flt = { 0 };
	int r = semver_parse(text, out, &flt);

	fuzz_require_verdict(r, &flt);
	if (r)
		return false;
	check_text(out, text);
	check_own_requirement(out);
	return true;
}

static int sign(int number)
{
	return (number > 0) - (number < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct semver_requirement requirement;
	struct span rest = { data, size }, text = take_line(&rest), a_text = take_line(&rest);
	struct semver a, b;
	struct fault flt = { 0 };
	int r;

	r = semver_requirement_parse(text, &requirement, &flt);
	fuzz_require_verdict(r, &flt);
	if (!parse(a_text, &a))
		return 0;
	if (r == 0) {
		struct semver bare = a;

		bare.build = (struct span){ 0 };
		fuzz_require(semver_requirement_matches(&requirement, &a) ==
			     semver_requirement_matches(&requirement, &bare));
	}
	fuzz_require(semver_compare(&a, &a) == 0);
	if (parse(rest, &b)) {
		fuzz_require(sign(semver_compare(&a, &b)) == -sign(semver_compare(&b, &a)));
		/* The order is total: what is equal in it is one text. */
		fuzz_require((semver_compare(&a, &b) == 0) == span_equals(a_text, rest));
	}
	return 0;
}
