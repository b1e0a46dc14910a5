/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Choosing releases (see release_choice.h).
 */
#include "release_choice.h"

#include <stdlib.h>
#include <string.h>

/* @param prefixed  keeps the text that `out` borrows from */
static int read_requirement(const char *text, struct buf *prefixed, struct semver_requirement *out, struct fault *flt)
{
	int verdict;

	if (*text >= '0' && *text <= '9') {
		verdict = buf_append_format(prefixed, flt, "=%s", text);
		if (verdict)
			return verdict;
		if (semver_requirement_parse(buf_span(prefixed), out, NULL) == 0)
			return 0;
	}
	if (semver_requirement_parse(span_of_text(text), out, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is neither a version, such as 1.0.0 (and no "
				       "leading v), nor a requirement, such as ^1.2 or '>=1, <3'", text);
	return 0;
}

/* Say which versions there are, when the one that was asked for is not. */
static int absent(const struct package_log *log, const char *asked, struct fault *flt)
{
	const struct package_release *best = package_log_best(log, NULL);
	const struct package_release *exact = package_log_find(log, span_of_text(asked));
	const char *name = package_log_name_text(log);

	if (exact && exact->yank)
		return fault_undecided(flt, FAULT_ABSENT, "version %s of %.100s was yanked", exact->version, name);
	if (!best)
		return fault_undecided(flt, FAULT_ABSENT, "%.100s has no release", name);
	return fault_undecided(flt, FAULT_ABSENT, "%.100s has no version %.60s; the latest is %s", name, asked,
			       best->version);
}

static bool is_version(const char *text)
{
	struct semver version;

	return semver_parse(span_of_text(text), &version, NULL) == 0;
}

int release_choose(const struct package_log *log, const char *asked, const struct package_release **out,
		   struct fault *flt)
{
	const struct package_release *release = NULL;
	struct semver_requirement requirement;
	struct buf prefixed;
	int verdict = 0;

	buf_init(&prefixed, CAP_REQUIREMENT);
	/* What --help calls the default is the default: also where there are only pre-releases. */
	if (!asked || !strcmp(asked, "*")) {
		release = package_log_best(log, NULL);
	} else if (is_version(asked)) {
		release = package_log_find(log, span_of_text(asked));
	} else {
		verdict = read_requirement(asked, &prefixed, &requirement, flt);
		release = verdict ? NULL : package_log_best(log, &requirement);
	}
	if (!verdict && (!release || release->yank))
		verdict = absent(log, asked ? asked : "*", flt);
	if (!verdict)
		*out = release;
	buf_release(&prefixed);
	return verdict;
}

static bool satisfies(const struct package_release *release, const struct semver_requirement *requirement)
{
	struct semver version;

	return semver_parse(span_of_text(release->version), &version, NULL) == 0 &&
	       semver_requirement_matches(requirement, &version);
}

int release_choose_all(const struct package_log *log, const char *asked, const struct package_release ***out,
		       size_t *count, struct fault *flt)
{
	const struct package_release *releases, **chosen;
	struct semver_requirement requirement;
	struct buf prefixed;
	size_t all, kept = 0;
	int verdict = 0;

	releases = package_log_releases(log, &all);
	chosen = calloc(all + 1, sizeof(*chosen));
	if (!chosen)
		return fault_no_memory(flt);
	buf_init(&prefixed, CAP_REQUIREMENT);
	if (asked)
		verdict = read_requirement(asked, &prefixed, &requirement, flt);
	for (size_t i = 0; !verdict && i < all; i++) {
		if (!releases[i].yank && (!asked || satisfies(&releases[i], &requirement)))
			chosen[kept++] = &releases[i];
	}
	if (!verdict && !kept)
		verdict = absent(log, asked ? asked : "*", flt);
	buf_release(&prefixed);
	if (verdict) {
		free(chosen);
		return verdict;
	}
	*out = chosen;
	*count = kept;
	return 0;
}
