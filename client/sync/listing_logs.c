/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The logs of a listing, gathered from the ledger (see listing_parts.h).
 */
#include "listing_parts.h"

#include <stdlib.h>
#include <string.h>

static int compare_ids(const void *a, const void *b)
{
	return digest_compare(&((const struct listing_log *)a)->id, &((const struct listing_log *)b)->id);
}

/* The later one first, of those of one log. */
static int compare_logs(const void *a, const void *b)
{
	const struct listing_log *left = a, *right = b;
	int order = compare_ids(a, b);

	return order ? order : left->last < right->last ? 1 : -(left->last > right->last);
}

/* Drop all but the first of neighbouring entries of one log. @return how many are left */
static size_t keep_first(struct listing_log *logs, size_t count)
{
	size_t kept = 0;

	if (!count)
		return 0;
	for (size_t i = 1; i < count; i++)
		if (compare_ids(&logs[kept], &logs[i]))
			logs[++kept] = logs[i];
	return kept + 1;
}

struct listing_log *listing_log_of(const struct listing *listing, const struct digest *log_id)
{
	const struct listing_log key = {.id = *log_id};

	if (!listing->log_count)
		return NULL;
	return bsearch(&key, listing->logs, listing->log_count, sizeof(key), compare_ids);
}

const struct listing_log *listing_find_log(const struct listing *listing, const struct digest *log_id)
{
	return listing_log_of(listing, log_id);
}

/* ---- The ledger ---- */

/* Ledger entries merged at a time. */
#define TAIL 65536u

/*
 * Bring the ledger to the checkpoint. One that lay on disk, and with which the registry's growth does not lead there,
 * is fetched again as a whole: only then is it the registry that lies.
 */
static int bring_ledger(const struct api *api, struct ledger *ledger, const struct signed_checkpoint *checkpoint,
			clock_ms deadline, struct fault *flt)
{
	const struct checkpoint *contents = &checkpoint->contents;
	int verdict = 0;

	if (ledger_is_at(ledger, contents))
		return 0;
	if (ledger_length(ledger) < contents->log_length) {
		struct fault own = {0};
		bool is_in_doubt = ledger_is_in_doubt(ledger);

		verdict = ledger_grow(ledger, api, deadline, checkpoint, &own);
		if (verdict != WARG_INVALID || !(is_in_doubt || ledger_is_in_doubt(ledger))) {
			fault_pass(&own, flt);
			return verdict;
		}
	}
	ledger_forget(ledger);
	return ledger_grow(ledger, api, deadline, checkpoint, flt);
}

/** Logs gathered from the ledger: first the listing's, sorted, then the new entries. */
struct gathering {
	struct listing *listing;
	struct digest operator_id;
	size_t capacity;
	size_t tail; /* new entries, not merged yet */
};

/* Of two records of one log keep the later one. */
static void update_log(struct listing_log *log, const struct listing_log *later)
{
	if (later->last > log->last)
		log->last = later->last;
}

/* Sort the tail. New logs stay in it; for known logs only update the last record. */
static void reduce_tail(struct gathering *gathering)
{
	struct listing *listing = gathering->listing;
	struct listing_log *tail = listing->logs + listing->log_count;
	size_t kept = 0;

	if (gathering->tail)
		qsort(tail, gathering->tail, sizeof(*tail), compare_logs);
	gathering->tail = keep_first(tail, gathering->tail);
	for (size_t i = 0; i < gathering->tail; i++) {
		struct listing_log *known = listing_log_of(listing, &tail[i].id);

		if (known)
			update_log(known, &tail[i]);
		else
			tail[kept++] = tail[i];
	}
	gathering->tail = kept;
}

/* Merge the tail into the sorted logs, in place, from the back. */
static int merge_tail(struct gathering *gathering, struct fault *flt)
{
	struct listing *listing = gathering->listing;
	struct listing_log *logs = listing->logs, *tail;
	size_t left, right;

	reduce_tail(gathering);
	left = listing->log_count;
	right = gathering->tail;
	if (left + right > CAP_LISTED_LOGS)
		return fault_undecided(flt, FAULT_LIMIT, "it has more than %u packages", CAP_LISTED_LOGS);
	tail = malloc((right + 1) * sizeof(*tail));
	if (!tail)
		return fault_no_memory(flt);
	memcpy(tail, logs + left, right * sizeof(*tail));
	listing->log_count += right;
	for (size_t to = listing->log_count; right; to--) {
		if (left && compare_ids(&logs[left - 1], &tail[right - 1]) > 0)
			logs[to - 1] = logs[--left];
		else
			logs[to - 1] = tail[--right];
	}
	free(tail);
	gathering->tail = 0;
	return 0;
}

static int make_room(struct gathering *gathering, struct fault *flt)
{
	struct listing *listing = gathering->listing;
	size_t capacity = listing->log_count + TAIL;
	struct listing_log *logs;

	if (capacity <= gathering->capacity)
		return 0;
	logs = reallocarray(listing->logs, capacity, sizeof(*logs));
	if (!logs)
		return fault_no_memory(flt);
	listing->logs = logs;
	gathering->capacity = capacity;
	return 0;
}

static void give_back_room(struct gathering *gathering)
{
	struct listing *listing = gathering->listing;
	struct listing_log *logs = reallocarray(listing->logs, listing->log_count + 1, sizeof(*logs));

	if (logs)
		listing->logs = logs;
}

static int take_entries(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
			struct fault *flt)
{
	struct gathering *gathering = user;
	struct listing *listing = gathering->listing;
	int r = 0;

	for (size_t i = 0; i < count && !r; i++) {
		if (digest_equals(&entries[i].log_id, &gathering->operator_id)) {
			listing->operator_last = index + i;
			continue;
		}
		listing->logs[listing->log_count + gathering->tail++] =
			(struct listing_log){entries[i].log_id, (uint32_t)(index + i), LISTING_NAMELESS};
		if (gathering->tail < TAIL)
			continue;
		r = merge_tail(gathering, flt);
		if (!r)
			r = make_room(gathering, flt);
	}
	return r;
}

int listing_take_ledger(struct ledger *ledger, const struct listing *base, const struct checkpoint *checkpoint,
			struct listing *listing, struct fault *flt)
{
	struct gathering gathering = {.listing = listing, .operator_id = name_operator_log_id()};
	int verdict;

	free(listing->logs);
	listing->logs = NULL;
	listing->log_count = base ? base->log_count : 0;
	verdict = make_room(&gathering, flt);
	if (verdict) {
		listing->log_count = 0;
		return verdict;
	}
	if (base && base->log_count)
		memcpy(listing->logs, base->logs, base->log_count * sizeof(*base->logs));
	listing->operator_last = base ? base->operator_last : 0;
	verdict = ledger_read(ledger, base ? base->length : 0, checkpoint->log_length, take_entries, &gathering, flt);
	if (!verdict)
		verdict = merge_tail(&gathering, flt);
	give_back_room(&gathering);
	listing->length = checkpoint->log_length;
	return verdict;
}

static int bring_and_take(const struct api *api, struct ledger *ledger, const struct listing *base,
			  const struct signed_checkpoint *checkpoint, clock_ms deadline, struct listing *listing,
			  struct fault *flt)
{
	int verdict = bring_ledger(api, ledger, checkpoint, deadline, flt);

	return verdict ? verdict : listing_take_ledger(ledger, base, &checkpoint->contents, listing, flt);
}

int listing_read_ledger(const struct api *api, struct ledger *ledger, const struct listing *base,
			const struct signed_checkpoint *checkpoint, clock_ms deadline, struct listing *listing,
			bool *has_ledger, struct fault *flt)
{
	struct fault own = {0};
	int verdict;

	verdict = bring_and_take(api, ledger, base, checkpoint, deadline, listing, &own);
	if (own.party == FAULT_BY_CACHE) {
		own = (struct fault){0};
		verdict = bring_and_take(api, ledger, base, checkpoint, deadline, listing, &own);
	}
	*has_ledger = own.kind != FAULT_ABSENT && own.kind != FAULT_REFUSED;
	if (!*has_ledger) {
		/* The first attempt may have read a part. */
		listing->log_count = 0;
		listing->length = listing->operator_last = 0;
		return 0;
	}
	if (verdict && flt && !flt->verdict)
		*flt = own;
	return verdict;
}
