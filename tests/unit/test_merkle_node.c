/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Node numbers, against the definition: the node of height h that is the k-th of its height has the number
 * (2k + 1) × 2^h - 1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verify/merkle_node.h"

static uint64_t node_at(unsigned height, uint64_t place)
{
	return ((2 * place + 1) << height) - 1;
}

static void test_numbers(void **state)
{
	(void)state;
	for (unsigned height = 0; height < CAP_LOG_HEIGHT - 1; height++) {
		const uint64_t last = (1ull << (CAP_LOG_HEIGHT - 1 - height)) - 1;
		const uint64_t places[] = { 0, 1, 2, 3, 10, last / 2, last - 1, last };

		for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
			uint64_t place = places[i], node = node_at(height, place);

			if (place > last)
				continue;
			assert_int_equal(merkle_node_height(node), height);
			assert_int_equal(merkle_node_is_right(node), place % 2);
			assert_true(merkle_node_sibling(node) == node_at(height, place ^ 1));
			assert_true(merkle_node_parent(node) == node_at(height + 1, place / 2));
		}
	}
}

static void test_balanced_roots(void **state)
{
	static const uint64_t lengths[] = { 0, 1, 2, 3, 7, 8, 9, 1000, 65536, 0x55555555, CAP_LOG_LENGTH };

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		uint64_t roots[CAP_LOG_HEIGHT], covered = 0;
		size_t count = merkle_node_balanced_roots(lengths[i], roots);

		assert_int_equal(count, __builtin_popcountll(lengths[i]));
		for (size_t j = 0; j < count; j++) {
			unsigned height = merkle_node_height(roots[j]);

			assert_true(j == 0 || height < merkle_node_height(roots[j - 1]));
			assert_true(roots[j] == node_at(height, covered >> height));
			covered += 1ull << height;
		}
		assert_true(covered == lengths[i]);
	}
}

/* Each walk uses nodes of the log only, each once, and together with the node itself they cover all its leaves. */
static void check_walk(uint64_t node, uint64_t length)
{
	uint64_t reach = 1ull << merkle_node_height(node), covered = reach;
	struct merkle_node_walk walk;
	size_t total;

	assert_true(merkle_node_walk(node, length, &walk));
	total = walk.siblings + walk.lower + walk.upper;
	for (size_t i = 0; i < total; i++) {
		uint64_t leaves = 1ull << merkle_node_height(walk.nodes[i]);

		assert_true(walk.nodes[i] + leaves - 1 <= 2 * (length - 1));
		for (size_t j = 0; j < i; j++)
			assert_true(walk.nodes[j] != walk.nodes[i]);
		if (i < walk.siblings)
			assert_int_equal(merkle_node_height(walk.nodes[i]), merkle_node_height(node) + i);
		covered += leaves;
	}
	assert_true(covered == length);
	for (size_t i = walk.siblings; i < walk.siblings + walk.lower; i++)
		assert_true(walk.nodes[i] > node);
	for (size_t i = walk.siblings + walk.lower; i < total; i++)
		assert_true(walk.nodes[i] < node);
}

static void test_walks(void **state)
{
	(void)state;
	for (uint64_t length = 1; length <= 70; length++) {
		uint64_t roots[CAP_LOG_HEIGHT];
		size_t count = merkle_node_balanced_roots(length, roots);

		for (uint64_t leaf = 0; leaf < length; leaf++)
			check_walk(2 * leaf, length);
		for (size_t i = 0; i < count; i++)
			check_walk(roots[i], length);
	}
	check_walk(0, CAP_LOG_LENGTH);
	check_walk(2ull * (CAP_LOG_LENGTH - 1), CAP_LOG_LENGTH);
	check_walk(0x3fffffff, CAP_LOG_LENGTH);
}

static void test_no_such_node(void **state)
{
	struct merkle_node_walk walk;

	(void)state;
	assert_false(merkle_node_walk(0, 0, &walk));
	assert_false(merkle_node_walk(2, 1, &walk));
	assert_false(merkle_node_walk(1, 1, &walk));
	assert_false(merkle_node_walk(5, 3, &walk)); /* between two balanced trees */
	assert_false(merkle_node_walk(3, 3, &walk));
	assert_false(merkle_node_walk(7, 7, &walk));
	assert_false(merkle_node_walk(UINT32_MAX, CAP_LOG_LENGTH, &walk));
	assert_false(merkle_node_walk(UINT64_MAX - 1, CAP_LOG_LENGTH, &walk));
	assert_false(merkle_node_walk(0, (uint64_t)CAP_LOG_LENGTH + 1, &walk));
}

static void test_branch(void **state)
{
	unsigned char bytes[1 + 2 * DIGEST_SIZE] = { 0x01 };
	struct digest left = digest_of(span_of_text("left")), right = digest_of(span_of_text("right"));
	struct digest expected, branch = merkle_node_branch(&left, &right);

	(void)state;
	memcpy(bytes + 1, left.bytes, DIGEST_SIZE);
	memcpy(bytes + 1 + DIGEST_SIZE, right.bytes, DIGEST_SIZE);
	expected = digest_of((struct span){ bytes, sizeof(bytes) });
	assert_true(digest_equals(&branch, &expected));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_balanced_roots),
		cmocka_unit_test(test_walks),	cmocka_unit_test(test_no_such_node),
		cmocka_unit_test(test_branch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
