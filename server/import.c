/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Moving in (see import.h).
 */
#include "import.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import_contents.h"
#include "import_table.h"
#include "operator_records.h"
#include "log_cache.h"
#include "package_names.h"
#include "refused.h"

#define TOGETHER 100                    /* logs that are asked for in one request */
#define NAMES (10 * CAP_REQUEST_NAMES) /* names that are asked for at a time */
#define ENOUGH (8u << 20)              /* bytes of records written at a time */
#define SLOWEST 8                      /* entries of the ledger that come in a millisecond, behind the time-out */
#define BATCH 1000                     /* records that enter at a time */

/* An import under way. */
struct move {
	const struct import *import;
	struct append_state state;
	struct operator_log *operator; /* a copy, ours */
	struct log_cache *logs;
	struct signed_checkpoint checkpoint; /* the origin's */
	uint64_t met; /* records that came, known ones too */
	uint64_t refused; /* packages */
	struct fault why; /* of the first of them */
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
		r = import_table_begin(import->database, first, entries, (size_t)(end - first), flt);
	free(entries);
	return r;
}

/* Logs whose names are requested. */
struct named {
	struct move *move;
	const struct digest *log_ids;
	bool *is_refused;
};

/* Keep a name that no package may have here as a text. */
static int take_refused_name(void *user, size_t place, struct span text, struct fault *flt)
{
	const struct named *named = user;

	if (text.length > CAP_NAME_CARRIED)
		return fault_undecided(flt, FAULT_LIMIT, "a package's name has %zu bytes", text.length);
	named->is_refused[place] = true;
	return package_names_add_text(named->move->import->database, &named->log_ids[place], text, flt);
}

/* @param names, is_refused  room for as many */
static int fetch_some_names(struct move *move, const struct digest *log_ids, size_t count, struct name *names,
			    bool *is_refused, struct fault *flt)
{
	struct named named = {move, log_ids, is_refused};
	const struct api_refusal refusal = {take_refused_name, &named};
	int r;

	memset(is_refused, 0, count * sizeof(*is_refused));
	r = api_fetch_names(&move->import->api, deadline_of(move->import), log_ids, count, names, &refusal, flt);
	for (size_t i = 0; i < count && !r; i++) {
		if (is_refused[i])
			continue;
		if (!*names[i].text)
			r = fault_invalid(flt, "the registry does not know the name of a log that it has");
		else
			r = package_names_add(move->import->database, &names[i], flt);
	}
	return r;
}

static int fetch_names(struct move *move, const struct digest *log_ids, size_t count, struct fault *flt)
{
	struct name *names = calloc(NAMES, sizeof(*names));
	bool *is_refused = calloc(NAMES, sizeof(*is_refused));
	int r = names && is_refused ? 0 : fault_no_memory(flt);

	for (size_t at = 0; at < count && !r; at += NAMES) {
		tell(move, "names", at, count);
		r = fetch_some_names(move, log_ids + at, count - at < NAMES ? count - at : NAMES, names, is_refused,
				     flt);
	}
	free(is_refused);
	free(names);
	return r;
}

/* ---- Logs ---- */

/* A log whose records are fetched. */
struct fetched {
	struct digest log_id;
	struct name name; /* of a package; "": its name is refused */
	char token[CAP_FETCH_TOKEN + 1];
	bool is_begun;    /* it has records, stored or fetched */
	bool is_refused;
};

/* Add the log to the fault's place. */
static void put_place(const struct fetched *log, enum record_kind kind, struct fault *flt)
{
	char id[DIGEST_TEXT_SIZE];

	digest_format(&log->log_id, id);
	if (kind == RECORD_OPERATOR)
		fault_at(flt, "the operator's log");
	else if (*log->name.text)
		fault_at(flt, "package %s", log->name.text);
	else
		fault_at(flt, "log %s", id);
}

/* From this record on the package's records are copied without being decoded. */
static int refuse(struct move *move, struct fetched *log, uint64_t registry_index, const struct fault *why,
		  struct fault *flt)
{
	struct refused refused = {.registry_index = registry_index};

	fault_sentence(why, refused.reason);
	if (!move->refused++) {
		move->why = *why;
		fault_at(&move->why, "record %" PRIu64, registry_index);
		put_place(log, RECORD_PACKAGE, &move->why);
	}
	log->is_refused = true;
	return refused_add(move->import->database, &log->log_id, &refused, flt);
}

/*
 * Whether a record that breaks a rule may still be what the origin published. Its bytes are checked against the
 * ledger's id later. No proof covers its signature: if no key of the log made it, it was changed on the way. That can
 * be checked as long as the log's keys are known.
 */
static bool is_published(const struct fetched *log, const struct record_envelope *envelope, bool is_signed,
			 const struct fault *why)
{
	if (why->verdict != WARG_INVALID && why->kind != FAULT_LIMIT)
		return false;
	return is_signed || (!log->is_begun && !log_cache_has_first_key(envelope));
}

/*
 * Append a record to its log if it follows the rules.
 * @param why  set if the record is refused, and only copied
 */
static int check_record(struct move *move, const struct fetched *log, enum record_kind kind,
			const struct record_envelope *envelope, struct fault *why, struct fault *flt)
{
	bool is_signed = false;
	int r;

	if (kind == RECORD_OPERATOR)
		return operator_log_append(move->operator, envelope, flt);
	if (log->is_refused)
		return 0;
	if (!*log->name.text)
		return fault_invalid(why, "its name is not valid for a package here"), 0;
	r = log_cache_check(move->logs, &log->name, envelope, true, &is_signed, why);
	if (!r || is_published(log, envelope, is_signed, why))
		return 0;
	*flt = *why;
	return r;
}

/* One that is here already is met again where the token was not known. */
static int is_here(struct move *move, const struct digest *log_id, const struct digest *record_id, bool *here,
		   struct fault *flt)
{
	struct fault own = {0};
	uint64_t place;
	int r = published_find_record(move->import->database, log_id, record_id, &place, &own);

	return fault_unless_absent(r, &own, here, flt);
}

static int take_record(struct move *move, struct fetched *log, enum record_kind kind, const struct api_record *record,
		       struct fault *flt)
{
	struct published_record entering = {
		.registry_index = record->registry_index,
		.log_id = log->log_id,
		.envelope = api_record_envelope(record),
	};
	struct fault why = {0};
	bool here = false;
	int r;

	memcpy(log->token, record->token, sizeof(log->token));
	move->met++;
	entering.record_id = record_id(kind, entering.envelope.content);
	r = is_here(move, &log->log_id, &entering.record_id, &here, flt);
	if (r || here)
		return r;
	r = check_record(move, log, kind, &entering.envelope, &why, flt);
	/* Copied records are served like all others: check the form of the signature. */
	if (!r && (log->is_refused || why.verdict))
		r = ecdsa_check_signature(entering.envelope.signature, flt);
	if (!r)
		r = import_table_put(move->import->database, &entering, flt);
	log->is_begun = true;
	return r || !why.verdict ? r : refuse(move, log, entering.registry_index, &why, flt);
}

static int take_log(struct move *move, struct fetched *log, enum record_kind kind, const struct api_log *from,
		    struct fault *flt)
{
	int r = 0;

	for (size_t i = 0; i < from->count && !r; i++)
		r = take_record(move, log, kind, &from->records[i], flt);
	if (!r && from->fault) {
		*flt = *from->fault;
		r = flt->verdict;
	}
	if (r)
		put_place(log, kind, flt);
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
	struct published_log log;
	struct merkle_map_entry head;
	struct fault own = {0};
	bool is_head;
	int r = published_find_log(move->import->database, log_id, &log, &own);

	*out = (struct fetched){.log_id = *log_id};
	r = fault_unless_absent(r, &own, &out->is_begun, flt);
	if (r || !out->is_begun)
		return r;
	r = published_leaf(move->import->database, log.head, CAP_LOG_LENGTH, &head, &is_head, flt);
	if (!r)
		digest_format(&head.record_id, out->token);
	return r;
}

/* The same for a package, with its name, and whether it is refused already. */
static int begin_package(struct move *move, const struct digest *log_id, struct fetched *out, struct fault *flt)
{
	struct database *database = move->import->database;
	struct refused refused;
	struct fault own = {0};
	int r = begin_log(move, log_id, out, flt);

	if (r)
		return r;
	r = refused_find(database, log_id, &refused, &own);
	r = fault_unless_absent(r, &own, &out->is_refused, flt);
	if (r)
		return r;
	own = (struct fault){0};
	r = package_names_find(database, log_id, &out->name, &own);
	if (r == WARG_INVALID) {
		out->name = (struct name){0};
		return 0;
	}
	if (r)
		*flt = own;
	return r;
}

static int fetch_packages(struct move *move, const struct digest *log_ids, size_t count, struct fault *flt)
{
	struct fetched *packages = calloc(TOGETHER, sizeof(*packages));
	int r = packages ? 0 : fault_no_memory(flt);

	for (size_t at = 0; at < count && !r; at += TOGETHER) {
		size_t some = count - at < TOGETHER ? count - at : TOGETHER;

		for (size_t i = 0; i < some && !r; i++)
			r = begin_package(move, &log_ids[at + i], &packages[i], flt);
		if (!r)
			r = fetch_pages(move, NULL, packages, some, flt);
		log_cache_forget(move->logs);
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
	int r = import_table_logs(move->import->database, &log_ids, &count, flt);

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
	struct published_record records[BATCH];
	struct buf bytes[BATCH];
	size_t count, length;
};

#define IS_FULL 1

static int gather(void *user, const struct published_record *record, struct fault *flt)
{
	struct batch *batch = user;
	struct published_record *kept = &batch->records[batch->count];
	struct buf *bytes = &batch->bytes[batch->count];
	const struct record_envelope *envelope = &record->envelope;
	int r;

	*kept = *record;
	buf_init(bytes, CAP_RECORD_CARRIED + CAP_SIGNATURE_TEXT);
	batch->count++;
	r = buf_append(bytes, envelope->signature, flt);
	if (!r)
		r = buf_append(bytes, envelope->content, flt);
	kept->envelope.signature = (struct span){bytes->data, envelope->signature.length};
	kept->envelope.content = (struct span){bytes->data + envelope->signature.length, envelope->content.length};
	batch->length += bytes->length;
	return r || batch->length < ENOUGH ? r : IS_FULL;
}

static int enter(struct move *move, struct fault *flt)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	const uint64_t end = move->checkpoint.contents.log_length;
	int r = batch ? 0 : fault_no_memory(flt);

	while (!r && move->state.roots.length < end) {
		batch->count = batch->length = 0;
		r = import_table_walk(move->import->database, move->state.roots.length, BATCH, gather, batch, flt);
		if (r == 0 || r == IS_FULL)
			r = append_grow(move->import->database, &move->state, batch->records, batch->count, flt);
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
	return r ? r : import_table_end(import->database, flt);
}

/* One that was only signed again says nothing of records. */
static int move_in(struct move *move, struct fault *flt)
{
	int r;

	if (move->checkpoint.contents.log_length > move->state.roots.length)
		r = bring(move, flt);
	else
		r = checkpoint_verify(&move->checkpoint, move->operator, flt);
	return r ? r : append_follow(move->import->database, &move->state, &move->checkpoint, flt);
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
	return r ? r : log_cache_new(move->import->database, CAP_SERVED_LOG_CACHE, &move->logs, flt);
}

static void tell_refused(struct move *move)
{
	if (!move->refused || !move->import->refused)
		return;
	fault_add(&move->why, "its package is imported as it is, and nothing can be published to it here");
	if (move->refused > 1)
		fault_add(&move->why, "the same holds for %" PRIu64 " more, which fsck names", move->refused - 1);
	move->import->refused(move->import->refused_user, &move->why);
}

int import_update(const struct import *import, struct append_state *state, struct operator_log **operator,
		  struct fault *flt)
{
	struct move move = {.import = import, .state = *state};
	int r = begin(&move, *operator, flt);

	if (!r)
		r = transact(&move, flt);
	log_cache_free(move.logs);
	if (r) {
		fault_blame(flt, flt->kind == FAULT_SYSTEM ? FAULT_BY_SYSTEM : FAULT_BY_REGISTRY);
		operator_log_unref(move.operator);
		return r;
	}
	operator_log_unref(*operator);
	*operator = move.operator;
	*state = move.state;
	tell_refused(&move);
	return 0;
}
