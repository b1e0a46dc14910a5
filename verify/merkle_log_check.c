/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checks of the log's proofs: every leaf, and every balanced root of an older log, has to lead to the root.
 *
 * A bundle holds the hashes that its walks use, each once, and no others: that is what the reference sends, so a hash
 * too many is as wrong as one too few.
 * Source: protocol.md sections 5 and 9.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "merkle_log.h"
#include "merkle_node.h"

/** A bundle while it is checked. */
struct evidence {
	const struct merkle_log_bundle *bundle;
	uint64_t length;
	const struct digest *root;
	bool *used; /* a mark for each hash */
};

/** Room for the marks; there is a byte even without hashes, so that NULL means no memory. */
static bool *new_marks(const struct merkle_log_bundle *bundle)
{
	return calloc(bundle->hash_count + 1, sizeof(bool));
}

/** The hash that the bundle has for `node`; from now on it counts as used. */
static int take(struct evidence *evidence, uint64_t node, const struct digest **out, struct fault *flt)
{
	const struct merkle_log_hash *hashes = evidence->bundle->hashes;
	size_t low = 0, high = evidence->bundle->hash_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (hashes[middle].node < node)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == evidence->bundle->hash_count || hashes[low].node != node)
		return fault_invalid(flt, "the proof lacks the hash of node %" PRIu64, node);
	evidence->used[low] = true;
	*out = &hashes[low].hash;
	return 0;
}

/** Walk from `node`, which has `hash`, up to the root of the whole log. */
static int lead_to_root(struct evidence *evidence, uint64_t node, struct digest hash, struct digest *out,
			struct fault *flt)
{
	const struct digest *other;
	struct merkle_node_walk walk;
	struct digest lower;
	size_t at = 0;
	int ret;

	if (!merkle_node_walk(node, evidence->length, &walk))
		return fault_invalid(flt, "a log of %" PRIu64 " records has no node %" PRIu64, evidence->length, node);
	for (; at < walk.siblings; at++) {
		ret = take(evidence, walk.nodes[at], &other, flt);
		if (ret)
			return ret;
		if (walk.nodes[at] < node)
			hash = merkle_node_branch(other, &hash);
		else
			hash = merkle_node_branch(&hash, other);
		node = merkle_node_parent(node);
	}
	for (size_t i = 0; i < walk.lower; i++, at++) {
		ret = take(evidence, walk.nodes[at], &other, flt);
		if (ret)
			return ret;
		lower = i == 0 ? *other : merkle_node_branch(other, &lower);
	}
	if (walk.lower > 0)
		hash = merkle_node_branch(&hash, &lower);
	for (size_t i = 0; i < walk.upper; i++, at++) {
		ret = take(evidence, walk.nodes[at], &other, flt);
		if (ret)
			return ret;
		hash = merkle_node_branch(other, &hash);
	}
	*out = hash;
	return 0;
}

static int check_walk(struct evidence *evidence, uint64_t node, const struct digest *hash, struct fault *flt)
{
	struct digest found;
	int ret;

	ret = lead_to_root(evidence, node, *hash, &found, flt);
	if (ret)
		return ret;
	if (!digest_equals(&found, evidence->root))
		return fault_invalid(flt, "the proof leads from node %" PRIu64 " to another log root", node);
	return 0;
}

static int check_all_used(const struct evidence *evidence, struct fault *flt)
{
	for (size_t i = 0; i < evidence->bundle->hash_count; i++)
		if (!evidence->used[i])
			return fault_invalid(flt, "the proof has a hash that it does not need, of node %" PRIu32,
					     evidence->bundle->hashes[i].node);
	return 0;
}

/** Whether the bundle speaks of what was asked for: its lengths and leaves are the server's words, ours decide. */
static int check_leaves_asked(const struct merkle_log_bundle *bundle, uint64_t length,
			      const struct merkle_log_leaf_at *leaves, size_t count, struct fault *flt)
{
	if (bundle->log_length != length)
		return fault_invalid(flt, "the proof is for a log of %" PRIu32 " records, not %" PRIu64,
				     bundle->log_length, length);
	if (bundle->consistent_count != 0)
		return fault_invalid(flt, "the proof speaks of consistency, and inclusion was asked for");
	if (bundle->included_count != count)
		return fault_invalid(flt, "the proof is for %zu records, not %zu", bundle->included_count, count);
	for (size_t i = 0; i < count; i++) {
		if (leaves[i].index >= length) {
			fault_invalid(flt, "a log of %" PRIu64 " records has no such record", length);
			fault_at(flt, "registry index %" PRIu64, leaves[i].index);
			return WARG_INVALID;
		}
		if (bundle->included_nodes[i] != 2 * leaves[i].index) {
			fault_invalid(flt, "the proof is for node %" PRIu32 " in place of node %" PRIu64,
				      bundle->included_nodes[i], 2 * leaves[i].index);
			fault_at(flt, "registry index %" PRIu64, leaves[i].index);
			return WARG_INVALID;
		}
	}
	return 0;
}

int merkle_log_check_inclusion(const struct merkle_log_bundle *bundle, uint64_t length, const struct digest *root,
			       const struct merkle_log_leaf_at *leaves, size_t count, struct fault *flt)
{
	struct evidence evidence;
	int ret;

	if (count == 0 || length == 0 || length > CAP_LOG_LENGTH)
		return fault_undecided(flt, FAULT_MISUSE, "no proof can be for %zu records of a log of %" PRIu64, count,
				       length);
	ret = check_leaves_asked(bundle, length, leaves, count, flt);
	if (ret)
		return ret;
	evidence = (struct evidence){ bundle, length, root, new_marks(bundle) };
	if (!evidence.used)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++) {
		ret = check_walk(&evidence, 2 * leaves[i].index, &leaves[i].leaf, flt);
		if (ret) {
			fault_at(flt, "registry index %" PRIu64, leaves[i].index);
			goto out;
		}
	}
	ret = check_all_used(&evidence, flt);
out:
	free(evidence.used);
	return ret;
}

/** Fold the old log's balanced roots, each of which has to lead to the new root, into the old root. */
static int fold_old_roots(struct evidence *evidence, uint64_t old_length, struct digest *out, struct fault *flt)
{
	uint64_t roots[CAP_LOG_HEIGHT];
	size_t count = merkle_node_balanced_roots(old_length, roots);
	const struct digest *hash;
	struct digest folded;
	int ret;

	for (size_t i = count; i-- > 0;) {
		ret = take(evidence, roots[i], &hash, flt);
		if (ret)
			return ret;
		ret = check_walk(evidence, roots[i], hash, flt);
		if (ret)
			return ret;
		folded = i == count - 1 ? *hash : merkle_node_branch(hash, &folded);
	}
	*out = folded;
	return 0;
}

int merkle_log_check_consistency(const struct merkle_log_bundle *bundle, uint64_t old_length,
				 const struct digest *old_root, uint64_t new_length, const struct digest *new_root,
				 struct fault *flt)
{
	struct evidence evidence;
	struct digest found;
	int ret;

	if (old_length == 0 || old_length >= new_length || new_length > CAP_LOG_LENGTH)
		return fault_undecided(flt, FAULT_MISUSE, "a log cannot grow from %" PRIu64 " to %" PRIu64 " records",
				       old_length, new_length);
	if (bundle->log_length != new_length)
		return fault_invalid(flt, "the proof is for a log of %" PRIu32 " records, not %" PRIu64,
				     bundle->log_length, new_length);
	if (bundle->included_count != 0)
		return fault_invalid(flt, "the proof speaks of inclusion, and consistency was asked for");
	if (bundle->consistent_count != 1)
		return fault_invalid(flt, "the proof is for %zu old lengths, not 1", bundle->consistent_count);
	if (bundle->consistent_lengths[0] != old_length)
		return fault_invalid(flt, "the proof is for the old length %" PRIu32 ", not %" PRIu64,
				     bundle->consistent_lengths[0], old_length);
	evidence = (struct evidence){ bundle, new_length, new_root, new_marks(bundle) };
	if (!evidence.used)
		return fault_no_memory(flt);
	ret = fold_old_roots(&evidence, old_length, &found, flt);
	if (ret)
		goto out;
	if (!digest_equals(&found, old_root)) {
		ret = fault_invalid(flt, "the proof is for another log root at length %" PRIu64, old_length);
		goto out;
	}
	ret = check_all_used(&evidence, flt);
out:
	free(evidence.used);
	return ret;
}
