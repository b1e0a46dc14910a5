/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Many names in little memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/name_list.h"
#include "forge.h"
#include "torture.h"

static void add(struct name_list *list, const char *text)
{
	struct name name = forge_name(text);

	assert_int_equal(name_list_add(list, &name, NULL), 0);
}

static void test_sorted(void **state)
{
	static const char *const given[] = {"test:b", "test-two:a", "test:a", "test:b", "abc:zebra", "test:a",
					    "test:ab"};
	static const char *const sorted[] = {"abc:zebra", "test-two:a", "test:a", "test:ab", "test:b"};
	struct name_list list = {0}, copy = {0};
	struct name name;

	(void)state;
	name_list_sort(&list);
	assert_int_equal(name_list_find(&list, "a:b"), 0);
	for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++)
		add(&list, given[i]);
	name_list_sort(&list);
	assert_int_equal(list.count, 5);
	assert_int_equal(name_list_copy(&list, &copy, NULL), 0);
	name_list_release(&list);
	for (size_t i = 0; i < copy.count; i++) {
		assert_string_equal(name_list_text(&copy, i), sorted[i]);
		assert_int_equal(name_list_find(&copy, sorted[i]), i);
		name = name_list_at(&copy, i);
		assert_true(span_equals(name_namespace(&name), name_list_namespace(&copy, i)));
		assert_true(span_equals(name_package(&name), name_list_package(&copy, i)));
	}
	assert_int_equal(name_list_find(&copy, "test:aa"), 3);
	assert_int_equal(name_list_find(&copy, "zebra:"), 5);
	add(&copy, "more:names");
	assert_int_equal(copy.count, 6);
	name_list_release(&copy);
	assert_int_equal(name_list_copy(&list, &copy, NULL), 0);
	assert_int_equal(copy.count, 0);
}

/* Adding fails at the bound of bytes, and the list stays as it was. */
static void test_limit(void **state)
{
	struct name_list list = {0};
	struct fault flt = {0};
	struct name name;
	size_t count = 0;

	(void)state;
	memset(name.text, 'a', sizeof(name.text));
	name.text[CAP_NAME_PART] = ':';
	name.text[2 * CAP_NAME_PART + 1] = 0;
	while (!name_list_add(&list, &name, &flt))
		count++;
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_int_equal(list.count, count);
	assert_int_equal(count, CAP_LISTED_NAMES / (2 * CAP_NAME_PART + 2));
	name_list_sort(&list);
	assert_int_equal(list.count, 1);
	name_list_release(&list);
}

static int use_once(void *context, struct fault *flt)
{
	struct name_list list = {0}, copy = {0};
	int r = 0;

	for (unsigned i = 0; !r && i < 100; i++) {
		char text[32];
		struct name name;

		snprintf(text, sizeof(text), "test:a%u", i);
		name = forge_name(text);
		r = name_list_add(&list, &name, flt);
		assert_int_equal(list.count, r ? i : i + 1);
	}
	if (!r)
		r = name_list_copy(&list, &copy, flt);
	name_list_release(&copy);
	name_list_release(&list);
	(void)context;
	return r;
}

static void test_torture(void **state)
{
	torture(use_once, *state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
