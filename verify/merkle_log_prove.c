/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The prover: bundles as the reference makes them, of all walks that are asked for, every node once, sorted, even those
 * that could be computed from others; and a whole log in memory to make them from.
 * Source: protocol.md section 5; interop.md section A 7.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "merkle_log.h"
#include "merkle_node.h"

struct merkle_log {
	uint64_t length;
	struct digest *nodes; /* by number; those whose subtree is not full yet are not set */
	size_t capacity;
};

int merkle_log_new(struct merkle_log **out, struct fault *flt)
{
	struct merkle_log *log = calloc(1, sizeof(*log));

	if (!log)
		return fault_no_memory(flt);
	*out = log;
	return 0;
}

void merkle_log_free(struct merkle_log *log)
{
	if (!log)
		return;
	free(log->nodes);
	free(log);
}

static int grow(struct merkle_log *log, struct fault *flt)
{
	size_t capacity = log->capacity ? 2 * log->capacity : 64;
	struct digest *nodes = reallocarray(log->nodes, capacity, sizeof(*nodes));

	if (!nodes)
		return fault_no_memory(flt);
	log->nodes = nodes;
	log->capacity = capacity;
	return 0;
}

int merkle_log_append(struct merkle_log *log, const struct digest *leaf, struct fault *flt)
{
	uint64_t node = 2 * log->length;
	int ret;

	if (log->length >= CAP_LOG_LENGTH)
		return fault_undecided(flt, FAULT_LIMIT, "the log has %" PRIu64 " records, the most there can be",
				       log->length);
	if (node >= log->capacity) {
		ret = grow(log, flt);
		if (ret)
			return ret;
	}
	log->nodes[node] = *leaf;
	while (merkle_node_is_right(node)) {
		uint64_t parent = merkle_node_parent(node);

		log->nodes[parent] = merkle_node_branch(&log->nodes[merkle_node_sibling(node)], &log->nodes[node]);
		node = parent;
	}
	log->length++;
	return 0;
}

uint64_t merkle_log_length(const struct merkle_log *log)
{
	return log->length;
}

struct digest merkle_log_root(const struct merkle_log *log, uint64_t length)
{
	uint64_t numbers[CAP_LOG_HEIGHT];
	size_t count = merkle_node_balanced_roots(length, numbers);
	struct merkle_log_roots roots = { .length = length };

	for (size_t i = 0; i < count; i++)
		roots.roots[i] = log->nodes[numbers[i]];
	return merkle_log_roots_fold(&roots);
}

/** Node numbers, gathered in any order and perhaps several times. */
struct needed {
	uint32_t *nodes;
	size_t count;
	size_t capacity;
};

static int needed_add(struct needed *needed, const uint64_t *nodes, size_t count, struct fault *flt)
{
	if (count > needed->capacity - needed->count) {
		size_t capacity = 2 * needed->capacity + 2 * CAP_LOG_HEIGHT;
		uint32_t *grown = reallocarray(needed->nodes, capacity, sizeof(*grown));

		if (!grown)
			return fault_no_memory(flt);
		needed->nodes = grown;
		needed->capacity = capacity;
	}
	for (size_t i = 0; i < count; i++)
		needed->nodes[needed->count++] = (uint32_t)nodes[i];
	return 0;
}

static int needed_add_walk(struct needed *needed, uint64_t node, uint64_t length, struct fault *flt)
{
	struct merkle_node_walk walk;

	if (!merkle_node_walk(node, length, &walk))
		return fault_undecided(flt, FAULT_MISUSE, "a log of %" PRIu64 " records has no node %" PRIu64, length,
				       node);
	return needed_add(needed, walk.nodes, walk.siblings + walk.lower + walk.upper, flt);
}

static int compare_nodes(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/** The hashes of all needed nodes, each once, sorted. */
static int gather_hashes(const struct merkle_log_source *source, struct needed *needed,
			 struct merkle_log_bundle *bundle, struct fault *flt)
{
	size_t count = 0;
	int ret = 0;

	if (needed->count == 0)
		return 0; /* a log of one record */
	qsort(needed->nodes, needed->count, sizeof(*needed->nodes), compare_nodes);
	for (size_t i = 0; i < needed->count; i++)
		if (i == 0 || needed->nodes[i] != needed->nodes[i - 1])
			needed->nodes[count++] = needed->nodes[i];
	if (count > CAP_PROOF_HASHES)
		return fault_undecided(flt, FAULT_LIMIT, "the proof has %zu hashes, more than %u", count,
				       CAP_PROOF_HASHES);
	bundle->hashes = calloc(count, sizeof(*bundle->hashes));
	if (!bundle->hashes)
		return fault_no_memory(flt);
	bundle->hash_count = count;
	for (size_t i = 0; i < count && !ret; i++) {
		bundle->hashes[i].node = needed->nodes[i];
		ret = source->read(source->user, needed->nodes[i], &bundle->hashes[i].hash, flt);
	}
	return ret;
}

int merkle_log_source_prove_inclusion(const struct merkle_log_source *source, uint64_t length, const uint64_t *indices,
				      size_t count, struct merkle_log_bundle *out, struct fault *flt)
{
	struct merkle_log_bundle bundle = { .log_length = (uint32_t)length };
	struct needed needed = { 0 };
	int ret;

	if (count == 0)
		return fault_undecided(flt, FAULT_MISUSE, "a proof of no record is asked for");
	if (length > source->length)
		return fault_undecided(flt, FAULT_MISUSE, "the log has %" PRIu64 " records, not %" PRIu64,
				       source->length, length);
	if (count > CAP_PROOF_LEAVES)
		return fault_undecided(flt, FAULT_LIMIT, "a proof of %zu records is asked for, more than %u", count,
				       (unsigned)CAP_PROOF_LEAVES);
	bundle.included_nodes = calloc(count, sizeof(*bundle.included_nodes));
	if (!bundle.included_nodes)
		return fault_no_memory(flt);
	bundle.included_count = count;
	for (size_t i = 0; i < count; i++) {
		if (indices[i] >= length) {
			ret = fault_undecided(flt, FAULT_MISUSE, "a log of %" PRIu64 " records has no record %" PRIu64,
					      length, indices[i]);
			goto out;
		}
		bundle.included_nodes[i] = (uint32_t)(2 * indices[i]);
		ret = needed_add_walk(&needed, 2 * indices[i], length, flt);
		if (ret)
			goto out;
	}
	ret = gather_hashes(source, &needed, &bundle, flt);
	if (ret)
		goto out;
	*out = bundle;
	bundle = (struct merkle_log_bundle){ 0 };
out:
	free(needed.nodes);
	merkle_log_bundle_release(&bundle);
	return ret;
}

int merkle_log_source_prove_consistency(const struct merkle_log_source *source, uint64_t old_length,
					uint64_t new_length, struct merkle_log_bundle *out, struct fault *flt)
{
	struct merkle_log_bundle bundle = { .log_length = (uint32_t)new_length };
	uint64_t roots[CAP_LOG_HEIGHT];
	struct needed needed = { 0 };
	size_t count;
	int ret;

	if (old_length == 0 || old_length > new_length || new_length > source->length)
		return fault_undecided(flt, FAULT_MISUSE,
				       "a log of %" PRIu64 " records did not grow from %" PRIu64 " to %" PRIu64,
				       source->length, old_length, new_length);
	bundle.consistent_lengths = calloc(1, sizeof(*bundle.consistent_lengths));
	if (!bundle.consistent_lengths)
		return fault_no_memory(flt);
	bundle.consistent_lengths[0] = (uint32_t)old_length;
	bundle.consistent_count = 1;
	count = merkle_node_balanced_roots(old_length, roots);
	ret = needed_add(&needed, roots, count, flt);
	for (size_t i = 0; i < count && !ret; i++)
		ret = needed_add_walk(&needed, roots[i], new_length, flt);
	if (ret)
		goto out;
	ret = gather_hashes(source, &needed, &bundle, flt);
	if (ret)
		goto out;
	*out = bundle;
	bundle = (struct merkle_log_bundle){ 0 };
out:
	free(needed.nodes);
	merkle_log_bundle_release(&bundle);
	return ret;
}

/* ---- From memory ---- */

static int read_node(void *user, uint64_t node, struct digest *out, struct fault *flt)
{
	const struct merkle_log *log = user;

	(void)flt;
	*out = log->nodes[node];
	return 0;
}

static struct merkle_log_source source_of(const struct merkle_log *log)
{
	return (struct merkle_log_source){ log->length, read_node, (void *)(uintptr_t)log };
}

int merkle_log_prove_inclusion(const struct merkle_log *log, uint64_t length, const uint64_t *indices, size_t count,
			       struct merkle_log_bundle *out, struct fault *flt)
{
	const struct merkle_log_source source = source_of(log);

	return merkle_log_source_prove_inclusion(&source, length, indices, count, out, flt);
}

int merkle_log_prove_consistency(const struct merkle_log *log, uint64_t old_length, uint64_t new_length,
				 struct merkle_log_bundle *out, struct fault *flt)
{
	const struct merkle_log_source source = source_of(log);

	return merkle_log_source_prove_consistency(&source, old_length, new_length, out, flt);
}
