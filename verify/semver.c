/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Versions and their order: semver.h.
 */
#include "semver.h"

#include <string.h>

#include "semver_text.h"

/* Read a whole version; `out` may be written even if it returns false. */
static bool read_version(struct span text, struct semver *out)
{
	if (!semver_text_take_number(&text, &out->major) || !semver_text_take(&text, '.') ||
	    !semver_text_take_number(&text, &out->minor) || !semver_text_take(&text, '.') ||
	    !semver_text_take_number(&text, &out->patch))
		return false;
	if (semver_text_take(&text, '-') && !semver_text_take_identifiers(&text, false, &out->prerelease))
		return false;
	if (semver_text_take(&text, '+') && !semver_text_take_identifiers(&text, true, &out->build))
		return false;
	return text.length == 0;
}

int semver_parse(struct span text, struct semver *out, struct fault *flt)
{
	struct semver version = { 0 };

	if (text.length > CAP_VERSION)
		return fault_invalid(flt, "a version of %zu bytes, more than %d", text.length, CAP_VERSION);
	if (!read_version(text, &version))
		return fault_invalid(flt, "\"%.*s\" is not a version", (int)text.length, (const char *)text.data);
	*out = version;
	return 0;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* In the order of the bytes; what is a beginning of the other is below it. */
static int compare_bytes(struct span a, struct span b)
{
	size_t common = a.length < b.length ? a.length : b.length;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	return order ? order : compare_numbers(a.length, b.length);
}

static struct span without_zeros(struct span digits)
{
	while (semver_text_take(&digits, '0'))
		;
	return digits;
}

/* Numbers by value, then by length: 0 < 00 < 1 < 01 < 2. In pre-releases, without zeros in front, it is the value. */
static int compare_digits(struct span a, struct span b)
{
	struct span a_value = without_zeros(a), b_value = without_zeros(b);
	int order = compare_numbers(a_value.length, b_value.length);

	if (order == 0)
		order = compare_bytes(a_value, b_value);
	return order ? order : compare_numbers(a.length, b.length);
}

/* One identifier with another: numbers are below words. */
static int compare_identifiers(struct span a, struct span b)
{
	bool a_is_number = semver_text_is_number(a), b_is_number = semver_text_is_number(b);

	if (a_is_number != b_is_number)
		return a_is_number ? -1 : 1;
	return a_is_number ? compare_digits(a, b) : compare_bytes(a, b);
}

/* Identifier by identifier; if all are equal, fewer are below more. */
static int compare_lists(struct span a, struct span b)
{
	struct span mine = { 0 }, other = { 0 };

	while (semver_text_next_identifier(&a, &mine)) {
		int order;

		if (!semver_text_next_identifier(&b, &other))
			return 1;
		order = compare_identifiers(mine, other);
		if (order)
			return order;
	}
	return b.length ? -1 : 0;
}

int semver_compare_prereleases(struct span a, struct span b)
{
	/* A release is above all of its pre-releases. */
	if (!a.length || !b.length)
		return (b.length != 0) - (a.length != 0);
	return compare_lists(a, b);
}

int semver_compare(const struct semver *a, const struct semver *b)
{
	int order = compare_numbers(a->major, b->major);

	if (order == 0)
		order = compare_numbers(a->minor, b->minor);
	if (order == 0)
		order = compare_numbers(a->patch, b->patch);
	if (order == 0)
		order = semver_compare_prereleases(a->prerelease, b->prerelease);
	return order ? order : compare_lists(a->build, b->build);
}
