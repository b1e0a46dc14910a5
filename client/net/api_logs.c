/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetching logs (protocol.md section 6; interop.md section B 4 to 6).
 *
 * Many packages are split into several calls that run at the same time and share CAP_BODIES. Logs whose answer exceeds
 * its share are requested again in halves, and once CAP_LOGS_HELD bytes are held the remaining logs wait for the next
 * page. So memory is bounded whatever a registry sends.
 */
#include "api_parts.h"

#include <stdlib.h>
#include <string.h>

#include "record_json.h"

#define PACKAGES_A_CALL 64
#define CALLS_TOGETHER 16 /* on their way at once */

void api_log_release(struct api_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		buf_release(&log->records[i].content);
	free(log->records);
	free(log->fault);
	log->records = NULL;
	log->fault = NULL;
	log->count = 0;
}

void api_logs_release(struct api_logs *logs)
{
	api_log_release(&logs->operator);
	for (size_t i = 0; i < logs->package_count; i++)
		api_log_release(&logs->packages[i]);
	free(logs->packages);
	*logs = (struct api_logs){ 0 };
}

struct record_envelope api_record_envelope(const struct api_record *record)
{
	return (struct record_envelope){ .content = buf_span(&record->content),
					 .key_id = record->key_id,
					 .signature = span_of_text(record->signature) };
}

/* ---- Decoding ---- */

/* The log has more records than we accept. */
static int set_fault(struct api_log *log, const struct fault *fault, struct fault *flt)
{
	if (log->fault)
		return 0;
	log->fault = malloc(sizeof(*log->fault));
	if (!log->fault)
		return fault_no_memory(flt);
	*log->fault = *fault;
	fault_blame(log->fault, FAULT_BY_REGISTRY);
	return 0;
}

static int read_record(const struct json *value, struct api_record *out, struct fault *flt)
{
	int r = record_json_read(value, out, flt);

	return r ? r : record_json_read_text(value, "fetchToken", out->token, sizeof(out->token), flt);
}

static int read_records(const struct json *list, struct api_log *out, struct fault *flt)
{
	size_t count = json_count(list);
	int r;

	if (!json_is_a_list(list))
		return fault_invalid(flt, "it is no list of records");
	if (count > CAP_REQUEST_RECORDS)
		return fault_invalid(flt, "%zu records came, and %d were asked for at most", count,
				     CAP_REQUEST_RECORDS);
	if (count == 0)
		return 0;
	out->records = calloc(count, sizeof(*out->records));
	if (!out->records)
		return fault_no_memory(flt);
	while (out->count < count) {
		struct api_record *record = &out->records[out->count];

		r = read_record(json_at(list, out->count), record, flt);
		if (r) {
			buf_release(&record->content);
			fault_at(flt, "record %zu of the answer", out->count);
			return r;
		}
		out->count++;
	}
	return 0;
}

/*
 * A malformed record, or one past a bound, sets the fault of its own log only.
 * @return 0; WARG_UNDECIDED without memory
 */
static int read_log(const struct json *list, struct api_log *out, struct fault *flt)
{
	struct fault own = { 0 };
	int r = read_records(list, out, &own);

	if (!r)
		return 0;
	if (own.kind == FAULT_SYSTEM)
		return fault_no_memory(flt);
	if (own.kind == FAULT_LIMIT)
		own.kind = FAULT_OVERSIZED;
	return set_fault(out, &own, flt);
}

static struct api_log *find_log(struct api_logs *logs, const struct digest *log_id)
{
	for (size_t i = 0; i < logs->package_count; i++)
		if (digest_equals(&logs->packages[i].log_id, log_id))
			return &logs->packages[i];
	return NULL;
}

static int read_packages(const struct json *packages, struct api_logs *out, struct fault *flt)
{
	struct json_walk walk = json_walk(packages);
	struct digest log_id;
	struct api_log *log;
	int r;

	if (!json_is_an_object(packages))
		return fault_invalid(flt, "\"packages\" is no object");
	while (json_step(&walk)) {
		r = digest_parse(span_of_text(walk.name), &log_id, flt);
		if (r)
			return r;
		log = find_log(out, &log_id);
		if (!log)
			return fault_invalid(flt, "log %s was not asked for", walk.name);
		r = read_log(walk.value, log, flt);
		if (r)
			return r;
	}
	return 0;
}

int api_decode_logs(const struct http_exchange *exchange, struct api_logs *out, struct api_missing *missing,
		    struct fault *flt)
{
	const struct json *member;
	struct json *body = NULL;
	int r = api_answer_read(exchange, missing, &body, flt);

	if (r)
		return r;
	if (json_member(body, "more"))
		r = json_read_bool(body, "more", &out->more, flt);
	member = json_member(body, "operator");
	if (!r && member)
		r = read_log(member, &out->operator, flt);
	member = json_member(body, "packages");
	if (!r && member)
		r = read_packages(member, out, flt);
	json_free(body);
	if (r) {
		fault_at(flt, "%s", exchange->url);
		if (r == WARG_INVALID)
			fault_blame(flt, FAULT_BY_REGISTRY);
	}
	return r;
}

/* ---- Calling ---- */

/* Records in the answer for many logs: a record is seven JSON values, its list element included. */
#define RECORDS_AN_ANSWER (CAP_JSON_VALUES / 7 - PACKAGES_A_CALL)

/* Records of one log that fit into an answer even if each has the largest size. */
#define RECORDS_THAT_FIT (CAP_BODY_LOGS / (CAP_RECORD_CARRIED / 3 * 4 + (64 << 10)))

/** A part of what is wanted, in a call of its own. */
struct part {
	const struct api_wanted *operator; /* in the first part only */
	/* in all: the reference sends the log whether asked to or not, so spare it */
	const char *operator_token;
	const struct api_wanted *packages;
	size_t count;
	uint64_t limit; /* records of each log */
	struct api_logs logs;
};

/* The limit to request for each log, so that an answer with full pages of all logs fits. */
static uint64_t limit_of(size_t logs)
{
	return logs * CAP_REQUEST_RECORDS <= RECORDS_AN_ANSWER ? CAP_REQUEST_RECORDS : RECORDS_AN_ANSWER / logs;
}

/** State shared by all parts. */
struct calling {
	const struct api *api;
	clock_ms deadline;
	uint64_t log_length;
	unsigned splits;           /* requests that may still be sent after answers that were too long */
	struct api_absent *absent;
	size_t held;               /* bytes of memory of the records received */
};

static void put_token(struct json *object, const char *name, const char *token)
{
	if (token)
		json_put_text(object, name, token);
	else
		json_put_null(object, name);
}

/** @param cap  of the answer's body: many calls share CAP_BODIES */
static int begin(struct api_call *call, const struct calling *calling, const struct part *part, size_t cap,
		 struct fault *flt)
{
	struct json *body = json_new_object(), *packages = json_new_object();
	char id[DIGEST_TEXT_SIZE];

	json_put_uint(body, "logLength", calling->log_length);
	json_put_uint(body, "limit", part->limit);
	if (part->operator_token)
		json_put_text(body, "operator", part->operator_token);
	for (size_t i = 0; i < part->count; i++) {
		digest_format(&part->packages[i].log_id, id);
		put_token(packages, id, part->packages[i].token);
	}
	json_put(body, "packages", packages);
	if (!body)
		return fault_no_memory(flt);
	return api_call_init(call, calling->api, "v1/fetch/logs", body, cap, calling->deadline, flt);
}

static int prepare(struct part *part, struct fault *flt)
{
	part->logs = (struct api_logs){ .operator.log_id = name_operator_log_id() };
	if (part->count == 0)
		return 0;
	part->logs.packages = calloc(part->count, sizeof(*part->logs.packages));
	if (!part->logs.packages)
		return fault_no_memory(flt);
	part->logs.package_count = part->count;
	for (size_t i = 0; i < part->count; i++)
		part->logs.packages[i].log_id = part->packages[i].log_id;
	return 0;
}

static bool has_token(const struct part *part)
{
	if (part->operator_token)
		return true;
	for (size_t i = 0; i < part->count; i++)
		if (part->packages[i].token)
			return true;
	return false;
}

/** Drop the operator's log where it was not wanted, and with it what it alone has more of. */
static void drop_operator(struct api_logs *logs)
{
	size_t records = 0;

	for (size_t i = 0; i < logs->package_count; i++)
		records += logs->packages[i].count;
	api_log_release(&logs->operator);
	logs->more = logs->more && records;
}

static int decode(const struct http_exchange *exchange, struct part *part, struct api_absent *absent,
		  struct fault *flt)
{
	struct api_missing missing = { 0 };
	struct digest id;
	int r;

	/* The reference hangs up on a token that looks like a hash and that it does not know. */
	if (exchange->verdict && exchange->hung_up && has_token(part)) {
		r = fault_undecided(flt, FAULT_ABSENT, "the registry hung up, as if it did not know a fetch token");
		api_blame(flt);
	} else {
		r = api_decode_logs(exchange, &part->logs, &missing, flt);
		if (!part->operator)
			drop_operator(&part->logs);
	}
	if (r && strcmp(missing.type, "log") == 0 && digest_parse(span_of_text(missing.id), &id, NULL) == 0) {
		absent->log_id = id;
		memcpy(absent->hint, exchange->hint, sizeof(absent->hint));
	}
	return r;
}

/* ---- Answers that are too long ---- */

static int fetch_part(struct calling *calling, struct part *part, struct fault *flt);

/* Set the fault of every log of the part. */
static int set_faults(struct part *part, const struct fault *fault, struct fault *flt)
{
	int r = part->operator ? set_fault(&part->logs.operator, fault, flt) : 0;

	for (size_t i = 0; !r && i < part->logs.package_count; i++)
		r = set_fault(&part->logs.packages[i], fault, flt);
	return r;
}

/* Move the records of a half into its part. */
static void take_half(struct part *part, size_t first, struct part *half)
{
	if (half->operator) {
		api_log_release(&part->logs.operator);
		part->logs.operator = half->logs.operator;
		half->logs.operator = (struct api_log){ 0 };
	}
	for (size_t i = 0; i < half->logs.package_count; i++) {
		api_log_release(&part->logs.packages[first + i]);
		part->logs.packages[first + i] = half->logs.packages[i];
	}
	half->logs.package_count = 0;
	part->logs.more = part->logs.more || half->logs.more;
}

/* Split into the operator's log and all packages, or without the operator's log into two halves of the packages. */
static int fetch_halves(struct calling *calling, struct part *part, struct fault *flt)
{
	size_t middle = part->operator ? 0 : part->count / 2;
	struct part halves[2] = { *part, *part };
	int r = 0;

	halves[0].count = middle;
	halves[1].operator = NULL;
	halves[1].packages = part->packages + middle;
	halves[1].count = part->count - middle;
	for (size_t i = 0; !r && i < 2; i++) {
		halves[i].logs = (struct api_logs){ 0 };
		r = prepare(&halves[i], flt);
		if (!r)
			r = fetch_part(calling, &halves[i], flt);
		if (!r)
			take_half(part, i ? middle : 0, &halves[i]);
		api_logs_release(&halves[i].logs);
	}
	return r;
}

/*
 * The answer to a part was too long: fetch the part in smaller requests.
 * @param fault  why the answer was refused
 */
static int fetch_smaller(struct calling *calling, struct part *part, const struct fault *fault, struct fault *flt)
{
	bool is_single = part->count + (part->operator ? 1 : 0) < 2;
	int r;

	api_logs_release(&part->logs);
	r = prepare(part, flt);
	if (r)
		return r;
	if (!is_single)
		return fetch_halves(calling, part, flt);
	if (part->limit == RECORDS_THAT_FIT)
		return set_faults(part, fault, flt);
	part->limit = RECORDS_THAT_FIT;
	return fetch_part(calling, part, flt);
}

static size_t weigh(const struct api_log *log)
{
	size_t bytes = log->count * sizeof(*log->records);

	for (size_t i = 0; i < log->count; i++)
		bytes += log->records[i].content.capacity;
	return bytes;
}

/* Whether enough records are held already: the part then waits for the next page. */
static bool is_put_off(const struct calling *calling, struct part *part)
{
	if (calling->held < CAP_LOGS_HELD)
		return false;
	part->logs.more = true;
	return true;
}

/* Decode and release a finished call; fetch the part in smaller requests if the answer was too long. */
static int decode_or_split(struct calling *calling, struct api_call *call, struct part *part, struct fault *flt)
{
	struct fault own = { 0 };
	int r = decode(&call->exchange, part, calling->absent, &own);

	api_call_release(call);
	*call = (struct api_call){ 0 };
	if (r && own.kind == FAULT_LIMIT)
		return fetch_smaller(calling, part, &own, flt);
	if (r && flt && !flt->verdict)
		*flt = own;
	calling->held += weigh(&part->logs.operator);
	for (size_t i = 0; i < part->logs.package_count; i++)
		calling->held += weigh(&part->logs.packages[i]);
	return r;
}

static int fetch_part(struct calling *calling, struct part *part, struct fault *flt)
{
	struct api_call call = { 0 };
	struct fault own = { 0 };
	int r;

	if (is_put_off(calling, part))
		return 0;
	if (!calling->splits) {
		fault_undecided(&own, FAULT_LIMIT, "too many of the registry's answers are too long");
		return set_faults(part, &own, flt);
	}
	calling->splits--;
	r = begin(&call, calling, part, CAP_BODY_LOGS, flt);
	if (!r)
		r = api_run(calling->api, &call, 1, flt);
	if (!r)
		r = decode_or_split(calling, &call, part, flt);
	api_call_release(&call);
	return r;
}

/** Put the parts together. Takes their records. */
static int merge(struct part *parts, size_t count, size_t package_count, struct api_logs *out, struct fault *flt)
{
	struct api_logs logs = { .operator = parts[0].logs.operator };

	if (package_count) {
		logs.packages = calloc(package_count, sizeof(*logs.packages));
		if (!logs.packages)
			return fault_no_memory(flt);
	}
	parts[0].logs.operator = (struct api_log){ 0 };
	for (size_t i = 0; i < count; i++) {
		struct api_logs *from = &parts[i].logs;

		logs.more = logs.more || from->more;
		for (size_t j = 0; j < from->package_count; j++)
			logs.packages[logs.package_count++] = from->packages[j];
		from->package_count = 0;
	}
	*out = logs;
	return 0;
}

/** Fetch parts at the same time. Parts that is_put_off() holds back are not requested. */
static int fetch_parts(struct calling *calling, struct part *parts, size_t count, struct fault *flt)
{
	const size_t share = CAP_BODIES / count < CAP_BODY_LOGS ? CAP_BODIES / count : CAP_BODY_LOGS;
	struct api_call calls[CALLS_TOGETHER] = { 0 };
	int r = 0;

	if (is_put_off(calling, &parts[0]))
		return 0;
	for (size_t i = 0; !r && i < count; i++)
		r = begin(&calls[i], calling, &parts[i], share, flt);
	if (!r)
		r = api_run(calling->api, calls, count, flt);
	for (size_t i = 0; !r && i < count; i++)
		r = is_put_off(calling, &parts[i]) ? 0 : decode_or_split(calling, &calls[i], &parts[i], flt);
	for (size_t i = 0; i < count; i++)
		api_call_release(&calls[i]);
	return r;
}

int api_fetch_logs(const struct api *api, clock_ms deadline, uint64_t log_length, const struct api_wanted *operator,
		   const struct api_wanted *packages, size_t package_count, struct api_logs *out,
		   struct api_absent *absent, struct fault *flt)
{
	size_t count = package_count ? (package_count + PACKAGES_A_CALL - 1) / PACKAGES_A_CALL : 1;
	struct part *parts = calloc(count, sizeof(*parts));
	struct calling calling = { api, deadline, log_length, CAP_SPLITS, absent, 0 };
	int r = parts ? 0 : fault_no_memory(flt);

	*absent = (struct api_absent){ 0 };
	for (size_t i = 0; !r && i < count; i++) {
		size_t left = package_count - i * PACKAGES_A_CALL;

		parts[i].operator = i == 0 ? operator : NULL;
		parts[i].operator_token = operator ? operator->token : NULL;
		parts[i].packages = packages ? packages + i * PACKAGES_A_CALL : NULL;
		parts[i].count = left < PACKAGES_A_CALL ? left : PACKAGES_A_CALL;
		parts[i].limit = limit_of(parts[i].count + (operator ? 1 : 0));
		r = prepare(&parts[i], flt);
	}
	for (size_t i = 0; !r && i < count; i += CALLS_TOGETHER)
		r = fetch_parts(&calling, &parts[i], count - i < CALLS_TOGETHER ? count - i : CALLS_TOGETHER, flt);
	if (!r)
		r = merge(parts, count, package_count, out, flt);
	for (size_t i = 0; parts && i < count; i++)
		api_logs_release(&parts[i].logs);
	free(parts);
	return r;
}
