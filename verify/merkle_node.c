/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Node numbers of a Merkle log, and the one way in which two hashes make a third.
 * Source: protocol.md section 5; RFC 6962 section 2.1.
 */
#include "merkle_node.h"

struct digest merkle_node_branch(const struct digest *left, const struct digest *right)
{
	static const unsigned char prefix[] = { 0x01 };
	const struct span parts[] = {
		{ prefix, sizeof(prefix) },
		digest_span(left),
		digest_span(right),
	};

	return digest_of_parts(parts, 3);
}

unsigned merkle_node_height(uint64_t node)
{
	return (unsigned)__builtin_ctzll(~node);
}

bool merkle_node_is_right(uint64_t node)
{
	return node >> (merkle_node_height(node) + 1) & 1;
}

uint64_t merkle_node_sibling(uint64_t node)
{
	uint64_t distance = 2ull << merkle_node_height(node);

	return merkle_node_is_right(node) ? node - distance : node + distance;
}

uint64_t merkle_node_parent(uint64_t node)
{
	uint64_t distance = 1ull << merkle_node_height(node);

	return merkle_node_is_right(node) ? node - distance : node + distance;
}

size_t merkle_node_balanced_roots(uint64_t length, uint64_t out[static CAP_LOG_HEIGHT])
{
	uint64_t first_leaf = 0; /* as a node */
	size_t count = 0;

	for (int height = CAP_LOG_HEIGHT - 1; height >= 0; height--) {
		uint64_t leaves = 1ull << height;

		if (!(length & leaves))
			continue;
		out[count++] = first_leaf + leaves - 1;
		first_leaf += 2 * leaves;
	}
	return count;
}

/** The position of the balanced root at or above `node`, or `count` if there is none. */
static size_t balanced_root_above(uint64_t node, const uint64_t *roots, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t reach = (1ull << merkle_node_height(roots[i])) - 1;

		if (node >= roots[i] - reach && node <= roots[i] + reach)
			return i;
	}
	return count;
}

bool merkle_node_walk(uint64_t node, uint64_t length, struct merkle_node_walk *out)
{
	uint64_t roots[CAP_LOG_HEIGHT];
	size_t count, mine, n = 0;

	if (length > CAP_LOG_LENGTH)
		return false;
	count = merkle_node_balanced_roots(length, roots);
	mine = balanced_root_above(node, roots, count);
	if (mine == count)
		return false;

	for (; node != roots[mine]; node = merkle_node_parent(node))
		out->nodes[n++] = merkle_node_sibling(node);
	out->siblings = n;
	for (size_t i = count; i-- > mine + 1;)
		out->nodes[n++] = roots[i];
	out->lower = n - out->siblings;
	for (size_t i = mine; i-- > 0;)
		out->nodes[n++] = roots[i];
	out->upper = mine;
	return true;
}
