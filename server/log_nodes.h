/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry's log as a Merkle tree whose nodes are stored: roots and proofs at any length, without rebuilding.
 *
 * Only complete nodes are stored, each when its last leaf is appended; they are the same at every later length.
 * Source: protocol.md section 5.
 */
#ifndef WARG_SERVER_LOG_NODES_H
#define WARG_SERVER_LOG_NODES_H

#include "database.h"
#include "verify/merkle_log.h"

/**
 * Append a leaf; within database_begin() and database_commit().
 * @param roots  of the log as it is, and on success with the leaf
 */
int log_nodes_append(struct database *database, struct merkle_log_roots *roots, const struct digest *leaf,
		     struct fault *flt);

/**
 * Check that the nodes that a leaf completed are the ones that are stored.
 * @param roots  of the log before it, and on success with it
 * @return 0; WARG_INVALID if one lacks, or is another
 */
int log_nodes_check(struct database *database, struct merkle_log_roots *roots, const struct digest *leaf,
		    struct fault *flt);

/** The balanced roots that the log had at `length`. @return 0; WARG_INVALID if the database lacks one */
int log_nodes_roots(struct database *database, uint64_t length, struct merkle_log_roots *out, struct fault *flt);

/**
 * Prove, as merkle_log_prove_inclusion() and merkle_log_prove_consistency() do.
 * @param out  release with merkle_log_bundle_release()
 * @return 0; WARG_UNDECIDED as there; WARG_INVALID if the database lacks a node
 */
int log_nodes_prove_inclusion(struct database *database, uint64_t length, const uint64_t *indices, size_t count,
			      struct merkle_log_bundle *out, struct fault *flt);
int log_nodes_prove_consistency(struct database *database, uint64_t old_length, uint64_t new_length,
				struct merkle_log_bundle *out, struct fault *flt);

#endif
