/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Making up views (see views.h).
 */
#include "views.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"

/* The contents of versions differ, and are the same in every view. */
static struct package_release new_release(const char *word, int64_t second, struct package_yank *yank)
{
	struct package_release release = { .version = word[0] == '-' ? word + 1 : word,
					   .record_id = digest_of(span_of_text(word)),
					   .by = digest_of(span_of_text("who released")),
					   .time = { second, 0 } };

	release.content = digest_of(span_of_text(release.version));
	if (word[0] == '-') {
		*yank = (struct package_yank){ digest_of(span_of_text("who yanked")), { second + 1000, 7 } };
		release.yank = yank;
	}
	return release;
}

static void restore(struct package_log *log, char *words)
{
	struct ecdsa_private_key *key = forge_key(2);
	struct log_head head = { digest_of(span_of_text("head")), { VIEWS_SECOND, 0 } };

	for (const char *rest = words; rest && *rest; rest = strchr(rest, ' '), rest = rest ? rest + 1 : NULL)
		head.time.seconds++;
	assert_int_equal(package_log_restore_key(log, ecdsa_private_key_public(key), PERMISSIONS_PACKAGE, NULL), 0);
	assert_int_equal(package_log_restore_head(log, &head, NULL), 0);
	head.time.seconds = VIEWS_SECOND;
	for (char *word; (word = strsep(&words, " "));) {
		struct package_yank yank;
		struct package_release release = new_release(word, ++head.time.seconds, &yank);

		assert_int_equal(package_log_restore_release(log, &release, NULL), 0);
	}
	ecdsa_private_key_free(key);
}

static void put_package(struct view *view, const char *words)
{
	const struct store_position position = { .known = true, .registry_index = 1 };
	char *copy = strdup(words), *rest = copy;
	struct name name = forge_name(strsep(&rest, " "));
	struct view_package *package;
	struct package_log *log;

	assert_int_equal(package_log_new(&name, &log, NULL), 0);
	restore(log, rest);
	assert_int_equal(view_package_new(log, &position, 1, NULL, &package, NULL), 0);
	assert_int_equal(view_put_take(view, package, NULL), 0);
	package_log_unref(log);
	free(copy);
}

static struct listing *new_listing(const char *const *names, bool is_complete, const uint32_t *last)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	atomic_init(&listing->references, 1);
	listing->complete = is_complete;
	for (; *names; names++) {
		struct name name = forge_name(*names);

		assert_int_equal(name_list_add(&listing->names, &name, NULL), 0);
	}
	name_list_sort(&listing->names);
	if (last) {
		listing->last = calloc(listing->names.count + 1, sizeof(*last));
		memcpy(listing->last, last, listing->names.count * sizeof(*last));
	}
	return listing;
}

struct view *views_make(const struct views_words *words)
{
	struct view *view;

	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	for (const char *const *package = words->packages; package && *package; package++)
		put_package(view, *package);
	if (words->listed)
		view->listing = new_listing(words->listed, words->is_complete, words->last);
	view->verified_at = VIEWS_SECOND + 9000;
	view->checkpoint.contents.timestamp = VIEWS_SECOND + 8000;
	return view;
}

void views_spoil(struct view *view, const char *package)
{
	struct name name = forge_name(package);
	const struct view_package *whole = view_find(view, &name);
	const struct store_position position = view_package_position(whole);
	struct view_package *spoilt;
	struct fault flt = {0};

	fault_invalid(&flt, "spoilt");
	assert_int_equal(view_package_new(whole->log, &position, whole->log_length, &flt, &spoilt, NULL), 0);
	assert_int_equal(view_put_take(view, spoilt, NULL), 0);
}
