/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Publishing: a record sent, asked after, and what it still lacks uploaded (protocol.md section 6, interop.md sections
 * A 3, 8, 9 and B 3, 6 to 8).
 */
#include "api_parts.h"
#include "verify/printable.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What may be uploaded ---- */

static int compare_digests(const void *a, const void *b)
{
	return digest_compare(a, b);
}

/** The contents that a record releases, in the order of their bytes. */
struct contents {
	struct digest *digests;
	size_t count;
};

static int gather_contents(const struct record *record, struct contents *out, struct fault *flt)
{
	*out = (struct contents){ .digests = calloc(record->entry_count + 1, sizeof(*out->digests)) };
	if (!out->digests)
		return fault_no_memory(flt);
	for (size_t i = 0; i < record->entry_count; i++)
		if (record->entries[i].type == ENTRY_RELEASE)
			out->digests[out->count++] = record->entries[i].content;
	qsort(out->digests, out->count, sizeof(*out->digests), compare_digests);
	return 0;
}

static bool has_content(const struct contents *contents, const struct digest *content)
{
	return bsearch(content, contents->digests, contents->count, sizeof(*content), compare_digests) != NULL;
}

/* ---- Uploads ---- */

static void upload_release(struct api_upload *upload)
{
	buf_release(&upload->url);
	buf_wipe(&upload->content_type);
	buf_wipe(&upload->authorization);
}

void api_record_state_release(struct api_record_state *state)
{
	for (size_t i = 0; i < state->upload_count; i++)
		upload_release(&state->uploads[i]);
	free(state->uploads);
	*state = (struct api_record_state){ 0 };
}

static int terminate(struct buf *text, struct fault *flt)
{
	return buf_append(text, (struct span){ (const unsigned char *)"", 1 }, flt);
}

static int read_header(const struct json *value, struct buf *out, struct fault *flt)
{
	struct span text;
	int r = json_as_text(value, &text, flt);

	if (!r && (!text.length || text.length > CAP_UPLOAD_HEADER))
		r = fault_invalid(flt, "a header of %zu bytes", text.length);
	for (size_t i = 0; !r && i < text.length; i++)
		if (text.data[i] < 0x20 || text.data[i] > 0x7e)
			r = fault_invalid(flt, "a header with a character that it must not have");
	if (!r)
		r = buf_append(out, text, flt);
	return r ? r : terminate(out, flt);
}

static int read_headers(const struct json *headers, struct api_upload *out, struct fault *flt)
{
	struct json_walk walk = json_walk(headers);
	int r = 0;

	if (!json_is_an_object(headers))
		return fault_invalid(flt, "\"headers\" is no object");
	while (!r && json_step(&walk)) {
		if (!strcmp(walk.name, "content-type"))
			r = read_header(walk.value, &out->content_type, flt);
		else if (!strcmp(walk.name, "authorization"))
			r = read_header(walk.value, &out->authorization, flt);
		else
			return fault_invalid(flt, "an upload has no header \"%.64s\"", walk.name);
		if (r)
			fault_at(flt, "%s", walk.name);
	}
	return r;
}

static int read_method(const struct json *way, enum http_method *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(way, "method", &text, flt);

	if (r)
		return r;
	if (!span_is(text, "POST") && !span_is(text, "PUT"))
		return fault_invalid(flt, "the method of an upload is POST or PUT");
	*out = span_is(text, "PUT") ? HTTP_PUT : HTTP_POST;
	return 0;
}

static int read_url(const struct http_url *url, const struct json *way, struct buf *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(way, "url", &text, flt);

	if (!r)
		r = http_url_resolve(url, text, out, flt);
	if (!r)
		r = terminate(out, flt);
	return r ? r : http_url_check_origin(url, (const char *)out->data, flt);
}

/** The first way of those that are given, which is the one that the reference goes. */
static int read_upload(const struct http_url *url, const struct json *missing, struct api_upload *out,
		       struct fault *flt)
{
	const struct json *ways, *way;
	struct span type;
	int r = json_read_list(missing, "upload", &ways, flt);

	if (r)
		return r;
	if (!json_count(ways))
		return fault_invalid(flt, "it says nowhere to upload it");
	way = json_at(ways, 0);
	r = json_read_text(way, "type", &type, flt);
	if (!r && !span_is(type, "http"))
		r = fault_invalid(flt, "it is to be uploaded in a way that there is none of");
	if (!r)
		r = read_method(way, &out->method, flt);
	if (!r)
		r = read_url(url, way, &out->url, flt);
	if (!r && json_member(way, "headers"))
		r = read_headers(json_member(way, "headers"), out, flt);
	return r;
}

static int read_missing(const struct http_url *url, const struct json *missing, const struct contents *allowed,
			struct api_record_state *out, struct fault *flt)
{
	struct json_walk walk = json_walk(missing);
	int r = 0;

	out->uploads = calloc(allowed->count + 1, sizeof(*out->uploads));
	if (!out->uploads)
		return fault_no_memory(flt);
	/* No member comes twice, so there are never more than contents. */
	while (!r && json_step(&walk)) {
		struct api_upload *upload = &out->uploads[out->upload_count];
		struct digest content;

		r = digest_parse(span_of_text(walk.name), &content, flt);
		if (!r && !has_content(allowed, &content))
			r = fault_invalid(flt, "the record releases no such content");
		if (!r) {
			*upload = (struct api_upload){ .content = content };
			buf_init(&upload->url, CAP_URL + 1);
			buf_init(&upload->content_type, CAP_UPLOAD_HEADER + 1);
			buf_init(&upload->authorization, CAP_UPLOAD_HEADER + 1);
			out->upload_count++;
			r = read_upload(url, walk.value, upload, flt);
		}
		if (r)
			fault_at(flt, "missing content %.80s", walk.name);
	}
	return r;
}

/* ---- A record's state ---- */

static int read_sourcing(const struct http_url *url, const struct json *body, const struct record *record,
			 struct api_record_state *out, struct fault *flt)
{
	const struct json *missing;
	struct contents contents;
	int r = json_read_object(body, "missingContent", &missing, flt);

	out->status = API_RECORD_SOURCING;
	if (r || !record)
		return r;
	r = gather_contents(record, &contents, flt);
	if (!r)
		r = read_missing(url, missing, &contents, out, flt);
	free(contents.digests);
	return r;
}

static int read_rejected(const struct json *body, struct api_record_state *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(body, "reason", &text, flt);

	out->status = API_RECORD_REJECTED;
	if (!r)
		printable_write(text, out->reason, sizeof(out->reason));
	return r;
}

static int read_published(const struct json *body, struct api_record_state *out, struct fault *flt)
{
	int r = json_read_uint(body, "registryIndex", &out->registry_index, flt);

	out->status = API_RECORD_PUBLISHED;
	if (!r && out->registry_index >= CAP_LOG_LENGTH)
		r = fault_undecided(flt, FAULT_LIMIT, "a registry's log of more than %u records", CAP_LOG_LENGTH);
	return r;
}

static int read_state(const struct http_url *url, const struct json *body, const struct digest *record_id,
		      const struct record *record, struct api_record_state *out, struct fault *flt)
{
	struct span text;
	int r = json_read_digest(body, "recordId", &out->record_id, flt);

	if (!r && !digest_equals(&out->record_id, record_id))
		r = fault_invalid(flt, "it speaks of another record");
	if (!r)
		r = json_read_text(body, "state", &text, flt);
	if (r)
		return r;
	if (span_is(text, "sourcing"))
		return read_sourcing(url, body, record, out, flt);
	if (span_is(text, "rejected"))
		return read_rejected(body, out, flt);
	if (span_is(text, "published"))
		return read_published(body, out, flt);
	if (!span_is(text, "processing"))
		return fault_invalid(flt, "a record is in no state \"%.*s\"",
				     (int)(text.length < 64 ? text.length : 64), (const char *)text.data);
	out->status = API_RECORD_PROCESSING;
	return 0;
}

/**
 * Whether the status leaves the rest of the answer to be read. What is neither of success nor says that the request was
 * wrong is no refusal here, as it is elsewhere: a record or a content may have got through in spite of it.
 */
static int check_status(const struct http_exchange *exchange, struct fault *flt)
{
	int status = exchange->status;
	struct fault own = { 0 };

	if (exchange->verdict || (status >= 200 && status < 300) || (status >= 400 && status < 500) || status == 501)
		return 0;
	api_answer_refused(exchange, NULL, &own);
	if (own.kind == FAULT_REFUSED)
		own.kind = FAULT_UNREACHABLE;
	if (flt && !flt->verdict)
		*flt = own;
	return own.verdict;
}

int api_decode_record(const struct http_url *url, const struct http_exchange *exchange, const struct digest *record_id,
		      const struct record *record, struct api_record_state *out, struct fault *flt)
{
	struct api_record_state state = { 0 };
	struct json *body = NULL;
	int r = check_status(exchange, flt);

	if (!r)
		r = api_answer_read(exchange, NULL, &body, flt);
	if (r)
		return r;
	r = read_state(url, body, record_id, record, &state, flt);
	json_free(body);
	if (r) {
		api_blame_answer(exchange, flt);
		api_record_state_release(&state);
		return r;
	}
	*out = state;
	return 0;
}

/* ---- Sending a record ---- */

/** "v1/package/{log id}/record", and the record's id if there is one. */
static void format_path(const struct name *name, const struct digest *record_id, char out[static 192])
{
	struct digest log_id = name_log_id(name);
	char log[DIGEST_TEXT_SIZE], record[DIGEST_TEXT_SIZE];

	digest_format(&log_id, log);
	if (record_id)
		digest_format(record_id, record);
	snprintf(out, 192, "v1/package/%s/record%s%s", log, record_id ? "/" : "", record_id ? record : "");
}

static int begin_publish(struct api_call *call, const struct api *api, clock_ms deadline, const struct name *name,
			 const struct record_envelope *envelope, struct fault *flt)
{
	struct json *body = json_new_object(), *record = json_new_object();
	char path[192];

	json_put_base64(record, "contentBytes", envelope->content);
	json_put_digest(record, "keyId", &envelope->key_id);
	json_put_span(record, "signature", envelope->signature);
	json_put_text(body, "packageName", name->text);
	json_put(body, "record", record);
	if (!body)
		return fault_no_memory(flt);
	format_path(name, NULL, path);
	return api_call_init(call, api, path, body, CAP_BODY_RECORD, deadline, flt);
}

static int conflict(const struct api_missing *said, struct api_conflict *out, struct fault *flt)
{
	struct api_conflict found = { 0 };
	int r = 0;

	if (!strcmp(said->type, "namespaceImport")) {
		found.type = API_CONFLICT_NAMESPACE_IMPORT;
		fault_undecided(flt, FAULT_REFUSED, "status 409, the namespace is another registry's");
	} else if (!strcmp(said->type, "record")) {
		found.type = API_CONFLICT_RECORD;
		r = digest_parse(span_of_text(said->id), &found.record_id, flt);
		if (!r)
			fault_undecided(flt, FAULT_REFUSED, "status 409, record %s of this package is under way",
					said->id);
	}
	if (!r)
		*out = found;
	return r;
}

int api_decode_conflict(const struct http_exchange *exchange, struct api_conflict *out, struct fault *flt)
{
	struct api_words words;
	int r;

	*out = (struct api_conflict){ 0 };
	if (exchange->verdict || exchange->status != 409)
		return 0;
	r = api_words_read(exchange, &words, flt);
	if (!r)
		r = conflict(&words.missing, out, flt);
	if (r || out->type)
		api_blame_answer(exchange, flt);
	return r ? r : out->type ? WARG_UNDECIDED : 0;
}

/** Whoever publishes is known by a key as well, and it is mostly that one which is not authorised. */
static int check_login(const struct http_exchange *exchange, struct fault *flt)
{
	struct api_words words;

	if (exchange->verdict || (exchange->status != 401 && exchange->status != 403))
		return 0;
	if (api_words_read(exchange, &words, flt))
		return WARG_UNDECIDED;
	fault_undecided(flt, FAULT_LOGIN, "status %d, neither the login nor the key is enough%s%.150s; "
			API_LOGIN_ADVICE, exchange->status, words.message[0] ? ": " : "", words.message);
	api_blame_answer(exchange, flt);
	return WARG_UNDECIDED;
}

int api_publish_record(const struct api *api, clock_ms deadline, const struct name *name,
		       const struct record_envelope *envelope, struct api_record_state *out,
		       struct api_conflict *conflict_out, struct fault *flt)
{
	struct api_call call = { 0 };
	struct record record;
	int r;

	*conflict_out = (struct api_conflict){ 0 };
	r = record_decode(RECORD_PACKAGE, envelope->content, &record, flt);
	if (r)
		return r;
	r = begin_publish(&call, api, deadline, name, envelope, flt);
	call.exchange.once = true;
	call.exchange.repeats = false;
	if (!r)
		r = api_run(api, &call, 1, flt);
	if (!r)
		r = check_login(&call.exchange, flt);
	if (!r)
		r = api_decode_conflict(&call.exchange, conflict_out, flt);
	if (!r)
		r = api_decode_record(api->url, &call.exchange, &record.id, &record, out, flt);
	api_call_release(&call);
	record_release(&record);
	return r;
}

bool api_record_refused(const struct fault *flt)
{
	return flt->kind == FAULT_REFUSED || flt->kind == FAULT_LOGIN || flt->kind == FAULT_ABSENT ||
	       (flt->kind == FAULT_SYSTEM && flt->errnum == ENOSPC && flt->party == FAULT_BY_REGISTRY);
}

/* ---- Asking after it ---- */

/** Whether a 404 speaks of what was asked for: one of another thing does not say that the record is not there. */
static int check_absent(const struct http_exchange *exchange, const struct name *name, const struct digest *record_id,
			struct fault *flt)
{
	struct api_words words;
	struct digest log_id = name_log_id(name), id;
	const struct digest *expected;
	int r;

	if (exchange->verdict || exchange->status != 404)
		return 0;
	r = api_words_read(exchange, &words, flt);
	if (r)
		return r;
	expected = !strcmp(words.missing.type, "record") ? record_id :
		   !strcmp(words.missing.type, "log")    ? &log_id :
							   NULL;
	if (!expected)
		fault_undecided(flt, FAULT_REFUSED, "status 404, which does not say that it has no such record");
	else if (digest_parse(span_of_text(words.missing.id), &id, NULL) || !digest_equals(&id, expected))
		fault_invalid(flt, "it speaks of another record");
	else
		return 0;
	api_blame_answer(exchange, flt);
	return expected ? WARG_INVALID : WARG_UNDECIDED;
}

int api_fetch_record(const struct api *api, clock_ms deadline, const struct name *name, const struct digest *record_id,
		     const struct record *record, struct api_record_state *out, struct fault *flt)
{
	struct api_call call = { 0 };
	char path[192];
	int r;

	format_path(name, record_id, path);
	r = api_call_init(&call, api, path, NULL, CAP_BODY_RECORD, deadline, flt);
	if (!r)
		r = api_run(api, &call, 1, flt);
	if (!r)
		r = check_absent(&call.exchange, name, record_id, flt);
	if (!r)
		r = api_decode_record(api->url, &call.exchange, record_id, record, out, flt);
	api_call_release(&call);
	return r;
}

/* ---- Uploading ---- */

static const char *text_of(const struct buf *text)
{
	return text->length ? (const char *)text->data : NULL;
}

int api_upload_content(const struct api *api, clock_ms deadline, clock_ms stall, const struct api_upload *upload,
		       const struct http_file *file, struct fault *flt)
{
	struct api_call call = { .exchange = { .method = upload->method,
					       .url = (const char *)upload->url.data,
					       .file = file,
					       .body_type = text_of(&upload->content_type),
					       .authorization = text_of(&upload->authorization),
					       .once = true,
					       .cap = CAP_BODY_SMALL,
					       .deadline = deadline,
					       .stall = stall } };
	int r = http_url_check_origin(api->url, call.exchange.url, flt);

	if (!r)
		r = api_run(api, &call, 1, flt);
	if (!r)
		r = check_status(&call.exchange, flt);
	if (!r)
		r = api_answer_check(&call.exchange, NULL, flt);
	api_call_release(&call);
	return r;
}
