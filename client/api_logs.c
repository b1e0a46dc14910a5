/*
 * Fetching logs (protocol.md section 6; interop.md section B 4 to 6).
 *
 * Many packages are asked for in several calls side by side: few enough in each that a full page of every log stays
 * below CAP_BODY_LOGS, so that pages are as long as the registry gives them.
 */
#include "api_parts.h"

#include <stdlib.h>
#include <string.h>

#define PACKAGES_A_CALL 64

void api_log_release(struct api_log *log)
{
	for (size_t i = 0; i < log->count; i++)
		buf_release(&log->records[i].content);
	free(log->records);
	log->records = NULL;
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

static int read_bounded(const struct json *object, const char *name, char *out, size_t size, struct fault *flt)
{
	struct span text;
	int r = json_read_text(object, name, &text, flt);

	if (r)
		return r;
	if (text.length >= size)
		return fault_undecided(flt, FAULT_LIMIT, "%s is longer than %zu bytes", name, size - 1);
	memcpy(out, text.data, text.length);
	out[text.length] = '\0';
	return 0;
}

int api_record_read(const struct json *value, struct api_record *out, struct fault *flt)
{
	int r;

	buf_init(&out->content, CAP_RECORD);
	r = json_read_base64(value, "contentBytes", &out->content, flt);
	if (!r)
		r = json_read_digest(value, "keyId", &out->key_id, flt);
	if (!r)
		r = read_bounded(value, "signature", out->signature, sizeof(out->signature), flt);
	if (!r)
		r = json_read_uint(value, "registryIndex", &out->registry_index, flt);
	return r;
}

static int read_log(const struct json *list, struct api_log *out, struct fault *flt)
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

		r = api_record_read(json_at(list, out->count), record, flt);
		if (!r)
			r = read_bounded(json_at(list, out->count), "fetchToken", record->token, sizeof(record->token),
					 flt);
		out->count++;
		if (r) {
			fault_at(flt, "record %zu of the answer", out->count - 1);
			return r;
		}
	}
	return 0;
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
		if (r) {
			fault_at(flt, "log %s", walk.name);
			return r;
		}
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
	if (!r && member) {
		r = read_log(member, &out->operator, flt);
		if (r)
			fault_at(flt, "the operator's log");
	}
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

/** A part of what is wanted, in a call of its own. */
struct part {
	const struct api_wanted *operator; /* in the first part only */
	/* in all: the reference sends the log whether asked to or not, so spare it */
	const char *operator_token;
	const struct api_wanted *packages;
	size_t count;
	struct api_logs logs;
};

static void put_token(struct json *object, const char *name, const char *token)
{
	if (token)
		json_put_text(object, name, token);
	else
		json_put_null(object, name);
}

/** @param cap  of the answer's body: many calls share CAP_BODIES_LOGS */
static int begin(struct api_call *call, const struct api *api, clock_ms deadline, uint64_t log_length,
		 const struct part *part, size_t cap, struct fault *flt)
{
	struct json *body = json_new_object(), *packages = json_new_object();
	char id[DIGEST_TEXT_SIZE];

	json_put_uint(body, "logLength", log_length);
	json_put_uint(body, "limit", CAP_REQUEST_RECORDS);
	if (part->operator_token)
		json_put_text(body, "operator", part->operator_token);
	for (size_t i = 0; i < part->count; i++) {
		digest_format(&part->packages[i].log_id, id);
		put_token(packages, id, part->packages[i].token);
	}
	json_put(body, "packages", packages);
	if (!body)
		return fault_no_memory(flt);
	return api_call_init(call, api, "v1/fetch/logs", body, cap, deadline, flt);
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

int api_fetch_logs(const struct api *api, clock_ms deadline, uint64_t log_length, const struct api_wanted *operator,
		   const struct api_wanted *packages, size_t package_count, struct api_logs *out,
		   struct api_absent *absent, struct fault *flt)
{
	size_t count = package_count ? (package_count + PACKAGES_A_CALL - 1) / PACKAGES_A_CALL : 1;
	struct api_call *calls = calloc(count, sizeof(*calls));
	struct part *parts = calloc(count, sizeof(*parts));
	size_t share = CAP_BODIES_LOGS / count;
	int r = calls && parts ? 0 : fault_no_memory(flt);

	*absent = (struct api_absent){ 0 };
	for (size_t i = 0; !r && i < count; i++) {
		size_t left = package_count - i * PACKAGES_A_CALL;

		parts[i].operator = i == 0 ? operator : NULL;
		parts[i].operator_token = operator ? operator->token : NULL;
		parts[i].packages = packages ? packages + i * PACKAGES_A_CALL : NULL;
		parts[i].count = left < PACKAGES_A_CALL ? left : PACKAGES_A_CALL;
		r = prepare(&parts[i], flt);
		if (!r)
			r = begin(&calls[i], api, deadline, log_length, &parts[i],
				  share < CAP_BODY_LOGS ? share : CAP_BODY_LOGS, flt);
	}
	if (!r)
		r = api_run(api, calls, count, flt);
	for (size_t i = 0; !r && i < count; i++)
		r = decode(&calls[i].exchange, &parts[i], absent, flt);
	if (!r)
		r = merge(parts, count, package_count, out, flt);
	for (size_t i = 0; i < count; i++) {
		if (calls)
			api_call_release(&calls[i]);
		if (parts)
			api_logs_release(&parts[i].logs);
	}
	free(calls);
	free(parts);
	return r;
}
