/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Growing arrays (array.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "verify/array.h"

static void test_items_stay(void **state)
{
	size_t count = 0, capacity = 0, moves = 0;
	uint32_t *items = NULL;

	(void)state;
	for (; count < 1000; count++) {
		const size_t before = capacity;

		assert_int_equal(array_reserve(&items, count, &capacity, sizeof(*items), NULL), 0);
		moves += capacity != before;
		assert_true(capacity > count);
		items[count] = (uint32_t)count;
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(items[i], i);
	assert_int_equal(moves, 11); /* 1, 2, 4 … 1024 */
	free(items);
}

/* What cannot be had, or counted, is a lack of memory; the array is as it was. */
static void test_too_large(void **state)
{
	size_t capacities[] = { SIZE_MAX / 8, SIZE_MAX / 2 + 1, SIZE_MAX };
	char item = 'x', *items = &item;

	(void)state;
	for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
		size_t capacity = capacities[i];
		struct fault flt = {0};

		assert_int_equal(array_reserve(&items, capacity, &capacity, 16, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_SYSTEM);
		assert_int_equal(capacity, capacities[i]);
		assert_ptr_equal(items, &item);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_items_stay), cmocka_unit_test(test_too_large)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
