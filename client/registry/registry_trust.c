/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checks the next view against the trust anchor, which all processes share. The updater reads the anchor before it asks
 * the registry, and compares again, under the anchor's lock, before the view is shown (see registry.h, trust.h). So if
 * a registry shows two branches to two processes, the second process sees the fork, and both stop.
 */
#include "client/store/discovery.h"
#include "registry_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#include "client/base/file.h"

bool registry_is_verified(const struct registry *registry)
{
	return registry->view->checkpoint.contents.log_length;
}

/* ---- Accusing ---- */

static int give_span(void *user, int fd, struct fault *flt)
{
	const struct span *bytes = user;

	return file_write_all(fd, *bytes, flt);
}

/*
 * Store the evidence against the registry, and report its path. A fork whose evidence cannot be written is remembered
 * in memory.
 * @param ledger  leads to the root of the offered checkpoint; NULL: none
 */
static void accuse(struct registry *registry, enum trust_charge charge, const struct signed_checkpoint *offered,
		   const struct operator_log *operator, const struct span *ledger, struct fault *flt)
{
	struct span bytes = ledger ? *ledger : (struct span){0};
	struct fault own = {0};
	char kept[256];

	if (ledger)
		trust_accuse_fork(registry->trust, offered, operator, give_span, &bytes, kept, &own);
	else
		trust_accuse(registry->trust, charge, offered, operator, kept, &own);
	registry_report(registry, &own);
	if (kept[0])
		fault_add(flt, "evidence: %s/%s", trust_evidence_folder(registry->trust), kept);
	else if (own.verdict && charge == TRUST_FORK)
		registry->forked = *flt;
}

static struct digest root_of(const struct api_ledger_entry *entries, uint64_t length)
{
	struct merkle_log_roots roots = {0};

	for (uint64_t i = 0; i < length; i++) {
		struct digest leaf = merkle_log_leaf(&entries[i].log_id, &entries[i].record_id);

		merkle_log_roots_append(&roots, &leaf);
	}
	return merkle_log_roots_fold(&roots);
}

/*
 * Without a consistency proof the log may be a fork, or its proof may only be missing. The registry's ledger decides:
 * it is a fork if the ledger leads to the offered root, and to another root at the anchor's length.
 * @return whether it does
 */
static bool accuse_of_fork(struct registry *registry, const struct trust_anchor *anchor,
			   const struct sync_refused *refused, clock_ms deadline, struct fault *flt)
{
	const struct checkpoint *offered = &refused->offered.contents, *held = &anchor->checkpoint.contents;
	struct api_ledger_entry *entries = NULL;
	struct digest root, before;
	struct span ledger;

	if (!anchor->known || !refused->operator || held->log_length >= offered->log_length ||
	    api_fetch_ledger(&registry->api, deadline, 0, offered->log_length, &entries, NULL))
		return false;
	before = root_of(entries, held->log_length);
	root = root_of(entries, offered->log_length);
	ledger = (struct span){(const unsigned char *)entries, offered->log_length * sizeof(*entries)};
	if (!digest_equals(&root, &offered->log_root) || digest_equals(&before, &held->log_root)) {
		free(entries);
		return false;
	}
	fault_add(flt, "a fork: its ledger leads to another root at length %" PRIu64, held->log_length);
	accuse(registry, TRUST_FORK, &refused->offered, refused->operator, &ledger, flt);
	free(entries);
	return true;
}

/* Whoever made a registry anew at the same URL meets this first: in place of what follows from it. */
static void tell_other_key(const struct registry *registry, const struct digest *now, const struct digest *before,
			   struct fault *flt)
{
	char texts[2][DIGEST_TEXT_SIZE];
	struct fault said = {0};

	digest_format(now, texts[0]);
	digest_format(before, texts[1]);
	fault_invalid(&said, "is not the registry that it was: it signs with the key %s, and signed with %s before. If "
		      "it was made anew, 'wargfs reset --registry URL' forgets the old one", texts[0], texts[1]);
	fault_subject(&said, "%s", registry_name(registry));
	fault_blame(&said, FAULT_BY_REGISTRY);
	*flt = said;
}

static void accuse_refused(struct registry *registry, const struct trust_anchor *anchor,
			   const struct sync_refused *refused, clock_ms deadline, struct fault *flt)
{
	bool is_other;

	if (!registry->trust || refused->contradiction == SYNC_NO_CONTRADICTION)
		return;
	is_other = refused->operator && trust_check_operator(anchor, refused->operator, NULL);
	if (anchor->known && !digest_equals(&refused->offered.key_id, &anchor->checkpoint.key_id))
		tell_other_key(registry, &refused->offered.key_id, &anchor->checkpoint.key_id, flt);
	if (!is_other && refused->contradiction == SYNC_INCONSISTENT &&
	    accuse_of_fork(registry, anchor, refused, deadline, flt))
		return;
	accuse(registry, is_other ? TRUST_OPERATOR :
	       refused->contradiction == SYNC_ROLLBACK ? TRUST_ROLLBACK :
	       refused->contradiction == SYNC_FORK ? TRUST_FORK : TRUST_INCONSISTENT,
	       &refused->offered, refused->operator, NULL, flt);
}

/* ---- What is remembered ---- */

/*
 * Load the trust anchor. Fails if the registry was seen to fork: it is not believed again before 'wargfs reset'.
 */
static int load_anchor(struct registry *registry, struct trust_anchor *out, struct fault *flt)
{
	int verdict;

	*out = (struct trust_anchor){0};
	if (!registry->trust)
		return 0;
	if (registry->forked.verdict) {
		fault_pass(&registry->forked, flt);
		return registry->forked.verdict;
	}
	verdict = trust_load(registry->trust, out, flt);
	if (verdict || !out->evidence[0])
		return verdict;
	fault_invalid(flt, "it was seen to %s, and is not believed any more: see %.120s; "
		      "'wargfs reset --registry URL' forgets that",
		      out->charge == TRUST_MAP ? "contradict its own log" : "fork", out->evidence);
	fault_blame(flt, FAULT_BY_REGISTRY);
	return WARG_INVALID;
}

/* Accuse the view on display: it and the anchor are signed, of one length, and have different roots. */
static int accuse_view(struct registry *registry, const struct view *view, struct fault *flt)
{
	fault_invalid(flt, "a fork: at length %" PRIu64 " log or map had another root for another process",
		      view->checkpoint.contents.log_length);
	fault_blame(flt, FAULT_BY_REGISTRY);
	accuse(registry, TRUST_FORK, &view->checkpoint, view->operator, NULL, flt);
	return WARG_INVALID;
}

/* Check that the view on display agrees with the anchor, if both have the same length: no proof is needed then. */
static int check_shown(struct registry *registry, const struct trust_anchor *anchor, struct fault *flt)
{
	const struct view *view = registry->view;

	if (!anchor->known || !registry_is_verified(registry) ||
	    view->checkpoint.contents.log_length != anchor->checkpoint.contents.log_length ||
	    checkpoint_same_state(&view->checkpoint.contents, &anchor->checkpoint.contents))
		return 0;
	return accuse_view(registry, view, flt);
}

const char *registry_name(const struct registry *registry)
{
	return registry->domain ? registry->domain : http_url_name(&registry->options.url);
}

/* Pin the URL that led here to this registry, which is verified now. */
static int pin_url(struct registry *registry, struct fault *flt)
{
	int verdict = 0;

	if (!registry->is_pinned)
		verdict = discovery_pin(registry->options.state_dir, &registry->found_by, &registry->options.url, flt);
	registry->is_pinned = !verdict;
	return verdict;
}

/*
 * Check that a verified view has the pinned operator, and if so store its checkpoint as the anchor.
 * @param anchor  the anchor that the view was checked against
 * @param moved   set if another process has changed the anchor since: check the view against the new one first
 */
static int admit(struct registry *registry, const struct trust_anchor *anchor, const struct view *next, bool *moved,
		 struct fault *flt)
{
	enum trust_standing standing = TRUST_STANDS;
	struct fault own = {0};
	int verdict;

	if (!registry->trust)
		return 0;
	/* A wrong operator key contradicts the user's demand, nothing that the registry signed: no evidence. */
	verdict = trust_check_demand(anchor, next->operator, flt);
	if (verdict) {
		fault_at(flt, "%s", registry_name(registry));
		fault_blame(flt, FAULT_BY_REGISTRY);
		return verdict;
	}
	verdict = trust_check_operator(anchor, next->operator, flt);
	if (verdict) {
		fault_blame(flt, FAULT_BY_REGISTRY);
		fault_add(flt, "if it was made anew, 'wargfs reset --registry URL' forgets the old one");
		accuse(registry, TRUST_OPERATOR, &next->checkpoint, next->operator, NULL, flt);
		return verdict;
	}
	verdict = pin_url(registry, flt);
	if (verdict)
		return verdict;
	if (trust_remember(registry->trust, next->operator, &next->checkpoint, anchor, &standing, &own))
		registry_report(registry, &own);
	else if (!anchor->known && standing == TRUST_STANDS && registry->options.met)
		registry->options.met(registry->options.met_user, registry_name(registry),
				      operator_log_first_key(next->operator));
	*moved = standing == TRUST_MOVED;
	return standing == TRUST_CONTRADICTED ? accuse_view(registry, next, flt) : 0;
}

/* ---- The next view ---- */

/* The view to start from, with the anchor as a further checkpoint that the next view must be consistent with. */
static int base_view(const struct registry *registry, const struct trust_anchor *anchor, struct view **out,
		     struct fault *flt)
{
	const struct view *start = registry->start;
	struct view *copy;
	int verdict = view_copy(start && !registry_is_verified(registry) ? start : registry->view, &copy, flt);

	if (verdict)
		return verdict;
	if (start)
		copy->held[0] = start->checkpoint;
	if (anchor->known)
		copy->held[1] = anchor->checkpoint;
	*out = copy;
	return 0;
}

/* One attempt at the next view. @param moved  as admit(): there is no view if it is set */
static int try_view(struct registry *registry, struct sync_wanted *wanted, size_t count, clock_ms deadline,
		    struct view **out, bool *moved, struct fault *flt)
{
	struct sync_refused refused = {.contradiction = SYNC_NO_CONTRADICTION};
	struct view *before = NULL, *next = NULL;
	struct trust_anchor anchor;
	int verdict;

	*moved = false;
	verdict = load_anchor(registry, &anchor, flt);
	if (!verdict)
		verdict = check_shown(registry, &anchor, flt);
	if (!verdict)
		verdict = base_view(registry, &anchor, &before, flt);
	if (verdict)
		return verdict;
	verdict = sync_refresh(&registry->api, registry->archive, registry->ledger, before, wanted, count, deadline,
			       &next, &refused, flt);
	registry_report(registry, &refused.damage);
	if (verdict)
		accuse_refused(registry, &anchor, &refused, deadline, flt);
	else
		verdict = admit(registry, &anchor, next, moved, flt);
	operator_log_unref(refused.operator);
	view_unref(before);
	if (verdict || *moved) {
		archive_refuse(registry->archive);
		if (next)
			ledger_doubt(registry->ledger);
		view_unref(next);
		return verdict;
	}
	archive_accept(registry->archive);
	*out = next;
	return 0;
}

int registry_next_view(struct registry *registry, struct sync_wanted *wanted, size_t count, clock_ms deadline,
		       struct view **out, struct fault *flt)
{
	bool moved = true;
	int verdict = 0;

	/* Many publishing processes may move the anchor all the time: try again until the deadline. */
	while (!verdict && moved && clock_left(deadline))
		verdict = try_view(registry, wanted, count, deadline, out, &moved, flt);
	if (!verdict && moved)
		verdict = fault_undecided(flt, FAULT_TIMEOUT, "other processes remember other checkpoints all the "
					  "time");
	return verdict;
}
