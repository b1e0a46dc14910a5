/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The shape of the map: empty subtrees, paths, leaves, proofs. For merkle_map's own files and the server's.
 *
 * Depth counts from the root, 0 … 256; height from the leaves. A slot at depth d holds a subtree of height 256 - d.
 * Source: protocol.md section 5.
 */
#ifndef WARG_VERIFY_MERKLE_MAP_TREE_H
#define WARG_VERIFY_MERKLE_MAP_TREE_H

#include "merkle_map.h"

/** The hashes of the empty subtrees, by height. */
struct merkle_map_empties {
	struct digest at[CAP_MAP_HEIGHT + 1];
};

/** Hash them all: 256 branches. */
void merkle_map_empties_init(struct merkle_map_empties *empties);

/** The path of a log in the map: H(log id). Its bits, the most significant first, lead down from the root. */
struct digest merkle_map_tree_path(const struct digest *log_id);

/** Whether the path turns right below `depth`, 0 … 255. */
bool merkle_map_tree_turns_right(const struct digest *path, size_t depth);

/** The depth at which two paths part; CAP_MAP_HEIGHT if they are the same. */
size_t merkle_map_tree_parting(const struct digest *a, const struct digest *b);

/** H(00 || WARG-MAP-LEAF-V0 || str(record id text)). */
struct digest merkle_map_tree_leaf(const struct digest *record_id);

/** One step up to `depth`: the branch of `hash`, on whose path it lies, and its sibling. */
struct digest merkle_map_tree_step(const struct digest *path, size_t depth, const struct digest *hash,
				   const struct digest *sibling);

/** Steps up from depth `from` to depth `to`, past empty siblings. */
struct digest merkle_map_tree_lift(const struct merkle_map_empties *empties, const struct digest *path, size_t from,
				   size_t to, struct digest hash);

/* ---- Proving, wherever the map is read from ---- */

/** The way to a leaf: the forks above it, from the root down, each with its depth and the hash of its other side. */
struct merkle_map_way {
	size_t depths[CAP_MAP_HEIGHT];
	struct digest siblings[CAP_MAP_HEIGHT];
	size_t count;
};

/** Where a map is read from. */
struct merkle_map_source {
	/** Find the way to the log's leaf. @param found  false: the map has none */
	int (*find)(void *user, const struct digest *log_id, struct merkle_map_way *out, bool *found,
		    struct fault *flt);
	void *user;
	const struct merkle_map_empties *empties;
	enum fault_kind absent; /* of the fault of a log that is not in the map */
};

/** As merkle_map_prove(), of a map that lies elsewhere. */
int merkle_map_source_prove(const struct merkle_map_source *source, const struct digest *log_ids, size_t count,
			    struct merkle_map_bundle *out, struct fault *flt);

#endif
