/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Two states of a log, and where they differ (see recheck.h).
 */
#include "recheck_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/store/store_state.h"

/* ---- Differences ---- */

/* Room for one more, or NULL. What is not kept is counted. */
static struct recheck_difference *add(struct recheck_log *log)
{
	size_t at = log->difference_count++;

	if (!log->differences)
		log->differences = calloc(RECHECK_DIFFERENCES, sizeof(*log->differences));
	return log->differences && at < RECHECK_DIFFERENCES ? &log->differences[at] : NULL;
}

static void differ(struct recheck_log *log, const char *stored, const char *proven, const char *what,
		   va_list arguments)
{
	struct recheck_difference *difference = add(log);

	if (!difference)
		return;
	vsnprintf(difference->what, sizeof(difference->what), what, arguments);
	snprintf(difference->stored, sizeof(difference->stored), "%s", stored ? stored : "none");
	snprintf(difference->proven, sizeof(difference->proven), "%s", proven ? proven : "none");
}

void recheck_differ(struct recheck_log *log, const char *stored, const char *proven, const char *what, ...)
{
	va_list arguments;

	va_start(arguments, what);
	differ(log, stored, proven, what, arguments);
	va_end(arguments);
}

void recheck_differ_digest(struct recheck_log *log, const struct digest *stored, const struct digest *proven,
			   const char *what, ...)
{
	char texts[2][DIGEST_TEXT_SIZE];
	va_list arguments;

	if (stored == proven || (stored && proven && digest_equals(stored, proven)))
		return;
	if (stored)
		digest_format(stored, texts[0]);
	if (proven)
		digest_format(proven, texts[1]);
	va_start(arguments, what);
	differ(log, stored ? texts[0] : NULL, proven ? texts[1] : NULL, what, arguments);
	va_end(arguments);
}

static void compare_times(struct recheck_log *log, struct record_time stored, struct record_time proven,
			  const char *what, const char *version)
{
	char texts[2][40];

	if (!record_time_compare(stored, proven))
		return;
	store_state_format_time(stored, texts[0]);
	store_state_format_time(proven, texts[1]);
	recheck_differ(log, texts[0], texts[1], "%s%s", version, what);
}

/* ---- What both kinds of log have ---- */

static void format_permissions(unsigned permissions, char out[static 64])
{
	static const struct {
		unsigned permission;
		const char *name;
	} names[] = {
		{PERMISSION_RELEASE, "release"}, {PERMISSION_YANK, "yank"}, {PERMISSION_COMMIT, "commit"},
		{PERMISSION_DEFINE_NAMESPACE, "defineNamespace"},
		{PERMISSION_IMPORT_NAMESPACE, "importNamespace"},
	};
	size_t used = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (permissions & names[i].permission)
			used += (size_t)snprintf(out + used, 64 - used, "%s%s", used ? "," : "", names[i].name);
	if (!used)
		snprintf(out, 64, "nothing");
}

static void compare_key(struct recheck_log *log, const struct log_key *stored, const struct log_key *proven)
{
	const struct log_key *either = stored ? stored : proven;
	char id[DIGEST_TEXT_SIZE], texts[2][64];

	digest_format(ecdsa_public_key_id(either->key), id);
	if (!stored || !proven) {
		recheck_differ(log, stored ? "known" : "unknown", proven ? "known" : "unknown", "key %s", id);
	} else if (stored->permissions != proven->permissions) {
		format_permissions(stored->permissions, texts[0]);
		format_permissions(proven->permissions, texts[1]);
		recheck_differ(log, texts[0], texts[1], "permissions of key %s", id);
	}
}

static void compare_keys(struct recheck_log *log, const struct log_keys *stored, const struct log_keys *proven)
{
	for (size_t i = 0; i < stored->count; i++)
		compare_key(log, &stored->keys[i],
			    log_keys_find(proven, ecdsa_public_key_id(stored->keys[i].key)));
	for (size_t i = 0; i < proven->count; i++)
		if (!log_keys_find(stored, ecdsa_public_key_id(proven->keys[i].key)))
			compare_key(log, NULL, &proven->keys[i]);
}

static void compare_heads(struct recheck_log *log, const struct log_head *stored, const struct log_head *proven)
{
	recheck_differ_digest(log, stored ? &stored->record_id : NULL, proven ? &proven->record_id : NULL, "head");
	if (stored && proven)
		compare_times(log, stored->time, proven->time, "time of the head", "");
}

/* ---- Packages ---- */

static void compare_yank(struct recheck_log *log, const struct package_release *stored,
			 const struct package_release *proven, const char *version)
{
	if (!stored->yank != !proven->yank) {
		recheck_differ(log, stored->yank ? "yanked" : "released", proven->yank ? "yanked" : "released",
			       "%sstate", version);
		return;
	}
	/* What is yanked is stored without its content. */
	if (!stored->yank) {
		recheck_differ_digest(log, &stored->content, &proven->content, "%scontent", version);
		return;
	}
	recheck_differ_digest(log, &stored->yank->by, &proven->yank->by, "%syanked by", version);
	compare_times(log, stored->yank->at, proven->yank->at, "time of the yank", version);
}

static void compare_release(struct recheck_log *log, const struct package_release *stored,
			    const struct package_release *proven)
{
	char version[CAP_VERSION + 16];

	snprintf(version, sizeof(version), "version %s: ", stored->version);
	if (!proven) {
		recheck_differ(log, stored->yank ? "yanked" : "released", NULL, "%sstate", version);
		return;
	}
	recheck_differ_digest(log, &stored->record_id, &proven->record_id, "%srecord", version);
	recheck_differ_digest(log, &stored->by, &proven->by, "%sreleased by", version);
	compare_times(log, stored->time, proven->time, "time of the release", version);
	compare_yank(log, stored, proven, version);
}

void recheck_compare_package(struct recheck_log *log, const struct package_log *stored,
			     const struct package_log *proven)
{
	const struct package_release *releases;
	size_t count;

	compare_heads(log, package_log_head(stored), package_log_head(proven));
	compare_keys(log, package_log_keys(stored), package_log_keys(proven));
	releases = package_log_releases(stored, &count);
	for (size_t i = 0; i < count; i++)
		compare_release(log, &releases[i], package_log_find(proven, span_of_text(releases[i].version)));
	releases = package_log_releases(proven, &count);
	for (size_t i = 0; i < count; i++)
		if (!package_log_find(stored, span_of_text(releases[i].version)))
			recheck_differ(log, NULL, releases[i].yank ? "yanked" : "released", "version %s: state",
				       releases[i].version);
}

/* ---- The operator ---- */

/* NULL: there is no such namespace. */
static const char *kind_of(const struct operator_namespace *namespace)
{
	if (!namespace)
		return NULL;
	return namespace->registry ? namespace->registry : "defined here";
}

static void compare_namespace(struct recheck_log *log, const struct operator_namespace *stored,
			      const struct operator_namespace *proven)
{
	const char *kinds[2] = {kind_of(stored), kind_of(proven)};

	if (!kinds[0] || !kinds[1] || strcmp(kinds[0], kinds[1]))
		recheck_differ(log, kinds[0], kinds[1], "namespace %s", stored ? stored->name : proven->name);
}

void recheck_compare_operator(struct recheck_log *log, const struct operator_log *stored,
			      const struct operator_log *proven)
{
	const struct operator_namespace *namespaces;
	size_t count;

	compare_heads(log, operator_log_head(stored), operator_log_head(proven));
	compare_keys(log, operator_log_keys(stored), operator_log_keys(proven));
	namespaces = operator_log_namespaces(stored, &count);
	for (size_t i = 0; i < count; i++)
		compare_namespace(log, &namespaces[i], operator_log_find(proven, span_of_text(namespaces[i].name)));
	namespaces = operator_log_namespaces(proven, &count);
	for (size_t i = 0; i < count; i++)
		if (!operator_log_find(stored, span_of_text(namespaces[i].name)))
			compare_namespace(log, NULL, &namespaces[i]);
}
