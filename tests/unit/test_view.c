/*
 * Views: copies that share their packages, kept in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/view.h"
#include "forge.h"
#include "torture.h"

static struct view_package *package_new(const char *text, uint64_t log_length)
{
	const struct store_position position = {.known = true, .registry_index = log_length - 1, .token = "t"};
	struct name name = forge_name(text);
	struct view_package *package;
	struct package_log *log;

	assert_int_equal(package_log_new(&name, &log, NULL), 0);
	assert_int_equal(view_package_new(&name, log, &position, log_length, &package, NULL), 0);
	package_log_unref(log);
	return package;
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

static void test_sorted(void **state)
{
	static const char *const texts[] = {"b:b", "a:z", "a-a:b", "c:a", "a:b", "b:b1"};
	static const char *const sorted[] = {"a-a:b", "a:b", "a:z", "b:b", "b:b1", "c:a"};
	struct view *view;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	for (size_t i = 0; i < 6; i++)
		put(view, texts[i], i + 1);
	assert_int_equal(view->package_count, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(view->packages[i]->name.text, sorted[i]);
		assert_int_equal(length_of(view, texts[i]), i + 1);
	}
	assert_int_equal(length_of(view, "a:c"), 0);
	view_unref(view);
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
	assert_int_equal(view->package_count, 2);
	assert_int_equal(length_of(view, "a:a"), 1);
	view_unref(view_ref(view));
	view_unref(view);
	assert_int_equal(copy->package_count, 3);
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
	struct view *copy;
	int verdict;

	verdict = view_copy(view, &copy, flt);
	if (verdict)
		return verdict;
	verdict = view_package_new(&name, view->packages[0]->log, &position, 1, &package, flt);
	if (!verdict)
		verdict = view_put_take(copy, package, flt);
	view_unref(copy);
	return verdict;
}

static void test_torture(void **state)
{
	struct view *view;

	(void)state;
	assert_int_equal(view_copy(NULL, &view, NULL), 0);
	put(view, "a:a", 1);
	torture(copy_and_put, view);
	view_unref(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
