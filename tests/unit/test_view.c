/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Views, and the tries of their packages: copies share what is not changed, and walks visit what they promise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/sync/view.h"
#include "forge.h"
#include "torture.h"

static struct view_package *package_new(const char *text, uint64_t log_length)
{
	const struct store_position position = {.known = true, .registry_index = log_length - 1, .token = "t"};
	struct name name = forge_name(text);
	struct view_package *package;
	struct package_log *log;

	assert_int_equal(package_log_new(&name, &log, NULL), 0);
	assert_int_equal(view_package_new(log, &position, log_length, NULL, &package, NULL), 0);
	package_log_unref(log);
	return package;
}

static struct view_package *failed_package(const char *text)
{
	struct view_package *good = package_new(text, 1), *failed;
	const struct store_position position = view_package_position(good);
	struct fault flt = {0};

	fault_invalid(&flt, "spoilt");
	assert_int_equal(view_package_new(good->log, &position, 1, &flt, &failed, NULL), 0);
	view_package_unref(good);
	return failed;
}

static void put(struct view *view, const char *text, uint64_t log_length)
{
	assert_int_equal(view_put_take(view, package_new(text, log_length), NULL), 0);
}

static uint64_t length_of(const struct view *view, const char *text)
{
	struct name name = forge_name(text);
	const struct view_package *package = view_find(view, &name);

	return package ? package->log_length : 0;
}

#define MANY 3000 /* enough that packages share the first twelve bits of their log ids, and some more */

static void put_many(struct view *view, int first, int end, uint64_t log_length)
{
	char text[32];

	for (int i = first; i < end; i++) {
		snprintf(text, sizeof(text), "many:p%d", i);
		put(view, text, log_length);
	}
}

static void check_many(const struct view *view, int first, int end, uint64_t log_length)
{
	char text[32];

	for (int i = first; i < end; i++) {
		snprintf(text, sizeof(text), "many:p%d", i);
		assert_int_equal(length_of(view, text), log_length);
	}
}

/** What a walk visited. */
struct visits {
	size_t count, known;
	struct digest last; /* the id before */
};

static int visit(void *user, const struct view_package *package)
{
	struct visits *visits = user;

	assert_true(!visits->count++ || digest_compare(&visits->last, &package->log_id) < 0);
	visits->last = package->log_id;
	return 0;
}

static int visit_change(void *user, const struct view_package *known, const struct view_package *package)
{
	struct visits *visits = user;

	assert_true(!known || !strcmp(view_package_name_text(known), view_package_name_text(package)));
	assert_ptr_not_equal(known, package);
	visits->known += known != NULL;
	return visit(user, package);
}

static struct visits changes(const struct view *before, const struct view *after)
{
	struct visits visits = {0};

	assert_int_equal(view_trie_each_changed(&before->packages, &after->packages, visit_change, &visits), 0);
	return visits;
}

static void test_many(void **state)
{
	struct visits visits = {0};
	struct view *view;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	put_many(view, 0, MANY, 1);
	put_many(view, 0, MANY / 2, 2);
	assert_int_equal(view->packages.count, MANY);
	check_many(view, 0, MANY / 2, 2);
	check_many(view, MANY / 2, MANY, 1);
	check_many(view, MANY, MANY + 100, 0);
	assert_int_equal(view_trie_each(&view->packages, visit, &visits), 0);
	assert_int_equal(visits.count, MANY);
	view_unref(view);
}

/* A copy differs from what it was made of by what was put into either since, and by nothing else. */
static void test_changes(void **state)
{
	struct view *view, *copy;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	put_many(view, 0, MANY, 1);
	assert_int_equal(view_copy(view, &copy, NULL), 0);
	assert_ptr_equal(copy->packages.root, view->packages.root);
	assert_int_equal(changes(view, copy).count, 0);
	put_many(copy, MANY - 5, MANY + 7, 2);
	check_many(view, MANY - 5, MANY, 1);
	check_many(view, MANY, MANY + 7, 0);
	check_many(copy, MANY - 5, MANY + 7, 2);
	assert_int_equal(changes(view, copy).count, 12);
	assert_int_equal(changes(view, copy).known, 5);
	assert_int_equal(changes(copy, view).count, 5);
	view_unref(view);
	check_many(copy, 0, MANY - 5, 1);
	view_unref(copy);
}

static int stop_at_once(void *user, const struct view_package *package)
{
	(void)package;
	++*(int *)user;
	return 7;
}

/* Packages with a fault are found, until they are replaced by ones without. */
static void test_failed(void **state)
{
	struct visits visits = {0};
	struct view *view, *copy;
	int stopped = 0;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	put_many(view, 0, MANY, 1);
	assert_int_equal(view_copy(view, &copy, NULL), 0);
	for (int i = 0; i < 3; i++) {
		char text[32];
		struct view_package *package;

		snprintf(text, sizeof(text), "many:p%d", 100 * i);
		package = failed_package(text);
		assert_int_equal(view_put_take(copy, package, NULL), 0);
	}
	assert_int_equal(view_trie_each_failed(&copy->packages, visit, &visits), 0);
	assert_int_equal(visits.count, 3);
	assert_int_equal(view_trie_each_failed(&copy->packages, stop_at_once, &stopped), 7);
	assert_int_equal(stopped, 1);
	put_many(copy, 0, 101, 1);
	visits = (struct visits){0};
	assert_int_equal(view_trie_each_failed(&copy->packages, visit, &visits), 0);
	assert_int_equal(visits.count, 1);
	assert_int_equal(view_trie_each_failed(&view->packages, visit, &visits), 0);
	assert_int_equal(visits.count, 1);
	view_unref(view);
	view_unref(copy);
}

/* What is put into a copy is not seen in the view that it was made of, and outlives it. */
static void test_copy(void **state)
{
	struct view *view, *copy;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	assert_int_equal(operator_log_new(&view->operator, NULL), 0);
	view->verified_at = 7;
	put(view, "a:a", 1);
	put(view, "a:b", 1);
	assert_int_equal(view_copy(view, &copy, NULL), 0);
	put(copy, "a:a", 2);
	put(copy, "a:c", 2);
	assert_int_equal(view->packages.count, 2);
	assert_int_equal(length_of(view, "a:a"), 1);
	view_unref(view_ref(view));
	view_unref(view);
	assert_int_equal(copy->packages.count, 3);
	assert_int_equal(length_of(copy, "a:a"), 2);
	assert_int_equal(length_of(copy, "a:b"), 1);
	assert_int_equal(copy->verified_at, 7);
	assert_non_null(copy->operator);
	view_unref(copy);
	view_unref(NULL);
}

static int copy_and_put(void *context, struct fault *flt)
{
	const struct store_position position = {.known = true};
	struct name name = forge_name("a:new");
	const struct view *view = context;
	struct view_package *package;
	struct package_log *log;
	struct view *copy;
	int verdict;

	verdict = view_copy(view, &copy, flt);
	if (verdict)
		return verdict;
	verdict = package_log_new(&name, &log, flt);
	if (!verdict) {
		verdict = view_package_new(log, &position, 1, NULL, &package, flt);
		package_log_unref(log);
	}
	if (!verdict)
		verdict = view_put_take(copy, package, flt);
	if (verdict)
		assert_int_equal(copy->packages.count, view->packages.count);
	view_unref(copy);
	return verdict;
}

static void test_torture(void **state)
{
	struct view *view;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	put_many(view, 0, 300, 1);
	torture(copy_and_put, view);
	view_unref(view);
}

/* A position comes out as it went in: a token like the reference's, which is the head's record id, and any other. */
static void test_positions(void **state)
{
	struct ecdsa_private_key *key = forge_key(1);
	const struct log_head head = {digest_of(span_of_text("head")), {1, 0}};
	char head_token[DIGEST_TEXT_SIZE];
	const char *const tokens[] = {"", "t", head_token, "sha256:"};
	struct name name = forge_name("test:placed");
	struct package_log *log;

	(void)state;
	digest_format(&head.record_id, head_token);
	assert_int_equal(package_log_new(&name, &log, NULL), 0);
	assert_int_equal(package_log_restore_key(log, ecdsa_private_key_public(key), PERMISSIONS_PACKAGE, NULL), 0);
	assert_int_equal(package_log_restore_head(log, &head, NULL), 0);
	for (size_t i = 0; i < 4 * sizeof(tokens) / sizeof(tokens[0]); i++) {
		struct store_position before = {
			.known = i & 4, .is_kept = i & 8, .registry_index = i, .archived = 7 * i};
		struct view_package *package;
		struct store_position after;

		strcpy(before.token, tokens[i % 4]);
		assert_int_equal(view_package_new(log, &before, 1, NULL, &package, NULL), 0);
		after = view_package_position(package);
		assert_string_equal(after.token, before.token);
		assert_int_equal(after.known, before.known);
		assert_int_equal(after.is_kept, before.is_kept);
		assert_int_equal(after.registry_index, before.registry_index);
		assert_int_equal(after.archived, before.archived);
		view_package_unref(package);
	}
	package_log_unref(log);
	ecdsa_private_key_free(key);
}

/* A look is a look by name, in whichever view; a new package counts as one that was looked at. */
static void test_looks(void **state)
{
	struct name name = forge_name("a:b");
	struct digest log_id = name_log_id(&name);
	const struct view_package *package;
	struct view *view, *copy;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	put(view, "a:b", 1);
	put(view, "a:c", 1);
	package = view_trie_find(&view->packages, &log_id);
	assert_true(view_package_forget_look(package));
	assert_false(view_package_forget_look(package));
	assert_int_equal(view_copy(view, &copy, NULL), 0);
	assert_int_equal(length_of(copy, "a:c"), 1);
	assert_false(view_package_forget_look(package));
	assert_int_equal(length_of(copy, "a:b"), 1);
	assert_true(view_package_forget_look(package));
	view_unref(copy);
	view_unref(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
