/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry's log as a Merkle tree: roots, checks, and the prover (protocol.md section 5; RFC 6962 section 2.1).
 *
 * Nodes are numbered in order: leaf i is node 2i, and a node's height is its count of trailing one bits. A tree whose
 * length is no power of two is a row of balanced trees; their roots, folded from the right, give the root.
 */
#ifndef WARG_VERIFY_MERKLE_LOG_H
#define WARG_VERIFY_MERKLE_LOG_H

#include "caps.h"
#include "digest.h"

/** H(00 || WARG-LOG-LEAF-V0 || str(log id text) || str(record id text)). */
struct digest merkle_log_leaf(const struct digest *log_id, const struct digest *record_id);

/* ---- The root, grown leaf by leaf ---- */

/** The balanced roots of a log: all that is needed to append to it and to know its root. A value: may be copied. */
struct merkle_log_roots {
	uint64_t length;
	struct digest roots[CAP_LOG_HEIGHT]; /* the tallest first */
};

/** Append a leaf to a log (all-zero: the empty one) of fewer than CAP_LOG_LENGTH. */
void merkle_log_roots_append(struct merkle_log_roots *roots, const struct digest *leaf);

/** The root; H("") for the empty log. */
struct digest merkle_log_roots_fold(const struct merkle_log_roots *roots);

/* ---- Checks, on bundles as the registry sends them ---- */

struct merkle_log_hash {
	uint32_t node;
	struct digest hash;
};

/** A LogProofBundle, decoded. Release with merkle_log_bundle_release(). */
struct merkle_log_bundle {
	uint32_t log_length;
	uint32_t *consistent_lengths;
	size_t consistent_count;
	uint32_t *included_nodes;
	size_t included_count;
	struct merkle_log_hash *hashes; /* sorted by node, no node twice */
	size_t hash_count;
};

/**
 * Decode protobuf, strictly: fields in order, lists packed and in one piece, no field that holds its default.
 * @return 0; WARG_INVALID if malformed, unsorted, or a hash is not of 32 bytes; WARG_UNDECIDED over a cap
 */
int merkle_log_bundle_decode(struct span bytes, struct merkle_log_bundle *out, struct fault *flt);
/** Encode as the reference does and append to `out`. */
int merkle_log_bundle_encode(const struct merkle_log_bundle *bundle, struct buf *out, struct fault *flt);
void merkle_log_bundle_release(struct merkle_log_bundle *bundle);

/** A record whose inclusion is to be proven. */
struct merkle_log_leaf_at {
	uint64_t index; /* in the registry's log, 0-based */
	struct digest leaf; /* merkle_log_leaf() */
};

/**
 * Check that the bundle proves every one of `leaves` to be in the log of `length` records with `root`.
 *
 * The bundle must speak of exactly `length` and these leaves, in this order, and of no consistency (protocol.md
 * section 5, strict), and hold no hash that is not needed.
 *
 * @return 0; WARG_INVALID if it does not prove that, the fault names the leaf; WARG_UNDECIDED with FAULT_MISUSE if
 *         there are no leaves, or a length that no checkpoint can have
 */
int merkle_log_check_inclusion(const struct merkle_log_bundle *bundle, uint64_t length, const struct digest *root,
			       const struct merkle_log_leaf_at *leaves, size_t count, struct fault *flt);

/**
 * Check that the bundle proves the log with `new_root` to be the one with `old_root`, grown.
 * `0 < old_length < new_length`, or FAULT_MISUSE. The bundle must speak of exactly these lengths, and of no inclusion,
 * and hold no hash that is not needed.
 */
int merkle_log_check_consistency(const struct merkle_log_bundle *bundle, uint64_t old_length,
				 const struct digest *old_root, uint64_t new_length, const struct digest *new_root,
				 struct fault *flt);

/* ---- The prover ---- */

/** Where the nodes of a log are read from, by their numbers: those that are complete at its length. */
struct merkle_log_source {
	uint64_t length;
	int (*read)(void *user, uint64_t node, struct digest *out, struct fault *flt);
	void *user;
};

/** As merkle_log_prove_inclusion() and merkle_log_prove_consistency(), of a log that lies elsewhere. */
int merkle_log_source_prove_inclusion(const struct merkle_log_source *source, uint64_t length, const uint64_t *indices,
				      size_t count, struct merkle_log_bundle *out, struct fault *flt);
int merkle_log_source_prove_consistency(const struct merkle_log_source *source, uint64_t old_length,
					uint64_t new_length, struct merkle_log_bundle *out, struct fault *flt);

/** A whole log in memory: every node's hash is kept, 64 bytes a record. */
struct merkle_log;

/** An empty log. */
int merkle_log_new(struct merkle_log **out, struct fault *flt);
void merkle_log_free(struct merkle_log *log);
int merkle_log_append(struct merkle_log *log, const struct digest *leaf, struct fault *flt);
uint64_t merkle_log_length(const struct merkle_log *log);
/** The root that the log had at `length`, at most its length now. */
struct digest merkle_log_root(const struct merkle_log *log, uint64_t length);

/**
 * Prove the inclusion of the leaves at `indices` in the log at `length`, as the reference does.
 * @param out  release with merkle_log_bundle_release()
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE if a leaf is not in the log at that length, or none is asked for
 */
int merkle_log_prove_inclusion(const struct merkle_log *log, uint64_t length, const uint64_t *indices, size_t count,
			       struct merkle_log_bundle *out, struct fault *flt);

/** Prove that the log at `new_length` is the one at `old_length`, grown. `0 < old_length <= new_length`. */
int merkle_log_prove_consistency(const struct merkle_log *log, uint64_t old_length, uint64_t new_length,
				 struct merkle_log_bundle *out, struct fault *flt);

#endif
