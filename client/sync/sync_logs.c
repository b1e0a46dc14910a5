/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Logs of an update: from their tokens to their heads, page by page, record by record validated (protocol.md sections
 * 4, 6 and 7).
 */
#include "client/net/domain.h"
#include "sync_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool sync_log_is_open(const struct sync_log *log)
{
	return !log->is_proven && !log->fault.verdict;
}

const struct log_head *sync_log_head(const struct sync_log *log)
{
	if (log->package)
		return package_log_head(log->package);
	return log->operator ? operator_log_head(log->operator) : NULL;
}

/* Report the cache as damaged if the log is proven when fetched without it. */
static void note_damage(struct sync_log *log)
{
	log->damage = log->fault;
	log->damage.kind = FAULT_FORGED;
	log->damage.verdict = WARG_INVALID;
	log->damage.party = FAULT_BY_CACHE;
	fault_add(&log->damage, "it was fetched anew");
}

void sync_log_fail(struct sync_log *log, const struct fault *flt)
{
	log->fault = *flt;
	if (log->is_package)
		fault_at(&log->fault, "package %s", log->name.text);
	else
		fault_at(&log->fault, "the operator's log");
	if (flt->kind == FAULT_FORGED || flt->kind == FAULT_REFUSED || flt->kind == FAULT_ABSENT ||
	    flt->kind == FAULT_LIMIT || flt->kind == FAULT_OVERSIZED)
		fault_blame(&log->fault, FAULT_BY_REGISTRY);
	log->again = (log->start == SYNC_STORED || log->is_doubtful) &&
		     (flt->kind == FAULT_FORGED || flt->kind == FAULT_REFUSED);
	if (log->again)
		note_damage(log);
}

void sync_log_leave(struct sync_log *log)
{
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_LIMIT, "its log has more than %u bytes, and nobody waits for it", CAP_AHEAD);
	sync_log_fail(log, &flt);
}

void sync_fail_open(struct sync *sync, const struct fault *flt)
{
	for (size_t i = 0; i < sync->count; i++)
		if (sync_log_is_open(&sync->logs[i]))
			sync_log_fail(&sync->logs[i], flt);
}

static void drop_state(struct sync_log *log)
{
	package_log_unref(log->package);
	operator_log_unref(log->operator);
	archive_growth_free(log->growth);
	log->package = NULL;
	log->operator = NULL;
	log->growth = NULL;
	log->is_ours = log->is_whole = false;
	log->position = (struct store_position){0};
	log->start = SYNC_FRESH;
}

/* Fetch a proven log again from its first record: it must contain the proven records. */
static void forget_token(struct sync_log *log)
{
	log->must_hold = log->proven_head;
	log->has_must_hold = true;
	drop_state(log);
}

void sync_log_retry(struct sync_log *log)
{
	if (log->start != SYNC_PROVEN)
		drop_state(log);
	else if (log->is_doubtful)
		forget_token(log);
	log->fault = (struct fault){0};
	log->again = false;
}

/* ---- Records ---- */

/* What others can see is immutable: go on with a copy. */
static int make_ours(struct sync_log *log, struct fault *flt)
{
	struct operator_log *operator = NULL;
	struct package_log *package = NULL;
	int verdict;

	if (log->is_ours)
		return 0;
	if (!log->is_package)
		verdict = log->operator ? operator_log_copy(log->operator, &operator, flt) :
					  operator_log_new(&operator, flt);
	else
		verdict = log->package ? package_log_copy(log->package, &package, flt) :
					 package_log_new(&log->name, &package, flt);
	if (verdict)
		return verdict;
	package_log_unref(log->package);
	operator_log_unref(log->operator);
	log->package = package;
	log->operator = operator;
	log->is_ours = true;
	return 0;
}

/*
 * Keep a record that was validated. It goes behind what the archive has of the log; where that is not known, or it
 * cannot be kept, later ones are not kept either.
 */
static void keep(struct sync *sync, struct sync_log *log, const struct api_record *record, bool is_first)
{
	uint64_t *archived = &log->position.archived;

	if (!sync->archive || (!is_first && !*archived))
		return;
	if ((!log->growth && archive_growth_new(sync->archive, &log->log_id, *archived, &log->growth, NULL)) ||
	    archive_growth_add(log->growth, record, archived, NULL)) {
		archive_growth_free(log->growth);
		log->growth = NULL;
		*archived = 0;
	}
}

/* Most packages have the keys of few publishers: what one record brings, others are likely to have brought. */
static int append_to_package(const struct sync *sync, struct package_log *log, const struct record_envelope *envelope,
			     struct fault *flt)
{
	int verdict;

	package_log_use_keys(log, sync->archive ? archive_keys(sync->archive) : NULL);
	verdict = package_log_append(log, envelope, flt);
	package_log_use_keys(log, NULL);
	return verdict;
}

static int append(struct sync *sync, struct sync_log *log, const struct api_record *record, struct fault *flt)
{
	uint64_t log_length = sync->checkpoint->contents.log_length;
	bool is_first = !sync_log_head(log);
	const struct record_envelope envelope = api_record_envelope(record);
	int verdict;

	if (record->registry_index >= log_length)
		return fault_invalid(flt, "a registry's log of %" PRIu64 " records has no such record", log_length);
	if (log->position.known && record->registry_index <= log->position.registry_index)
		return fault_invalid(flt, "it does not come after the record before, at %" PRIu64,
				     log->position.registry_index);
	verdict = make_ours(log, flt);
	if (!verdict && log->is_package)
		verdict = append_to_package(sync, log->package, &envelope, flt);
	else if (!verdict)
		verdict = operator_log_append(log->operator, &envelope, flt);
	/* Fetching it again would give the same oversized record. */
	if (verdict && flt->kind == FAULT_LIMIT)
		flt->kind = FAULT_OVERSIZED;
	if (verdict)
		return verdict;
	log->position.known = true;
	log->position.is_kept = false;
	log->position.registry_index = record->registry_index;
	memcpy(log->position.token, record->token, sizeof(log->position.token));
	keep(sync, log, record, is_first);
	if (log->has_must_hold && digest_equals(&log->must_hold, &sync_log_head(log)->record_id))
		log->has_must_hold = false;
	return 0;
}

static int check_time(const struct sync *sync, struct fault *flt)
{
	if (clock_now() < sync->deadline)
		return 0;
	return fault_undecided(flt, FAULT_TIMEOUT, "its records take longer than the time allowed");
}

static bool is_long(const struct api_log *records)
{
	size_t size = 0;

	for (size_t i = 0; i < records->count && size <= CAP_AHEAD; i++)
		size += archive_size_of(&records->records[i]);
	return size > CAP_AHEAD;
}

static void take_records(struct sync *sync, struct sync_log *log, const struct api_log *records)
{
	if (log->is_ahead && sync_log_is_open(log) && is_long(records))
		sync_log_leave(log);
	for (size_t i = 0; i < records->count && sync_log_is_open(log); i++) {
		struct fault flt = {0};

		/* Check the deadline for each record: one may take a second, and a page holds thousands. */
		if (check_time(sync, &flt) || append(sync, log, &records->records[i], &flt)) {
			fault_at(&flt, "registry index %" PRIu64, records->records[i].registry_index);
			sync_log_fail(log, &flt);
			log->is_broken_off = flt.kind == FAULT_TIMEOUT;
		}
	}
	if (records->fault && sync_log_is_open(log))
		sync_log_fail(log, records->fault);
}

/* All records came: is that a log? */
static void check_whole(struct sync_log *log, uint64_t log_length)
{
	struct fault flt = {0};

	if (!sync_log_head(log) && log->is_package && !log->has_must_hold && !log->is_listed)
		fault_undecided(&flt, FAULT_ABSENT, "the registry has no such package at log length %" PRIu64,
				log_length);
	else if (!sync_log_head(log))
		fault_invalid(&flt, "the registry keeps it back");
	else if (log->has_must_hold)
		fault_invalid(&flt, "it lacks a record that was proven to be in it");
	else if (log->position.registry_index >= log_length)
		fault_invalid(&flt, "its head is not among the first %" PRIu64 " records", log_length);
	if (flt.verdict)
		sync_log_fail(log, &flt);
}

/* ---- Pages ---- */

/** What one request asks for. */
struct asked {
	struct sync_log *operator;         /* NULL: not asked for */
	struct api_wanted operator_wanted; /* its end, then: or all of it would come every time */
	struct sync_log **packages;
	struct api_wanted *wanted; /* one for each package */
	size_t count;
};

static struct api_wanted want(const struct sync_log *log)
{
	return (struct api_wanted){
		.log_id = log->log_id,
		.token = log->position.token[0] ? log->position.token : NULL,
	};
}

/* @return whether anything is open */
static bool gather(struct sync *sync, struct asked *asked)
{
	asked->operator = NULL;
	asked->operator_wanted = (struct api_wanted){.token = sync->operator_token};
	asked->count = 0;
	for (size_t i = 0; i < sync->count; i++) {
		struct sync_log *log = &sync->logs[i];

		if (!sync_log_is_open(log) || log->is_whole)
			continue;
		if (log->is_package) {
			asked->wanted[asked->count] = want(log);
			asked->packages[asked->count++] = log;
		} else {
			asked->operator_wanted = want(log);
			asked->operator = log;
		}
	}
	return asked->operator || asked->count;
}

/* Call `each` with every log that was asked for. */
static void for_each(struct asked *asked, void (*each)(struct sync_log *log, void *argument), void *argument)
{
	if (asked->operator)
		each(asked->operator, argument);
	for (size_t i = 0; i < asked->count; i++)
		each(asked->packages[i], argument);
}

static bool is_passing(const struct fault *flt)
{
	return flt->kind == FAULT_TIMEOUT || flt->kind == FAULT_UNREACHABLE;
}

static void fail_with(struct sync_log *log, void *argument)
{
	sync_log_fail(log, argument);
	log->is_broken_off = is_passing(&log->fault);
}

static void try_again(struct sync_log *log, void *argument)
{
	(void)argument;
	log->again = true;
	log->damage = (struct fault){0};
	if (log->start == SYNC_PROVEN)
		forget_token(log);
}

/*
 * The request failed as a whole. If that is because of a token that the registry does not know (interop.md section B
 * 4), it is not said which log's it was: all of them are tried once more from their first records.
 */
static void fail_request(struct sync *sync, struct asked *asked, struct fault *flt)
{
	bool is_token = flt->kind == FAULT_ABSENT;

	if (is_token)
		flt->kind = FAULT_REFUSED;
	for_each(asked, fail_with, flt);
	if (!is_token)
		return;
	sync->operator_token = NULL;
	for_each(asked, try_again, NULL);
}

/* The registry says that it has no such log. @return false if it was not asked for that one */
static bool fail_absent(struct asked *asked, const struct api_absent *absent)
{
	struct digest operator_id = name_operator_log_id();
	struct fault flt = {0};

	if (asked->operator && digest_equals(&absent->log_id, &operator_id)) {
		fault_invalid(&flt, "the registry says that there is none");
		sync_log_fail(asked->operator, &flt);
		return true;
	}
	for (size_t i = 0; i < asked->count; i++) {
		struct sync_log *log = asked->packages[i];

		if (!digest_equals(&absent->log_id, &log->log_id))
			continue;
		if (log->start == SYNC_PROVEN || log->has_must_hold || log->is_listed)
			fault_invalid(&flt, "the registry says that there is none, and it was proven to be there");
		else
			fault_undecided(&flt, FAULT_ABSENT, "the registry has no such package");
		sync_log_fail(log, &flt);
		if (flt.kind == FAULT_ABSENT)
			domain_read_hint(absent->hint, name_namespace(&log->name), log->hint);
		return true;
	}
	return false;
}

/*
 * Take a page.
 * @return whether another one has to be asked for
 */
static bool take_page(struct sync *sync, struct asked *asked, const struct api_logs *page)
{
	size_t records = 0;
	struct fault flt = {0};

	if (asked->operator) {
		take_records(sync, asked->operator, &page->operator);
		records += page->operator.count;
	}
	for (size_t i = 0; i < asked->count; i++) {
		take_records(sync, asked->packages[i], &page->packages[i]);
		records += page->packages[i].count;
	}
	if (!page->more)
		return false;
	/* More of the operator's log, that is not asked for, is nothing to us. */
	if (records || page->operator.count)
		return records;
	fault_invalid(&flt, "it says that there are more records, and sends none");
	sync_fail_open(sync, &flt);
	return false;
}

/* @return whether another page has to be asked for */
static bool fetch_page(struct sync *sync, struct asked *asked)
{
	struct api_absent absent;
	const struct digest nobody = {0};
	struct api_logs page;
	struct fault flt = {0};
	bool more;

	if (api_fetch_logs(sync->api, sync->deadline, sync->checkpoint->contents.log_length,
			   &asked->operator_wanted, asked->wanted, asked->count, &page,
			   &absent, &flt)) {
		if (flt.kind == FAULT_ABSENT && !digest_equals(&absent.log_id, &nobody) && fail_absent(asked, &absent))
			return true;
		fail_request(sync, asked, &flt);
		return false;
	}
	more = take_page(sync, asked, &page);
	api_logs_release(&page);
	return more;
}

void sync_fetch_logs(struct sync *sync)
{
	struct asked asked = {
		.packages = calloc(sync->count + 1, sizeof(struct sync_log *)),
		.wanted = calloc(sync->count + 1, sizeof(struct api_wanted)),
	};
	struct fault flt = {0};
	size_t pages = 0;

	if (!asked.packages || !asked.wanted) {
		fault_no_memory(&flt);
		sync_fail_open(sync, &flt);
	}
	while (gather(sync, &asked) && fetch_page(sync, &asked)) {
		if (++pages < CAP_PAGES)
			continue;
		fault_undecided(&flt, FAULT_LIMIT, "it has more than %d pages", CAP_PAGES);
		sync_fail_open(sync, &flt);
	}
	for (size_t i = 0; i < sync->count; i++)
		if (sync_log_is_open(&sync->logs[i]))
			check_whole(&sync->logs[i], sync->checkpoint->contents.log_length);
	free(asked.wanted);
	free(asked.packages);
}
