/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * From a record that the registry has to one that is proven, with a receipt (see publish_parts.h).
 */
#include "publish_parts.h"

#include <inttypes.h>
#include <unistd.h>

#include "client/sync/proof.h"
#include "pending.h"

/*
 * Milliseconds between looks for a checkpoint that has it, which all publishes have in common; and between questions
 * after the record itself, which may have been rejected. The reference takes up to 5 seconds, and its own client asks
 * once a second.
 */
#define LOOK_FIRST 20
#define LOOK_LONGEST 200
#define ASK_FIRST 20
#define ASK_LONGEST 1000

/* ---- Until it says so ---- */

static int lost(const struct publication *publication, struct fault *flt)
{
	if (!publication->has_entry)
		return fault_undecided(flt, FAULT_ABSENT, "the registry has no such record of this package");
	fault_invalid(flt, "it took the record, and says that it has none");
	fault_blame(flt, FAULT_BY_REGISTRY);
	return WARG_INVALID;
}

static int ask(struct publication *publication, struct fault *flt)
{
	struct api_record_state state = {0};
	bool known = false;
	int r = publication_ask_in_doubt(publication, &state, &known, flt);

	if (!r && !known)
		r = lost(publication, flt);
	/* Somebody else's lacks contents that somebody else has. */
	if (!r && (publication->has_entry || state.status != API_RECORD_SOURCING))
		r = publication_stock(publication, &state, false, flt);
	api_record_state_release(&state);
	return r;
}

int publication_confirm(struct publication *publication, struct fault *flt)
{
	int r = 0;

	if (publication->is_presumed && !publication->result.is_published)
		r = ask(publication, flt);
	if (!r)
		publication->is_presumed = false;
	return r;
}

/* Whether the view has it, at its newest checkpoint. */
static bool is_in_view(const struct publication *publication, const struct view *view)
{
	const struct view_package *package = view_find(view, &publication->name);

	return package && view_package_is_current(package) && publication_is_in(publication, package);
}

static bool has_view_package(const struct publication *publication)
{
	struct view *view = registry_view(publication->publisher->options.registry);
	bool has = view_find(view, &publication->name);

	view_unref(view);
	return has;
}

static uint64_t view_length(const struct publication *publication)
{
	struct view *view = registry_view(publication->publisher->options.registry);
	uint64_t length = view->checkpoint.contents.log_length;

	view_unref(view);
	return length;
}

/* What the view has comes with it; a package that it has not is asked for first of all, and when it may be there. */
static void renew_view(struct publication *publication, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	bool absent, is_first = !publication->was_looked_for;

	registry_expect_growth(publisher->options.registry);
	publication->was_looked_for = true;
	if (!is_first || has_view_package(publication)) {
		publisher_refresh(publisher, flt);
		if (flt->verdict || has_view_package(publication) || view_length(publication) == publication->looked_at)
			return;
	}
	publisher_update(publisher, &publication->name, &absent, flt);
	publication->looked_at = view_length(publication);
}

int publication_look(struct publication *publication, struct fault *flt)
{
	struct fault own = {0};
	struct view *view;

	renew_view(publication, &own);
	view = registry_view(publication->publisher->options.registry);
	publication->result.is_published = is_in_view(publication, view);
	view_unref(view);
	/* What the network has to do with it, the question after the record will tell. */
	if (!own.verdict || retry_delay_helps(&own))
		return 0;
	if (flt && !flt->verdict)
		*flt = own;
	return own.verdict;
}

int publication_await(struct publication *publication, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct retry_delay patience = retry_delay_new(publisher_deadline(publisher), LOOK_FIRST, LOOK_LONGEST);
	/* A registry that signs at once has it under a checkpoint by now: that says more than its word for it. */
	clock_ms next = publication->has_entry ? clock_now() + ASK_FIRST : 0, gap = ASK_FIRST;
	int r = 0;

	if (publication->was_looked_for && !publication->result.is_published)
		r = retry_delay_wait(publisher, &patience, 0, flt);
	while (!r && !publication->result.is_published) {
		if (clock_now() >= next) {
			r = ask(publication, flt);
			next = clock_now() + gap;
			gap = gap * 2 < ASK_LONGEST ? gap * 2 : ASK_LONGEST;
		}
		if (!r && !publication->result.is_published && publication->has_entry)
			r = publication_look(publication, flt);
		if (!r && !publication->result.is_published)
			r = retry_delay_wait(publisher, &patience, 0, flt);
	}
	return r;
}

/* ---- Until it is proven ---- */

/* Whether the package's log was proven at a checkpoint that reaches as far as the record is said to stand. */
static bool reaches(const struct view *view, const struct publication *publication)
{
	const struct view_package *package = view_find(view, &publication->name);
	uint64_t index = publication->result.registry_index;

	return package && view_package_is_current(package) && view->checkpoint.contents.log_length > index;
}

static bool is_there(const struct publication *publication)
{
	struct view *view = registry_view(publication->publisher->options.registry);
	bool there = reaches(view, publication);

	view_unref(view);
	return there;
}

/* It was published before this checkpoint was signed. */
static int check_there(const struct view *view, const struct publication *publication, struct fault *flt)
{
	uint64_t length = view->checkpoint.contents.log_length, index = publication->result.registry_index;

	if (length <= index)
		return 0;
	fault_invalid(flt, "it has published the record, it says, and the package is not among its first %" PRIu64
		      " records", length);
	fault_blame(flt, FAULT_BY_REGISTRY);
	return WARG_INVALID;
}

/* Look for a newer checkpoint. @param found  the view reaches that far */
static int renew(struct publication *publication, bool *found, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct view *view;
	bool absent = false;
	int r;

	registry_expect_growth(publisher->options.registry);
	r = publisher_update(publisher, &publication->name, &absent, flt);
	view = registry_view(publisher->options.registry);

	if (!r && absent)
		r = check_there(view, publication, flt);
	/* Another round may have brought it while this one failed. */
	*found = (!r || retry_delay_helps(flt)) && reaches(view, publication);
	view_unref(view);
	return r;
}

static int await_view(struct publication *publication, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct retry_delay patience = retry_delay_new(publisher_deadline(publisher), LOOK_FIRST, LOOK_LONGEST);

	for (;;) {
		struct fault own = {0};
		bool found = is_there(publication);
		int r = found ? 0 : renew(publication, &found, &own);

		if (found)
			return 0;
		if (r && !retry_delay_helps(&own)) {
			if (flt && !flt->verdict)
				*flt = own;
			return r;
		}
		r = retry_delay_wait(publisher, &patience, own.wait, flt);
		if (r) {
			fault_at(flt, "no checkpoint has it yet");
			return r;
		}
	}
}

/* Where the record stands, as the document has it: what the registry said before was for finding it only. */
static void note_place(struct publication *publication, const struct proof *proof)
{
	struct publish_result *result = &publication->result;
	struct record record;

	for (size_t i = 0; i < proof->package.count; i++) {
		struct span content = buf_span(&proof->package.records[i].content);
		struct digest id = record_id(RECORD_PACKAGE, content);

		if (!digest_equals(&id, &result->record_id))
			continue;
		result->registry_index = proof->package.records[i].registry_index;
		if (record_decode(RECORD_PACKAGE, content, &record, NULL))
			continue;
		result->early = record.time.seconds - (int64_t)proof->checkpoint.contents.timestamp;
		if (result->early < 0)
			result->early = 0;
		record_release(&record);
	}
}

static int put_receipt(struct publication *publication, struct proof *proof, bool *kept, struct fault *flt)
{
	int r = receipts_put(publication->publisher->receipts, proof, kept, flt);

	if (!r && *kept)
		note_place(publication, proof);
	proof_release(proof);
	return r;
}

/*
 * The usual case, whose cost does not depend on the package's length: the record comes right behind those that lie
 * beside the receipts.
 */
static int keep_next_receipt(struct publication *publication, struct archive *archive, const struct view *view,
			     bool *kept, struct fault *flt)
{
	const struct record *record = &publication->entry.record;
	struct publisher *publisher = publication->publisher;
	struct record_envelope envelope;
	struct receipts_end end;
	struct proof proof;
	int r;

	*kept = false;
	if (!publication->has_entry || !record->has_prev)
		return 0;
	r = receipts_find_end(publisher->receipts, &publication->name, &end, flt);
	if (r || !end.count || !digest_equals(&record->prev, &end.record_id))
		return r;
	envelope = journal_entry_envelope(&publication->entry);
	return proof_take_last(&publisher->api, archive, view, &publication->name, end.count, &envelope, &proof) ?
		       put_receipt(publication, &proof, kept, flt) : 0;
}

static int keep_receipt(struct publication *publication, const struct view *view, struct fault *flt)
{
	struct publisher *publisher = publication->publisher;
	struct archive *archive = registry_open_archive(publisher->options.registry);
	struct proof proof;
	bool kept = false;
	int r = keep_next_receipt(publication, archive, view, &kept, flt);

	if (!r && !kept) {
		r = proof_fetch_record(&publisher->api, archive, publisher_deadline(publisher), view,
				       &publication->name, &publication->result.record_id, &proof, flt);
		if (!r)
			r = put_receipt(publication, &proof, &kept, flt);
	}
	archive_close(archive);
	return r;
}

/* The contents lie in the cache, from the staging: reading them back asks nobody for anything. */
static void remember_sizes(const struct publication *publication)
{
	struct store *store = registry_store(publication->publisher->options.registry);
	const struct record *record = &publication->entry.record;

	for (size_t i = 0; i < record->entry_count; i++) {
		const struct record_entry *entry = &record->entries[i];
		uint64_t size;
		int fd = -1;

		if (entry->type != ENTRY_RELEASE || store_open_content(store, &entry->content, &fd, &size, NULL) ||
		    fd < 0)
			continue;
		close(fd);
		store_remember_size(store, &entry->content, size);
	}
}

/* Nobody needs the entry any more; one that cannot be brought to its end here is, by the next run. */
static void finish(struct publication *publication)
{
	struct publisher *publisher = publication->publisher;
	const struct journal_entry *entry = &publication->entry;

	remember_sizes(publication);
	if (entry->from_pending && !publication->is_ended &&
	    pending_end(publisher->options.home, &entry->pending, NULL))
		return;
	journal_remove_proven(publisher->journal, &publication->claim, NULL);
}

int publication_prove(struct publication *publication, struct fault *flt)
{
	int r = await_view(publication, flt);
	struct view *view;

	if (r)
		return r;
	view = registry_view(publication->publisher->options.registry);
	r = keep_receipt(publication, view, flt);
	if (!r) {
		publication->result.is_proven = true;
		publication->result.log_length = view->checkpoint.contents.log_length;
	}
	view_unref(view);
	if (!r && publication->has_entry)
		finish(publication);
	return r;
}
