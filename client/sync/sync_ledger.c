/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the ledger spares an update (see sync.h; protocol.md section 9, number 7).
 *
 * The ledger has the log id of each record, and leads to the checkpoint's log root. So its growth since the view before
 * names all logs that have new records; and where it was at the view's checkpoint, that growth proves that the log is
 * the one before, grown. New heads are proven as without a ledger: that the map has them is nothing that it tells.
 */
#include "sync_parts.h"

#include <stdlib.h>

/* ---- To the checkpoint ---- */

/* Whether the listing of the view before was made from a ledger that leads to its checkpoint. */
static bool is_led(const struct view *base)
{
	return base->verified_at && base->listing && base->listing->length == base->checkpoint.contents.log_length;
}

/* The records are kept on disk beside the checkpoint, so it has to be one that is known to be the operator's. */
static bool is_signed(const struct sync *sync, const struct view *base)
{
	return !log_keys_require(operator_log_keys(base->operator), &sync->checkpoint->key_id, PERMISSION_COMMIT,
				 NULL) &&
	       !checkpoint_verify(sync->checkpoint, base->operator, NULL);
}

/* Whether the ledger is at the checkpoint, or grew to it. Fetching all of it again waits for a checkpoint admitted. */
static bool is_grown(const struct sync *sync, struct ledger *ledger, clock_ms deadline)
{
	const struct checkpoint *contents = &sync->checkpoint->contents;
	uint64_t length = ledger_length(ledger);

	return ledger_is_at(ledger, contents) ||
	       (length && length < contents->log_length &&
		!ledger_grow(ledger, sync->api, deadline, sync->checkpoint, NULL));
}

static int update_listing(const struct sync *sync, struct ledger *ledger, const struct view *base,
			  const struct sync_wanted *wanted, size_t count, clock_ms deadline, struct listing **out)
{
	const struct name **names = calloc(count + 1, sizeof(struct name *));
	struct listing_known known = {&base->packages, names, names ? count : 0};
	int r;

	for (size_t i = 0; i < known.count; i++)
		names[i] = &wanted[i].name;
	r = listing_update(sync->api, ledger, base->listing, sync->checkpoint, &known, deadline, out, NULL);
	free(names);
	return r;
}

void sync_follow_ledger(struct sync *sync, struct ledger *ledger, const struct view *base,
			const struct sync_wanted *wanted, size_t count)
{
	/* A ledger that does not come in half of the time leaves the other half to do without. */
	clock_ms now = clock_now(), deadline = now + (sync->deadline - now) / 2;
	struct listing *listing;
	bool was_at_base;
	unsigned epoch;

	if (!is_led(base) || !is_signed(sync, base))
		return;
	was_at_base = ledger_is_at(ledger, &base->checkpoint.contents);
	epoch = ledger_epoch(ledger);
	/* A ledger that lies, or none, is as good as none here: who wants the listing will be told. */
	if (!is_grown(sync, ledger, deadline))
		return;
	sync->grown = ledger;
	if (update_listing(sync, ledger, base, wanted, count, deadline, &listing))
		return;
	if (listing->length != sync->checkpoint->contents.log_length) {
		listing_unref(listing);
		return;
	}
	sync->ledger = ledger;
	sync->listing = listing;
	sync->heads = listing;
	sync->is_extension = was_at_base && ledger_epoch(ledger) == epoch;
}

/* ---- Which logs grew ---- */

/** Packages of the view before, on their way into the update. */
struct growth {
	struct sync *sync;
	const struct view *base;
};

static uint64_t last_of(const struct sync *sync, const struct digest *log_id)
{
	const struct listing_log *log = listing_find_log(sync->listing, log_id);

	return log ? log->last : UINT64_MAX;
}

/* Of the records of a log that came, its last one tells of it. */
static int add_grown(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
		     struct fault *flt)
{
	const struct growth *growth = user;
	int r = 0;

	for (size_t i = 0; i < count && !r; i++) {
		const struct view_package *package = view_trie_find(&growth->base->packages, &entries[i].log_id);

		if (package && view_package_is_current(package) && last_of(growth->sync, &package->log_id) == index + i)
			r = sync_add_proven(growth->sync, package, flt);
	}
	return r;
}

int sync_add_grown(struct sync *sync, const struct view *base, struct fault *flt)
{
	struct growth growth = {sync, base};
	int r = ledger_read(sync->ledger, base->checkpoint.contents.log_length,
			    sync->checkpoint->contents.log_length, add_grown, &growth, flt);

	if (!r && view_trie_each_failed(&base->packages, sync_add_known, sync))
		r = fault_no_memory(flt);
	return r;
}
