/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry's map: log id to the latest record id, as a sparse Merkle tree of depth 256 (protocol.md section 5).
 */
#ifndef WARG_VERIFY_MERKLE_MAP_H
#define WARG_VERIFY_MERKLE_MAP_H

#include "caps.h"
#include "digest.h"

/** Siblings of one leaf from the bottom up. Leading ones that were left out are empty subtrees. */
struct merkle_map_path {
	struct digest *hashes; /* owned; the hash of the empty subtree of that height where the wire had none */
	size_t count;          /* at most CAP_MAP_HEIGHT; the last one is the root's other child */
};

/** A MapProofBundle, decoded. Release with merkle_map_bundle_release(). */
struct merkle_map_bundle {
	struct merkle_map_path *paths;
	size_t count;
};

/** Decode protobuf. @return 0; WARG_INVALID if malformed or a hash is not of 32 bytes; WARG_UNDECIDED over a cap */
int merkle_map_bundle_decode(struct span bytes, struct merkle_map_bundle *out, struct fault *flt);
/** Encode as the reference does and append to `out`. */
int merkle_map_bundle_encode(const struct merkle_map_bundle *bundle, struct buf *out, struct fault *flt);
void merkle_map_bundle_release(struct merkle_map_bundle *bundle);

/** A log whose latest record is to be proven. */
struct merkle_map_entry {
	struct digest log_id;
	struct digest record_id;
};

/**
 * Check that the bundle proves every one of `entries` to be in the map with `root`: as many paths as entries, in this
 * order (protocol.md section 5, strict).
 *
 * @return 0; WARG_INVALID if it does not, the fault names the log; WARG_UNDECIDED with FAULT_MISUSE for no entries
 */
int merkle_map_check_inclusion(const struct merkle_map_bundle *bundle, const struct digest *root,
			       const struct merkle_map_entry *entries, size_t count, struct fault *flt);

/** The root that a path of at most CAP_MAP_HEIGHT hashes leads to from an entry. */
struct digest merkle_map_evaluate(const struct merkle_map_path *path, const struct merkle_map_entry *entry);

/* ---- The prover ---- */

/** A whole map. Memory grows with the number of entries, not with the depth. */
struct merkle_map;

/** An empty map. */
int merkle_map_new(struct merkle_map **out, struct fault *flt);
void merkle_map_free(struct merkle_map *map);
/** How many entries it has. */
size_t merkle_map_count(const struct merkle_map *map);
/** Set or replace an entry. */
int merkle_map_set(struct merkle_map *map, const struct merkle_map_entry *entry, struct fault *flt);
/** The root as the map is now; hashes only what changed since it was last asked for. */
struct digest merkle_map_root(struct merkle_map *map);

/**
 * Prove the entries of `log_ids` as the map is now, as the reference does.
 * @param out  release with merkle_map_bundle_release()
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE if a log id is not in the map
 */
int merkle_map_prove(struct merkle_map *map, const struct digest *log_ids, size_t count,
		     struct merkle_map_bundle *out, struct fault *flt);

#endif
