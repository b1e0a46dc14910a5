/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Proof bundles. The first byte of an input chooses log or map.
 *
 * A log bundle that was accepted is written as the same bytes; a map bundle so after one round, as absent hashes are
 * written out. And of one log and one map that stand still, nothing but the true proofs is believed.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "verify/merkle_log.h"
#include "verify/merkle_map.h"
#include "verify/merkle_map_tree.h"

#define LENGTH 13
#define OLD_LENGTH 5
#define PROVEN 3

/** The log and the map, and what is proven of them. */
static struct {
	bool made;
	struct digest log_root, old_root, map_root;
	struct merkle_log_leaf_at leaves[PROVEN];
	struct merkle_map_entry entries[PROVEN];
	struct buf log_proof, growth_proof;
	struct merkle_map_bundle map_proof;
	struct merkle_map_empties empties;
} truth;

static struct digest digest_of_number(unsigned number)
{
	unsigned char byte = (unsigned char)number;

	return digest_of((struct span){ &byte, 1 });
}

/** The bundle's bytes. Releases it. */
static struct buf written(struct merkle_log_bundle *bundle_take)
{
	struct buf bytes;

	buf_init(&bytes, SIZE_MAX);
	fuzz_require(merkle_log_bundle_encode(bundle_take, &bytes, NULL) == 0);
	merkle_log_bundle_release(bundle_take);
	return bytes;
}

static void make_log(const uint64_t *indices)
{
	struct merkle_log_bundle inclusion, growth;
	struct merkle_log *log = NULL;

	fuzz_require(merkle_log_new(&log, NULL) == 0);
	for (unsigned i = 0; i < LENGTH; i++) {
		struct digest leaf = digest_of_number(i);

		fuzz_require(merkle_log_append(log, &leaf, NULL) == 0);
	}
	truth.log_root = merkle_log_root(log, LENGTH);
	truth.old_root = merkle_log_root(log, OLD_LENGTH);
	for (size_t i = 0; i < PROVEN; i++)
		truth.leaves[i] = (struct merkle_log_leaf_at){ indices[i], digest_of_number((unsigned)indices[i]) };
	fuzz_require(merkle_log_prove_inclusion(log, LENGTH, indices, PROVEN, &inclusion, NULL) == 0);
	truth.log_proof = written(&inclusion);
	fuzz_require(merkle_log_prove_consistency(log, OLD_LENGTH, LENGTH, &growth, NULL) == 0);
	truth.growth_proof = written(&growth);
	merkle_log_free(log);
}

static void make_map(const uint64_t *indices)
{
	struct digest log_ids[PROVEN];
	struct merkle_map *map = NULL;

	merkle_map_empties_init(&truth.empties);
	fuzz_require(merkle_map_new(&map, NULL) == 0);
	for (unsigned i = 0; i < LENGTH; i++) {
		struct merkle_map_entry entry = { digest_of_number(i), digest_of_number(100 + i) };

		fuzz_require(merkle_map_set(map, &entry, NULL) == 0);
		for (size_t k = 0; k < PROVEN; k++)
			if (indices[k] == i)
				truth.entries[k] = entry;
	}
	truth.map_root = merkle_map_root(map);
	for (size_t i = 0; i < PROVEN; i++)
		log_ids[i] = truth.entries[i].log_id;
	fuzz_require(merkle_map_prove(map, log_ids, PROVEN, &truth.map_proof, NULL) == 0);
	merkle_map_free(map);
}

static void make_truth(void)
{
	static const uint64_t indices[PROVEN] = { 3, 12, 7 };

	if (truth.made)
		return;
	make_log(indices);
	make_map(indices);
	truth.made = true;
}

static void try_log(struct span bytes)
{
	struct merkle_log_bundle bundle;
	struct fault flt = { 0 };
	struct buf again;
	int r;

	r = merkle_log_bundle_decode(bytes, &bundle, &flt);
	fuzz_require_verdict(r, &flt);
	if (r)
		return;
	buf_init(&again, bytes.length);
	fuzz_require(merkle_log_bundle_encode(&bundle, &again, NULL) == 0);
	fuzz_require(span_equals(buf_span(&again), bytes));
	buf_release(&again);

	r = merkle_log_check_inclusion(&bundle, LENGTH, &truth.log_root, truth.leaves, PROVEN, &flt);
	fuzz_require_verdict(r, &flt);
	fuzz_require((r == 0) == span_equals(bytes, buf_span(&truth.log_proof)));
	flt = (struct fault){ 0 };
	r = merkle_log_check_consistency(&bundle, OLD_LENGTH, &truth.old_root, LENGTH, &truth.log_root, &flt);
	fuzz_require_verdict(r, &flt);
	fuzz_require((r == 0) == span_equals(bytes, buf_span(&truth.growth_proof)));
	merkle_log_bundle_release(&bundle);
}

/** Whether both paths say the same: what only one of them has at the bottom is empty. */
static bool same_path(const struct merkle_map_path *a, const struct merkle_map_path *b)
{
	const struct merkle_map_path *longer = a->count >= b->count ? a : b, *other = longer == a ? b : a;
	size_t more = longer->count - other->count;

	for (size_t i = 0; i < more; i++)
		if (!digest_equals(&longer->hashes[i], &truth.empties.at[CAP_MAP_HEIGHT - longer->count + i]))
			return false;
	for (size_t i = 0; i < other->count; i++)
		if (!digest_equals(&longer->hashes[more + i], &other->hashes[i]))
			return false;
	return true;
}

static void require_true_paths(const struct merkle_map_bundle *bundle)
{
	fuzz_require(bundle->count == PROVEN);
	for (size_t i = 0; i < PROVEN; i++)
		fuzz_require(same_path(&bundle->paths[i], &truth.map_proof.paths[i]));
}

static void try_map(struct span bytes)
{
	struct merkle_map_bundle bundle, again;
	struct buf first, second;
	struct fault flt = { 0 };
	int r;

	r = merkle_map_bundle_decode(bytes, &bundle, &flt);
	fuzz_require_verdict(r, &flt);
	if (r)
		return;
	buf_init(&first, SIZE_MAX);
	buf_init(&second, SIZE_MAX);
	fuzz_require(merkle_map_bundle_encode(&bundle, &first, NULL) == 0);
	fuzz_require(first.length >= bytes.length);
	fuzz_require(merkle_map_bundle_decode(buf_span(&first), &again, NULL) == 0);
	fuzz_require(merkle_map_bundle_encode(&again, &second, NULL) == 0);
	fuzz_require(span_equals(buf_span(&first), buf_span(&second)));
	buf_release(&first);
	buf_release(&second);
	merkle_map_bundle_release(&again);

	r = merkle_map_check_inclusion(&bundle, &truth.map_root, truth.entries, PROVEN, &flt);
	fuzz_require_verdict(r, &flt);
	if (r == 0)
		require_true_paths(&bundle);
	merkle_map_bundle_release(&bundle);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	make_truth();
	if (size == 0)
		return 0;
	if (data[0] & 1)
		try_map((struct span){ data + 1, size - 1 });
	else
		try_log((struct span){ data + 1, size - 1 });
	return 0;
}
