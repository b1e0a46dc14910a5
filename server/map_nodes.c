/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Setting is one walk down the tree with all entries, sorted by their paths: where they part, the walk parts; where it
 * ends, what they become is built; on the way back each fork that it came through is written anew.
 */
#include "map_nodes.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>

#include "statement.h"
#include "verify/merkle_map_tree.h"
#include "verify/merkle_node.h"

/* A node and the hash of the slot that it fills in whatever is above it. */
struct slot {
	uint64_t id;
	struct digest hash;
};

/* The hashes of the empty subtrees, which are the same for all maps. */
static struct merkle_map_empties empties;
static pthread_once_t empties_once = PTHREAD_ONCE_INIT;

static void make_empties(void)
{
	merkle_map_empties_init(&empties);
}

static const struct merkle_map_empties *find_empties(void)
{
	pthread_once(&empties_once, make_empties);
	return &empties;
}

/* As stored. */
struct node {
	size_t depth;       /* of the fork; CAP_MAP_HEIGHT: a leaf */
	struct digest path; /* of the leaf, or of some leaf below */
	struct digest leaf_hash;
	struct slot children[2]; /* left, right */
};

static bool is_leaf(const struct node *node)
{
	return node->depth == CAP_MAP_HEIGHT;
}

/* ---- Reading ---- */

static int read_children(struct statement *statement, struct node *out, struct fault *flt)
{
	int r = 0;

	for (int i = 0; i < 2 && !r; i++) {
		out->children[i].id = statement_number(statement, 3 + 2 * i);
		r = statement_digest(statement, 4 + 2 * i, &out->children[i].hash, flt);
	}
	return r;
}

static int read_row(struct statement *statement, struct node *out, struct fault *flt)
{
	uint64_t depth = statement_number(statement, 0);
	int r = statement_digest(statement, 1, &out->path, flt);

	if (r)
		return r;
	if (depth > CAP_MAP_HEIGHT)
		return fault_invalid(flt, "the database has a node of the map at the depth %" PRIu64, depth);
	out->depth = (size_t)depth;
	return is_leaf(out) ? statement_digest(statement, 2, &out->leaf_hash, flt) :
			      read_children(statement, out, flt);
}

/* The hash of a node as seen from the slot at depth `above`. */
static struct digest hash_slot(const struct node *node, size_t above)
{
	struct digest hash = node->leaf_hash;

	if (!is_leaf(node))
		hash = merkle_node_branch(&node->children[0].hash, &node->children[1].hash);
	return merkle_map_tree_lift(find_empties(), &node->path, node->depth, above, hash);
}

static int check_hash(const struct node *node, const struct slot *slot, size_t above, struct fault *flt)
{
	const struct digest hash = hash_slot(node, above);

	if (digest_equals(&hash, &slot->hash))
		return 0;
	return fault_invalid(flt, "the node %" PRIu64 " of the map does not match the hash stored above it", slot->id);
}

/*
 * A fork whose hash differs from the one stored above it is damaged: refuse to build on it or prove with it, as its
 * hash would be signed for good. Leaves, which take one hash per level, are checked by the callers that use them.
 * @param above  the depth of the slot that it fills: the node's depth is not smaller
 * @param way    a path that shares the slot's prefix
 */
static int read_node(struct database *database, const struct slot *slot, size_t above, const struct digest *way,
		     struct node *out, struct fault *flt)
{
	const uint64_t id = slot->id;
	static const char text[] = "SELECT depth, path, leaf_hash, left, left_hash, right, right_hash"
				   " FROM map_nodes WHERE id = ?";
	struct statement *statement;
	bool found = false;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, id);
	r = statement_step(statement, &found, flt);
	if (!r && !found)
		r = fault_invalid(flt, "the database has no node %" PRIu64 " of the map", id);
	if (!r)
		r = read_row(statement, out, flt);
	statement_end(statement);
	if (!r && (out->depth < above || merkle_map_tree_parting(&out->path, way) < above))
		r = fault_invalid(flt, "the database has the node %" PRIu64 " of the map in a wrong place", id);
	return r || is_leaf(out) ? r : check_hash(out, slot, above, flt);
}

/* ---- Writing ---- */

/* A set under way. */
struct change {
	struct database *database;
	const struct merkle_map_empties *empties;
	uint64_t last; /* id in use */
};

static int write_leaf(struct change *change, const struct digest *path, const struct digest *hash, uint64_t *id,
		      struct fault *flt)
{
	static const char text[] = "INSERT INTO map_nodes (id, depth, path, leaf_hash) VALUES (?, 256, ?, ?)";
	struct statement *statement;
	int r = statement_use(change->database, text, &statement, flt);

	if (r)
		return r;
	*id = ++change->last;
	statement_put_number(statement, 1, *id);
	statement_put_digest(statement, 2, path);
	statement_put_digest(statement, 3, hash);
	return statement_run(statement, flt);
}

static int write_fork(struct change *change, const struct node *fork, uint64_t *id, struct fault *flt)
{
	static const char text[] = "INSERT INTO map_nodes (id, depth, path, left, left_hash, right, right_hash)"
				   " VALUES (?, ?, ?, ?, ?, ?, ?)";
	struct statement *statement;
	int r = statement_use(change->database, text, &statement, flt);

	if (r)
		return r;
	*id = ++change->last;
	statement_put_number(statement, 1, *id);
	statement_put_number(statement, 2, fork->depth);
	statement_put_digest(statement, 3, &fork->path);
	for (int i = 0; i < 2; i++) {
		statement_put_number(statement, 4 + 2 * i, fork->children[i].id);
		statement_put_digest(statement, 5 + 2 * i, &fork->children[i].hash);
	}
	return statement_run(statement, flt);
}

/* ---- Setting ---- */

/* A leaf on its way to its place, or one that has to move. */
struct leaf {
	struct digest path, hash;
	uint64_t id;   /* 0: not stored yet */
	size_t order;  /* among those that are set: the later one counts */
};

static int compare_leaves(const void *a, const void *b)
{
	const struct leaf *one = a, *other = b;
	int order = digest_compare(&one->path, &other->path);

	return order ? order : (one->order > other->order) - (one->order < other->order);
}

/* How many of the leaves, which are the same up to `depth`, turn left there. */
static size_t count_left(const struct leaf *leaves, size_t count, size_t depth)
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (merkle_map_tree_turns_right(&leaves[middle].path, depth))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int put_leaf(struct change *change, const struct leaf *leaf, size_t above, struct slot *out, struct fault *flt)
{
	out->id = leaf->id;
	out->hash = merkle_map_tree_lift(change->empties, &leaf->path, CAP_MAP_HEIGHT, above, leaf->hash);
	return leaf->id ? 0 : write_leaf(change, &leaf->path, &leaf->hash, &out->id, flt);
}

static int put_fork(struct change *change, const struct node *fork, size_t above, struct slot *out, struct fault *flt)
{
	struct digest hash = merkle_node_branch(&fork->children[0].hash, &fork->children[1].hash);

	out->hash = merkle_map_tree_lift(change->empties, &fork->path, fork->depth, above, hash);
	return write_fork(change, fork, &out->id, flt);
}

/*
 * Leaves alone, where there was nothing; at least one, and no path twice.
 * @param above  the depth of the slot to be filled
 */
static int build(struct change *change, const struct leaf *leaves, size_t count, size_t above, struct slot *out,
		 struct fault *flt)
{
	struct node fork = {.path = leaves[0].path};
	size_t left;
	int r;

	if (count == 1)
		return put_leaf(change, leaves, above, out, flt);
	fork.depth = merkle_map_tree_parting(&leaves[0].path, &leaves[count - 1].path);
	left = count_left(leaves, count, fork.depth);
	r = build(change, leaves, left, fork.depth + 1, &fork.children[0], flt);
	if (!r)
		r = build(change, leaves + left, count - left, fork.depth + 1, &fork.children[1], flt);
	return r ? r : put_fork(change, &fork, above, out, flt);
}

/* Leaves, and one that is there already: in its place if it is among them, else among them in its order. */
static int build_with(struct change *change, const struct node *old, uint64_t id, const struct leaf *leaves,
		      size_t count, size_t above, struct slot *out, struct fault *flt)
{
	const struct leaf moved = {.path = old->path, .hash = old->leaf_hash, .id = id};
	struct leaf *all = calloc(count + 1, sizeof(*all));
	size_t before = 0, after;
	int r;

	if (!all)
		return fault_no_memory(flt);
	while (before < count && digest_compare(&leaves[before].path, &old->path) < 0) {
		all[before] = leaves[before];
		before++;
	}
	after = before;
	if (before == count || !digest_equals(&leaves[before].path, &old->path))
		all[after++] = moved;
	for (size_t i = before; i < count; i++)
		all[after++] = leaves[i];
	r = build(change, all, after, above, out, flt);
	free(all);
	return r;
}

static int change_slot(struct change *change, const struct slot *old, const struct leaf *leaves, size_t count,
		       size_t above, struct slot *out, struct fault *flt);

/* Below a fork that stays where it is: to each side those that belong there. */
static int change_children(struct change *change, const struct node *old, const struct leaf *leaves, size_t count,
			   size_t above, struct slot *out, struct fault *flt)
{
	size_t left = count_left(leaves, count, old->depth);
	struct node fork = *old;
	int r = 0;

	if (left)
		r = change_slot(change, &old->children[0], leaves, left, old->depth + 1, &fork.children[0], flt);
	if (!r && left < count)
		r = change_slot(change, &old->children[1], leaves + left, count - left, old->depth + 1,
				&fork.children[1], flt);
	return r ? r : put_fork(change, &fork, above, out, flt);
}

/* Some part from the fork's path before it does: a new fork there takes the old one in. */
static int part_before(struct change *change, const struct node *old, uint64_t id, size_t depth,
		       const struct leaf *leaves, size_t count, size_t above, struct slot *out, struct fault *flt)
{
	const struct digest hash = merkle_node_branch(&old->children[0].hash, &old->children[1].hash);
	const bool right = merkle_map_tree_turns_right(&old->path, depth);
	const size_t left = count_left(leaves, count, depth);
	const struct leaf *others = right ? leaves : leaves + left, *mates = right ? leaves + left : leaves;
	const size_t other_count = right ? left : count - left, mate_count = count - other_count;
	struct node fork = {.depth = depth, .path = old->path};
	struct slot moved = {id, merkle_map_tree_lift(change->empties, &old->path, old->depth, depth + 1, hash)};
	int r = 0;

	fork.children[right] = moved;
	if (mate_count)
		r = change_slot(change, &moved, mates, mate_count, depth + 1, &fork.children[right], flt);
	if (!r)
		r = build(change, others, other_count, depth + 1, &fork.children[!right], flt);
	return r ? r : put_fork(change, &fork, above, out, flt);
}

/* Put leaves, sorted and at least one, into what fills a slot at the depth `above`. */
static int change_slot(struct change *change, const struct slot *old, const struct leaf *leaves, size_t count,
		       size_t above, struct slot *out, struct fault *flt)
{
	struct node node;
	size_t first, last;
	int r;

	if (!old->id)
		return build(change, leaves, count, above, out, flt);
	r = read_node(change->database, old, above, &leaves[0].path, &node, flt);
	if (!r && is_leaf(&node))
		r = check_hash(&node, old, above, flt);
	if (r)
		return r;
	if (is_leaf(&node))
		return build_with(change, &node, old->id, leaves, count, above, out, flt);
	/* Of sorted paths the first or the last one parts from any other path first. */
	first = merkle_map_tree_parting(&leaves[0].path, &node.path);
	last = merkle_map_tree_parting(&leaves[count - 1].path, &node.path);
	if (last < first)
		first = last;
	if (first < node.depth)
		return part_before(change, &node, old->id, first, leaves, count, above, out, flt);
	return change_children(change, &node, leaves, count, above, out, flt);
}

/* Sorted by their paths, each once. @return how many */
static size_t sort_leaves(struct leaf *leaves, size_t count)
{
	size_t kept = 0;

	qsort(leaves, count, sizeof(*leaves), compare_leaves);
	for (size_t i = 0; i < count; i++)
		if (i + 1 == count || !digest_equals(&leaves[i].path, &leaves[i + 1].path))
			leaves[kept++] = leaves[i];
	return kept;
}

struct map_root map_nodes_empty(void)
{
	return (struct map_root){0, find_empties()->at[CAP_MAP_HEIGHT]};
}

int map_nodes_set(struct database *database, struct map_root *root, const struct merkle_map_entry *entries,
		  size_t count, struct fault *flt)
{
	const struct slot old = {root->node, root->hash};
	struct change change = {.database = database, .empties = find_empties()};
	struct slot changed;
	struct leaf *leaves;
	bool found;
	int r;

	if (!count)
		return 0;
	leaves = calloc(count, sizeof(*leaves));
	if (!leaves)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++)
		leaves[i] = (struct leaf){ .path = merkle_map_tree_path(&entries[i].log_id),
					   .hash = merkle_map_tree_leaf(&entries[i].record_id), .order = i };
	r = statement_ask(database, "SELECT id FROM map_nodes ORDER BY id DESC LIMIT 1", &found, &change.last, flt);
	if (!r)
		r = change_slot(&change, &old, leaves, sort_leaves(leaves, count), 0, &changed, flt);
	free(leaves);
	if (!r)
		*root = (struct map_root){changed.id, changed.hash};
	return r;
}

/* ---- Proving ---- */

/* A map to be proven from. */
struct stored {
	struct database *database;
	struct slot root;
};

static int find_way(void *user, const struct digest *log_id, struct merkle_map_way *out, bool *found,
		    struct fault *flt)
{
	const struct digest path = merkle_map_tree_path(log_id);
	const struct stored *map = user;
	size_t above = 0;

	out->count = 0;
	*found = false;
	for (struct slot slot = map->root; slot.id;) {
		struct node node;
		bool right;
		int r = read_node(map->database, &slot, above, &path, &node, flt);

		if (r)
			return r;
		if (is_leaf(&node)) {
			*found = digest_equals(&node.path, &path);
			return *found ? 0 : check_hash(&node, &slot, above, flt);
		}
		right = merkle_map_tree_turns_right(&path, node.depth);
		out->depths[out->count] = node.depth;
		out->siblings[out->count++] = node.children[!right].hash;
		slot = node.children[right];
		above = node.depth + 1;
	}
	return 0;
}

int map_nodes_prove(struct database *database, const struct map_root *root, const struct digest *log_ids, size_t count,
		    struct merkle_map_bundle *out, struct fault *flt)
{
	struct stored map = {database, {root->node, root->hash}};
	const struct merkle_map_source source = {find_way, &map, find_empties(), FAULT_ABSENT};

	return merkle_map_source_prove(&source, log_ids, count, out, flt);
}

/* ---- Checking ---- */

/* Read the node in the slot at depth `above` on the path `way`. */
static int check_slot(struct database *database, const struct slot *slot, size_t above, const struct digest *way,
		      struct fault *flt)
{
	struct node node;
	int r = read_node(database, slot, above, way, &node, flt);

	if (!r && is_leaf(&node))
		r = check_hash(&node, slot, above, flt);
	for (int i = 0; i < 2 && !r && !is_leaf(&node); i++) {
		struct digest turn = node.path;

		if (merkle_map_tree_turns_right(&turn, node.depth) != i)
			turn.bytes[node.depth / 8] ^= (unsigned char)(0x80 >> node.depth % 8);
		r = check_slot(database, &node.children[i], node.depth + 1, &turn, flt);
	}
	return r;
}

int map_nodes_check(struct database *database, const struct map_root *root, struct fault *flt)
{
	const struct slot slot = {root->node, root->hash};

	return root->node ? check_slot(database, &slot, 0, &root->hash, flt) : 0;
}
