/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry's map as a tree whose nodes are stored and never change: each set of entries leaves the tree that was
 * there before as it is, so that a checkpoint's map is provable for ever, by its root alone.
 *
 * A node is a leaf, or a fork where paths part, as in verify/merkle_map.c; what lies between is empty, and is not
 * stored. New nodes stand behind all others: a set of many entries copies each fork above them once.
 * Source: protocol.md section 5.
 */
#ifndef WARG_SERVER_MAP_NODES_H
#define WARG_SERVER_MAP_NODES_H

#include "database.h"
#include "verify/merkle_map.h"

/** A map that is stored. A value: may be copied. */
struct map_root {
	uint64_t node;      /* 0: the empty map */
	struct digest hash; /* the map's root */
};

/** The empty map's. */
struct map_root map_nodes_empty(void);

/**
 * Set or replace entries; within database_begin() and database_commit(). Of two of one log the later one counts.
 * @param root  of the map as it is, and on success of what it becomes
 * @return 0; WARG_INVALID if the database lacks a node
 */
int map_nodes_set(struct database *database, struct map_root *root, const struct merkle_map_entry *entries,
		  size_t count, struct fault *flt);

/**
 * Prove the entries of `log_ids` in the map of `root`, as merkle_map_prove() does.
 * @param out  release with merkle_map_bundle_release()
 * @return 0; WARG_UNDECIDED with FAULT_ABSENT if a log id is not in the map; WARG_INVALID if the database lacks a node
 */
int map_nodes_prove(struct database *database, const struct map_root *root, const struct digest *log_ids, size_t count,
		    struct merkle_map_bundle *out, struct fault *flt);

/**
 * Check a whole map: each node's hash follows from what is below it, down to the leaves. It takes some 236 hashes for
 * each leaf.
 * @return 0; WARG_INVALID, naming the node
 */
int map_nodes_check(struct database *database, const struct map_root *root, struct fault *flt);

#endif
