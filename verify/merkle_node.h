/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The nodes of a Merkle log, numbered in order: leaf i is node 2i, a node's height is its count of trailing one bits.
 *
 * Numbers travel as uint32 and are reckoned in uint64, so that no step from a node below 2^32 can wrap.
 * Source: protocol.md section 5; RFC 6962 section 2.1.
 */
#ifndef WARG_VERIFY_MERKLE_NODE_H
#define WARG_VERIFY_MERKLE_NODE_H

#include "caps.h"
#include "digest.h"

/** H(01 || left || right): the branch of the log and of the map. */
struct digest merkle_node_branch(const struct digest *left, const struct digest *right);

/** The height of a node; leaves have 0. */
unsigned merkle_node_height(uint64_t node);

/** Whether the node is its parent's right child. */
bool merkle_node_is_right(uint64_t node);

/** The other child of its parent, and the parent. */
uint64_t merkle_node_sibling(uint64_t node);
uint64_t merkle_node_parent(uint64_t node);

/**
 * The balanced roots of a log of `length` records, at most CAP_LOG_LENGTH: the tallest first.
 * @return how many there are: as many as `length` has one bits
 */
size_t merkle_node_balanced_roots(uint64_t length, uint64_t out[static CAP_LOG_HEIGHT]);

/** The nodes whose hashes lead from one node to the root, in the order in which they are used. */
struct merkle_node_walk {
	uint64_t nodes[2 * CAP_LOG_HEIGHT];
	size_t siblings; /* first: siblings, from the node up to its balanced root */
	size_t lower;    /* then: the balanced roots right of that one, from the right */
	size_t upper;    /* then: the balanced roots left of it, from the right */
};

/** The walk from `node` in a log of `length` records. @return false if such a log has no such node */
bool merkle_node_walk(uint64_t node, uint64_t length, struct merkle_node_walk *out);

#endif
