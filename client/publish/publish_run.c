/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A publish from its beginning to its end, and once more where somebody else's record came first (see publish_parts.h).
 */
#include "publish_parts.h"

#include <stdlib.h>
#include <string.h>

/* Milliseconds for which a rejection may turn out to be due to a record that no checkpoint has yet. */
#define GROWTH_PATIENCE 12000
#define GROWTH_FIRST 50
#define GROWTH_LONGEST 500

/* ---- Beginning and end ---- */

void publication_init(struct publication *publication, struct publisher *publisher, const struct name *name)
{
	*publication = (struct publication){
		.publisher = publisher,
		.name = *name,
		.until = PUBLISH_PROVEN,
		.hold = {.fd = -1},
		.claim = {.fd = -1},
		.turn = {.fd = -1},
	};
}

void publication_drop(struct publication *publication)
{
	if (!publication->has_entry)
		return;
	journal_end_claim(publication->publisher->journal, &publication->claim);
	journal_entry_release(&publication->entry);
	publication->has_entry = false;
	publication->result = (struct publish_result){0};
}

void publication_release(struct publication *publication)
{
	publication_end_turn(publication);
	publication_drop(publication);
	pending_release(&publication->own);
	if (publication->hold.fd < 0)
		return;
	staging_end_hold(&publication->hold);
	staging_sweep(publication->publisher->staging, publication->publisher->options.home, NULL);
}

int publication_forget(struct publication *publication, struct fault *flt)
{
	return publication->has_entry ?
		       journal_remove(publication->publisher->journal, &publication->claim, flt) : 0;
}

void publication_take(struct publication *publication, struct journal_entry *entry, struct journal_claim *claim)
{
	publication_drop(publication);
	publication->entry = *entry;
	publication->claim = *claim;
	publication->has_entry = true;
	publication->name = entry->name;
	publication->is_dead = publication->is_stocked = publication->is_presumed = publication->is_ended = false;
	publication->is_unsent = entry->stage == JOURNAL_SIGNED;
	publication->conflict = (struct api_conflict){0};
	publication->rounds = 0;
	publication->was_looked_for = false;
	publication->result.record_id = publication->entry.record.id;
}

/* ---- As far as the registry ---- */

/* It has it all: tell the next run, and others who stand on it; the open transaction is no more. */
static int note_accepted(struct publication *publication, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct journal_entry *entry = &publication->entry;
	int r = 0;

	if (entry->stage != JOURNAL_ACCEPTED && !publication->result.is_published) {
		entry->stage = JOURNAL_ACCEPTED;
		r = journal_put(publisher->journal, &publication->claim, entry, flt);
	}
	/* If not now, then when it is proven. */
	if (!r && entry->from_pending && !publication->is_ended)
		publication->is_ended = !pending_end(publisher->options.home, &entry->pending, NULL);
	return r;
}

/* Whoever left while nothing was sent leaves nothing behind. */
static int check_wanted(struct publication *publication, struct fault *flt)
{
	int r;

	if (!publication->is_unsent || !publication->is_wanted || publication->is_wanted(publication->user))
		return 0;
	r = publication_forget(publication, flt);
	if (r)
		return r;
	publication_drop(publication);
	return fault_undecided(flt, FAULT_CANCELLED, "it is not wanted any more, and was not sent");
}

/*
 * A registry that signs at once has the record under a checkpoint by now: then its state need not be asked for.
 */
static int look_once(struct publication *publication, struct fault *flt)
{
	if (publication->until != PUBLISH_PROVEN || publication->result.is_published)
		return 0;
	return publication_look(publication, flt);
}

/* The record is the registry's, with its contents. We have the turn. */
static int bring_in_turn(struct publication *publication, struct fault *flt)
{
	struct api_record_state state = {0};
	bool known = false, published = false, asked = false;
	int noted, r = 0;

	if (!publication->has_entry)
		r = publication_adopt(publication, flt);
	if (!r && publication->has_entry && !publication->is_dead && !publication->is_unsent)
		r = publication_ask_in_doubt(publication, &state, &known, flt);
	asked = known;
	if (!r && !known)
		r = publication_make_valid(publication, &published, flt);
	if (!r && published)
		publication->result.is_published = true;
	if (!r && !known && !published)
		r = check_wanted(publication, flt);
	if (!r && !known && !published)
		r = publication_send(publication, &state, &asked, flt);
	if (!r && !published)
		r = publication_stock(publication, &state, asked, flt);
	api_record_state_release(&state);
	if (r)
		return r;
	r = look_once(publication, flt);
	if (!r)
		r = publication_confirm(publication, flt);
	noted = publication->is_presumed ? 0 : note_accepted(publication, flt);
	return r ? r : noted;
}

static int bring(struct publication *publication, struct fault *flt)
{
	int r = publication_take_turn(publication, flt);

	if (!r)
		r = bring_in_turn(publication, flt);
	publication_end_turn(publication);
	return r;
}

/* ---- Once more ---- */

/* Wait until somebody else's record, for which ours was refused, is done with. */
static void await_other(struct publication *publication)
{
	struct publication other;

	publication_init(&other, publication->publisher, &publication->name);
	other.result.record_id = publication->conflict.record_id;
	publication_await(&other, NULL);
	publication_release(&other);
}

/* Whether the package's log is another one than when the record was signed. */
static bool has_grown(const struct publication *publication, const struct view_package *package)
{
	if (!package)
		return publication->had_head;
	return !publication->had_head ||
	       !digest_equals(&package_log_head(package->log)->record_id, &publication->head);
}

/* Whether the record stands on one that never comes. */
static bool base_was_rejected(const struct publication *publication)
{
	struct publisher *publisher = publication->publisher;
	struct api_record_state state;
	struct fault flt = {0};
	bool rejected;

	if (!publication->is_chained)
		return false;
	if (api_fetch_record(&publisher->api, publisher_deadline(publisher), &publication->name,
			     &publication->entry.record.prev, NULL, &state, &flt))
		return flt.kind == FAULT_ABSENT;
	rejected = state.status == API_RECORD_REJECTED;
	api_record_state_release(&state);
	return rejected;
}

/* @param in  the record is in the log, whatever was said of it */
static int look_for_growth(struct publication *publication, bool *grown, bool *in, struct fault *flt)
{
	struct registry *registry = publication->publisher->options.registry;
	struct view *view;
	bool absent = false;
	int r = publisher_update(publication->publisher, &publication->name, &absent, flt);

	if (r)
		return r;
	view = registry_view(registry);
	*grown = has_grown(publication, absent ? NULL : view_find(view, &publication->name));
	*in = !absent && publication_is_in(publication, view_find(view, &publication->name));
	view_unref(view);
	return 0;
}

/* Refusals that no record of somebody else's can be the reason of. */
static bool is_final(const struct publication *publication, const struct fault *why)
{
	return why->kind == FAULT_ABSENT || publication->conflict.type == API_CONFLICT_NAMESPACE_IMPORT;
}

/*
 * The registry refused the record. If that may be because the package's log is not any more what it was when it was
 * signed, find out.
 * @param again  it is worth signing it anew
 */
static int reconsider(struct publication *publication, const struct fault *why, bool *again, bool *in,
		      struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	clock_ms end = clock_now() + GROWTH_PATIENCE, deadline = publisher_deadline(publisher);
	struct retry_delay patience = retry_delay_new(deadline < end ? deadline : end, GROWTH_FIRST, GROWTH_LONGEST);
	/* Refused at once, it was measured by what the registry shows; later, by what may be on its way there. */
	bool waits = publication->is_stocked || publication->is_chained;

	*again = *in = false;
	if (is_final(publication, why))
		return 0;
	if (publication->conflict.type == API_CONFLICT_RECORD) {
		await_other(publication);
		*again = true;
		return 0;
	}
	for (;;) {
		struct fault own = {0};
		int r = look_for_growth(publication, again, in, &own);

		if (!r && !*again && !*in)
			*again = base_was_rejected(publication);
		if (!r && (*again || *in || !waits))
			return 0;
		/* A network that fails for a moment tells nothing of the record. */
		if (!r || retry_delay_helps(&own)) {
			const unsigned wait = own.wait;

			own = (struct fault){0};
			r = retry_delay_wait(publisher, &patience, wait, &own);
		}
		if (own.kind == FAULT_CANCELLED) {
			if (flt && !flt->verdict)
				*flt = own;
			return r;
		}
		if (r)
			return 0;
	}
}

/* What a publish ends with for good; after anything else the next run may have more luck. */
static bool ends_it(const struct fault *flt)
{
	return flt->kind == FAULT_EXISTS || flt->kind == FAULT_ABSENT || flt->kind == FAULT_DENIED ||
	       flt->kind == FAULT_MISUSE || flt->kind == FAULT_REFUSED || flt->kind == FAULT_LOGIN;
}

/* It failed, and there may be a record of it that never can be valid. */
static int give_up(struct publication *publication, const struct fault *why, struct fault *flt)
{
	if (publication->has_entry && publication->is_dead && ends_it(why) &&
	    !publication_forget(publication, NULL))
		publication->result.record_id = (struct digest){{0}};
	if (flt && !flt->verdict)
		*flt = *why;
	return why->verdict;
}

static int bring_to_end(struct publication *publication, struct fault *flt)
{
	int r = bring(publication, flt);

	if (r || publication->until == PUBLISH_ACCEPTED)
		return r;
	r = publication_await(publication, flt);
	return r ? r : publication_prove(publication, flt);
}

int publication_run(struct publication *publication, struct fault *flt)
{
	if (staging_take_hold(publication->publisher->staging, &publication->hold, flt))
		return WARG_UNDECIDED;
	for (unsigned signatures = 1;; signatures++) {
		const struct digest before = publication->result.record_id;
		bool again = false, in = false, was_dead = publication->is_dead;
		struct fault own = {0}, ended = {0};
		int r = bring_to_end(publication, &own);

		if (!r)
			return 0;
		/* The one that was dead before was not even replaced: that is what failed. */
		was_dead = was_dead && digest_equals(&before, &publication->result.record_id);
		if (!publication->is_dead || was_dead || signatures >= CAP_PUBLISH_SIGNATURES)
			return give_up(publication, &own, flt);
		if (reconsider(publication, &own, &again, &in, &ended))
			return give_up(publication, &ended, flt);
		if (in) {
			publication->result.is_published = true;
			publication->is_dead = false;
			return publication_prove(publication, flt);
		}
		if (!again)
			return give_up(publication, &own, flt);
	}
}
