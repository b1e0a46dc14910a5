/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Requirements in Cargo's grammar: semver.h. They accept and match what the Rust crate `semver` 1.0 does.
 */
#include "semver.h"
#include "semver_text.h"

/* ---- Parsing ---- */

static void skip_spaces(struct span *rest)
{
	while (semver_text_take(rest, ' '))
		;
}

static bool take_wildcard(struct span *rest)
{
	return semver_text_take(rest, '*') || semver_text_take(rest, 'x') || semver_text_take(rest, 'X');
}

/* Take an operator; false, and caret, if there is none. */
static bool take_operator(struct span *rest, enum semver_operator *out)
{
	*out = SEMVER_CARET;
	if (semver_text_take(rest, '='))
		*out = SEMVER_EXACT;
	else if (semver_text_take(rest, '>'))
		*out = semver_text_take(rest, '=') ? SEMVER_GREATER_EQ : SEMVER_GREATER;
	else if (semver_text_take(rest, '<'))
		*out = semver_text_take(rest, '=') ? SEMVER_LESS_EQ : SEMVER_LESS;
	else if (semver_text_take(rest, '~'))
		*out = SEMVER_TILDE;
	else
		return semver_text_take(rest, '^');
	return true;
}

/* Take ".2", ".*" or nothing. @param wildcard  set if it was a wildcard @return false for anything else */
static bool take_part(struct span *rest, uint64_t *out, bool *has, bool *wildcard)
{
	if (!semver_text_take(rest, '.'))
		return true;
	if (take_wildcard(rest)) {
		*wildcard = true;
		return true;
	}
	*has = semver_text_take_number(rest, out);
	return *has;
}

static bool take_comparator(struct span *rest, struct semver_comparator *out)
{
	bool minor_wildcard = false, patch_wildcard = false, bare;
	struct span build;

	bare = !take_operator(rest, &out->operator);
	skip_spaces(rest);
	if (!semver_text_take_number(rest, &out->major) ||
	    !take_part(rest, &out->minor, &out->has_minor, &minor_wildcard) ||
	    !take_part(rest, &out->patch, &out->has_patch, &patch_wildcard))
		return false;
	if (minor_wildcard && out->has_patch)
		return false;
	if (bare && (minor_wildcard || patch_wildcard))
		out->operator = SEMVER_WILDCARD;
	/* Behind anything but three numbers, these are left for the caller to stumble over. */
	if (out->has_patch && semver_text_take(rest, '-') &&
	    !semver_text_take_identifiers(rest, false, &out->prerelease))
		return false;
	if (out->has_patch && semver_text_take(rest, '+') && !semver_text_take_identifiers(rest, true, &build))
		return false;
	skip_spaces(rest);
	return true;
}

/* A wildcard alone, which stands for no comparator at all. */
static bool is_wildcard(struct span text)
{
	if (!take_wildcard(&text))
		return false;
	skip_spaces(&text);
	return text.length == 0;
}

/* Comparators with commas between; `out` may be written even if it returns false. */
static bool read_comparators(struct span rest, struct semver_requirement *out)
{
	for (out->count = 0; out->count < CAP_COMPARATORS;) {
		struct semver_comparator *comparator = &out->comparators[out->count++];

		*comparator = (struct semver_comparator){ 0 };
		if (!take_comparator(&rest, comparator))
			return false;
		if (rest.length == 0)
			return true;
		if (!semver_text_take(&rest, ','))
			return false;
		skip_spaces(&rest);
	}
	return false;
}

int semver_requirement_parse(struct span text, struct semver_requirement *out, struct fault *flt)
{
	struct semver_requirement requirement;
	struct span rest = text;

	skip_spaces(&rest);
	if (is_wildcard(rest))
		requirement.count = 0;
	else if (!read_comparators(rest, &requirement))
		return fault_invalid(flt, "\"%.*s\" is not a version requirement",
				     (int)(text.length < 200 ? text.length : 200), (const char *)text.data);
	out->count = requirement.count;
	for (size_t i = 0; i < requirement.count; i++)
		out->comparators[i] = requirement.comparators[i];
	return 0;
}

/* ---- Matching ---- */

static int compare_numbers(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static bool matches_exactly(const struct semver_comparator *comparator, const struct semver *version)
{
	return version->major == comparator->major &&
	       (!comparator->has_minor || version->minor == comparator->minor) &&
	       (!comparator->has_patch || version->patch == comparator->patch) &&
	       span_equals(version->prerelease, comparator->prerelease);
}

/*
 * How the version stands to the comparator as far as that one goes: >0 above, <0 below, and 0 if a part that it leaves
 * out would have to tell.
 */
static int compare_to(const struct semver *version, const struct semver_comparator *comparator)
{
	int order = compare_numbers(version->major, comparator->major);

	if (order || !comparator->has_minor)
		return order;
	order = compare_numbers(version->minor, comparator->minor);
	if (order || !comparator->has_patch)
		return order;
	order = compare_numbers(version->patch, comparator->patch);
	return order ? order : semver_compare_prereleases(version->prerelease, comparator->prerelease);
}

static bool matches_tilde(const struct semver_comparator *comparator, const struct semver *version)
{
	if (version->major != comparator->major || (comparator->has_minor && version->minor != comparator->minor))
		return false;
	return comparator->has_patch ? compare_to(version, comparator) >= 0 : version->prerelease.length == 0;
}

/* No change of the first number that is not 0. */
static bool matches_caret(const struct semver_comparator *comparator, const struct semver *version)
{
	if (version->major != comparator->major)
		return false;
	if (comparator->major == 0 && comparator->has_minor) {
		if (version->minor != comparator->minor)
			return false;
		if (comparator->minor == 0 && comparator->has_patch && version->patch != comparator->patch)
			return false;
	}
	return compare_to(version, comparator) >= 0;
}

static bool matches(const struct semver_comparator *comparator, const struct semver *version)
{
	switch (comparator->operator) {
	case SEMVER_EXACT:
	case SEMVER_WILDCARD:
		return matches_exactly(comparator, version);
	case SEMVER_GREATER:
		return compare_to(version, comparator) > 0;
	case SEMVER_GREATER_EQ:
		return compare_to(version, comparator) > 0 || matches_exactly(comparator, version);
	case SEMVER_LESS:
		return compare_to(version, comparator) < 0;
	case SEMVER_LESS_EQ:
		return compare_to(version, comparator) < 0 || matches_exactly(comparator, version);
	case SEMVER_TILDE:
		return matches_tilde(comparator, version);
	case SEMVER_CARET:
		return matches_caret(comparator, version);
	}
	return false;
}

/* Whether the comparator names a pre-release of the very version that this one is a pre-release of. */
static bool admits_prerelease(const struct semver_comparator *comparator, const struct semver *version)
{
	return comparator->has_patch && comparator->prerelease.length && comparator->major == version->major &&
	       comparator->minor == version->minor && comparator->patch == version->patch;
}

bool semver_requirement_matches(const struct semver_requirement *requirement, const struct semver *version)
{
	bool admitted = version->prerelease.length == 0;

	for (size_t i = 0; i < requirement->count; i++) {
		if (!matches(&requirement->comparators[i], version))
			return false;
		admitted |= admits_prerelease(&requirement->comparators[i], version);
	}
	return admitted;
}
