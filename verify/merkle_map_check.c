/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The check of the map's proofs (protocol.md sections 5 and 9).
 */
#include "merkle_map.h"
#include "merkle_map_tree.h"

static struct digest evaluate(const struct merkle_map_path *siblings, const struct merkle_map_empties *empties,
			      const struct merkle_map_entry *entry)
{
	struct digest path = merkle_map_tree_path(&entry->log_id);
	struct digest hash = merkle_map_tree_leaf(&entry->record_id);
	size_t depth = siblings->count;

	hash = merkle_map_tree_lift(empties, &path, CAP_MAP_HEIGHT, depth, hash);
	for (size_t i = 0; i < siblings->count; i++)
		hash = merkle_map_tree_step(&path, --depth, &hash, &siblings->hashes[i]);
	return hash;
}

struct digest merkle_map_evaluate(const struct merkle_map_path *path, const struct merkle_map_entry *entry)
{
	struct merkle_map_empties empties;

	merkle_map_empties_init(&empties);
	return evaluate(path, &empties, entry);
}

static int check_entry(const struct merkle_map_path *siblings, const struct merkle_map_empties *empties,
		       const struct digest *root, const struct merkle_map_entry *entry, struct fault *flt)
{
	struct digest found;

	if (siblings->count > CAP_MAP_HEIGHT)
		return fault_invalid(flt, "a path of %zu hashes is longer than the map is high", siblings->count);
	found = evaluate(siblings, empties, entry);
	return digest_equals(&found, root) ? 0 : fault_invalid(flt, "the proof leads to another map root");
}

int merkle_map_check_inclusion(const struct merkle_map_bundle *bundle, const struct digest *root,
			       const struct merkle_map_entry *entries, size_t count, struct fault *flt)
{
	struct merkle_map_empties empties;
	int ret;

	if (count == 0)
		return fault_undecided(flt, FAULT_MISUSE, "no proof can be for no log");
	if (bundle->count != count)
		return fault_invalid(flt, "the map proof is for %zu logs, not %zu", bundle->count, count);
	merkle_map_empties_init(&empties);
	for (size_t i = 0; i < count; i++) {
		ret = check_entry(&bundle->paths[i], &empties, root, &entries[i], flt);
		if (ret) {
			char text[DIGEST_TEXT_SIZE];

			digest_format(&entries[i].log_id, text);
			fault_at(flt, "log %s", text);
			return ret;
		}
	}
	return 0;
}
