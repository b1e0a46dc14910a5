/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A row a node, by its number: leaves are appended at the end of the table, and so are most of the nodes above them.
 */
#include "log_nodes.h"

#include <inttypes.h>

#include "statement.h"
#include "verify/merkle_node.h"

static int put_node(struct database *database, uint64_t node, const struct digest *hash, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, "INSERT INTO log_nodes (node, hash) VALUES (?, ?)", &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, node);
	statement_put_digest(statement, 2, hash);
	return statement_run(statement, flt);
}

/* Visit the nodes that a leaf completes, and grow `roots` by it. */
static int climb(struct database *database, struct merkle_log_roots *roots, const struct digest *leaf,
		 int (*visit)(struct database *database, uint64_t node, const struct digest *hash, struct fault *flt),
		 struct fault *flt)
{
	int left = __builtin_popcountll(roots->length);
	uint64_t node = 2 * roots->length;
	struct digest hash = *leaf;
	int r;

	if (roots->length >= CAP_LOG_LENGTH)
		return fault_undecided(flt, FAULT_LIMIT, "the log has %" PRIu64 " records, the most there can be",
				       roots->length);
	r = visit(database, node, &hash, flt);
	/* Each balanced tree that it completes takes the one left of it in. */
	while (!r && merkle_node_is_right(node)) {
		hash = merkle_node_branch(&roots->roots[--left], &hash);
		node = merkle_node_parent(node);
		r = visit(database, node, &hash, flt);
	}
	if (!r)
		merkle_log_roots_append(roots, leaf);
	return r;
}

int log_nodes_append(struct database *database, struct merkle_log_roots *roots, const struct digest *leaf,
		     struct fault *flt)
{
	return climb(database, roots, leaf, put_node, flt);
}

static int read_node(void *user, uint64_t node, struct digest *out, struct fault *flt)
{
	struct statement *statement;
	bool found = false;
	int r = statement_use(user, "SELECT hash FROM log_nodes WHERE node = ?", &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, node);
	r = statement_step(statement, &found, flt);
	if (!r && !found)
		r = fault_invalid(flt, "the database has no node %" PRIu64 " of the log", node);
	if (!r)
		r = statement_digest(statement, 0, out, flt);
	statement_end(statement);
	return r;
}

static int compare_node(struct database *database, uint64_t node, const struct digest *hash, struct fault *flt)
{
	struct digest stored;
	int r = read_node(database, node, &stored, flt);

	if (r || digest_equals(&stored, hash))
		return r;
	return fault_invalid(flt, "node %" PRIu64 " of the log is another one in the database", node);
}

int log_nodes_check(struct database *database, struct merkle_log_roots *roots, const struct digest *leaf,
		    struct fault *flt)
{
	return climb(database, roots, leaf, compare_node, flt);
}

int log_nodes_roots(struct database *database, uint64_t length, struct merkle_log_roots *out, struct fault *flt)
{
	struct merkle_log_roots roots = {.length = length};
	uint64_t nodes[CAP_LOG_HEIGHT];
	size_t count = merkle_node_balanced_roots(length, nodes);

	for (size_t i = 0; i < count; i++) {
		int r = read_node(database, nodes[i], &roots.roots[i], flt);

		if (r)
			return r;
	}
	*out = roots;
	return 0;
}

int log_nodes_prove_inclusion(struct database *database, uint64_t length, const uint64_t *indices, size_t count,
			      struct merkle_log_bundle *out, struct fault *flt)
{
	const struct merkle_log_source source = {length, read_node, database};

	return merkle_log_source_prove_inclusion(&source, length, indices, count, out, flt);
}

int log_nodes_prove_consistency(struct database *database, uint64_t old_length, uint64_t new_length,
				struct merkle_log_bundle *out, struct fault *flt)
{
	const struct merkle_log_source source = {new_length, read_node, database};

	return merkle_log_source_prove_consistency(&source, old_length, new_length, out, flt);
}
