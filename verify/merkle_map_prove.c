/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The prover of maps: bundles as the reference makes them, wherever the map is read from.
 * Source: protocol.md section 5.
 */
#include "merkle_map_tree.h"

#include <stdlib.h>

/**
 * The siblings from the lowest one on that is not empty.
 *
 * Alone in its map, a leaf has the empty sibling below the root all the same: the reference never sends no hash at all.
 */
static int render_way(const struct merkle_map_way *way, const struct merkle_map_empties *empties,
		      struct merkle_map_path *out, struct fault *flt)
{
	size_t count = way->count > 0 ? way->depths[way->count - 1] + 1 : 1;
	struct digest *hashes = malloc(count * sizeof(*hashes));

	if (!hashes)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++)
		hashes[i] = empties->at[CAP_MAP_HEIGHT - count + i];
	for (size_t i = 0; i < way->count; i++)
		hashes[count - 1 - way->depths[i]] = way->siblings[i];
	*out = (struct merkle_map_path){ hashes, count };
	return 0;
}

static int prove_log(const struct merkle_map_source *source, const struct digest *log_id, struct merkle_map_path *out,
		     struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	struct merkle_map_way way;
	bool found;
	int ret = source->find(source->user, log_id, &way, &found, flt);

	if (ret)
		return ret;
	if (found)
		return render_way(&way, source->empties, out, flt);
	digest_format(log_id, text);
	return fault_undecided(flt, source->absent, "the map has no log %s", text);
}

int merkle_map_source_prove(const struct merkle_map_source *source, const struct digest *log_ids, size_t count,
			    struct merkle_map_bundle *out, struct fault *flt)
{
	struct merkle_map_bundle bundle = { NULL, 0 };
	int ret = 0;

	if (count > CAP_PROOF_LEAVES)
		return fault_undecided(flt, FAULT_LIMIT, "a proof of %zu logs is asked for, more than %u", count,
				       (unsigned)CAP_PROOF_LEAVES);
	bundle.paths = calloc(count + 1, sizeof(*bundle.paths));
	if (!bundle.paths)
		return fault_no_memory(flt);
	while (bundle.count < count && !ret) {
		ret = prove_log(source, &log_ids[bundle.count], &bundle.paths[bundle.count], flt);
		bundle.count += !ret;
	}
	if (ret)
		merkle_map_bundle_release(&bundle);
	else
		*out = bundle;
	return ret;
}
