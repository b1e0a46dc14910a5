/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * An update, step by step (see sync.h; protocol.md section 7).
 */
#include "sync_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "verify/array.h"

/* ---- The logs of an update ---- */

static void log_release(struct sync_log *log)
{
	package_log_unref(log->package);
	operator_log_unref(log->operator);
	archive_growth_free(log->growth);
}

static void sync_init(struct sync *sync, const struct api *api, struct archive *archive, clock_ms deadline,
		      const struct signed_checkpoint *checkpoint)
{
	*sync = (struct sync){
		.api = api,
		.archive = archive,
		.deadline = deadline,
		.checkpoint = checkpoint,
	};
}

static void sync_release(struct sync *sync)
{
	for (size_t i = 0; i < sync->count; i++)
		log_release(&sync->logs[i]);
	free(sync->logs);
	listing_unref(sync->listing);
	view_proof_unref(sync->proof);
}

static struct sync_log *add_log(struct sync *sync, const struct digest *log_id)
{
	struct sync_log *log;

	if (array_reserve(&sync->logs, sync->count, &sync->capacity, sizeof(*sync->logs), NULL))
		return NULL;
	log = &sync->logs[sync->count++];
	*log = (struct sync_log){.log_id = *log_id};
	return log;
}

/* Set where fetching begins. Call it once the log is set. */
static void set_position(struct sync_log *log, const struct store_position *position)
{
	log->position = *position;
	log->is_doubtful = position->is_kept;
	log->proven_head = sync_log_head(log)->record_id;
}

static int add_operator(struct sync *sync, const struct view *base, struct fault *flt)
{
	struct digest log_id = name_operator_log_id();
	struct sync_log *log = add_log(sync, &log_id);

	if (!log)
		return fault_no_memory(flt);
	if (!base || !base->operator)
		return 0;
	/* What lay in the store without its place or token cannot be gone on from. */
	if (!base->verified_at && (!base->operator_position.known || !base->operator_position.token[0]))
		return 0;
	log->start = base->verified_at ? SYNC_PROVEN : SYNC_STORED;
	log->operator = operator_log_ref(base->operator);
	set_position(log, &base->operator_position);
	return 0;
}

static struct sync_log *add_package(struct sync *sync, const struct name *name)
{
	struct digest log_id = name_log_id(name);
	struct sync_log *log = add_log(sync, &log_id);

	if (log) {
		log->is_package = true;
		log->name = *name;
	}
	return log;
}

int sync_add_proven(struct sync *sync, const struct view_package *package, struct fault *flt)
{
	const struct store_position position = view_package_position(package);
	const struct name name = view_package_name(package);
	struct sync_log *log = add_package(sync, &name);

	if (!log)
		return fault_no_memory(flt);
	log->start = SYNC_PROVEN;
	log->package = package_log_ref(package->log);
	set_position(log, &position);
	return 0;
}

int sync_add_known(void *user, const struct view_package *package)
{
	return sync_add_proven(user, package, NULL);
}

/* Add the packages that the view has, as far as they are to be brought to the checkpoint. */
static int add_base(struct sync *sync, const struct view *base, struct fault *flt)
{
	struct fault own = {0};
	size_t before = sync->count;
	int r;

	if (!base)
		return 0;
	if (sync->ledger) {
		r = sync_add_grown(sync, base, &own);
		if (own.party != FAULT_BY_CACHE) {
			fault_pass(&own, flt);
			return r;
		}
		/* It was damaged meanwhile, and no longer tells which logs grew. */
		while (sync->count > before)
			log_release(&sync->logs[--sync->count]);
	}
	r = sync->is_new ? view_trie_each(&base->packages, sync_add_known, sync) :
			   view_trie_each_failed(&base->packages, sync_add_known, sync);
	return r ? fault_no_memory(flt) : 0;
}

static int add_wanted(struct sync *sync, const struct view *base, const struct sync_wanted *wanted, struct fault *flt)
{
	const struct listing *listing = sync->listing ? sync->listing : base ? base->listing : NULL;
	struct sync_log *log = add_package(sync, &wanted->name);

	if (!log)
		return fault_no_memory(flt);
	log->is_listed = listing && listing_has(listing, &wanted->name);
	log->is_ahead = wanted->is_ahead;
	if (wanted->is_left)
		sync_log_leave(log);
	if (!wanted->stored || !wanted->stored_position.known || !wanted->stored_position.token[0])
		return 0;
	log->start = SYNC_STORED;
	log->package = package_log_ref(wanted->stored);
	set_position(log, &wanted->stored_position);
	return 0;
}

/* The operator's log is at the checkpoint already. */
static void skip_operator(struct sync *sync, const struct view *base)
{
	if (base->operator_position.token[0])
		sync->operator_token = base->operator_position.token;
}

/*
 * The operator's log is part of each update to a new checkpoint: that its head is in the checkpoint's map is what tells
 * a map that is none before the checkpoint is believed. It is not fetched if the ledger has no new record of it.
 */
static int begin_operator(struct sync *sync, const struct view *base, struct fault *flt)
{
	const struct store_position *position = base ? &base->operator_position : NULL;
	int r = add_operator(sync, base, flt);

	if (r || !position || !position->known || !sync->ledger ||
	    position->registry_index != sync->listing->operator_last)
		return r;
	sync->logs[0].is_whole = true;
	skip_operator(sync, base);
	return 0;
}

/* The operator's log, if it is part of the update. */
static struct sync_log *operator_of(struct sync *sync)
{
	return sync->count && !sync->logs[0].is_package ? &sync->logs[0] : NULL;
}

/* ---- The way to the checkpoint ---- */

static void check_signature(struct sync *sync)
{
	struct sync_log *log = operator_of(sync);
	struct fault flt = {0};

	if (!log || !sync_log_is_open(log))
		return;
	if (checkpoint_verify(sync->checkpoint, log->operator, &flt)) {
		fault_at(&flt, "the checkpoint");
		sync_log_fail(log, &flt);
	}
}

static void advance(struct sync *sync)
{
	struct sync_proof ahead;

	sync_begin_proof(sync, &ahead);
	sync_fetch_logs(sync);
	check_signature(sync);
	sync_end_proof(&ahead);
	sync_prove_heads(sync, &ahead);
	sync_proof_release(&ahead);
}

/* Bring every log to the checkpoint, or to its fault. One whose start was the store's and failed starts once more. */
static void bring(struct sync *sync)
{
	bool again = false;

	advance(sync);
	for (size_t i = 0; i < sync->count; i++) {
		if (!sync->logs[i].again)
			continue;
		sync_log_retry(&sync->logs[i]);
		again = true;
	}
	if (again)
		advance(sync);
}

/* ---- What came of it ---- */

static int put_proven(struct view *view, const struct sync_log *log, struct fault *flt)
{
	struct view_package *package;
	int verdict;

	verdict = view_package_new(log->package, &log->position, view->checkpoint.contents.log_length, NULL,
				   &package, flt);
	return verdict ? verdict : view_put_take(view, package, flt);
}

/* A package that failed stays as it was proven in `base`, if it was, with the fault beside it. */
static int put_failed(struct view *view, const struct view *base, const struct sync_log *log, struct fault *flt)
{
	const struct view_package *before = view_find(view, &log->name);
	struct store_position position;
	struct view_package *package;
	uint64_t log_length;
	int verdict;

	if (!before)
		return 0;
	position = view_package_position(before);
	log_length = view_package_is_current(before) ? base->checkpoint.contents.log_length : before->log_length;
	verdict = view_package_new(before->log, &position, log_length, &log->fault, &package, flt);
	if (verdict)
		return verdict;
	return view_put_take(view, package, flt);
}

/*
 * Keep the validated part of a log that was received incompletely: the next call continues there, so a log may take
 * longer than one time-out.
 */
static bool is_to_go_on(const struct sync_log *log)
{
	return log->is_package && log->start != SYNC_PROVEN && log->is_broken_off;
}

/* Keep the records of the logs proven in the next view, and those of incompletely received logs. */
static void keep_records(struct sync *sync)
{
	for (size_t i = 0; i < sync->count; i++) {
		struct sync_log *log = &sync->logs[i];

		if (!log->growth || (!log->is_proven && !is_to_go_on(log)))
			continue;
		if (log->is_proven)
			archive_keep_take(sync->archive, log->growth);
		else
			archive_keep_part_take(sync->archive, log->growth);
		log->growth = NULL;
	}
}

static int put_packages(struct view *view, const struct view *base, const struct sync *sync, struct fault *flt)
{
	int verdict = 0;

	for (size_t i = 0; i < sync->count && !verdict; i++) {
		const struct sync_log *log = &sync->logs[i];

		if (!log->is_package)
			continue;
		verdict = log->is_proven ? put_proven(view, log, flt) : put_failed(view, base, log, flt);
	}
	return verdict;
}

/* ---- A new checkpoint ---- */

static bool has_checkpoint(const struct view *view)
{
	return view && view->checkpoint.contents.log_length;
}

/* Whether the operator's log that the view has is the one at the checkpoint already. */
static bool has_operator_at(const struct view *base, const struct checkpoint *checkpoint)
{
	return has_checkpoint(base) && base->verified_at &&
	       checkpoint_same_state(&base->checkpoint.contents, checkpoint);
}

/* The verdict on the whole update: what its operator's log and its checkpoint say of the registry. */
static int check_registry(struct sync *sync, const struct view *base, struct sync_refused *refused, struct fault *flt)
{
	const struct sync_log *operator = operator_of(sync);
	int verdict;

	if (operator && !operator->is_proven) {
		fault_pass(&operator->fault, flt);
		return operator->fault.verdict;
	}
	if (operator)
		refused->damage = operator->damage;
	verdict = sync_check_consistency(sync, base, flt);
	if (verdict == WARG_INVALID) {
		refused->contradiction = SYNC_INCONSISTENT;
		/* If the package is not part of the update, the base has its log at that checkpoint. */
		refused->operator = operator_log_ref(operator ? operator->operator : base->operator);
	}
	return verdict;
}

static int build_view(const struct view *base, struct sync *sync, struct view **out, struct fault *flt)
{
	struct sync_log *operator = operator_of(sync);
	struct view *view;
	int verdict;

	verdict = view_copy(base, &view, flt);
	if (verdict)
		return verdict;
	view->checkpoint = *sync->checkpoint;
	view->held[0] = view->held[1] = (struct signed_checkpoint){0};
	view->verified_at = time(NULL);
	if (operator) {
		operator_log_unref(view->operator);
		view->operator = operator_log_ref(operator->operator);
		view->operator_position = operator->position;
	}
	if (sync->is_new) {
		listing_unref(view->listing);
		view->listing = sync->listing ? listing_ref(sync->listing) : NULL;
		view_proof_unref(view->proof);
		view->proof = view_proof_ref(sync->proof);
	}
	verdict = put_packages(view, base, sync, flt);
	if (verdict) {
		view_unref(view);
		return verdict;
	}
	keep_records(sync);
	*out = view;
	return 0;
}

/*
 * A key that may sign, as far as is proven, must have signed it: nothing has to be fetched to see a signature that is
 * none. Any other key may have come to sign since, which the operator's log will tell.
 */
static int check_known_key(const struct view *base, const struct signed_checkpoint *checkpoint, struct fault *flt)
{
	if (!has_checkpoint(base) || !base->verified_at ||
	    log_keys_require(operator_log_keys(base->operator), &checkpoint->key_id, PERMISSION_COMMIT, NULL))
		return 0;
	return checkpoint_verify(checkpoint, base->operator, flt);
}

static bool is_known(const struct view *base, const struct sync_wanted *wanted)
{
	return base && view_find(base, &wanted->name);
}

/* Packages known to the base were updated with it, or kept with their fault. */
static void tell_known(const struct view *base, const struct view *next, struct sync_wanted *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_known(base, &wanted[i]))
			wanted[i].fault = *view_package_fault(view_find(next, &wanted[i].name));
}

static void tell_outcome(const struct sync_log *log, struct sync_wanted *wanted)
{
	wanted->fault = log->fault;
	if (log->is_proven)
		wanted->damage = log->damage;
	memcpy(wanted->hint, log->hint, sizeof(wanted->hint));
}

/* Bring the logs to the checkpoint, and tell how those fared that are wanted and that `base` lacks. */
static int bring_with(struct sync *sync, const struct view *base, struct sync_wanted *wanted, size_t count,
		      struct fault *flt)
{
	size_t at = sync->count;
	int r = 0;

	for (size_t i = 0; i < count && !r; i++)
		if (!is_known(base, &wanted[i]))
			r = add_wanted(sync, base, &wanted[i], flt);
	if (r)
		return r;
	if (sync->count)
		bring(sync);
	for (size_t i = 0; i < count; i++)
		if (!is_known(base, &wanted[i]))
			tell_outcome(&sync->logs[at++], &wanted[i]);
	return 0;
}

/* Bring the logs to the checkpoint that have to be. */
static int bring_view(struct sync *sync, struct ledger *ledger, const struct view *base, struct sync_wanted *wanted,
		      size_t count, struct fault *flt)
{
	int r = 0;

	if (sync->is_new && ledger && has_checkpoint(base))
		sync_follow_ledger(sync, ledger, base, wanted, count);
	if (sync->is_new)
		r = begin_operator(sync, base, flt);
	else
		skip_operator(sync, base);
	if (!r)
		r = add_base(sync, base, flt);
	return r ? r : bring_with(sync, base, wanted, count, flt);
}

/* Bring `base` to the checkpoint that was offered, which is not verified yet. */
static int refresh_to(struct sync *sync, struct ledger *ledger, const struct view *base, struct sync_wanted *wanted,
		      size_t count, struct view **out, struct sync_refused *refused, struct fault *flt)
{
	const struct signed_checkpoint *checkpoint = sync->checkpoint;
	int verdict;

	sync->is_new = !has_operator_at(base, &checkpoint->contents);
	verdict = check_known_key(base, checkpoint, flt);
	if (!verdict)
		verdict = sync_check_growth(base, &checkpoint->contents, refused, flt);
	if (!verdict && !sync->is_new)
		verdict = checkpoint_verify(checkpoint, base->operator, flt);
	if (verdict) {
		fault_at(flt, "the checkpoint");
		return verdict;
	}
	verdict = bring_view(sync, ledger, base, wanted, count, flt);
	if (!verdict)
		verdict = check_registry(sync, base, refused, flt);
	if (!verdict)
		verdict = build_view(base, sync, out, flt);
	if (!verdict)
		tell_known(base, *out, wanted, count);
	return verdict;
}

int sync_refresh(const struct api *api, struct archive *archive, struct ledger *ledger, const struct view *base,
		 struct sync_wanted *wanted, size_t count, clock_ms deadline, struct view **out,
		 struct sync_refused *refused, struct fault *flt)
{
	struct sync sync;
	struct sync_refused kept = {0};
	struct fault own = {0};
	int verdict;

	sync_init(&sync, api, archive, deadline, &kept.offered);
	verdict = ledger ? ledger_fetch_checkpoint(ledger, api, deadline, &kept.offered, &own) :
			   api_fetch_checkpoint(api, deadline, &kept.offered, &own);
	if (!verdict)
		verdict = refresh_to(&sync, ledger, base, wanted, count, out, &kept, &own);
	/* What it grew to may be another branch than what the registry says next. */
	if (verdict && sync.grown)
		ledger_doubt(sync.grown);
	sync_release(&sync);
	if (refused)
		*refused = kept;
	else
		operator_log_unref(kept.operator);
	if (!verdict)
		return 0;
	/* ABSENT is for packages: a registry without a checkpoint, or a proof, is one that refuses. */
	if (own.kind == FAULT_ABSENT)
		own.kind = FAULT_REFUSED;
	if (own.kind == FAULT_FORGED || own.kind == FAULT_REFUSED)
		fault_blame(&own, FAULT_BY_REGISTRY);
	if (flt && !flt->verdict)
		*flt = own;
	return verdict;
}

/* ---- More packages ---- */

/* The fault that all logs have for the same reason, none of theirs: the network's, or ours. */
static bool find_common_fault(const struct sync *sync, struct fault *out)
{
	for (size_t i = 0; i < sync->count; i++) {
		enum fault_kind kind = sync->logs[i].fault.kind;

		if (sync->logs[i].is_proven || kind == FAULT_FORGED || kind == FAULT_ABSENT || kind == FAULT_REFUSED ||
		    kind == FAULT_LIMIT || kind == FAULT_OVERSIZED || kind != sync->logs[0].fault.kind)
			return false;
	}
	if (sync->count)
		*out = sync->logs[0].fault;
	return sync->count;
}

static int add_to_view(const struct view *base, struct sync *sync, struct view **out, struct fault *flt)
{
	struct view *view;
	int verdict;

	verdict = view_copy(base, &view, flt);
	if (verdict)
		return verdict;
	verdict = put_packages(view, base, sync, flt);
	if (verdict) {
		view_unref(view);
		return verdict;
	}
	keep_records(sync);
	*out = view;
	return 0;
}

/* Add those of the wanted packages that the view lacks or could not bring to its checkpoint. */
static int add_lacking(struct sync *sync, const struct view *base, struct sync_wanted *wanted, size_t count,
		       struct fault *flt)
{
	int r = 0;

	for (size_t i = 0; i < count && !r; i++) {
		const struct view_package *package = view_find(base, &wanted[i].name);

		wanted[i].fault = (struct fault){0};
		if (!package)
			r = add_wanted(sync, base, &wanted[i], flt);
		else if (!view_package_is_current(package))
			r = sync_add_proven(sync, package, flt);
	}
	return r;
}

int sync_add(const struct api *api, struct archive *archive, const struct view *base, struct sync_wanted *wanted,
	     size_t count, clock_ms deadline, struct view **out, struct fault *flt)
{
	struct fault common = {0};
	struct sync sync;
	size_t at = 0;
	int verdict;

	if (!has_checkpoint(base) || !base->verified_at)
		return fault_undecided(flt, FAULT_MISUSE, "no checkpoint was verified yet");
	sync_init(&sync, api, archive, deadline, &base->checkpoint);
	if (base->listing && base->listing->length == base->checkpoint.contents.log_length)
		sync.heads = base->listing;
	skip_operator(&sync, base);
	verdict = add_lacking(&sync, base, wanted, count, flt);
	if (verdict) {
		sync_release(&sync);
		return verdict;
	}
	if (sync.count)
		bring(&sync);
	for (size_t i = 0; i < count; i++) {
		const struct view_package *package = view_find(base, &wanted[i].name);

		if (!package || !view_package_is_current(package))
			tell_outcome(&sync.logs[at++], &wanted[i]);
	}
	if (find_common_fault(&sync, &common)) {
		keep_records(&sync);
		verdict = common.verdict;
		if (flt && !flt->verdict)
			*flt = common;
	} else {
		verdict = add_to_view(base, &sync, out, flt);
	}
	sync_release(&sync);
	return verdict;
}
