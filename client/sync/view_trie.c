/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A node has up to 16 children, chosen by the next four bits of the log id: packages, and nodes where several packages
 * have these bits (see view_trie.h).
 */
#include "view.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 16u

union child {
	struct view_trie_node *node;
	struct view_package *package;
};

struct view_trie_node {
	atomic_uint references;
	bool has_fault;    /* a package below has one */
	uint16_t children; /* bit n: there is a child for the bits n */
	uint16_t nodes;    /* bit n: it is a node */
	union child child[]; /* in the order of their bits */
};

/** A place for a child: the bits of a log id at a depth. */
static unsigned bits_at(const struct digest *log_id, unsigned depth)
{
	unsigned char byte = log_id->bytes[depth / 2];

	return depth % 2 ? byte & 15u : byte >> 4;
}

static bool has_child(const struct view_trie_node *node, unsigned bits)
{
	return node->children >> bits & 1u;
}

static bool is_node(const struct view_trie_node *node, unsigned bits)
{
	return node->nodes >> bits & 1u;
}

static size_t count_children(const struct view_trie_node *node)
{
	return (size_t)__builtin_popcount(node->children);
}

/* The index of the child for `bits`, or that it would have. */
static size_t index_of(const struct view_trie_node *node, unsigned bits)
{
	return (size_t)__builtin_popcount(node->children & ((1u << bits) - 1u));
}

/* ---- References ---- */

static struct view_trie_node *node_ref(struct view_trie_node *node)
{
	atomic_fetch_add_explicit(&node->references, 1, memory_order_relaxed);
	return node;
}

static void node_unref(struct view_trie_node *node)
{
	if (!node || atomic_fetch_sub_explicit(&node->references, 1, memory_order_acq_rel) > 1)
		return;
	for (unsigned bits = 0, i = 0; bits < WIDTH; bits++) {
		if (!has_child(node, bits))
			continue;
		if (is_node(node, bits))
			node_unref(node->child[i++].node);
		else
			view_package_unref(node->child[i++].package);
	}
	free(node);
}

struct view_trie view_trie_copy(const struct view_trie *trie)
{
	return (struct view_trie){trie->root ? node_ref(trie->root) : NULL, trie->count};
}

void view_trie_release(struct view_trie *trie)
{
	node_unref(trie->root);
	*trie = (struct view_trie){0};
}

/* ---- Looking up ---- */

struct view_package *view_trie_find(const struct view_trie *trie, const struct digest *log_id)
{
	const struct view_trie_node *node = trie->root;

	for (unsigned depth = 0; node; depth++) {
		unsigned bits = bits_at(log_id, depth);
		const union child *child = &node->child[index_of(node, bits)];

		if (!has_child(node, bits))
			return NULL;
		if (!is_node(node, bits))
			return digest_equals(&child->package->log_id, log_id) ? child->package : NULL;
		node = child->node;
	}
	return NULL;
}

/* ---- Putting in ---- */

static struct view_trie_node *node_new(size_t children)
{
	struct view_trie_node *node = calloc(1, sizeof(*node) + children * sizeof(node->child[0]));

	if (node)
		atomic_init(&node->references, 1);
	return node;
}

/* A copy with a reference to each child, and a gap for one more where `gap` is below their number + 1. */
static struct view_trie_node *node_copy(const struct view_trie_node *node, size_t gap)
{
	size_t count = count_children(node);
	struct view_trie_node *copy = node_new(count + (gap <= count));

	if (!copy)
		return NULL;
	copy->children = node->children;
	copy->nodes = node->nodes;
	copy->has_fault = node->has_fault;
	for (unsigned bits = 0, i = 0; bits < WIDTH; bits++) {
		if (!has_child(node, bits))
			continue;
		copy->child[i + (i >= gap)] = node->child[i];
		if (is_node(node, bits))
			node_ref(node->child[i].node);
		else
			view_package_ref(node->child[i].package);
		i++;
	}
	return copy;
}

/* Make the node one that no other trie shares. */
static int make_own(struct view_trie_node **node, struct fault *flt)
{
	struct view_trie_node *copy;

	if (atomic_load_explicit(&(*node)->references, memory_order_acquire) == 1)
		return 0;
	copy = node_copy(*node, WIDTH + 1);
	if (!copy)
		return fault_no_memory(flt);
	node_unref(*node);
	*node = copy;
	return 0;
}

/* Put a package where no child is. On success the package is the node's. */
static int insert(struct view_trie_node **node, unsigned bits, struct view_package *package, struct fault *flt)
{
	size_t index = index_of(*node, bits);
	struct view_trie_node *grown = node_copy(*node, index);

	if (!grown)
		return fault_no_memory(flt);
	grown->child[index].package = package;
	grown->children |= (uint16_t)(1u << bits);
	grown->has_fault |= package->fault != NULL;
	node_unref(*node);
	*node = grown;
	return 0;
}

static bool child_has_fault(const struct view_trie_node *node, unsigned bits, size_t index)
{
	const union child *child = &node->child[index];

	return is_node(node, bits) ? child->node->has_fault : child->package->fault != NULL;
}

static void note_fault(struct view_trie_node *node)
{
	node->has_fault = false;
	for (unsigned bits = 0, i = 0; bits < WIDTH; bits++)
		if (has_child(node, bits))
			node->has_fault |= child_has_fault(node, bits, i++);
}

static int put(struct view_trie_node **node, unsigned depth, struct view_package *package, bool *is_new,
	       struct fault *flt);

/* Two packages have the same bits: a node of their own takes both. */
static int split(struct view_trie_node *node, unsigned bits, unsigned depth, struct view_package *package,
		 struct fault *flt)
{
	union child *child = &node->child[index_of(node, bits)];
	struct view_trie_node *both = node_new(1);
	bool is_new;
	int r;

	if (!both)
		return fault_no_memory(flt);
	both->child[0].package = view_package_ref(child->package);
	both->children = (uint16_t)(1u << bits_at(&child->package->log_id, depth + 1));
	both->has_fault = child->package->fault != NULL;
	r = put(&both, depth + 1, package, &is_new, flt);
	if (r) {
		node_unref(both);
		return r;
	}
	view_package_unref(child->package);
	child->node = both;
	node->nodes |= (uint16_t)(1u << bits);
	return 0;
}

/* On success the package is the trie's. The recursion ends at the latest with the last bits of the log id. */
static int put(struct view_trie_node **node, unsigned depth, struct view_package *package, bool *is_new,
	       struct fault *flt)
{
	unsigned bits = bits_at(&package->log_id, depth);
	union child *child;
	int r;

	*is_new = true;
	if (!has_child(*node, bits))
		return insert(node, bits, package, flt);
	r = make_own(node, flt);
	if (r)
		return r;
	child = &(*node)->child[index_of(*node, bits)];
	if (is_node(*node, bits)) {
		r = put(&child->node, depth + 1, package, is_new, flt);
	} else if (digest_equals(&child->package->log_id, &package->log_id)) {
		view_package_unref(child->package);
		child->package = package;
		*is_new = false;
	} else {
		r = split(*node, bits, depth, package, flt);
	}
	if (!r)
		note_fault(*node);
	return r;
}

int view_trie_put_take(struct view_trie *trie, struct view_package *package, struct fault *flt)
{
	bool is_new = false;
	int r = 0;

	if (!trie->root)
		trie->root = node_new(0);
	if (trie->root)
		r = put(&trie->root, 0, package, &is_new, flt);
	else
		r = fault_no_memory(flt);
	if (r)
		view_package_unref(package);
	trie->count += !r && is_new;
	return r;
}

/* ---- Walking ---- */

static int walk(const struct view_trie_node *node, bool only_failed, view_trie_visit *visit, void *user)
{
	int r = 0;

	if (!node || (only_failed && !node->has_fault))
		return 0;
	for (unsigned bits = 0, i = 0; !r && bits < WIDTH; bits++) {
		if (!has_child(node, bits))
			continue;
		if (is_node(node, bits))
			r = walk(node->child[i].node, only_failed, visit, user);
		else if (!only_failed || node->child[i].package->fault)
			r = visit(user, node->child[i].package);
		i++;
	}
	return r;
}

int view_trie_each(const struct view_trie *trie, view_trie_visit *visit, void *user)
{
	return walk(trie->root, false, visit, user);
}

int view_trie_each_failed(const struct view_trie *trie, view_trie_visit *visit, void *user)
{
	return walk(trie->root, true, visit, user);
}

/** Two tries that are compared. */
struct comparison {
	const struct view_trie *before;
	int (*visit)(void *user, const struct view_package *known, const struct view_package *package);
	void *user;
};

static int compare_package(const struct comparison *comparison, const struct view_package *package)
{
	const struct view_package *known = view_trie_find(comparison->before, &package->log_id);

	return known == package ? 0 : comparison->visit(comparison->user, known, package);
}

/* @param before  the node at the same place; NULL: there is none */
static int compare(const struct comparison *comparison, const struct view_trie_node *before,
		   const struct view_trie_node *after)
{
	int r = 0;

	if (!after || before == after)
		return 0;
	for (unsigned bits = 0, i = 0; !r && bits < WIDTH; bits++) {
		bool have_both = before && has_child(before, bits) && is_node(before, bits);

		if (!has_child(after, bits))
			continue;
		if (is_node(after, bits))
			r = compare(comparison, have_both ? before->child[index_of(before, bits)].node : NULL,
				    after->child[i].node);
		else
			r = compare_package(comparison, after->child[i].package);
		i++;
	}
	return r;
}

int view_trie_each_changed(const struct view_trie *before, const struct view_trie *after,
			   int (*visit)(void *user, const struct view_package *known,
					const struct view_package *package),
			   void *user)
{
	const struct comparison comparison = {before, visit, user};

	return compare(&comparison, before->root, after->root);
}
