/*
 * Proofs of an update: that every head is in the checkpoint's log, and is its log's latest in the map (protocol.md
 * sections 5 and 7).
 *
 * All heads are asked for together. One bad head spoils the proof of all in its bundle: then the bundle is halved,
 * and halved again, until the bad ones stand alone. That is bounded: a registry that answers nothing but lies is not
 * asked for ever. The bundles of one level are asked for side by side.
 */
#include "sync_parts.h"

#include <pthread.h>
#include <stdlib.h>

/* Heads in one bundle: map paths are 256 hashes at worst, which keeps an answer below CAP_BODY_PROOF. */
#define BUNDLE_HEADS 4096
/* Bundles in one level; a few bad ones among thousands are found in as many as this. */
#define LEVEL_BUNDLES 64
/* Bundles on their way at once. */
#define SIDE_BY_SIDE 8

/** Heads that are proven by one call. */
struct bundle {
	struct sync_log **logs; /* borrowed: a part of all open ones */
	size_t count;
	struct fault fault; /* why they are not proven */
};

/** Bundles that are asked for side by side. */
struct level {
	const struct sync *sync;
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

static int check(const struct sync *sync, const struct bundle *bundle, const struct heads *heads, struct fault *flt)
{
	const struct checkpoint *checkpoint = &sync->checkpoint->contents;
	struct merkle_log_bundle log = {0};
	struct merkle_map_bundle map = {0};
	int verdict;

	verdict = api_prove_inclusion(sync->api, sync->deadline, checkpoint->log_length, heads->indices, bundle->count,
				      &log, &map, flt);
	if (verdict)
		return verdict;
	verdict = merkle_log_check_inclusion(&log, checkpoint->log_length, &checkpoint->log_root, heads->leaves,
					     bundle->count, flt);
	if (!verdict)
		verdict = merkle_map_check_inclusion(&map, &checkpoint->map_root, heads->entries, bundle->count, flt);
	if (verdict)
		fault_at(flt, "proof of inclusion");
	merkle_log_bundle_release(&log);
	merkle_map_bundle_release(&map);
	return verdict;
}

static void prove(const struct sync *sync, struct bundle *bundle)
{
	struct heads heads;

	if (heads_init(bundle, &heads, &bundle->fault))
		return;
	if (!check(sync, bundle, &heads, &bundle->fault))
		for (size_t i = 0; i < bundle->count; i++)
			bundle->logs[i]->is_proven = true;
	/* What the registry does not find is no package that is absent. */
	if (bundle->fault.kind == FAULT_ABSENT)
		bundle->fault.kind = FAULT_REFUSED;
	heads_release(&heads);
}

/* ---- Levels ---- */

static void *prove_next(void *argument)
{
	struct level *level = argument;
	size_t index;

	while ((index = atomic_fetch_add(&level->next, 1)) < level->count)
		prove(level->sync, &level->bundles[index]);
	return NULL;
}

/* Prove all bundles of a level: this thread does its share, and all of it where no other can be started. */
static void prove_level(const struct sync *sync, struct bundle *bundles, size_t count)
{
	struct level level = {.sync = sync, .bundles = bundles, .count = count};
	pthread_t others[SIDE_BY_SIDE - 1];
	size_t started = 0;

	atomic_init(&level.next, 0);
	while (started < SIDE_BY_SIDE - 1 && started + 1 < count &&
	       !pthread_create(&others[started], NULL, prove_next, &level))
		started++;
	prove_next(&level);
	while (started)
		pthread_join(others[--started], NULL);
}

/* Whether halves of the bundle may fare better: not when the network failed, or we did. */
static bool is_divisible(const struct bundle *bundle)
{
	return bundle->count > 1 && (bundle->fault.kind == FAULT_FORGED || bundle->fault.kind == FAULT_REFUSED);
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

static void prove_all(const struct sync *sync, struct sync_log **logs, size_t count, struct bundle *bundles,
		      struct bundle *halves)
{
	size_t bundle_count = 0;

	for (size_t at = 0; at < count; at += BUNDLE_HEADS)
		bundles[bundle_count++] = (struct bundle){
			.logs = logs + at,
			.count = count - at < BUNDLE_HEADS ? count - at : BUNDLE_HEADS,
		};
	while (bundle_count) {
		struct bundle *done = bundles;

		prove_level(sync, bundles, bundle_count);
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

void sync_prove_heads(struct sync *sync)
{
	size_t room = LEVEL_BUNDLES + sync->count / BUNDLE_HEADS + 1;
	struct sync_log **logs = calloc(sync->count + 1, sizeof(struct sync_log *));
	struct bundle *bundles = calloc(room, sizeof(*bundles));
	struct bundle *halves = calloc(room, sizeof(*halves));

	if (logs && bundles && halves) {
		prove_all(sync, logs, gather(sync, logs), bundles, halves);
	} else {
		struct fault flt = {0};

		fault_no_memory(&flt);
		sync_fail_open(sync, &flt);
	}
	free(halves);
	free(bundles);
	free(logs);
}
