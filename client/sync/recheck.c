/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * From the first records to a verdict on what is stored (see recheck.h).
 */
#include "recheck_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/net/records.h"
#include "sync.h"

/* ---- Proving ---- */

static struct recheck_log *add_log(struct recheck *recheck, const struct digest *log_id)
{
	struct recheck_log *log = &recheck->logs[recheck->count++];

	log->log_id = *log_id;
	return log;
}

static void add_packages(struct recheck *recheck, const struct name *names, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct digest log_id = name_log_id(&names[i]);

		add_log(recheck, &log_id)->name = names[i];
	}
}

/* A state file that does not say whose it is. */
static void add_damaged(struct recheck *recheck, const struct digest *log_id, bool with_unnamed)
{
	for (size_t i = 0; i < recheck->count; i++) {
		if (!digest_equals(&recheck->logs[i].log_id, log_id))
			continue;
		recheck->logs[i].is_damaged = true;
		return;
	}
	if (with_unnamed)
		add_log(recheck, log_id)->is_unnamed = true;
}

/* The logs to look at, unproven. */
static int gather(struct recheck *recheck, const struct name *names, size_t count, bool with_unnamed,
		  struct fault *flt)
{
	const struct digest operator_id = name_operator_log_id();
	struct digest *damaged = NULL;
	size_t damaged_count = 0;
	int r = store_list_unnamed(recheck->store, &damaged, &damaged_count, flt);

	if (r)
		return r;
	recheck->logs = calloc(1 + count + damaged_count, sizeof(*recheck->logs));
	if (recheck->logs) {
		add_log(recheck, &operator_id)->is_operator = true;
		add_packages(recheck, names, count);
		for (size_t i = 0; i < damaged_count; i++)
			add_damaged(recheck, &damaged[i], with_unnamed);
	} else {
		r = fault_no_memory(flt);
	}
	free(damaged);
	return r;
}

static bool is_package(const struct recheck_log *log)
{
	return !log->is_operator && !log->is_unnamed;
}

/* A view that the registry must not contradict, and that has nothing to start from. */
static int new_base(const struct trust_anchor *anchor, struct view **out, struct fault *flt)
{
	int r = view_copy(NULL, out, flt);

	if (!r && anchor->known)
		(*out)->checkpoint = anchor->checkpoint;
	return r;
}

static int prove(struct recheck *recheck, const struct trust_anchor *anchor, struct fault *flt)
{
	struct sync_wanted *wanted = calloc(recheck->count + 1, sizeof(*wanted));
	struct view *base = NULL;
	size_t count = 0;
	int r;

	if (!wanted)
		return fault_no_memory(flt);
	for (size_t i = 0; i < recheck->count; i++)
		if (is_package(&recheck->logs[i]))
			wanted[count++].name = recheck->logs[i].name;
	r = new_base(anchor, &base, flt);
	if (!r)
		r = sync_refresh(recheck->api, NULL, NULL, base, wanted, count, recheck->deadline, &recheck->view,
				 NULL, flt);
	if (!r) {
		r = trust_check_demand(anchor, recheck->view->operator, flt);
		if (!r)
			r = trust_check_operator(anchor, recheck->view->operator, flt);
		if (r)
			fault_blame(flt, FAULT_BY_REGISTRY);
	}
	count = 0;
	for (size_t i = 0; !r && i < recheck->count; i++)
		if (is_package(&recheck->logs[i]))
			recheck->logs[i].fault = wanted[count++].fault;
	view_unref(base);
	free(wanted);
	return r;
}

int recheck_prove(const struct api *api, struct store *store, struct archive *archive,
		  const struct trust_anchor *anchor, const struct name *names, size_t count, bool with_unnamed,
		  clock_ms deadline, struct recheck *out, struct fault *flt)
{
	struct recheck recheck = {.api = api, .store = store, .archive = archive, .deadline = deadline};
	int r = gather(&recheck, names, count, with_unnamed, flt);

	if (!r)
		r = prove(&recheck, anchor, flt);
	if (r)
		recheck_release(&recheck);
	else
		*out = recheck;
	return r;
}

void recheck_release(struct recheck *recheck)
{
	for (size_t i = 0; i < recheck->count; i++)
		free(recheck->logs[i].differences);
	free(recheck->logs);
	view_unref(recheck->view);
	*recheck = (struct recheck){0};
}

/* ---- Logs as they were ---- */

/*
 * What is stored may be older than what was proven. Its state is the one that the log had when that head was its head:
 * the records are fetched once more, and lead through it to the head that was proven.
 */
struct past {
	const struct digest *head;        /* the one that is looked for */
	struct package_log *package, *package_then; /* as far as was replayed; as it was, NULL where never seen */
	struct operator_log *operator, *operator_then;
	uint64_t index;                   /* of that head in the registry's log */
};

static int step_package(struct past *past, const struct api_record *record, struct fault *flt)
{
	const struct record_envelope envelope = api_record_envelope(record);
	int r = package_log_append(past->package, &envelope, flt);

	if (r || !digest_equals(&package_log_head(past->package)->record_id, past->head))
		return r;
	past->index = record->registry_index;
	return package_log_copy(past->package, &past->package_then, flt);
}

static int step_operator(struct past *past, const struct api_record *record, struct fault *flt)
{
	const struct record_envelope envelope = api_record_envelope(record);
	int r = operator_log_append(past->operator, &envelope, flt);

	if (r || !digest_equals(&operator_log_head(past->operator)->record_id, past->head))
		return r;
	past->index = record->registry_index;
	return operator_log_copy(past->operator, &past->operator_then, flt);
}

static int replay(struct past *past, const struct api_log *records,
		  int (*step)(struct past *past, const struct api_record *record, struct fault *flt),
		  struct fault *flt)
{
	int r = 0;

	for (size_t i = 0; !r && i < records->count; i++)
		r = step(past, &records->records[i], flt);
	return r;
}

/* @param proven  the head that the log was proven to have */
static int check_end(const struct log_head *head, const struct log_head *proven, struct fault *flt)
{
	if (head && digest_equals(&head->record_id, &proven->record_id))
		return 0;
	return fault_invalid(flt, "the registry sends another log than the one that it proved");
}

static int look_back(const struct recheck *recheck, const struct name *name, struct past *past, struct fault *flt)
{
	const struct view_package *package = name ? view_find(recheck->view, name) : NULL;
	struct api_logs logs;
	int r = records_fetch(recheck->api, recheck->deadline, recheck->view->checkpoint.contents.log_length, name,
			      &logs, flt);

	if (r)
		return r;
	if (name) {
		r = package_log_new(name, &past->package, flt);
		if (!r)
			r = replay(past, &logs.packages[0], step_package, flt);
		if (!r)
			r = check_end(package_log_head(past->package), package_log_head(package->log), flt);
	} else {
		r = operator_log_new(&past->operator, flt);
		if (!r)
			r = replay(past, &logs.operator, step_operator, flt);
		if (!r)
			r = check_end(operator_log_head(past->operator), operator_log_head(recheck->view->operator),
				      flt);
	}
	api_logs_release(&logs);
	if (r == WARG_INVALID)
		fault_blame(flt, FAULT_BY_REGISTRY);
	return r;
}

static void past_release(struct past *past)
{
	package_log_unref(past->package);
	package_log_unref(past->package_then);
	operator_log_unref(past->operator);
	operator_log_unref(past->operator_then);
}

/* ---- States ---- */

static bool is_same_head(const struct log_head *a, const struct log_head *b)
{
	return a && b && digest_equals(&a->record_id, &b->record_id);
}

static void compare_places(struct recheck_log *log, const struct store_position *stored, uint64_t proven)
{
	char texts[2][24];

	if (!stored->known || stored->registry_index == proven)
		return;
	snprintf(texts[0], sizeof(texts[0]), "%" PRIu64, stored->registry_index);
	snprintf(texts[1], sizeof(texts[1]), "%" PRIu64, proven);
	recheck_differ(log, texts[0], texts[1], "registry index of the head");
}

/* A state file that is none. Faults of ours are no difference. */
static void note_unreadable(struct recheck_log *log, const struct fault *flt)
{
	if (flt->verdict != WARG_INVALID)
		log->fault = *flt;
	else
		recheck_differ(log, flt->what, "another one", "file");
}

static void note_damaged(struct recheck_log *log)
{
	recheck_differ(log, "one that cannot be read", "that of the log it is named after", "file");
}

static void compare_package_state(struct recheck *recheck, struct recheck_log *log, const struct package_log *stored,
				  const struct store_position *position)
{
	const struct view_package *package = view_find(recheck->view, &log->name);
	const struct log_head *head = package_log_head(stored);
	struct past past = {.head = head ? &head->record_id : NULL};

	if (!head || is_same_head(head, package_log_head(package->log))) {
		recheck_compare_package(log, stored, package->log);
		compare_places(log, position, package->registry_index);
		return;
	}
	if (!look_back(recheck, &log->name, &past, &log->fault)) {
		if (past.package_then) {
			recheck_compare_package(log, stored, past.package_then);
			compare_places(log, position, past.index);
		} else {
			recheck_differ_digest(log, &head->record_id, NULL, "head, which is no record of the log");
		}
	}
	past_release(&past);
}

static void compare_package(struct recheck *recheck, struct recheck_log *log)
{
	struct store_position position = {0};
	struct package_log *stored = NULL;
	struct fault flt = {0};

	if (store_load_package(recheck->store, &log->name, &stored, &position, &flt))
		note_unreadable(log, &flt);
	else if (log->is_damaged)
		note_damaged(log);
	else if (stored)
		compare_package_state(recheck, log, stored, &position);
	log->is_stored = stored || log->is_damaged || flt.verdict;
	package_log_unref(stored);
}

static void compare_operator_state(struct recheck *recheck, struct recheck_log *log,
				   const struct operator_log *stored, const struct store_position *position)
{
	const struct log_head *head = operator_log_head(stored);
	struct past past = {.head = head ? &head->record_id : NULL};

	if (!head || is_same_head(head, operator_log_head(recheck->view->operator))) {
		recheck_compare_operator(log, stored, recheck->view->operator);
		compare_places(log, position, recheck->view->operator_position.registry_index);
		return;
	}
	if (!look_back(recheck, NULL, &past, &log->fault)) {
		if (past.operator_then) {
			recheck_compare_operator(log, stored, past.operator_then);
			compare_places(log, position, past.index);
		} else {
			recheck_differ_digest(log, &head->record_id, NULL, "head, which is no record of the log");
		}
	}
	past_release(&past);
}

static void compare_operator(struct recheck *recheck, struct recheck_log *log)
{
	struct store_position position = {0};
	struct operator_log *stored = NULL;
	struct fault flt = {0};

	if (store_load_operator(recheck->store, &stored, &position, &flt))
		note_unreadable(log, &flt);
	else if (stored)
		compare_operator_state(recheck, log, stored, &position);
	operator_log_unref(stored);
}

/* ---- The checkpoint ---- */

/* Whether the key that signed it is one that may not sign any more: then it cannot be told whether it might, then. */
static bool is_signer_retired(const struct recheck *recheck, const struct signed_checkpoint *checkpoint)
{
	const struct log_keys *keys = operator_log_keys(recheck->view->operator);

	return log_keys_find(keys, &checkpoint->key_id) &&
	       log_keys_require(keys, &checkpoint->key_id, PERMISSION_COMMIT, NULL);
}

/* The stored one was signed by the operator: the registry has to stand by it. */
static int check_growth(const struct recheck *recheck, const struct checkpoint *stored, struct fault *flt)
{
	const struct checkpoint *now = &recheck->view->checkpoint.contents;
	struct merkle_log_bundle bundle;
	int r;

	if (stored->log_length > now->log_length)
		return fault_invalid(flt, "a rollback: the log has %" PRIu64 " records, and had %" PRIu64
				     " at the checkpoint stored here", now->log_length, stored->log_length);
	if (stored->log_length == now->log_length)
		return checkpoint_same_state(stored, now) ? 0 : fault_invalid(flt, "a fork: at length %" PRIu64
			" log or map had another root at the checkpoint stored here", now->log_length);
	r = api_prove_consistency(recheck->api, recheck->deadline, stored->log_length, now->log_length, &bundle, flt);
	if (r)
		return r;
	r = merkle_log_check_consistency(&bundle, stored->log_length, &stored->log_root, now->log_length,
					 &now->log_root, flt);
	merkle_log_bundle_release(&bundle);
	return r;
}

static void compare_checkpoint(struct recheck *recheck, struct recheck_log *log)
{
	struct signed_checkpoint stored;
	struct fault flt = {0};
	bool found = false;

	if (store_load_checkpoint(recheck->store, &stored, &found, &flt)) {
		note_unreadable(log, &flt);
		return;
	}
	if (!found || is_signer_retired(recheck, &stored))
		return;
	if (checkpoint_verify(&stored, recheck->view->operator, &flt)) {
		if (flt.verdict == WARG_INVALID)
			recheck_differ(log, flt.what, "one that the operator signed", "checkpoint");
		else
			log->fault = flt;
		return;
	}
	if (check_growth(recheck, &stored.contents, &flt) && !log->fault.verdict) {
		fault_at(&flt, "the checkpoint");
		if (flt.kind == FAULT_FORGED || flt.kind == FAULT_REFUSED || flt.kind == FAULT_ABSENT)
			fault_blame(&flt, FAULT_BY_REGISTRY);
		log->fault = flt;
	}
}

/* ---- The archive ---- */

/* The records that are kept, by the rules of logs: what breaks one is named. Nothing of them is ever believed. */
static void check_archive(struct recheck *recheck, struct recheck_log *log)
{
	struct store_position position;
	struct operator_log *operator = NULL;
	struct package_log *package = NULL;
	struct fault damage = {0}, flt = {0};
	const struct view_package *proven;
	int r;

	if (!recheck->archive)
		return;
	if (log->is_operator)
		r = archive_load_operator(recheck->archive, NULL, &operator, &position, &damage, &flt);
	else
		r = archive_load_package(recheck->archive, &log->name, NULL, &package, &position, &damage, &flt);
	if (r && !log->fault.verdict)
		log->fault = flt;
	if (damage.verdict)
		recheck_differ(log, damage.what, "the log's own", "records");
	if (operator && is_same_head(operator_log_head(operator), operator_log_head(recheck->view->operator)))
		compare_places(log, &position, recheck->view->operator_position.registry_index);
	proven = log->is_operator ? NULL : view_find(recheck->view, &log->name);
	if (package && proven && is_same_head(package_log_head(package), package_log_head(proven->log)))
		compare_places(log, &position, proven->registry_index);
	operator_log_unref(operator);
	package_log_unref(package);
}

/* ---- Contents ---- */

static int compare_content(struct recheck *recheck, struct recheck_log *log, const struct package_release *release,
			   struct fault *flt)
{
	struct digest digest;
	uint64_t size;
	int fd = -1;
	int r = store_open_content(recheck->store, &release->content, &fd, &size, flt);

	if (r || fd < 0)
		return r;
	r = file_hash(fd, &digest, flt);
	close(fd);
	if (r)
		return r;
	log->contents++;
	recheck_differ_digest(log, &digest, &release->content, "version %s: bytes in the cache", release->version);
	return 0;
}

static void compare_contents(struct recheck *recheck, struct recheck_log *log)
{
	const struct view_package *package = view_find(recheck->view, &log->name);
	const struct package_release *releases = package_log_releases(package->log, &log->releases);

	for (size_t i = 0; i < log->releases; i++) {
		struct fault flt = {0};

		if (!compare_content(recheck, log, &releases[i], &flt) || log->fault.verdict)
			continue;
		fault_at(&flt, "package %s, version %s", log->name.text, releases[i].version);
		log->fault = flt;
	}
}

/* ---- All ---- */

void recheck_compare(struct recheck *recheck)
{
	for (size_t i = 0; i < recheck->count; i++) {
		struct recheck_log *log = &recheck->logs[i];

		if (log->is_operator) {
			compare_operator(recheck, log);
			compare_checkpoint(recheck, log);
			check_archive(recheck, log);
		} else if (log->is_unnamed) {
			note_damaged(log);
		} else if (!log->fault.verdict) {
			compare_package(recheck, log);
			check_archive(recheck, log);
			compare_contents(recheck, log);
		}
	}
}
