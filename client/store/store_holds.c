/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Whether a state in the registry's folder is the one that was proven: store.h.
 *
 * Its head alone does not tell: whoever can write there can leave that as it is, and change what led to it.
 */
#include "store_parts.h"

#include <string.h>

static bool same_time(struct record_time a, struct record_time b)
{
	return !record_time_compare(a, b);
}

static bool same_head(const struct log_head *a, const struct log_head *b)
{
	if (!a || !b)
		return a == b;
	return digest_equals(&a->record_id, &b->record_id) && same_time(a->time, b->time);
}

static bool same_keys(const struct log_keys *a, const struct log_keys *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct log_key *other = log_keys_find(b, ecdsa_public_key_id(a->keys[i].key));

		if (!other || other->permissions != a->keys[i].permissions)
			return false;
	}
	return true;
}

static bool same_release(const struct package_release *a, const struct package_release *b)
{
	if (!digest_equals(&a->record_id, &b->record_id) || !digest_equals(&a->by, &b->by) ||
	    !same_time(a->time, b->time) || !a->yank != !b->yank)
		return false;
	/* The content of what was yanked is not kept there. */
	return a->yank ? digest_equals(&a->yank->by, &b->yank->by) && same_time(a->yank->at, b->yank->at) :
			   digest_equals(&a->content, &b->content);
}

static bool same_releases(const struct package_log *a, const struct package_log *b)
{
	size_t count, others;
	const struct package_release *releases = package_log_releases(a, &count);

	package_log_releases(b, &others);
	if (count != others)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct package_release *other = package_log_find(b, span_of_text(releases[i].version));

		if (!other || !same_release(&releases[i], other))
			return false;
	}
	return true;
}

bool store_same_package(const struct package_log *a, const struct package_log *b)
{
	return same_head(package_log_head(a), package_log_head(b)) &&
	       same_keys(package_log_keys(a), package_log_keys(b)) && same_releases(a, b);
}

static bool same_namespaces(const struct operator_log *a, const struct operator_log *b)
{
	size_t count, others;
	const struct operator_namespace *namespaces = operator_log_namespaces(a, &count);

	operator_log_namespaces(b, &others);
	if (count != others)
		return false;
	for (size_t i = 0; i < count; i++) {
		const struct operator_namespace *other = operator_log_find(b, span_of_text(namespaces[i].name));

		if (!other || !namespaces[i].registry != !other->registry ||
		    (other->registry && strcmp(other->registry, namespaces[i].registry)))
			return false;
	}
	return true;
}

bool store_same_operator(const struct operator_log *a, const struct operator_log *b)
{
	return same_head(operator_log_head(a), operator_log_head(b)) &&
	       same_keys(operator_log_keys(a), operator_log_keys(b)) && same_namespaces(a, b);
}

bool store_holds_operator(struct store *store, const struct operator_log *log)
{
	struct store_position position;
	struct operator_log *there = NULL;
	bool same;

	if (store_load_operator(store, &there, &position, NULL) || !there)
		return false;
	same = store_same_operator(log, there);
	operator_log_unref(there);
	return same;
}
