/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * POST v1/package/LOG/record: a record is sent. Checked in the order of the reference (interop.md section B 7); what
 * the log's state has to say is decided by the write thread.
 */
#include "releases.h"
#include "routes.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct publish {
	struct write_thread_job job;
	struct exchange *exchange;
	struct buf content;    /* of the record */
	struct digest *contents;
	bool *are_missing;     /* of them */
	char signature[CAP_SIGNATURE_TEXT + 1];
};

void answer_publish_forget(struct exchange *exchange)
{
	struct publish *publish = exchange->work;

	if (!publish)
		return;
	buf_release(&publish->content);
	free(publish->contents);
	free(publish->are_missing);
	free(publish);
	exchange->work = NULL;
}

/* ---- Who may ---- */

static bool is_let_in(struct exchange *exchange)
{
	const char *value = exchange->header(exchange, "Authorization");
	const bool has_token = value && !strncasecmp(value, "Bearer ", 7);

	if (service_lets_in(exchange->service, span_of_text(has_token ? value + 7 : "")))
		return true;
	exchange_put_header(exchange, "WWW-Authenticate", "Bearer");
	exchange_refuse(exchange, 401, "publishing here takes a token");
	return false;
}

/* @return false: answered */
static bool check_namespace(struct exchange *exchange, const struct name *name)
{
	const struct span namespace = name_namespace(name);
	struct operator_log *operator = service_operator(exchange->service);
	const struct operator_namespace *found = operator_log_find(operator, namespace);
	const bool is_known = found, is_ours = found && !found->registry;

	operator_log_unref(operator);
	if (is_ours)
		return true;
	if (is_known)
		exchange_answer_type(exchange, 409, "namespaceImport", namespace);
	else
		exchange_answer_type(exchange, 404, "namespace", namespace);
	return false;
}

/* @return false: answered */
static bool check_policy(struct exchange *exchange, const struct publish *publish, const struct record *record)
{
	struct fault flt = {0};

	if (!service_check_policy(exchange->service, &publish->job.name, &publish->job.record.envelope.key_id, record,
				  &flt))
		return true;
	exchange_refuse(exchange, 401, "%s", flt.what);
	return false;
}

/* ---- What is sent ---- */

static bool has_members(const struct json *object)
{
	struct json_walk walk = json_walk(object);

	return json_is_an_object(object) && json_step(&walk);
}

static int read_body(const struct json *asked, struct publish *publish, struct span *key_id, bool *has_sources,
		     struct fault *flt)
{
	const struct json *record, *sources = json_member(asked, "contentSources");
	struct span name, signature;
	int r = json_read_text(asked, "packageName", &name, flt);

	if (!r)
		r = name_parse(name, &publish->job.name, flt);
	if (!r)
		r = json_read_object(asked, "record", &record, flt);
	if (!r)
		r = json_read_base64(record, "contentBytes", &publish->content, flt);
	if (!r)
		r = json_read_text(record, "keyId", key_id, flt);
	if (!r)
		r = json_read_text(record, "signature", &signature, flt);
	if (!r && signature.length > CAP_SIGNATURE_TEXT)
		r = fault_invalid(flt, "signature: it is too long");
	if (!r)
		r = ecdsa_check_signature(signature, flt);
	if (r)
		return r;
	memcpy(publish->signature, signature.data, signature.length);
	publish->job.record.envelope.signature =
		(struct span){(const unsigned char *)publish->signature, signature.length};
	publish->job.record.envelope.content = buf_span(&publish->content);
	*has_sources = has_members(sources);
	return 0;
}

/* Look for the contents on this thread: all publishers wait for the write thread's. */
static int look_for_contents(struct content_files *files, struct publish *publish, struct fault *flt)
{
	struct write_thread_job *job = &publish->job;

	publish->are_missing = calloc(job->content_count + 1, sizeof(*publish->are_missing));
	if (!publish->are_missing)
		return fault_no_memory(flt);
	job->arrivals = content_files_arrivals(files);
	for (size_t i = 0; i < job->content_count; i++)
		publish->are_missing[i] = !content_files_have(files, &job->contents[i]);
	job->are_missing = publish->are_missing;
	return 0;
}

/* @return false: answered */
static bool collect_contents(struct exchange *exchange, struct publish *publish, const struct record *record)
{
	struct fault flt = {0};
	int r = releases_list(record, &publish->contents, &publish->job.content_count, &flt);

	publish->job.contents = publish->contents;
	if (!r)
		r = look_for_contents(exchange->service->contents, publish, &flt);
	if (r)
		exchange_fail(exchange, &flt);
	return !r;
}

/* @return false: answered */
static bool check_record(struct exchange *exchange, struct publish *publish, const struct digest *log_id,
			 struct span key_id, bool has_sources)
{
	struct published_record *sent = &publish->job.record;
	char expected[DIGEST_TEXT_SIZE], given[DIGEST_TEXT_SIZE];
	struct fault flt = {0};
	struct record record;
	bool is_fine;

	sent->log_id = name_log_id(&publish->job.name);
	digest_format(&sent->log_id, expected);
	digest_format(log_id, given);
	if (strcmp(expected, given)) {
		exchange_refuse(exchange, 400, "package log identifier `%s` derived from `%s` does not match provided "
				"log identifier `%s`", expected, publish->job.name.text, given);
		return false;
	}
	if (record_decode(RECORD_PACKAGE, sent->envelope.content, &record, &flt)) {
		if (flt.verdict == WARG_UNDECIDED && flt.kind != FAULT_LIMIT)
			exchange_fail(exchange, &flt);
		else
			exchange_refuse(exchange, 400, "%s%s%s", flt.where, *flt.where ? ": " : "", flt.what);
		return false;
	}
	sent->record_id = record.id;
	is_fine = !has_sources;
	if (has_sources)
		exchange_refuse(exchange, 501, "specifying content sources is not supported");
	is_fine = is_fine && check_namespace(exchange, &publish->job.name);
	if (is_fine && digest_parse(key_id, &sent->envelope.key_id, NULL)) {
		exchange_refuse(exchange, 401, "unknown key id `%.*s`",
				(int)(key_id.length < 100 ? key_id.length : 100), (const char *)key_id.data);
		is_fine = false;
	}
	is_fine = is_fine && check_policy(exchange, publish, &record) && collect_contents(exchange, publish, &record);
	record_release(&record);
	return is_fine;
}

/* ---- The job ---- */

static void done(struct write_thread_job *job)
{
	struct publish *publish = (struct publish *)job;

	publish->exchange->resume(publish->exchange);
}

static void give(struct exchange *exchange)
{
	struct publish *publish = exchange->work;

	write_thread_give(exchange->service->writer, &publish->job);
}

static void submit(struct exchange *exchange, struct publish *publish, const struct digest *log_id)
{
	struct json *asked = exchange_read_json(exchange);
	struct fault flt = {0};
	struct span key_id;
	bool has_sources, is_fine = false;

	if (!asked)
		return;
	if (read_body(asked, publish, &key_id, &has_sources, &flt))
		exchange_answer_misfit(exchange, &flt);
	else
		is_fine = check_record(exchange, publish, log_id, key_id, has_sources);
	json_free(asked);
	if (is_fine)
		exchange->wait = give;
}

/* A mirror has nobody to sign. */
static bool is_open(struct exchange *exchange)
{
	if (exchange->service->writer)
		return true;
	if (exchange->service->is_closed) {
		exchange_refuse(exchange, 503, "the operator's log is damaged: nothing can be published at the moment");
		return false;
	}
	exchange_refuse(exchange, 501, "this is a mirror of %.200s, where records are to be sent",
			exchange->service->origin.text);
	return false;
}

bool answer_publish_admit(struct exchange *exchange)
{
	struct digest log_id;

	return exchange_read_digest(exchange, 0, &log_id) && is_open(exchange) && is_let_in(exchange);
}

void answer_publish(struct exchange *exchange)
{
	struct publish *publish;
	struct fault flt = {0};
	struct digest log_id;

	if (!exchange_read_digest(exchange, 0, &log_id))
		return;
	publish = calloc(1, sizeof(*publish));
	if (!publish) {
		fault_no_memory(&flt);
		exchange_fail(exchange, &flt);
		return;
	}
	publish->exchange = exchange;
	publish->job.task = WRITE_THREAD_SUBMIT;
	publish->job.done = done;
	buf_init(&publish->content, CAP_RECORD);
	exchange->work = publish;
	submit(exchange, publish, &log_id);
}

void answer_publish_go_on(struct exchange *exchange)
{
	const struct publish *publish = exchange->work;
	const struct write_thread_job *job = &publish->job;

	if (job->verdict) {
		exchange_fail(exchange, &job->fault);
		return;
	}
	switch (job->refusal) {
	case WRITE_THREAD_TAKEN:
		answer_standing(exchange, 202, &job->record.log_id, &job->record.record_id);
		break;
	case WRITE_THREAD_UNAUTHORIZED:
		exchange_refuse(exchange, 401, "%s", job->fault.what);
		break;
	case WRITE_THREAD_EXCESSIVE:
	case WRITE_THREAD_REFUSED:
		exchange_refuse(exchange, 422, "%s", job->fault.what);
		break;
	case WRITE_THREAD_CONFLICT:
		exchange_answer_type_digest(exchange, 409, "record", &job->other);
		break;
	}
}
