/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Between the views and the disk: what is loaded to start from, and what is written after an update (see registry.h).
 *
 * Logs are loaded from the archive, where their records can be proven again. The store that is shared with the
 * reference has states without signatures: it is written for the reference, and nothing in it is believed but a
 * checkpoint, which has one.
 *
 * Only what changed is written, and what can be fetched again is not synced. While another program has the store's
 * lock, nothing is, and it is tried again later; the view does not wait for that.
 */
#include "registry_parts.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>

/* Milliseconds until the store is tried again. */
#define SAVE_AGAIN 2000
/*
 * Milliseconds for which a series of records that are published, or of packages that are looked at, puts the writing
 * off, behind each of them and at most: a state of the store is written as a whole.
 */
#define SERIES_DELAY 1000
#define SERIES_LONGEST 3000

/* ---- Loading ---- */

/* What is malformed in the store is as good as nothing; anything else is a fault. */
static int forgive(const struct registry *registry, const struct fault *own, struct fault *flt)
{
	if (own->verdict == WARG_UNDECIDED) {
		fault_pass(own, flt);
		return WARG_UNDECIDED;
	}
	registry_report(registry, own);
	return 0;
}

static int load_operator(struct registry *registry, struct view *start, struct fault *flt)
{
	struct fault own = {0}, damage = {0};

	archive_load_operator(registry->archive, NULL, &start->operator, &start->operator_position, &damage, &own);
	registry_report(registry, &damage);
	return forgive(registry, &own, flt);
}

/*
 * The checkpoint that the registry must not contradict. One that the operator's log beside it does not bear out is no
 * word of the registry's: to hold it against the registry would be to accuse it of what was done to a file here.
 */
static int load_checkpoint(struct registry *registry, struct view *start, struct fault *flt)
{
	struct signed_checkpoint checkpoint;
	struct fault own = {0};
	bool found = false;

	if (!store_load_checkpoint(registry->store, &checkpoint, &found, &own) && found && start->operator &&
	    !checkpoint_verify(&checkpoint, start->operator, &own))
		start->checkpoint = checkpoint;
	fault_blame(&own, FAULT_BY_CACHE);
	return forgive(registry, &own, flt);
}

/*
 * The registry is held to the highest checkpoint that is remembered, also where the store was emptied or put back in
 * time.
 */
static int load_anchor(struct registry *registry, struct view *start, struct fault *flt)
{
	struct trust_anchor anchor;
	int verdict;

	if (!registry->trust)
		return 0;
	verdict = trust_load(registry->trust, &anchor, flt);
	if (verdict)
		return verdict;
	if (anchor.known)
		freshness_remember(&registry->freshness, anchor.checkpoint.contents.timestamp);
	if (anchor.known && anchor.checkpoint.contents.log_length >= start->checkpoint.contents.log_length)
		start->checkpoint = anchor.checkpoint;
	return 0;
}

/* What the store has of it. */
static int load_saved(struct registry *registry, struct fault *flt)
{
	struct view *saved;
	int verdict = view_copy(registry->start, &saved, flt);

	if (verdict)
		return verdict;
	if (saved->operator && !store_holds_operator(registry->store, saved->operator)) {
		operator_log_unref(saved->operator);
		saved->operator = NULL;
	}
	registry->saved = saved;
	return 0;
}

int registry_load(struct registry *registry, struct fault *flt)
{
	struct fault own = {0};
	int verdict;

	verdict = view_copy(NULL, &registry->start, &own);
	if (!verdict)
		verdict = load_operator(registry, registry->start, &own);
	if (!verdict)
		verdict = load_checkpoint(registry, registry->start, &own);
	if (!verdict)
		verdict = load_saved(registry, &own);
	if (!verdict)
		verdict = load_anchor(registry, registry->start, &own);
	if (verdict && flt && !flt->verdict)
		*flt = own;
	return verdict;
}

/* @param head  as archive_load_package() */
static void load_package(struct registry *registry, struct sync_wanted *wanted, const struct archive_head *head,
			 struct fault *damage, struct fault *flt)
{
	archive_load_package(registry->archive, &wanted->name, head, &wanted->stored, &wanted->stored_position, damage,
			     flt);
}

static void drop_package(struct sync_wanted *wanted)
{
	package_log_unref(wanted->stored);
	wanted->stored = NULL;
}

/* The package's last record at the view's checkpoint, by the ledger that was proven to be the one there. */
static bool find_head(struct registry *registry, const struct name *name, struct archive_head *out)
{
	const struct view *view = registry->view;
	struct digest log_id = name_log_id(name);
	const struct listing_log *log = NULL;
	struct api_ledger_entry entry;
	struct fault own = {0};

	if (view->listing && view->listing->length == view->checkpoint.contents.log_length &&
	    ledger_is_at(registry->ledger, &view->checkpoint.contents))
		log = listing_find_log(view->listing, &log_id);
	if (!log)
		return false;
	if (ledger_record(registry->ledger, log->last, &entry, &own)) {
		registry_report(registry, &own);
		return false;
	}
	*out = (struct archive_head){entry.record_id, log->last};
	return digest_equals(&entry.log_id, &log_id);
}

static bool is_past(const struct registry *registry, const struct sync_wanted *wanted)
{
	return wanted->stored &&
	       wanted->stored_position.registry_index >= registry->view->checkpoint.contents.log_length;
}

/* Whether the log that was loaded ends with this very record, in this place. */
static bool is_at(const struct sync_wanted *wanted, const struct archive_head *head)
{
	return wanted->stored_position.registry_index == head->registry_index &&
	       digest_equals(&package_log_head(wanted->stored)->record_id, &head->record_id);
}

/* A registry index read from disk counts only if the ledger reaches it and has the log's head there. */
static void check_place(struct registry *registry, struct sync_wanted *wanted, struct fault *damage)
{
	struct digest log_id = name_log_id(&wanted->name);
	struct api_ledger_entry entry;
	struct fault own = {0};

	if (ledger_record(registry->ledger, wanted->stored_position.registry_index, &entry, &own)) {
		registry_report(registry, &own);
	} else if (!digest_equals(&entry.log_id, &log_id) ||
		   !digest_equals(&entry.record_id, &package_log_head(wanted->stored)->record_id)) {
		fault_invalid(damage, "the ledger has another record at its registry index, %" PRIu64,
			      wanted->stored_position.registry_index);
		fault_at(damage, "the records of package %s", wanted->name.text);
		fault_blame(damage, FAULT_BY_CACHE);
		drop_package(wanted);
	}
}

void registry_load_package(struct registry *registry, struct sync_wanted *wanted)
{
	struct fault own = {0}, damage = {0};
	struct archive_head head;

	load_package(registry, wanted, NULL, &damage, &own);
	if (find_head(registry, &wanted->name, &head)) {
		/* It may have grown past the view's checkpoint, in another mount. */
		if (is_past(registry, wanted)) {
			drop_package(wanted);
			load_package(registry, wanted, &head, &damage, &own);
		}
		if (wanted->stored && !is_at(wanted, &head))
			check_place(registry, wanted, &damage);
		wanted->is_proven = wanted->stored && wanted->stored_position.registry_index == head.registry_index;
	}
	registry_report(registry, &own);
	registry_report(registry, &damage);
}

/* ---- Saving ---- */

/* The store has the package as it is in the view. */
static void note_saved(struct registry *registry, const struct view_package *package)
{
	const struct store_position position = view_package_position(package);
	struct view_package *same;

	/* Without memory it is written once more than it needs to be. */
	if (!view_package_new(package->log, &position, package->log_length, NULL, &same, NULL))
		view_put_take(registry->saved, same, NULL);
}

/* @return whether the store lacks the package's log, to end a walk at the first such package */
static int is_unsaved(void *user, const struct view_package *saved, const struct view_package *package)
{
	(void)user;
	return !saved || saved->log != package->log;
}

static clock_ms when_to_save(struct registry *registry)
{
	clock_ms now = clock_now();

	if (registry->next_save == CLOCK_NEVER)
		registry->unsaved_since = now;
	if (!registry->is_series)
		return now;
	return now + SERIES_DELAY < registry->unsaved_since + SERIES_LONGEST ? now + SERIES_DELAY :
									       registry->unsaved_since + SERIES_LONGEST;
}

void registry_plan_save(struct registry *registry)
{
	struct view *view = registry->view, *saved = registry->saved;
	bool is_needed = archive_has_news(registry->archive) || view->operator != saved->operator ||
			 !checkpoint_same_state(&view->checkpoint.contents, &saved->checkpoint.contents);

	is_needed = is_needed || view_trie_each_changed(&saved->packages, &view->packages, is_unsaved, NULL);
	/* The store has all of them: share the view's nodes, so that the next comparison passes over these. */
	if (!is_needed) {
		view_trie_release(&saved->packages);
		saved->packages = view_trie_copy(&view->packages);
	}
	registry->next_save = is_needed ? when_to_save(registry) : CLOCK_NEVER;
}

void registry_keep_ledger(struct registry *registry)
{
	if (!registry->has_kept_ledger && registry->view->listing && registry->view->listing->length &&
	    registry_is_verified(registry))
		ledger_keep(registry->ledger, &registry->view->checkpoint);
	registry->has_kept_ledger = true;
}

/* Packages that are saved at a time: what is wanted meanwhile waits for no more than that. */
#define SAVED_AT_ONCE 256

/** Packages that the store lacks. */
struct unsaved {
	struct registry *registry;
	const struct view_package *known[SAVED_AT_ONCE];
	struct store_package packages[SAVED_AT_ONCE];
	size_t count;
	bool is_part; /* there are more */
};

static int gather_package(void *user, const struct view_package *saved, const struct view_package *package)
{
	struct unsaved *unsaved = user;

	if (!is_unsaved(NULL, saved, package))
		return 0;
	unsaved->is_part = unsaved->count == SAVED_AT_ONCE;
	if (unsaved->is_part)
		return 1;
	registry_note_litter(unsaved->registry, package);
	unsaved->known[unsaved->count] = package;
	unsaved->packages[unsaved->count++] = (struct store_package){package->log, view_package_position(package)};
	return 0;
}

static int write_gathered(struct registry *registry, const struct unsaved *unsaved, bool *written, struct fault *flt)
{
	const struct view *view = registry->view;
	const struct store_update update = {
		.checkpoint = &view->checkpoint,
		.signer = view->operator,
		.operator = view->operator == registry->saved->operator ? NULL : view->operator,
		.operator_position = view->operator_position,
		.packages = unsaved->packages,
		.package_count = unsaved->count,
		.is_part = unsaved->is_part,
	};

	return store_save(registry->store, &update, written, flt);
}

/* Those that were gathered are in the store; all of the view, if there were no more. */
static int note_written(struct registry *registry, const struct unsaved *unsaved, struct fault *flt)
{
	struct view *saved;

	for (size_t i = 0; unsaved->is_part && i < unsaved->count; i++)
		note_saved(registry, unsaved->known[i]);
	if (unsaved->is_part)
		return 0;
	if (view_copy(registry->view, &saved, flt))
		return WARG_UNDECIDED;
	view_unref(registry->saved);
	registry->saved = saved;
	return 0;
}

/* @param written  false also where there is more to write */
static int write_changes(struct registry *registry, bool *written, struct fault *flt)
{
	struct unsaved *unsaved = calloc(1, sizeof(*unsaved));
	int verdict;

	if (!unsaved)
		return fault_no_memory(flt);
	unsaved->registry = registry;
	view_trie_each_changed(&registry->saved->packages, &registry->view->packages, gather_package, unsaved);
	verdict = write_gathered(registry, unsaved, written, flt);
	if (!verdict && *written)
		verdict = note_written(registry, unsaved, flt);
	registry->has_more_to_save = !verdict && *written && unsaved->is_part;
	free(unsaved);
	return verdict;
}

void registry_save(struct registry *registry)
{
	struct fault shared = {0}, own = {0};
	bool written = false, archived = false;

	registry_keep_ledger(registry);
	/* The archive first: the reference may keep the store's lock for as long as it lives. */
	if (archive_save(registry->archive, &archived, &own))
		registry_report(registry, &own);
	if (write_changes(registry, &written, &shared))
		registry_report(registry, &shared);
	if (registry->has_more_to_save)
		registry->next_save = clock_now();
	else
		registry->next_save = written && archived ? CLOCK_NEVER : clock_now() + SAVE_AGAIN;
	/* State files are read and made as a whole: many times the memory that they are known by. */
	malloc_trim(0);
}
