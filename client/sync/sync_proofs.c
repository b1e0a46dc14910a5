/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Proofs of an update: that every head is in the checkpoint's log, and is its log's latest in the map (protocol.md
 * sections 5 and 7).
 *
 * All heads are asked for together. One bad head spoils the proof of all in its bundle: then the bundle is halved,
 * and halved again, until the bad ones stand alone. That is bounded: a registry that answers nothing but lies is not
 * asked for ever. The bundles of one level are asked for side by side.
 */
#include "client/base/thread.h"
#include "sync_parts.h"

#include <stdlib.h>
#include <string.h>

/* Heads in one bundle: with a map of a billion logs it stays below CAP_BODY_PROOF; longer answers are halved. */
#define BUNDLE_HEADS 1024
/* Bundles in one level; a few bad ones among thousands are found in as many as this. */
#define LEVEL_BUNDLES 64
/* Bundles fetched at the same time: each takes a few times CAP_BODY_PROOF of memory. */
#define SIDE_BY_SIDE 4

/** Heads that are proven by one call. */
struct bundle {
	struct sync_log **logs; /* borrowed: a part of all open ones */
	size_t count;
	struct fault fault; /* why they are not proven */
	struct view_proof *proof; /* the proof, if it is of the operator's head and a package's; else NULL */
};

/** Bundles that are asked for side by side. */
struct level {
	const struct sync *sync;
	const struct sync_proof *ahead;
	struct bundle *bundles;
	size_t count;
	atomic_size_t next; /* the first that nobody took */
};

/** A bundle's heads, as the calls want them. */
struct heads {
	uint64_t *indices;
	struct merkle_log_leaf_at *leaves;
	struct merkle_map_entry *entries;
};

static void heads_release(struct heads *heads)
{
	free(heads->indices);
	free(heads->leaves);
	free(heads->entries);
}

static int heads_init(const struct bundle *bundle, struct heads *heads, struct fault *flt)
{
	heads->indices = calloc(bundle->count, sizeof(*heads->indices));
	heads->leaves = calloc(bundle->count, sizeof(*heads->leaves));
	heads->entries = calloc(bundle->count, sizeof(*heads->entries));
	if (!heads->indices || !heads->leaves || !heads->entries) {
		heads_release(heads);
		return fault_no_memory(flt);
	}
	for (size_t i = 0; i < bundle->count; i++) {
		const struct sync_log *log = bundle->logs[i];
		const struct digest *record_id = &sync_log_head(log)->record_id;

		heads->indices[i] = log->position.registry_index;
		heads->leaves[i].index = log->position.registry_index;
		heads->leaves[i].leaf = merkle_log_leaf(&log->log_id, record_id);
		heads->entries[i] = (struct merkle_map_entry){log->log_id, *record_id};
	}
	return 0;
}

/* Without memory it is fetched once more by who wants it. */
static void keep_proof(struct bundle *bundle, const struct heads *heads, const struct merkle_log_bundle *log,
		       const struct merkle_map_bundle *map)
{
	if (bundle->count == 2 && !bundle->logs[0]->is_package)
		view_proof_new(heads->indices, log, map, &bundle->proof, NULL);
}

static int check_bundles(const struct sync *sync, struct bundle *bundle, const struct heads *heads,
			 const struct merkle_log_bundle *log, const struct merkle_map_bundle *map, struct fault *flt)
{
	const struct checkpoint *checkpoint = &sync->checkpoint->contents;
	int verdict = merkle_log_check_inclusion(log, checkpoint->log_length, &checkpoint->log_root, heads->leaves,
						 bundle->count, flt);

	if (!verdict)
		verdict = merkle_map_check_inclusion(map, &checkpoint->map_root, heads->entries, bundle->count, flt);
	if (verdict)
		fault_at(flt, "proof of inclusion");
	else
		keep_proof(bundle, heads, log, map);
	return verdict;
}

static bool is_ahead(const struct sync_proof *ahead, const struct bundle *bundle, const struct heads *heads)
{
	return !ahead->verdict && ahead->count == bundle->count &&
	       !memcmp(ahead->indices, heads->indices, bundle->count * sizeof(*heads->indices));
}

static int check(const struct sync *sync, const struct sync_proof *ahead, struct bundle *bundle,
		 const struct heads *heads, struct fault *flt)
{
	struct merkle_log_bundle log = {0};
	struct merkle_map_bundle map = {0};
	int verdict;

	if (is_ahead(ahead, bundle, heads))
		return check_bundles(sync, bundle, heads, &ahead->log, &ahead->map, flt);
	verdict = api_prove_inclusion(sync->api, sync->deadline, sync->checkpoint->contents.log_length, heads->indices,
				      bundle->count, &log, &map, flt);
	if (verdict)
		return verdict;
	verdict = check_bundles(sync, bundle, heads, &log, &map, flt);
	merkle_log_bundle_release(&log);
	merkle_map_bundle_release(&map);
	return verdict;
}

static void prove(const struct sync *sync, const struct sync_proof *ahead, struct bundle *bundle)
{
	struct heads heads;

	if (heads_init(bundle, &heads, &bundle->fault))
		return;
	if (!check(sync, ahead, bundle, &heads, &bundle->fault))
		for (size_t i = 0; i < bundle->count; i++)
			bundle->logs[i]->is_proven = true;
	/* What the registry does not find is no package that is absent. */
	if (bundle->fault.kind == FAULT_ABSENT)
		bundle->fault.kind = FAULT_REFUSED;
	heads_release(&heads);
}

/* ---- Ahead ---- */

/* Where the log ends, by the ledger. @return false: the ledger has no such log */
static bool find_head(const struct sync *sync, const struct sync_log *log, uint64_t *out)
{
	const struct listing_log *listed = log->is_package ? listing_find_log(sync->heads, &log->log_id) : NULL;

	*out = listed ? listed->last : sync->heads->operator_last;
	return listed || !log->is_package;
}

/* @return whether anything has to be fetched before these heads are known */
static bool gather_ahead(const struct sync *sync, struct sync_proof *proof)
{
	bool is_to_fetch = false;

	for (size_t i = 0; i < sync->count; i++) {
		const struct sync_log *log = &sync->logs[i];

		if (!sync_log_is_open(log) || !find_head(sync, log, &proof->indices[proof->count]))
			continue;
		proof->count++;
		is_to_fetch |= !log->is_whole;
	}
	return is_to_fetch;
}

static void *fetch_ahead(void *argument)
{
	struct sync_proof *proof = argument;
	const struct sync *sync = proof->sync;

	proof->verdict = api_prove_inclusion(sync->api, sync->deadline, sync->checkpoint->contents.log_length,
					     proof->indices, proof->count, &proof->log, &proof->map, NULL);
	return NULL;
}

void sync_begin_proof(struct sync *sync, struct sync_proof *out)
{
	*out = (struct sync_proof){.sync = sync, .verdict = WARG_UNDECIDED};
	if (!sync->heads || sync->count > BUNDLE_HEADS)
		return;
	out->indices = calloc(sync->count + 1, sizeof(*out->indices));
	/* What cannot be fetched ahead is fetched later. */
	if (out->indices && gather_ahead(sync, out))
		out->is_begun = !thread_start(&out->thread, fetch_ahead, out);
}

void sync_end_proof(struct sync_proof *proof)
{
	if (proof->is_begun)
		pthread_join(proof->thread, NULL);
}

void sync_proof_release(struct sync_proof *proof)
{
	if (!proof->verdict) {
		merkle_log_bundle_release(&proof->log);
		merkle_map_bundle_release(&proof->map);
	}
	free(proof->indices);
}

/* ---- Levels ---- */

static void *prove_next(void *argument)
{
	struct level *level = argument;
	size_t index;

	while ((index = atomic_fetch_add(&level->next, 1)) < level->count)
		prove(level->sync, level->ahead, &level->bundles[index]);
	return NULL;
}

/* Prove all bundles of a level: this thread does its share, and all of it where no other can be started. */
static void prove_level(const struct sync *sync, const struct sync_proof *ahead, struct bundle *bundles, size_t count)
{
	struct level level = {.sync = sync, .ahead = ahead, .bundles = bundles, .count = count};
	pthread_t others[SIDE_BY_SIDE - 1];
	size_t started = 0;

	atomic_init(&level.next, 0);
	while (started < SIDE_BY_SIDE - 1 && started + 1 < count &&
	       !thread_start(&others[started], prove_next, &level))
		started++;
	prove_next(&level);
	while (started)
		pthread_join(others[--started], NULL);
}

/* Whether halves of the bundle may fare better: not when the network failed, or we did. */
static bool is_divisible(const struct bundle *bundle)
{
	return bundle->count > 1 && (bundle->fault.kind == FAULT_FORGED || bundle->fault.kind == FAULT_REFUSED ||
				     bundle->fault.kind == FAULT_LIMIT);
}

static void give_up(const struct bundle *bundle)
{
	for (size_t i = 0; i < bundle->count; i++)
		sync_log_fail(bundle->logs[i], &bundle->fault);
}

/*
 * The next level: the halves of what failed in this one.
 * @param halves  room for LEVEL_BUNDLES
 * @return how many
 */
static size_t halve(const struct bundle *bundles, size_t count, struct bundle *halves)
{
	size_t halved = 0;

	for (size_t i = 0; i < count; i++) {
		size_t half = bundles[i].count / 2;

		if (!bundles[i].fault.verdict)
			continue;
		if (!is_divisible(&bundles[i]) || halved + 2 > LEVEL_BUNDLES) {
			give_up(&bundles[i]);
			continue;
		}
		halves[halved++] = (struct bundle){.logs = bundles[i].logs, .count = half};
		halves[halved++] = (struct bundle){.logs = bundles[i].logs + half, .count = bundles[i].count - half};
	}
	return halved;
}

/* The last proof takes the place of one before: any is as good. */
static void take_proofs(struct sync *sync, struct bundle *bundles, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!bundles[i].proof)
			continue;
		view_proof_unref(sync->proof);
		sync->proof = bundles[i].proof;
	}
}

static void prove_all(struct sync *sync, const struct sync_proof *ahead, struct sync_log **logs, size_t count,
		      struct bundle *bundles, struct bundle *halves)
{
	size_t bundle_count = 0;

	for (size_t at = 0; at < count; at += BUNDLE_HEADS)
		bundles[bundle_count++] = (struct bundle){
			.logs = logs + at,
			.count = count - at < BUNDLE_HEADS ? count - at : BUNDLE_HEADS,
		};
	while (bundle_count) {
		struct bundle *done = bundles;

		prove_level(sync, ahead, bundles, bundle_count);
		take_proofs(sync, bundles, bundle_count);
		bundle_count = halve(bundles, bundle_count, halves);
		bundles = halves;
		halves = done;
	}
}

static size_t gather(struct sync *sync, struct sync_log **logs)
{
	size_t count = 0;

	for (size_t i = 0; i < sync->count; i++)
		if (sync_log_is_open(&sync->logs[i]))
			logs[count++] = &sync->logs[i];
	return count;
}

void sync_prove_heads(struct sync *sync, const struct sync_proof *ahead)
{
	size_t room = LEVEL_BUNDLES + sync->count / BUNDLE_HEADS + 1;
	struct sync_log **logs = calloc(sync->count + 1, sizeof(struct sync_log *));
	struct bundle *bundles = calloc(room, sizeof(*bundles));
	struct bundle *halves = calloc(room, sizeof(*halves));

	if (logs && bundles && halves) {
		prove_all(sync, ahead, logs, gather(sync, logs), bundles, halves);
	} else {
		struct fault flt = {0};

		fault_no_memory(&flt);
		sync_fail_open(sync, &flt);
	}
	free(halves);
	free(bundles);
	free(logs);
}
