/*
 * Moving in (see import.h).
 */
#include "import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import_contents.h"
#include "imported.h"
#include "operator_records.h"
#include "package_logs.h"
#include "packages.h"

#define TOGETHER 100                    /* logs that are asked for in one request */
#define NAMES (10 * CAP_REQUEST_NAMES) /* names that are asked for at a time */
#define SLOWEST 8                      /* entries of the ledger that come in a millisecond, behind the time-out */
#define BATCH 1000                     /* records that enter at a time */

/* An import under way. */
struct move {
	const struct import *import;
	struct commit_state state;
	struct operator_log *operator; /* a copy, ours */
	struct package_logs *logs;
	struct signed_checkpoint checkpoint; /* the origin's */
	uint64_t met; /* records that came, known ones too */
};

static clock_ms deadline_of(const struct import *import)
{
	return clock_now() + import->timeout;
}

static void tell(const struct move *move, const char *what, uint64_t done, uint64_t of)
{
	if (move->import->progress)
		move->import->progress(move->import->user, what, done, of);
}

/* ---- What there is ---- */

/* The ledger from here to the checkpoint leads to the checkpoint's root: then it is what the origin has. */
static int check_ledger(const struct move *move, const struct api_ledger_entry *entries, size_t count,
			struct fault *flt)
{
	struct merkle_log_roots roots = move->state.roots;
	struct digest root;

	for (size_t i = 0; i < count; i++) {
		const struct digest leaf = merkle_log_leaf(&entries[i].log_id, &entries[i].record_id);

		merkle_log_roots_append(&roots, &leaf);
	}
	root = merkle_log_roots_fold(&roots);
	if (digest_equals(&root, &move->checkpoint.contents.log_root))
		return 0;
	return fault_invalid(flt, "the ledger, behind the %" PRIu64 " records that are here, has another root than the "
			     "checkpoint", move->state.roots.length);
}

static int fetch_ledger(struct move *move, struct fault *flt)
{
	const struct import *import = move->import;
	const uint64_t first = move->state.roots.length, end = move->checkpoint.contents.log_length;
	const clock_ms deadline = deadline_of(import) + (clock_ms)((end - first) / SLOWEST);
	struct api_ledger_entry *entries = NULL;
	int r = api_fetch_ledger(&import->api, deadline, first, end, &entries, flt);

	if (!r)
		r = check_ledger(move, entries, (size_t)(end - first), flt);
	if (!r)
		r = imported_begin(import->database, first, entries, (size_t)(end - first), flt);
	free(entries);
	return r;
}

/* @param names  room for as many */
static int fetch_some_names(struct move *move, const struct digest *log_ids, size_t count, struct name *names,
			    struct fault *flt)
{
	int r = api_fetch_names(&move->import->api, deadline_of(move->import), log_ids, count, names, flt);

	for (size_t i = 0; i < count && !r; i++) {
		if (!*names[i].text)
			r = fault_invalid(flt, "the registry does not know the name of a log that it has");
		else
			r = packages_add(move->import->database, &names[i], flt);
	}
	return r;
}

static int fetch_names(struct move *move, const struct digest *log_ids, size_t count, struct fault *flt)
{
	struct name *names = calloc(NAMES, sizeof(*names));
	int r = names ? 0 : fault_no_memory(flt);

	for (size_t at = 0; at < count && !r; at += NAMES) {
		tell(move, "names", at, count);
		r = fetch_some_names(move, log_ids + at, count - at < NAMES ? count - at : NAMES, names, flt);
	}
	free(names);
	return r;
}

/* ---- Logs ---- */

/* A log whose records are fetched. */
struct fetched {
	struct digest log_id;
	struct name name; /* of a package */
	char token[CAP_FETCH_TOKEN + 1];
};

/* Whether a record follows its log by the rules; then its log has it. */
static int check_record(struct move *move, const struct fetched *log, enum record_kind kind,
			const struct record_envelope *envelope, struct fault *flt)
{
	bool is_signed;

	if (kind == RECORD_OPERATOR)
		return operator_log_append(move->operator, envelope, flt);
	return package_logs_check(move->logs, &log->name, envelope, true, &is_signed, flt);
}

/* One that is here already is met again where the token was not known. */
static int is_here(struct move *move, const struct digest *log_id, const struct digest *record_id, bool *here,
		   struct fault *flt)
{
	struct fault own = {0};
	uint64_t place;
	int r = committed_find_record(move->import->database, log_id, record_id, &place, &own);

	return fault_unless_absent(r, &own, here, flt);
}

static int take_record(struct move *move, struct fetched *log, enum record_kind kind, const struct api_record *record,
		       struct fault *flt)
{
	struct committed_record entering = {
		.registry_index = record->registry_index,
		.log_id = log->log_id,
		.envelope = api_record_envelope(record),
	};
	bool here = false;
	int r;

	memcpy(log->token, record->token, sizeof(log->token));
	move->met++;
	entering.record_id = record_id(kind, entering.envelope.content);
	r = is_here(move, &log->log_id, &entering.record_id, &here, flt);
	if (r || here)
		return r;
	r = check_record(move, log, kind, &entering.envelope, flt);
	return r ? r : imported_put(move->import->database, &entering, flt);
}

static int take_log(struct move *move, struct fetched *log, enum record_kind kind, const struct api_log *from,
		    struct fault *flt)
{
	int r = 0;

	for (size_t i = 0; i < from->count && !r; i++)
		r = take_record(move, log, kind, &from->records[i], flt);
	if (r && kind == RECORD_PACKAGE)
		fault_at(flt, "package %s", log->name.text);
	else if (r)
		fault_at(flt, "the operator's log");
	return r;
}

static struct api_wanted wanted_of(const struct fetched *log)
{
	return (struct api_wanted){log->log_id, *log->token ? log->token : NULL};
}

/* One page of some logs. @param operator  NULL: not its own */
static int fetch_page(struct move *move, struct fetched *operator, struct fetched *packages, size_t count, bool *more,
		      struct fault *flt)
{
	const struct import *import = move->import;
	struct api_wanted wanted[TOGETHER], wanted_operator = {{{0}}, NULL};
	const uint64_t before = move->met;
	struct api_absent absent;
	struct api_logs logs;
	int r;

	for (size_t i = 0; i < count; i++)
		wanted[i] = wanted_of(&packages[i]);
	if (operator)
		wanted_operator = wanted_of(operator);
	r = api_fetch_logs(&import->api, deadline_of(import), move->checkpoint.contents.log_length,
			   operator ? &wanted_operator : NULL, wanted, count, &logs, &absent, flt);
	if (r)
		return r;
	*more = logs.more;
	if (operator)
		r = take_log(move, operator, RECORD_OPERATOR, &logs.operator, flt);
	for (size_t i = 0; i < count && !r; i++)
		r = take_log(move, &packages[i], RECORD_PACKAGE, &logs.packages[i], flt);
	api_logs_release(&logs);
	if (!r && *more && move->met == before)
		r = fault_invalid(flt, "it says that there are more records, and sends none");
	return r;
}

static void forget_tokens(struct fetched *operator, struct fetched *packages, size_t count)
{
	if (operator)
		*operator->token = 0;
	for (size_t i = 0; i < count; i++)
		*packages[i].token = 0;
}

static int fetch_pages(struct move *move, struct fetched *operator, struct fetched *packages, size_t count,
		       struct fault *flt)
{
	bool more = true, is_fresh = false;
	int r = 0;

	for (unsigned page = 0; more && !r; page++) {
		struct fault own = {0};

		r = page < CAP_PAGES ? fetch_page(move, operator, packages, count, &more, &own) :
				       fault_invalid(&own, "its logs have no end");
		/* Tokens are the origin's own affair: one that it does not know makes a log begin anew. */
		if (r && own.kind == FAULT_ABSENT && !is_fresh) {
			forget_tokens(operator, packages, count);
			is_fresh = more = true;
			r = 0;
		} else if (r) {
			*flt = own;
		}
	}
	return r;
}

/* From the head that is here on. */
static int begin_log(struct move *move, const struct digest *log_id, struct fetched *out, struct fault *flt)
{
	struct committed_log log;
	struct merkle_map_entry head;
	struct fault own = {0};
	bool found, is_head;
	int r = committed_find_log(move->import->database, log_id, &log, &own);

	*out = (struct fetched){.log_id = *log_id};
	r = fault_unless_absent(r, &own, &found, flt);
	if (r || !found)
		return r;
	r = committed_leaf(move->import->database, log.head, CAP_LOG_LENGTH, &head, &is_head, flt);
	if (!r)
		digest_format(&head.record_id, out->token);
	return r;
}

static int fetch_packages(struct move *move, const struct digest *log_ids, size_t count, struct fault *flt)
{
	struct fetched *packages = calloc(TOGETHER, sizeof(*packages));
	int r = packages ? 0 : fault_no_memory(flt);

	for (size_t at = 0; at < count && !r; at += TOGETHER) {
		size_t some = count - at < TOGETHER ? count - at : TOGETHER;

		for (size_t i = 0; i < some && !r; i++) {
			r = begin_log(move, &log_ids[at + i], &packages[i], flt);
			if (!r)
				r = packages_find(move->import->database, &log_ids[at + i], &packages[i].name, flt);
		}
		if (!r)
			r = fetch_pages(move, NULL, packages, some, flt);
		tell(move, "logs", at + some, count);
	}
	free(packages);
	return r;
}

/* The operator's log comes first: it says who signs the checkpoint. */
static int fetch_operator(struct move *move, struct fault *flt)
{
	const struct digest log_id = name_operator_log_id();
	struct fetched operator;
	int r = begin_log(move, &log_id, &operator, flt);

	if (!r)
		r = fetch_pages(move, &operator, NULL, 0, flt);
	if (!r && !operator_log_head(move->operator))
		r = fault_invalid(flt, "the operator's log has no records");
	return r ? r : checkpoint_verify(&move->checkpoint, move->operator, flt);
}

static int fetch_logs(struct move *move, struct fault *flt)
{
	const struct digest operator = name_operator_log_id();
	struct digest *log_ids = NULL;
	size_t count = 0, kept = 0;
	int r = imported_logs(move->import->database, &log_ids, &count, flt);

	for (size_t i = 0; i < count; i++)
		if (!digest_equals(&log_ids[i], &operator))
			log_ids[kept++] = log_ids[i];
	if (!r)
		r = fetch_operator(move, flt);
	if (!r)
		r = fetch_names(move, log_ids, kept, flt);
	if (!r)
		r = fetch_packages(move, log_ids, kept, flt);
	free(log_ids);
	return r;
}

/* ---- Entering ---- */

struct batch {
	struct move *move;
	struct committed_record records[BATCH];
	struct buf bytes[BATCH];
	size_t count;
};

static int gather(void *user, const struct committed_record *record, struct fault *flt)
{
	struct batch *batch = user;
	struct committed_record *kept = &batch->records[batch->count];
	struct buf *bytes = &batch->bytes[batch->count];
	const struct record_envelope *envelope = &record->envelope;
	int r;

	*kept = *record;
	buf_init(bytes, 2 * CAP_RECORD);
	batch->count++;
	r = buf_append(bytes, envelope->signature, flt);
	if (!r)
		r = buf_append(bytes, envelope->content, flt);
	kept->envelope.signature = (struct span){bytes->data, envelope->signature.length};
	kept->envelope.content = (struct span){bytes->data + envelope->signature.length, envelope->content.length};
	return r;
}

static int enter(struct move *move, struct fault *flt)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	const uint64_t end = move->checkpoint.contents.log_length;
	int r = batch ? 0 : fault_no_memory(flt);

	while (!r && move->state.roots.length < end) {
		batch->count = 0;
		r = imported_walk(move->import->database, move->state.roots.length, BATCH, gather, batch, flt);
		if (!r)
			r = commit_grow(move->import->database, &move->state, batch->records, batch->count, flt);
		for (size_t i = 0; i < batch->count; i++)
			buf_release(&batch->bytes[i]);
		tell(move, "records", move->state.roots.length, end);
	}
	free(batch);
	return r;
}

/* ---- All of it ---- */

/* The checkpoint is verified on the way, as soon as it can be. */
static int bring(struct move *move, struct fault *flt)
{
	const struct import *import = move->import;
	int r = fetch_ledger(move, flt);

	if (!r)
		r = fetch_logs(move, flt);
	if (!r)
		r = import_contents(import, flt);
	if (!r)
		r = enter(move, flt);
	return r ? r : imported_end(import->database, flt);
}

/* One that was only signed again says nothing of records. */
static int move_in(struct move *move, struct fault *flt)
{
	int r;

	if (move->checkpoint.contents.log_length > move->state.roots.length)
		r = bring(move, flt);
	else
		r = checkpoint_verify(&move->checkpoint, move->operator, flt);
	return r ? r : commit_follow(move->import->database, &move->state, &move->checkpoint, flt);
}

/* The origin may only have grown since. */
static int check_growth(const struct move *move, struct fault *flt)
{
	const struct checkpoint *here = &move->state.last.checkpoint.contents, *there = &move->checkpoint.contents;

	if (there->log_length < here->log_length)
		return fault_invalid(flt, "the registry went back from %" PRIu64 " records to %" PRIu64,
				     here->log_length, there->log_length);
	if (there->log_length == here->log_length && !checkpoint_same_state(here, there))
		return fault_invalid(flt, "the registry has another history of %" PRIu64 " records", here->log_length);
	return 0;
}

static int transact(struct move *move, struct fault *flt)
{
	struct database *database = move->import->database;
	int r = database_begin(database, flt);

	if (!r)
		r = move_in(move, flt);
	if (!r)
		r = database_commit(database, flt);
	if (r)
		database_rollback(database);
	return r;
}

static int begin(struct move *move, const struct operator_log *operator, struct fault *flt)
{
	int r = api_fetch_checkpoint(&move->import->api, deadline_of(move->import), &move->checkpoint, flt);

	if (!r)
		r = check_growth(move, flt);
	if (!r)
		r = operator_log_copy(operator, &move->operator, flt);
	return r ? r : package_logs_new(move->import->database, &move->logs, flt);
}

int import_update(const struct import *import, struct commit_state *state, struct operator_log **operator,
		  struct fault *flt)
{
	struct move move = {.import = import, .state = *state};
	int r = begin(&move, *operator, flt);

	if (!r)
		r = transact(&move, flt);
	package_logs_free(move.logs);
	if (r) {
		fault_blame(flt, flt->kind == FAULT_SYSTEM ? FAULT_BY_SYSTEM : FAULT_BY_REGISTRY);
		operator_log_unref(move.operator);
		return r;
	}
	operator_log_unref(*operator);
	*operator = move.operator;
	*state = move.state;
	return 0;
}
