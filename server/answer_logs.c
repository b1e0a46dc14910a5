/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * POST v1/fetch/logs.
 *
 * Records are written straight into the answer: nothing in them needs escaping, and this is what clients ask for most.
 */
#include "routes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "verify/base64.h"

#define LIMIT_USUAL 100
#define LIMIT_MOST 1000
#define BEHIND (4u << 20) /* bytes: a record of CAP_RECORD in base64, and the names of all logs that get none */

/* What was asked for. */
struct wanted {
	uint64_t log_length;
	uint64_t limit;
	struct span operator_token;  /* empty: none */
	const struct json *packages; /* NULL: none */
};

/* An answer in the making. */
struct page {
	struct exchange *exchange;
	struct database *database;
	const struct wanted *wanted;
	uint64_t records; /* of the log that is being written */
	bool more;
	struct fault flt;
};

/* ---- What is asked ---- */

static int read_packages(const struct json *asked, struct wanted *out, struct fault *flt)
{
	struct json_walk walk = json_walk(asked);

	while (json_step(&walk)) {
		if (strcmp(walk.name, "packages"))
			continue;
		out->packages = walk.value;
		return json_is_an_object(walk.value) ? 0 : fault_invalid(flt, "packages: an object is wanted");
	}
	return 0;
}

static int read_wanted(const struct json *asked, struct wanted *out, struct fault *flt)
{
	static const char *const known[] = {"logLength", "limit", "operator", "packages", NULL};
	int r;

	*out = (struct wanted){.limit = LIMIT_USUAL};
	if (!json_is_an_object(asked))
		return fault_invalid(flt, "an object is wanted");
	r = json_check_members(asked, known, flt);
	if (!r)
		r = json_read_uint(asked, "logLength", &out->log_length, flt);
	if (!r && json_member(asked, "limit"))
		r = json_read_uint(asked, "limit", &out->limit, flt);
	if (!r && out->limit > UINT16_MAX)
		r = fault_invalid(flt, "limit: %" PRIu64 " is too large", out->limit);
	if (!r && json_member(asked, "operator"))
		r = json_read_text(asked, "operator", &out->operator_token, flt);
	return r ? r : read_packages(asked, out, flt);
}

/* ---- Records ---- */

/* What comes from the disk is not to say more than a signature does. */
static bool is_plain(struct span text)
{
	for (size_t i = 0; i < text.length; i++)
		if (text.data[i] < ' ' || text.data[i] == '"' || text.data[i] == '\\' || text.data[i] > '~')
			return false;
	return true;
}

#define ENOUGH 1  /* the rest of a log comes with the next page */
#define STOPPED 2 /* it is answered already, or continues on a lane */

static int write_record(void *user, const struct published_record *record, struct fault *flt)
{
	struct page *page = user;
	struct buf *out = &page->exchange->answer;
	char key_id[DIGEST_TEXT_SIZE], id[DIGEST_TEXT_SIZE];
	int r;

	if (page->records && out->length > CAP_SERVED_LOGS)
		return ENOUGH;
	if (out->length > CAP_SERVED_AT_ONCE && exchange_step_aside(page->exchange))
		return STOPPED;
	if (!exchange_hold_answer(page->exchange))
		return STOPPED;
	if (!is_plain(record->envelope.signature))
		return fault_invalid(flt, "the database has a signature that is none");
	r = buf_append_text(out, page->records++ ? ",{\"contentBytes\":\"" : "{\"contentBytes\":\"", flt);
	digest_format(&record->envelope.key_id, key_id);
	digest_format(&record->record_id, id);
	if (!r)
		r = base64_encode(record->envelope.content, out, flt);
	if (!r)
		r = buf_append_format(out, flt, "\",\"keyId\":\"%s\",\"signature\":\"%.*s\",\"registryIndex\":%" PRIu64
				      ",\"fetchToken\":\"%s\"}", key_id, (int)record->envelope.signature.length,
				      (const char *)record->envelope.signature.data, record->registry_index, id);
	return r;
}

/* @return false: it is answered */
static bool find_start(struct page *page, const struct digest *log_id, struct span token, uint64_t *first)
{
	struct digest record_id;

	*first = 0;
	if (!token.data)
		return true;
	if (!digest_parse(token, &record_id, NULL) &&
	    !published_find_record(page->database, log_id, &record_id, first, &page->flt)) {
		(*first)++;
		return true;
	}
	if (!page->flt.verdict || page->flt.kind == FAULT_ABSENT) {
		page->flt = (struct fault){0};
		exchange_answer_type(page->exchange, 404, "fetchToken", token);
	}
	return false;
}

/*
 * How many records of one more log there is room for. The reference's client takes a log without records for an error,
 * so that each gets one, as long as that is thinkable (interop.md A 6).
 */
static uint64_t limit_now(const struct page *page)
{
	size_t length = page->exchange->answer.length;

	if (length <= CAP_SERVED_LOGS)
		return page->wanted->limit;
	return length <= CAP_SERVED_ANSWER - BEHIND;
}

/* Append one log's records as a list. @return false: answered, or it continues on a lane, or `flt` is set */
static bool write_log(struct page *page, const struct digest *log_id, struct span token)
{
	struct buf *out = &page->exchange->answer;
	uint64_t limit = limit_now(page), first;
	int r;

	if (!find_start(page, log_id, token, &first))
		return false;
	page->records = 0;
	r = buf_append_text(out, "[", &page->flt);
	if (!r)
		r = published_walk(page->database, log_id, first, page->wanted->log_length, limit, write_record, page,
				   &page->flt);
	if (r < 0 || r == STOPPED || buf_append_text(out, "]", &page->flt))
		return false;
	page->more |= r == ENOUGH || page->records == limit;
	return true;
}

/* Each member has its comma behind it: what comes last is always there. */
static bool write_operator(struct page *page)
{
	const struct digest log_id = name_operator_log_id();
	struct buf *out = &page->exchange->answer;
	size_t before = out->length;

	if (buf_append_text(out, "\"operator\":", &page->flt) ||
	    !write_log(page, &log_id, page->wanted->operator_token))
		return false;
	/* It is left out when it is empty (interop.md B 5). */
	if (page->records)
		return !buf_append_text(out, ",", &page->flt);
	out->length = before;
	return true;
}

static bool write_package(struct page *page, const char *name, const struct json *token)
{
	struct buf *out = &page->exchange->answer;
	struct published_log log;
	struct digest log_id;
	struct span text = {0};

	if (digest_parse(span_of_text(name), &log_id, &page->flt) ||
	    (token && json_as_text(token, &text, &page->flt))) {
		exchange_answer_misfit(page->exchange, &page->flt);
		page->flt = (struct fault){0};
		return false;
	}
	if (published_find_log(page->database, &log_id, &log, &page->flt) || log.kind != RECORD_PACKAGE) {
		if (page->flt.verdict && page->flt.kind != FAULT_ABSENT)
			return false;
		page->flt = (struct fault){0};
		exchange_answer_type_digest(page->exchange, 404, "log", &log_id);
		return false;
	}
	return !buf_append_format(out, &page->flt, "\"%s\":", name) && write_log(page, &log_id, text);
}

static bool write_packages(struct page *page)
{
	struct json_walk walk = json_walk(page->wanted->packages);
	struct buf *out = &page->exchange->answer;
	bool is_first = true;

	while (json_step(&walk)) {
		if (buf_append_text(out, is_first ? "\"packages\":{" : ",", &page->flt) ||
		    !write_package(page, walk.name, walk.value))
			return false;
		is_first = false;
	}
	return is_first || !buf_append_text(out, "},", &page->flt);
}

/* ---- The answer ---- */

static bool write_page(struct page *page)
{
	struct buf *out = &page->exchange->answer;

	return !buf_append_text(out, "{", &page->flt) && write_operator(page) && write_packages(page) &&
	       !buf_append_text(out, page->more ? "\"more\":true}" : "\"more\":false}", &page->flt);
}

static void answer_page(struct exchange *exchange, const struct wanted *wanted)
{
	struct page page = {.exchange = exchange, .wanted = wanted};
	struct published_checkpoint checkpoint;

	if (!readers_take(exchange->service->readers, &page.database, &page.flt) &&
	    !published_checkpoint_at(page.database, wanted->log_length, &checkpoint, &page.flt) && write_page(&page))
		exchange_answer(exchange, 200, "application/json");
	else if (page.flt.kind == FAULT_ABSENT)
		exchange_answer_type_number(exchange, 404, "logLength", wanted->log_length);
	else if (page.flt.verdict)
		exchange_fail(exchange, &page.flt);
	readers_give(exchange->service->readers, page.database);
}

void answer_logs(struct exchange *exchange)
{
	struct json *asked = exchange_read_json(exchange);
	struct fault flt = {0};
	struct wanted wanted;

	if (!asked)
		return;
	if (read_wanted(asked, &wanted, &flt))
		exchange_answer_misfit(exchange, &flt);
	else if (wanted.limit == 0 || wanted.limit > LIMIT_MOST)
		exchange_refuse(exchange, 400, "invalid records limit value `%" PRIu64 "`: must be between 1 and %d",
				wanted.limit, LIMIT_MOST);
	else
		answer_page(exchange, &wanted);
	json_free(asked);
}
