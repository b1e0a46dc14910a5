/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records that were left over by who is gone (see publish_parts.h).
 */
#include "publish_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- Listing ---- */

/* An entry in whose place there is another one: what became of it is known. */
static void remove_replaced(struct publisher *publisher, const struct digest *record_id)
{
	struct journal_claim claim = {.fd = -1};
	bool had = false;

	if (journal_claim(publisher->journal, record_id, &claim, &had, NULL) || !had)
		return;
	if (!journal_remove(publisher->journal, &claim, NULL))
		journal_end_claim(publisher->journal, &claim);
}

static void take_out(struct dead_mount *leftovers, size_t *count, const struct digest *record_id)
{
	size_t kept = 0;

	for (size_t i = 0; i < *count; i++)
		if (!digest_equals(&leftovers[i].record_id, record_id))
			leftovers[kept++] = leftovers[i];
	*count = kept;
}

/*
 * Look at one entry.
 * @param replaced  filled in if it takes the place of another one
 * @return whether it is one to go on with
 */
static bool look(struct publisher *publisher, const struct digest *id, const struct name *name, struct dead_mount *out,
		 bool *replaces, struct digest *replaced)
{
	struct journal_entry entry = {0};
	bool found = false;
	int r;

	*replaces = false;
	if (name && journal_knows_other(publisher->journal, id, name))
		return false;
	if (journal_is_claimed(publisher->journal, id))
		return false;
	*out = (struct dead_mount){.record_id = *id};
	r = journal_load_of(publisher->journal, id, name, &entry, &found, NULL);
	if (r || !found)
		return r && !name;
	*replaces = entry.replaces;
	*replaced = entry.replaced;
	out->is_readable = true;
	out->name = entry.name;
	journal_entry_release(&entry);
	return true;
}

int leftovers_list(struct publisher *publisher, const struct name *name, struct dead_mount **out, size_t *count,
		   struct fault *flt)
{
	struct dead_mount *leftovers;
	struct digest *ids = NULL;
	size_t listed = 0, kept = 0;
	int r = journal_list(publisher->journal, &ids, &listed, flt);

	if (r)
		return r;
	leftovers = calloc(listed + 1, sizeof(*leftovers));
	if (!leftovers) {
		free(ids);
		return fault_no_memory(flt);
	}
	for (size_t i = 0; i < listed; i++) {
		struct digest replaced;
		bool replaces;

		if (look(publisher, &ids[i], name, &leftovers[kept], &replaces, &replaced))
			kept++;
		if (replaces) {
			remove_replaced(publisher, &replaced);
			take_out(leftovers, &kept, &replaced);
		}
	}
	free(ids);
	*out = leftovers;
	*count = kept;
	return 0;
}

/* ---- Going on ---- */

/* What the record publishes, for when it has to be signed anew. */
static int take_what(struct publication *publication, struct fault *flt)
{
	const struct journal_entry *entry = &publication->entry;

	int r = pending_copy_record(&entry->name, &entry->record, &publication->own, flt);

	if (r)
		return r;
	publication->own.is_stored = entry->from_pending;
	publication->own.text = entry->pending;
	publication->what = &publication->own;
	return 0;
}

int publication_claim(struct publication *publication, const struct digest *record_id, bool *had, struct fault *flt)
{
	struct journal *journal = publication->publisher->journal;
	struct journal_claim claim = {.fd = -1};
	struct journal_entry entry = {0};
	bool found = false;
	int r = journal_claim(journal, record_id, &claim, had, flt);

	if (r || !*had)
		return r;
	r = journal_load(journal, record_id, &entry, &found, flt);
	*had = !r && found;
	if (!*had) {
		journal_end_claim(journal, &claim);
		return r;
	}
	publication_take(publication, &entry, &claim);
	publication->had_head = publication->entry.record.has_prev;
	publication->head = publication->entry.record.prev;
	return publication->what ? 0 : take_what(publication, flt);
}

/* Whether the record is what is to be published. */
static int compare(const struct publication *publication, bool *same, struct fault *flt)
{
	struct pending other;
	int r = pending_copy_record(&publication->name, &publication->entry.record, &other, flt);

	if (r)
		return r;
	*same = pending_wants_same(publication->what, &other);
	pending_release(&other);
	return 0;
}

/* It is the open transaction now, whatever it was before. */
static int note_pending(struct publication *publication, struct fault *flt)
{
	struct journal_entry *entry = &publication->entry;

	if (!publication->what->is_stored ||
	    (entry->from_pending && digest_equals(&entry->pending, &publication->what->text)))
		return 0;
	entry->from_pending = true;
	entry->pending = publication->what->text;
	return journal_put(publication->publisher->journal, &publication->claim, entry, flt);
}

int publication_adopt(struct publication *publication, struct fault *flt)
{
	struct dead_mount *leftovers = NULL;
	size_t count = 0;
	int r = leftovers_list(publication->publisher, &publication->name, &leftovers, &count, flt);

	for (size_t i = 0; !r && i < count && !publication->has_entry; i++) {
		bool had = false, same = false;

		r = publication_claim(publication, &leftovers[i].record_id, &had, flt);
		if (r || !had)
			continue;
		r = compare(publication, &same, flt);
		if (same)
			r = note_pending(publication, flt);
		else
			publication_drop(publication);
	}
	free(leftovers);
	return r;
}
