/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * One transaction from records to a checkpoint (see append.h).
 */
#include "append.h"

#include <inttypes.h>
#include <stdlib.h>

#include "log_nodes.h"

/* ---- Where it stands ---- */

static int check_roots(const struct merkle_log_roots *roots, const struct checkpoint *checkpoint, struct fault *flt)
{
	struct digest root = merkle_log_roots_fold(roots);

	if (digest_equals(&root, &checkpoint->log_root))
		return 0;
	return fault_invalid(flt, "the log in the database is not the one of its last checkpoint");
}

static int load_last(struct database *database, uint64_t length, struct append_state *out, struct fault *flt)
{
	struct append_state state;
	struct fault own = {0};
	int r = published_last_checkpoint(database, &state.last, &own);

	if (own.kind == FAULT_ABSENT)
		return fault_invalid(flt, "the database has %" PRIu64 " records, and no checkpoint", length);
	if (r && flt)
		*flt = own;
	if (!r && state.last.checkpoint.contents.log_length != length)
		r = fault_invalid(flt, "the database has %" PRIu64 " records, and its last checkpoint %" PRIu64, length,
				  state.last.checkpoint.contents.log_length);
	if (!r)
		r = log_nodes_roots(database, length, &state.roots, flt);
	if (!r)
		r = check_roots(&state.roots, &state.last.checkpoint.contents, flt);
	if (!r)
		*out = state;
	return r;
}

int append_load(struct database *database, struct append_state *out, struct fault *flt)
{
	uint64_t length = 0;
	int r = published_length(database, &length, flt);

	if (r)
		return r;
	if (length)
		return load_last(database, length, out, flt);
	*out = (struct append_state){.last.map = map_nodes_empty()};
	return 0;
}

/* ---- Going on ---- */

static int append(struct database *database, struct merkle_log_roots *roots, struct published_record record,
		  struct fault *flt)
{
	const struct digest leaf = merkle_log_leaf(&record.log_id, &record.record_id);
	int r;

	record.registry_index = roots->length;
	r = published_append(database, &record, flt);
	return r ? r : log_nodes_append(database, roots, &leaf, flt);
}

static int set_map(struct database *database, struct map_root *map, const struct published_record *records,
		   size_t count, struct fault *flt)
{
	struct merkle_map_entry *entries = calloc(count, sizeof(*entries));
	int r;

	if (!entries)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++)
		entries[i] = (struct merkle_map_entry){records[i].log_id, records[i].record_id};
	r = map_nodes_set(database, map, entries, count, flt);
	free(entries);
	return r;
}

static int sign(struct database *database, struct append_state *state, const struct ecdsa_private_key *key,
		uint64_t now, struct fault *flt)
{
	const uint64_t before = state->last.checkpoint.contents.timestamp;
	const struct checkpoint contents = {
		.log_length = state->roots.length,
		.log_root = merkle_log_roots_fold(&state->roots),
		.map_root = state->last.map.hash,
		.timestamp = now > before ? now : before,
	};
	int r = checkpoint_sign(&contents, key, &state->last.checkpoint, flt);

	return r ? r : published_put_checkpoint(database, &state->last, flt);
}

int append_grow(struct database *database, struct append_state *state, const struct published_record *records,
		size_t count, struct fault *flt)
{
	int r = 0;

	for (size_t i = 0; i < count && !r; i++)
		r = append(database, &state->roots, records[i], flt);
	return r ? r : set_map(database, &state->last.map, records, count, flt);
}

int append_follow(struct database *database, struct append_state *state, const struct signed_checkpoint *checkpoint,
		  struct fault *flt)
{
	const struct checkpoint *contents = &checkpoint->contents;
	struct digest log_root = merkle_log_roots_fold(&state->roots);

	if (contents->log_length != state->roots.length || !digest_equals(&contents->log_root, &log_root))
		return fault_invalid(flt, "the log has another root than the checkpoint");
	if (!digest_equals(&contents->map_root, &state->last.map.hash))
		return fault_invalid(flt, "the map has another root than the checkpoint");
	state->last.checkpoint = *checkpoint;
	return published_put_checkpoint(database, &state->last, flt);
}

int append_enter(struct database *database, struct append_state *state, const struct published_record *records,
		 size_t count, const struct ecdsa_private_key *key, uint64_t now, struct fault *flt)
{
	int r = append_grow(database, state, records, count, flt);

	return r ? r : sign(database, state, key, now, flt);
}

int append_records(struct database *database, struct append_state *state, const struct published_record *records,
		   size_t count, const struct ecdsa_private_key *key, uint64_t now, struct fault *flt)
{
	struct append_state next = *state;
	int r = database_begin(database, flt);

	if (!r)
		r = append_enter(database, &next, records, count, key, now, flt);
	if (!r)
		r = database_commit(database, flt);
	if (r)
		database_rollback(database);
	else
		*state = next;
	return r;
}
