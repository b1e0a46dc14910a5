/*
 * Between the views and the disk: what is loaded to start from, and what is written after an update (see registry.h).
 *
 * Logs are loaded from the archive, where their records can be proven again. The store that is shared with the
 * reference has states without signatures: it is written for the reference, and nothing in it is believed but a
 * checkpoint, which has one.
 *
 * Only what changed is written: each file costs an fsync. While another program has the store's lock, nothing is, and
 * it is tried again later; the view does not wait for that.
 */
#include "registry_parts.h"

#include <malloc.h>
#include <stdlib.h>

/* Milliseconds until the store is tried again. */
#define SAVE_AGAIN 2000

/* ---- Loading ---- */

/* What is malformed in the store is as good as nothing; anything else is a fault. */
static int forgive(const struct registry *registry, const struct fault *own, struct fault *flt)
{
	if (own->verdict == WARG_UNDECIDED) {
		*flt = *own;
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

static void load_package(struct registry *registry, struct sync_wanted *wanted, const struct digest *head,
			 struct fault *damage, struct fault *flt)
{
	archive_load_package(registry->archive, &wanted->name, head, &wanted->stored, &wanted->stored_position, damage,
			     flt);
}

/* The package's last record at the view's checkpoint, by the ledger that was proven to be the one there. */
static bool find_head(struct registry *registry, const struct name *name, struct api_ledger_entry *out)
{
	const struct view *view = registry->view;
	struct digest log_id = name_log_id(name);
	const struct listing_log *log = NULL;
	struct fault own = {0};

	if (view->listing && view->listing->length == view->checkpoint.contents.log_length)
		log = listing_find_log(view->listing, &log_id);
	if (!log)
		return false;
	if (ledger_record(registry->ledger, log->last, out, &own)) {
		registry_report(registry, &own);
		return false;
	}
	return digest_equals(&out->log_id, &log_id);
}

static bool is_past(const struct registry *registry, const struct sync_wanted *wanted)
{
	return wanted->stored &&
	       wanted->stored_position.registry_index >= registry->view->checkpoint.contents.log_length;
}

void registry_load_package(struct registry *registry, struct sync_wanted *wanted)
{
	struct fault own = {0}, damage = {0};
	struct api_ledger_entry head;

	load_package(registry, wanted, NULL, &damage, &own);
	if (find_head(registry, &wanted->name, &head)) {
		/* It may have grown past the view's checkpoint, in another mount. */
		if (is_past(registry, wanted)) {
			package_log_unref(wanted->stored);
			wanted->stored = NULL;
			load_package(registry, wanted, &head.record_id, &damage, &own);
		}
		wanted->is_proven = wanted->stored && digest_equals(&package_log_head(wanted->stored)->record_id,
								    &head.record_id);
	}
	registry_report(registry, &own);
	registry_report(registry, &damage);
	wanted->is_shared = wanted->stored && store_holds_package(registry->store, wanted->stored);
}

/* ---- Saving ---- */

void registry_note_saved(struct registry *registry, const struct view_package *package)
{
	struct view_package *same;

	/* Without memory it is written once more than it needs to be. */
	if (!view_package_new(&package->name, package->log, &package->position, package->log_length, &same, NULL))
		view_put_take(registry->saved, same, NULL);
}

static bool is_saved(const struct registry *registry, const struct view_package *package)
{
	const struct view_package *saved = view_find(registry->saved, &package->name);

	return saved && saved->log == package->log;
}

void registry_plan_save(struct registry *registry)
{
	const struct view *view = registry->view, *saved = registry->saved;
	bool is_needed = archive_has_news(registry->archive) || view->operator != saved->operator ||
			 !checkpoint_same_state(&view->checkpoint.contents, &saved->checkpoint.contents);

	for (size_t i = 0; i < view->package_count && !is_needed; i++)
		is_needed = !is_saved(registry, view->packages[i]);
	registry->next_save = is_needed ? clock_now() : CLOCK_NEVER;
}

/* @param out  free() it */
static int gather(struct registry *registry, struct store_package **out, size_t *count, struct fault *flt)
{
	const struct view *view = registry->view;
	struct store_package *packages = calloc(view->package_count + 1, sizeof(*packages));

	if (!packages)
		return fault_no_memory(flt);
	*count = 0;
	for (size_t i = 0; i < view->package_count; i++) {
		if (is_saved(registry, view->packages[i]))
			continue;
		registry_note_litter(registry, view->packages[i]);
		packages[*count].log = view->packages[i]->log;
		packages[(*count)++].position = view->packages[i]->position;
	}
	*out = packages;
	return 0;
}

static int write_changes(struct registry *registry, bool *written, struct fault *flt)
{
	const struct view *view = registry->view;
	struct store_package *packages = NULL;
	struct store_update update = {
		.checkpoint = &view->checkpoint,
		.operator = view->operator == registry->saved->operator ? NULL : view->operator,
		.operator_position = view->operator_position,
	};
	struct view *saved;
	int verdict;

	verdict = view_copy(view, &saved, flt);
	if (verdict)
		return verdict;
	verdict = gather(registry, &packages, &update.package_count, flt);
	update.packages = packages;
	if (!verdict)
		verdict = store_save(registry->store, &update, written, flt);
	free(packages);
	if (!verdict && *written) {
		view_unref(registry->saved);
		registry->saved = saved;
	} else {
		view_unref(saved);
	}
	return verdict;
}

void registry_save(struct registry *registry)
{
	struct fault shared = {0}, own = {0};
	bool written = false, archived = false;

	/* The archive first: the reference may keep the store's lock for as long as it lives. */
	if (archive_save(registry->archive, &archived, &own))
		registry_report(registry, &own);
	if (write_changes(registry, &written, &shared))
		registry_report(registry, &shared);
	registry->next_save = written && archived ? CLOCK_NEVER : clock_now() + SAVE_AGAIN;
	/* State files are read and made as a whole: many times the memory that they are known by. */
	malloc_trim(0);
}
