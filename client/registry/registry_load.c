/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What lies on the disk, and an update starts from (see registry.h).
 *
 * Logs are loaded from the archive, where their records can be proven again. The store that is shared with the
 * reference has states without signatures: nothing in it is believed but a checkpoint, which has one.
 */
#include "registry_parts.h"

#include <inttypes.h>

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
	registry->saver.saved = saved;
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
