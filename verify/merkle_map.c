/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry's map, whole: a binary trie that has a node only where paths fork, so that it grows with its entries.
 *
 * Each node keeps the hash of the slot that it fills, which is a child of the fork above it, or the root: that is the
 * node's own hash, lifted past the empty siblings on the way. Setting an entry marks the nodes from the root to it
 * stale, and only those are hashed again when the root is asked for.
 * Source: protocol.md section 5.
 */
#include "merkle_map.h"

#include <stdlib.h>

#include "array.h"
#include "merkle_map_tree.h"
#include "merkle_node.h"

/*
 * Most of the way from a leaf to its slot stays when the slot moves down, as it does whenever another leaf comes
 * nearer: the hash at this depth is kept. Deeper than here, leaves meet by ill will alone.
 */
#define LOW_DEPTH 40

struct leaf {
	struct digest path;
	struct digest hash; /* at depth 256 */
	struct digest low;  /* at LOW_DEPTH, once it is known */
	struct digest slot;
	bool has_low;
	bool stale; /* `slot` is not up to date */
};

struct fork {
	uint32_t children[2]; /* references: left, right */
	uint32_t leaf;        /* the index of some leaf below: its path leads here */
	uint32_t depth;       /* of the fork; its slot may be higher up */
	struct digest slot;
	bool stale; /* so is every fork above */
};

/* A reference to a node is twice its index in its own array, and one more for a fork. */
struct merkle_map {
	struct leaf *leaves;
	size_t leaf_count;
	size_t leaf_capacity;
	struct fork *forks;
	size_t fork_count;
	size_t fork_capacity;
	uint32_t root; /* a reference, once there is a leaf */
	struct merkle_map_empties empties;
};

static uint32_t leaf_reference(size_t index)
{
	return (uint32_t)index << 1;
}

static uint32_t fork_reference(size_t index)
{
	return (uint32_t)index << 1 | 1;
}

static bool is_fork(uint32_t reference)
{
	return reference & 1;
}

static struct fork *fork_at(const struct merkle_map *map, uint32_t reference)
{
	return &map->forks[reference >> 1];
}

static struct leaf *leaf_at(const struct merkle_map *map, uint32_t reference)
{
	return &map->leaves[reference >> 1];
}

static const struct digest *slot_of(const struct merkle_map *map, uint32_t reference)
{
	return is_fork(reference) ? &fork_at(map, reference)->slot : &leaf_at(map, reference)->slot;
}

static bool is_stale(const struct merkle_map *map, uint32_t reference)
{
	return is_fork(reference) ? fork_at(map, reference)->stale : leaf_at(map, reference)->stale;
}

int merkle_map_new(struct merkle_map **out, struct fault *flt)
{
	struct merkle_map *map = calloc(1, sizeof(*map));

	if (!map)
		return fault_no_memory(flt);
	merkle_map_empties_init(&map->empties);
	*out = map;
	return 0;
}

void merkle_map_free(struct merkle_map *map)
{
	if (!map)
		return;
	free(map->leaves);
	free(map->forks);
	free(map);
}

size_t merkle_map_count(const struct merkle_map *map)
{
	return map->leaf_count;
}

/** Room for one leaf more, and for the fork that it may need. */
static int reserve(struct merkle_map *map, struct fault *flt)
{
	int ret;

	if (map->leaf_count >= CAP_LOG_LENGTH)
		return fault_undecided(flt, FAULT_LIMIT, "the map has %zu entries, the most there can be",
				       map->leaf_count);
	ret = array_reserve(&map->leaves, map->leaf_count, &map->leaf_capacity, sizeof(*map->leaves), flt);
	if (!ret)
		ret = array_reserve(&map->forks, map->fork_count, &map->fork_capacity, sizeof(*map->forks), flt);
	return ret;
}

/** The leaf where `path` leads to, if at each fork it turns as it should: the only one that may have this path. */
static struct leaf *nearest_leaf(const struct merkle_map *map, const struct digest *path)
{
	uint32_t reference = map->root;

	while (is_fork(reference)) {
		const struct fork *fork = fork_at(map, reference);

		reference = fork->children[merkle_map_tree_turns_right(path, fork->depth)];
	}
	return leaf_at(map, reference);
}

/** Mark all forks on `path` above `depth` stale. @return the reference, to be changed in place, that is below them */
static uint32_t *descend_stale(struct merkle_map *map, const struct digest *path, size_t depth)
{
	uint32_t *reference = &map->root;

	while (is_fork(*reference) && fork_at(map, *reference)->depth < depth) {
		struct fork *fork = fork_at(map, *reference);

		fork->stale = true;
		reference = &fork->children[merkle_map_tree_turns_right(path, fork->depth)];
	}
	return reference;
}

/** Add a leaf whose path parts at `depth` from all others. There is room for it. */
static void add_leaf(struct merkle_map *map, const struct digest *path, const struct digest *hash, size_t depth)
{
	uint32_t *place = descend_stale(map, path, depth);
	size_t index = map->leaf_count++;

	map->leaves[index] = (struct leaf){ .path = *path, .hash = *hash, .stale = true };
	if (index == 0) {
		*place = leaf_reference(index);
		return;
	}

	struct fork fork = { .leaf = (uint32_t)index, .depth = (uint32_t)depth, .stale = true };
	bool right = merkle_map_tree_turns_right(path, depth);

	/* What was here moves down, into a lower slot. */
	if (is_fork(*place))
		fork_at(map, *place)->stale = true;
	else
		leaf_at(map, *place)->stale = true;
	fork.children[right] = leaf_reference(index);
	fork.children[!right] = *place;
	map->forks[map->fork_count] = fork;
	*place = fork_reference(map->fork_count++);
}

int merkle_map_set(struct merkle_map *map, const struct merkle_map_entry *entry, struct fault *flt)
{
	struct digest path = merkle_map_tree_path(&entry->log_id);
	struct digest hash = merkle_map_tree_leaf(&entry->record_id);
	size_t depth = 0;
	int ret;

	if (map->leaf_count > 0) {
		struct leaf *leaf = nearest_leaf(map, &path);

		depth = merkle_map_tree_parting(&path, &leaf->path);
		if (depth == CAP_MAP_HEIGHT) {
			if (digest_equals(&leaf->hash, &hash))
				return 0;
			descend_stale(map, &path, depth);
			leaf->hash = hash;
			leaf->has_low = false;
			leaf->stale = true;
			return 0;
		}
	}
	ret = reserve(map, flt);
	if (ret)
		return ret;
	add_leaf(map, &path, &hash, depth);
	return 0;
}

static void hash_leaf(struct merkle_map *map, struct leaf *leaf, size_t slot_depth)
{
	const struct merkle_map_empties *empties = &map->empties;

	if (slot_depth > LOW_DEPTH) {
		leaf->slot = merkle_map_tree_lift(empties, &leaf->path, CAP_MAP_HEIGHT, slot_depth, leaf->hash);
	} else {
		if (!leaf->has_low)
			leaf->low = merkle_map_tree_lift(empties, &leaf->path, CAP_MAP_HEIGHT, LOW_DEPTH, leaf->hash);
		leaf->has_low = true;
		leaf->slot = merkle_map_tree_lift(empties, &leaf->path, LOW_DEPTH, slot_depth, leaf->low);
	}
	leaf->stale = false;
}

/** Hash a fork whose children are up to date. */
static void hash_fork(struct merkle_map *map, struct fork *fork, size_t slot_depth)
{
	const struct digest *path = &map->leaves[fork->leaf].path;
	struct digest hash = merkle_node_branch(slot_of(map, fork->children[0]), slot_of(map, fork->children[1]));

	fork->slot = merkle_map_tree_lift(&map->empties, path, fork->depth, slot_depth, hash);
	fork->stale = false;
}

/** Bring the root's slot up to date: children before their fork, and never into what is up to date. */
static void refresh(struct merkle_map *map)
{
	struct fork *stack[CAP_MAP_HEIGHT]; /* depths grow on the way down, so this is room enough */
	size_t count = 0;

	if (!is_fork(map->root)) {
		if (is_stale(map, map->root))
			hash_leaf(map, leaf_at(map, map->root), 0);
		return;
	}
	if (is_stale(map, map->root))
		stack[count++] = fork_at(map, map->root);
	while (count > 0) {
		struct fork *fork = stack[count - 1];
		uint32_t child = is_stale(map, fork->children[0]) ? fork->children[0] : fork->children[1];

		if (!is_stale(map, child)) {
			hash_fork(map, fork, count > 1 ? stack[count - 2]->depth + 1 : 0);
			count--;
		} else if (is_fork(child)) {
			stack[count++] = fork_at(map, child);
		} else {
			hash_leaf(map, leaf_at(map, child), fork->depth + 1);
		}
	}
}

struct digest merkle_map_root(struct merkle_map *map)
{
	if (map->leaf_count == 0)
		return map->empties.at[CAP_MAP_HEIGHT];
	refresh(map);
	return *slot_of(map, map->root);
}

/** The map is up to date. */
static int find_way(void *user, const struct digest *log_id, struct merkle_map_way *out, bool *found,
		    struct fault *flt)
{
	const struct digest path = merkle_map_tree_path(log_id);
	const struct merkle_map *map = user;
	uint32_t at = map->root;

	(void)flt;
	*found = false;
	if (map->leaf_count == 0)
		return 0;
	for (out->count = 0; is_fork(at); out->count++) {
		const struct fork *fork = fork_at(map, at);
		bool right = merkle_map_tree_turns_right(&path, fork->depth);

		out->depths[out->count] = fork->depth;
		out->siblings[out->count] = *slot_of(map, fork->children[!right]);
		at = fork->children[right];
	}
	*found = digest_equals(&leaf_at(map, at)->path, &path);
	return 0;
}

int merkle_map_prove(struct merkle_map *map, const struct digest *log_ids, size_t count,
		     struct merkle_map_bundle *out, struct fault *flt)
{
	const struct merkle_map_source source = { find_way, map, &map->empties, FAULT_MISUSE };

	if (map->leaf_count > 0)
		refresh(map);
	return merkle_map_source_prove(&source, log_ids, count, out, flt);
}
