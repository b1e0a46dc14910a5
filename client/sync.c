/*
 * An update, step by step (see sync.h; protocol.md section 7).
 */
#include "sync_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- The logs of an update ---- */

static void log_release(struct sync_log *log)
{
	package_log_unref(log->package);
	operator_log_unref(log->operator);
	archive_growth_free(log->growth);
}

static int sync_init(struct sync *sync, const struct api *api, struct archive *archive, clock_ms deadline,
		     const struct signed_checkpoint *checkpoint, size_t room, struct fault *flt)
{
	*sync = (struct sync){
		.api = api,
		.archive = archive,
		.deadline = deadline,
		.checkpoint = checkpoint,
		.logs = calloc(room + 1, sizeof(*sync->logs)),
	};
	return sync->logs ? 0 : fault_no_memory(flt);
}

static void sync_release(struct sync *sync)
{
	for (size_t i = 0; i < sync->count; i++)
		log_release(&sync->logs[i]);
	free(sync->logs);
}

static void add_operator(struct sync *sync, const struct view *base)
{
	struct sync_log *log = &sync->logs[sync->count++];

	log->log_id = name_operator_log_id();
	if (!base || !base->operator)
		return;
	/* What lay in the store without its place or token cannot be gone on from. */
	if (!base->verified_at && (!base->operator_position.known || !base->operator_position.token[0]))
		return;
	log->start = base->verified_at ? SYNC_PROVEN : SYNC_STORED;
	log->operator = operator_log_ref(base->operator);
	log->position = base->operator_position;
}

static struct sync_log *add_package(struct sync *sync, const struct name *name)
{
	struct sync_log *log = &sync->logs[sync->count++];

	log->name = name;
	log->log_id = name_log_id(name);
	return log;
}

static void add_proven(struct sync *sync, const struct view_package *package)
{
	struct sync_log *log = add_package(sync, &package->name);

	log->start = SYNC_PROVEN;
	log->package = package_log_ref(package->log);
	log->position = package->position;
}

static void add_wanted(struct sync *sync, const struct view *base, const struct sync_wanted *wanted)
{
	struct sync_log *log = add_package(sync, &wanted->name);

	log->is_listed = base && base->listing && listing_has(base->listing, &wanted->name);
	if (!wanted->stored || !wanted->stored_position.known || !wanted->stored_position.token[0])
		return;
	log->start = SYNC_STORED;
	log->package = package_log_ref(wanted->stored);
	log->position = wanted->stored_position;
}

/* The operator's log is at the checkpoint already. */
static void skip_operator(struct sync *sync, const struct view *base)
{
	if (base->operator_position.token[0])
		sync->operator_token = base->operator_position.token;
}

/* The operator's log, if it is part of the update. */
static struct sync_log *operator_of(struct sync *sync)
{
	return sync->count && !sync->logs[0].name ? &sync->logs[0] : NULL;
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
	sync_fetch_logs(sync);
	check_signature(sync);
	sync_prove_heads(sync);
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

static bool is_current(const struct view *view, const struct view_package *package)
{
	return !package->fault.verdict && package->log_length == view->checkpoint.contents.log_length;
}

static int put_proven(struct view *view, const struct sync_log *log, struct fault *flt)
{
	struct view_package *package;
	int verdict;

	verdict = view_package_new(log->name, log->package, &log->position, view->checkpoint.contents.log_length,
				   &package, flt);
	return verdict ? verdict : view_put_take(view, package, flt);
}

/* A package that failed stays as it was proven before, if it was, with the fault beside it. */
static int put_failed(struct view *view, const struct sync_log *log, struct fault *flt)
{
	const struct view_package *before = view_find(view, log->name);
	struct view_package *package;
	int verdict;

	if (!before)
		return 0;
	verdict = view_package_new(&before->name, before->log, &before->position, before->log_length, &package, flt);
	if (verdict)
		return verdict;
	package->fault = log->fault;
	return view_put_take(view, package, flt);
}

/* The next view is there: the records of what is proven in it are kept. */
static void keep_records(struct sync *sync)
{
	for (size_t i = 0; i < sync->count; i++) {
		struct sync_log *log = &sync->logs[i];

		if (!log->is_proven || !log->growth)
			continue;
		archive_keep_take(sync->archive, log->growth);
		log->growth = NULL;
	}
}

static int put_packages(struct view *view, const struct sync *sync, struct fault *flt)
{
	int verdict = 0;

	for (size_t i = 0; i < sync->count && !verdict; i++) {
		const struct sync_log *log = &sync->logs[i];

		if (!log->name)
			continue;
		verdict = log->is_proven ? put_proven(view, log, flt) : put_failed(view, log, flt);
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

/* The longest checkpoint that the registry is held to; NULL: none. */
static const struct checkpoint *held_to(const struct view *base)
{
	if (base && base->held.contents.log_length > base->checkpoint.contents.log_length)
		return &base->held.contents;
	return has_checkpoint(base) ? &base->checkpoint.contents : NULL;
}

/* Before anything is fetched: what the checkpoint says of itself must not contradict what was said before. */
static int check_growth(const struct view *base, const struct checkpoint *checkpoint, struct sync_refused *refused,
			struct fault *flt)
{
	const struct checkpoint *before = held_to(base);

	if (!before)
		return 0;
	if (checkpoint->log_length < before->log_length) {
		refused->contradiction = SYNC_ROLLBACK;
		return fault_invalid(flt, "a rollback: the log has %" PRIu64 " records, and had %" PRIu64 " before",
				     checkpoint->log_length, before->log_length);
	}
	if (checkpoint->log_length == before->log_length && !checkpoint_same_state(checkpoint, before)) {
		refused->contradiction = SYNC_FORK;
		return fault_invalid(flt, "a fork: at length %" PRIu64 " log or map had another root before",
				     checkpoint->log_length);
	}
	return 0;
}

static int check_grown(const struct api *api, const struct checkpoint *before, const struct checkpoint *checkpoint,
		       clock_ms deadline, struct fault *flt)
{
	struct merkle_log_bundle proof = {0};
	int verdict;

	if (!before || before->log_length == checkpoint->log_length)
		return 0;
	verdict = api_prove_consistency(api, deadline, before->log_length, checkpoint->log_length, &proof, flt);
	if (verdict)
		return verdict;
	verdict = merkle_log_check_consistency(&proof, before->log_length, &before->log_root, checkpoint->log_length,
					       &checkpoint->log_root, flt);
	if (verdict)
		fault_at(flt, "proof of consistency from %" PRIu64, before->log_length);
	merkle_log_bundle_release(&proof);
	return verdict;
}

static int check_consistency(const struct api *api, const struct view *base, const struct checkpoint *checkpoint,
			     clock_ms deadline, struct fault *flt)
{
	const struct checkpoint *held = held_to(base);
	int verdict = check_grown(api, held, checkpoint, deadline, flt);

	/* What is shown is of a shorter one, after a start from the cache. */
	if (!verdict && has_checkpoint(base) && held != &base->checkpoint.contents)
		verdict = check_grown(api, &base->checkpoint.contents, checkpoint, deadline, flt);
	return verdict;
}

/* The verdict on the whole update: what its operator's log and its checkpoint say of the registry. */
static int check_registry(struct sync *sync, const struct view *base, struct sync_refused *refused, struct fault *flt)
{
	const struct sync_log *operator = operator_of(sync);
	int verdict;

	if (operator && !operator->is_proven) {
		*flt = operator->fault;
		return flt->verdict;
	}
	verdict = check_consistency(sync->api, base, &sync->checkpoint->contents, sync->deadline, flt);
	if (verdict == WARG_INVALID) {
		refused->contradiction = SYNC_INCONSISTENT;
		refused->operator = operator ? operator_log_ref(operator->operator) : NULL;
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
	view->held = (struct signed_checkpoint){0};
	view->verified_at = time(NULL);
	if (operator) {
		operator_log_unref(view->operator);
		view->operator = operator_log_ref(operator->operator);
		view->operator_position = operator->position;
		/* It is of another checkpoint. */
		listing_unref(view->listing);
		view->listing = NULL;
	}
	verdict = put_packages(view, sync, flt);
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

static void tell_outcome(const struct sync_log *log, struct sync_wanted *wanted)
{
	wanted->fault = log->fault;
	memcpy(wanted->hint, log->hint, sizeof(wanted->hint));
}

/* Bring the logs to the checkpoint, and tell how those fared that are wanted and that `base` lacks. */
static void bring_with(struct sync *sync, const struct view *base, struct sync_wanted *wanted, size_t count)
{
	size_t at = sync->count;

	for (size_t i = 0; i < count; i++)
		if (!is_known(base, &wanted[i]))
			add_wanted(sync, base, &wanted[i]);
	if (sync->count)
		bring(sync);
	for (size_t i = 0; i < count; i++)
		if (!is_known(base, &wanted[i]))
			tell_outcome(&sync->logs[at++], &wanted[i]);
}

/* Bring `base` to the checkpoint that was offered, which is not verified yet. */
static int refresh_to(const struct api *api, struct archive *archive, const struct view *base,
		      struct sync_wanted *wanted, size_t count, clock_ms deadline, struct view **out,
		      struct sync_refused *refused, struct fault *flt)
{
	const struct signed_checkpoint *checkpoint = &refused->offered;
	bool is_new = !has_operator_at(base, &checkpoint->contents);
	struct sync sync;
	int verdict;

	verdict = check_known_key(base, checkpoint, flt);
	if (!verdict)
		verdict = check_growth(base, &checkpoint->contents, refused, flt);
	if (!verdict && !is_new)
		verdict = checkpoint_verify(checkpoint, base->operator, flt);
	if (!verdict)
		verdict = sync_init(&sync, api, archive, deadline, checkpoint,
				    1 + (base ? base->package_count : 0) + count, flt);
	if (verdict) {
		fault_at(flt, "the checkpoint");
		return verdict;
	}
	if (is_new)
		add_operator(&sync, base);
	else
		skip_operator(&sync, base);
	for (size_t i = 0; base && i < base->package_count; i++)
		if (is_new || !is_current(base, base->packages[i]))
			add_proven(&sync, base->packages[i]);
	bring_with(&sync, base, wanted, count);
	verdict = check_registry(&sync, base, refused, flt);
	if (!verdict)
		verdict = build_view(base, &sync, out, flt);
	sync_release(&sync);
	return verdict;
}

int sync_refresh(const struct api *api, struct archive *archive, const struct view *base, struct sync_wanted *wanted,
		 size_t count, clock_ms deadline, struct view **out, struct sync_refused *refused, struct fault *flt)
{
	struct sync_refused kept = {0};
	struct fault own = {0};
	int verdict;

	verdict = api_fetch_checkpoint(api, deadline, &kept.offered, &own);
	if (!verdict)
		verdict = refresh_to(api, archive, base, wanted, count, deadline, out, &kept, &own);
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
		    kind == FAULT_LIMIT || kind != sync->logs[0].fault.kind)
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
	verdict = put_packages(view, sync, flt);
	if (verdict) {
		view_unref(view);
		return verdict;
	}
	keep_records(sync);
	*out = view;
	return 0;
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
	verdict = sync_init(&sync, api, archive, deadline, &base->checkpoint, count, flt);
	if (verdict)
		return verdict;
	skip_operator(&sync, base);
	for (size_t i = 0; i < count; i++) {
		const struct view_package *package = view_find(base, &wanted[i].name);

		wanted[i].fault = (struct fault){0};
		if (!package)
			add_wanted(&sync, base, &wanted[i]);
		else if (!is_current(base, package))
			add_proven(&sync, package);
	}
	if (sync.count)
		bring(&sync);
	for (size_t i = 0; i < count; i++) {
		const struct view_package *package = view_find(base, &wanted[i].name);

		if (!package || !is_current(base, package))
			tell_outcome(&sync.logs[at++], &wanted[i]);
	}
	if (find_common_fault(&sync, &common)) {
		verdict = common.verdict;
		if (flt && !flt->verdict)
			*flt = common;
	} else {
		verdict = add_to_view(base, &sync, out, flt);
	}
	sync_release(&sync);
	return verdict;
}
