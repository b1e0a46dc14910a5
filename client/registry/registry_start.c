/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A view that is proven without the network (see registry.h).
 *
 * The operator's log is validated again from its records. It knows the key that signed the checkpoint beside the
 * ledger; the ledger leads to that checkpoint's log root; and the ledger has the operator's last record, and each
 * package's, at that checkpoint: what is not in the map of a checkpoint is not needed, as the whole log is there.
 *
 * A stranger can forge all of these together, under a key of his own. So the operator must be the one that was pinned,
 * and the checkpoint must not contradict the highest one that is remembered.
 */
#include "registry_parts.h"

#include <inttypes.h>
#include <time.h>

/* ---- Trust ---- */

static int take_leaves(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
		       struct fault *flt)
{
	struct merkle_log_roots *roots = user;

	(void)index;
	(void)flt;
	for (size_t i = 0; i < count; i++) {
		struct digest leaf = merkle_log_leaf(&entries[i].log_id, &entries[i].record_id);

		merkle_log_roots_append(roots, &leaf);
	}
	return 0;
}

/* The remembered checkpoint is of a part of the ledger, or it is a later one, of which nothing can be told here. */
static int check_history(struct registry *registry, const struct checkpoint *checkpoint,
			 const struct checkpoint *remembered, struct fault *flt)
{
	struct merkle_log_roots roots = {0};
	struct digest root;
	int verdict;

	if (remembered->log_length > checkpoint->log_length)
		return 0;
	verdict = ledger_read(registry->ledger, 0, remembered->log_length, take_leaves, &roots, flt);
	if (verdict)
		return verdict;
	root = merkle_log_roots_fold(&roots);
	if (!digest_equals(&root, &remembered->log_root) ||
	    (remembered->log_length == checkpoint->log_length && !checkpoint_same_state(remembered, checkpoint)))
		return fault_invalid(flt, "it contradicts the checkpoint of %" PRIu64 " records that is remembered",
				     remembered->log_length);
	return 0;
}

static int check_trust(struct registry *registry, const struct view *view, struct fault *flt)
{
	struct trust_anchor anchor = {0};
	int verdict = registry->trust ? trust_load(registry->trust, &anchor, flt) : 0;

	if (verdict)
		return verdict;
	if (!anchor.known)
		return fault_undecided(flt, FAULT_ABSENT, "nothing is remembered of the registry that it could be held "
				       "to");
	if (anchor.evidence[0])
		return fault_invalid(flt, "the registry was seen to fork: see %.150s", anchor.evidence);
	verdict = trust_check_demand(&anchor, view->operator, flt);
	if (!verdict)
		verdict = trust_check_operator(&anchor, view->operator, flt);
	if (!verdict)
		verdict = check_history(registry, &view->checkpoint.contents, &anchor.checkpoint.contents, flt);
	return verdict;
}

/* ---- What lies there ---- */

static int load_ledger(struct registry *registry, struct view *view, struct fault *flt)
{
	bool found = false;
	int verdict;

	registry->ledger_is_loaded = true;
	verdict = ledger_load(registry->ledger, &view->checkpoint, &found, flt);
	if (!verdict && !found)
		verdict = fault_undecided(flt, FAULT_ABSENT, "no complete listing of the registry, its ledger, is "
					  "cached yet, and nothing can be proven offline without it");
	return verdict ? verdict :
			 listing_load(registry->ledger, &view->checkpoint.contents, &view->listing, flt);
}

/* The operator's log up to its last record in the ledger. */
static int load_operator(struct registry *registry, struct view *view, struct fault *flt)
{
	struct digest operator_id = name_operator_log_id();
	struct archive_head head = {.registry_index = view->listing->operator_last};
	struct api_ledger_entry entry;
	struct fault damage = {0};
	int verdict;

	verdict = ledger_record(registry->ledger, head.registry_index, &entry, flt);
	if (verdict)
		return verdict;
	if (!digest_equals(&entry.log_id, &operator_id))
		return fault_invalid(flt, "the ledger has no record of the operator");
	head.record_id = entry.record_id;
	verdict = archive_load_operator(registry->archive, &head, &view->operator, &view->operator_position, &damage,
					flt);
	if (verdict || view->operator)
		return verdict;
	if (damage.verdict)
		*flt = damage;
	else
		fault_undecided(flt, FAULT_ABSENT, "the operator's records are not all there");
	return flt->verdict;
}

/* When the registry said so, by its own clock; never later than now. */
static int64_t said_at(const struct checkpoint *checkpoint)
{
	int64_t now = time(NULL);

	return checkpoint->timestamp < (uint64_t)now ? (int64_t)checkpoint->timestamp : now;
}

static int load_view(struct registry *registry, struct view *view, struct fault *flt)
{
	int verdict = load_ledger(registry, view, flt);

	if (!verdict)
		verdict = load_operator(registry, view, flt);
	if (!verdict) {
		verdict = checkpoint_verify(&view->checkpoint, view->operator, flt);
		if (verdict)
			ledger_doubt_checkpoint(registry->ledger);
	}
	if (!verdict)
		verdict = check_trust(registry, view, flt);
	view->verified_at = said_at(&view->checkpoint.contents);
	return verdict;
}

int registry_start(struct registry *registry, struct fault *flt)
{
	struct view *view;
	int verdict = view_copy(NULL, &view, flt);

	if (verdict)
		return verdict;
	verdict = load_view(registry, view, flt);
	if (verdict) {
		fault_at(flt, "the cached copy");
		fault_blame(flt, FAULT_BY_CACHE);
		view_unref(view);
		return verdict;
	}
	registry->listing = listing_ref(view->listing);
	view_unref(registry->view);
	registry->view = view;
	registry->saver.kept = view->checkpoint.contents;
	registry->is_away = true;
	freshness_see(&registry->freshness, view->checkpoint.contents.timestamp, FRESHNESS_KEPT, freshness_now());
	return 0;
}
