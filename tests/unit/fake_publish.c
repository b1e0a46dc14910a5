/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry in memory that takes records, and can lie about them: fake_publish.h.
 */
#include "fake_publish.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "forge.h"
#include "verify/record.h"

#define RECORDS 256
#define CONTENTS 64

struct content {
	struct digest digest;
	bool came;
};

/** A record that was taken. */
struct taken {
	struct digest id;
	char package[128];
	struct buf bytes;
	struct digest key_id;
	char signature[CAP_SIGNATURE_TEXT + 1];
	struct content contents[CONTENTS];
	size_t count;
	unsigned polls;
	enum api_record_status status;
	char reason[384];
	uint64_t index;
};

struct fake_publish {
	struct fake_registry *fake;
	pthread_mutex_t mutex;
	enum fake_publish_lie lie;
	unsigned times; /* that the lie is told still; 0: for ever */
	enum fake_lie then;
	const char *victim;
	const char *elsewhere;
	unsigned delay;
	bool hides_missing;
	void (*meanwhile)(void *user);
	void *user;
	struct fake_publish_counts counts;
	struct taken *records[RECORDS];
	size_t record_count;
};

static void must(int verdict)
{
	assert_int_equal(verdict, 0);
}

/** Whether this lie is the one to be told. It is told then. */
static bool lies(struct fake_publish *publish, enum fake_publish_lie lie)
{
	if (publish->lie != lie)
		return false;
	if (publish->times && !--publish->times)
		publish->lie = PUBLISH_HONEST;
	return true;
}

/* ---- Records ---- */

static struct taken *find(struct fake_publish *publish, const char *id_text)
{
	struct digest id;

	if (digest_parse(span_of_text(id_text), &id, NULL))
		return NULL;
	for (size_t i = 0; i < publish->record_count; i++)
		if (digest_equals(&publish->records[i]->id, &id))
			return publish->records[i];
	return NULL;
}

static bool has_all(const struct taken *taken)
{
	for (size_t i = 0; i < taken->count; i++)
		if (!taken->contents[i].came)
			return false;
	return true;
}

static void reject(struct taken *taken, const char *reason)
{
	taken->status = API_RECORD_REJECTED;
	snprintf(taken->reason, sizeof(taken->reason), "%s", reason);
}

/** Go on with a record as far as it goes by itself. */
static void go_on(struct fake_publish *publish, struct taken *taken)
{
	const struct record_envelope envelope = { .content = buf_span(&taken->bytes), .key_id = taken->key_id,
						  .signature = span_of_text(taken->signature) };
	struct fault flt = { 0 };

	if (taken->status == API_RECORD_SOURCING && has_all(taken))
		taken->status = API_RECORD_PROCESSING;
	if (taken->status != API_RECORD_PROCESSING || taken->polls < publish->delay ||
	    publish->lie == PUBLISH_PROCESSES || publish->lie == PUBLISH_SAYS_PUBLISHED ||
	    publish->lie == PUBLISH_SAYS_LATER)
		return;
	if (lies(publish, PUBLISH_REJECTS)) {
		reject(taken, "never\033[2J");
		return;
	}
	if (fake_registry_take(publish->fake, taken->package, &envelope, &taken->index, &flt)) {
		reject(taken, flt.what);
		return;
	}
	fake_registry_sign(publish->fake);
	if (publish->then != LIE_NONE)
		fake_registry_lie(publish->fake, publish->then, publish->victim);
	taken->status = API_RECORD_PUBLISHED;
	publish->counts.published++;
}

static void gather_contents(struct fake_publish *publish, struct taken *taken)
{
	struct record record;

	must(record_decode(RECORD_PACKAGE, buf_span(&taken->bytes), &record, NULL));
	for (size_t i = 0; i < record.entry_count; i++) {
		struct content *content = &taken->contents[taken->count];

		if (record.entries[i].type != ENTRY_RELEASE)
			continue;
		assert_true(taken->count < CONTENTS);
		*content = (struct content){ .digest = record.entries[i].content };
		/* What it has already, it does not ask for. */
		for (size_t j = 0; j < publish->record_count; j++)
			for (size_t k = 0; k < publish->records[j]->count; k++)
				content->came |= publish->records[j]->contents[k].came &&
						 digest_equals(&publish->records[j]->contents[k].digest,
							       &content->digest);
		taken->count++;
	}
	record_release(&record);
}

static struct taken *take(struct fake_publish *publish, const struct json *body)
{
	struct taken *taken = calloc(1, sizeof(*taken));
	const struct json *record;
	struct span text;

	assert_non_null(taken);
	assert_true(publish->record_count < RECORDS);
	buf_init(&taken->bytes, CAP_RECORD);
	must(json_read_object(body, "record", &record, NULL));
	must(json_read_base64(record, "contentBytes", &taken->bytes, NULL));
	must(json_read_digest(record, "keyId", &taken->key_id, NULL));
	must(json_read_text(record, "signature", &text, NULL));
	assert_true(text.length < sizeof(taken->signature));
	memcpy(taken->signature, text.data, text.length);
	must(json_read_text(body, "packageName", &text, NULL));
	snprintf(taken->package, sizeof(taken->package), "%.*s", (int)text.length, (const char *)text.data);
	taken->id = record_id(RECORD_PACKAGE, buf_span(&taken->bytes));
	gather_contents(publish, taken);
	return taken;
}

static void taken_free(struct taken *taken)
{
	buf_release(&taken->bytes);
	free(taken);
}

/* ---- Answers ---- */

static void answer(struct server_connection *connection, int status, struct json *json)
{
	struct buf text;

	buf_init(&text, CAP_BODY_RECORD);
	must(json_render(json, JSON_COMPACT, &text, NULL));
	json_free(json);
	server_answer(connection, status, buf_span(&text));
	buf_release(&text);
}

static void answer_error(struct server_connection *connection, int status, const char *type, const char *id,
			 const char *message)
{
	struct json *json = json_new_object();

	json_put_uint(json, "status", (uint64_t)status);
	if (type) {
		json_put_text(json, "type", type);
		json_put_text(json, "id", id);
	}
	if (message)
		json_put_text(json, "message", message);
	answer(connection, status, json);
}

static struct json *render_upload(struct fake_publish *publish, const struct taken *taken, const char *content)
{
	struct json *ways = json_new_list(), *way = json_new_object(), *upload = json_new_object();
	struct name name = forge_name(taken->package);
	struct digest log_id = name_log_id(&name);
	char log[DIGEST_TEXT_SIZE], id[DIGEST_TEXT_SIZE], url[512];

	digest_format(&log_id, log);
	digest_format(&taken->id, id);
	snprintf(url, sizeof(url), "%sv1/package/%s/record/%s/content/%s",
		 lies(publish, PUBLISH_WANTS_ELSEWHERE) ? publish->elsewhere : "", log, id, content);
	json_put_text(way, "type", "http");
	json_put_text(way, "method", "POST");
	json_put_text(way, "url", url);
	if (lies(publish, PUBLISH_WANTS_HEADERS)) {
		struct json *headers = json_new_object();

		json_put_text(headers, "cookie", "a=b");
		json_put(way, "headers", headers);
	}
	json_add(ways, way);
	json_put(upload, "upload", ways);
	return upload;
}

static struct json *render_missing(struct fake_publish *publish, const struct taken *taken)
{
	struct json *missing = json_new_object();
	char content[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < taken->count; i++) {
		struct digest digest = taken->contents[i].digest;

		if (taken->contents[i].came && !lies(publish, PUBLISH_WANTS_FOR_EVER))
			continue;
		if (lies(publish, PUBLISH_WANTS_OTHER))
			digest.bytes[0] ^= 1;
		digest_format(&digest, content);
		if (!json_member(missing, content))
			json_put(missing, content, render_upload(publish, taken, content));
	}
	return missing;
}

static void put_published(struct fake_publish *publish, struct json *json, uint64_t index)
{
	json_put_text(json, "state", "published");
	json_put_uint(json, "registryIndex", lies(publish, PUBLISH_OTHER_INDEX) ? index + 1 : index);
}

static void answer_state(struct fake_publish *publish, struct server_connection *connection, int status,
			 const struct taken *taken)
{
	struct digest id = taken->id;
	struct json *json = json_new_object();

	if (lies(publish, PUBLISH_OTHER_RECORD))
		id.bytes[0] ^= 1;
	json_put_digest(json, "recordId", &id);
	if (lies(publish, PUBLISH_NO_STATE)) {
		json_put_text(json, "state", "validated");
	} else if (lies(publish, PUBLISH_SAYS_PUBLISHED)) {
		put_published(publish, json, 0);
	} else if (lies(publish, PUBLISH_SAYS_LATER)) {
		put_published(publish, json, 1000);
	} else if (taken->status == API_RECORD_SOURCING && publish->hides_missing && status == 200) {
		json_put_text(json, "state", "processing");
	} else if (taken->status == API_RECORD_SOURCING || publish->lie == PUBLISH_WANTS_FOR_EVER) {
		json_put_text(json, "state", "sourcing");
		json_put(json, "missingContent", render_missing(publish, taken));
	} else if (taken->status == API_RECORD_REJECTED || lies(publish, PUBLISH_REJECTS_AND_DOES)) {
		json_put_text(json, "state", "rejected");
		json_put_text(json, "reason", taken->reason);
	} else if (taken->status == API_RECORD_PUBLISHED) {
		put_published(publish, json, taken->index);
	} else {
		json_put_text(json, "state", "processing");
	}
	answer(connection, status, json);
}

/* ---- The calls ---- */

/** What is answered without the record being taken. @return whether it was */
static bool refuse(struct fake_publish *publish, struct server_connection *connection)
{
	static const char nobody[] = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

	if (lies(publish, PUBLISH_LOST_BEFORE))
		return true;
	if (lies(publish, PUBLISH_FAILS_BEFORE))
		answer_error(connection, 500, NULL, NULL, "oh");
	else if (lies(publish, PUBLISH_REFUSES))
		answer_error(connection, 422, NULL, NULL, "not\033[2J that");
	else if (lies(publish, PUBLISH_LOGIN))
		answer_error(connection, 401, NULL, NULL, "not that key");
	else if (lies(publish, PUBLISH_NO_NAMESPACE))
		answer_error(connection, 404, "namespace", "test", NULL);
	else if (lies(publish, PUBLISH_IMPORTED))
		answer_error(connection, 409, "namespaceImport", "test", NULL);
	else if (lies(publish, PUBLISH_CONFLICTS))
		answer_error(connection, 409, "record", nobody, NULL);
	else if (lies(publish, PUBLISH_BUSY))
		server_write_text(connection, "HTTP/1.1 503 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n");
	else
		return false;
	return true;
}

static void answer_taken(struct fake_publish *publish, struct server_connection *connection, const struct taken *taken)
{
	char id[DIGEST_TEXT_SIZE];

	digest_format(&taken->id, id);
	if (lies(publish, PUBLISH_LOST))
		return;
	if (lies(publish, PUBLISH_FAILS))
		answer_error(connection, 500, NULL, NULL, "oh");
	else if (lies(publish, PUBLISH_GARBAGE))
		server_answer(connection, 202, span_of_text("<html>It works!</html>"));
	else if (lies(publish, PUBLISH_REDIRECTS))
		server_write_text(connection,
				  "HTTP/1.1 303 There\r\nlocation: /v1/there\r\ncontent-length: 0\r\n\r\n");
	else if (lies(publish, PUBLISH_CONFLICTS_SELF))
		answer_error(connection, 409, "record", id, NULL);
	else
		answer_state(publish, connection, 202, taken);
}

static void post_record(struct fake_publish *publish, struct server_connection *connection, const char *log,
			const struct server_request *request, bool *hang)
{
	struct name name;
	struct taken *taken;
	struct json *body;
	struct digest log_id;
	char text[DIGEST_TEXT_SIZE];

	publish->counts.posts++;
	if (publish->meanwhile)
		publish->meanwhile(publish->user);
	must(json_parse(request->body, &body, NULL));
	taken = take(publish, body);
	json_free(body);
	name = forge_name(taken->package);
	log_id = name_log_id(&name);
	digest_format(&log_id, text);
	assert_string_equal(text, log);
	digest_format(&taken->id, text);
	if (find(publish, text)) {
		publish->counts.repeated++;
		taken_free(taken);
		return;
	}
	if (refuse(publish, connection)) {
		taken_free(taken);
		return;
	}
	publish->records[publish->record_count++] = taken;
	go_on(publish, taken);
	*hang = lies(publish, PUBLISH_HANGS);
	if (!*hang)
		answer_taken(publish, connection, taken);
}

static void get_record(struct fake_publish *publish, struct server_connection *connection, const char *log,
		       const char *id)
{
	struct taken *taken = find(publish, id);

	publish->counts.polls++;
	if (!taken || lies(publish, PUBLISH_FORGETS)) {
		answer_error(connection, 404, publish->record_count ? "record" : "log",
			     publish->record_count ? id : log, NULL);
		return;
	}
	taken->polls++;
	go_on(publish, taken);
	answer_state(publish, connection, 200, taken);
}

/** @return whether it was answered */
static bool refuse_upload(struct fake_publish *publish, struct server_connection *connection)
{
	char head[512];

	if (lies(publish, PUBLISH_UPLOAD_REFUSED))
		answer_error(connection, 400, NULL, NULL, "not that");
	else if (lies(publish, PUBLISH_UPLOAD_FAILS))
		answer_error(connection, 500, NULL, NULL, "oh");
	else if (lies(publish, PUBLISH_UPLOAD_REDIRECTS)) {
		snprintf(head, sizeof(head), "HTTP/1.1 307 There\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n",
			 publish->elsewhere);
		server_write_text(connection, head);
	} else
		return false;
	return true;
}

static void post_content(struct fake_publish *publish, struct server_connection *connection, const char *id,
			 const char *content, const struct server_request *request)
{
	struct taken *taken = find(publish, id);
	struct digest digest = digest_of(request->body), named;
	bool wanted = false;

	publish->counts.uploads++;
	if (refuse_upload(publish, connection))
		return;
	if (!taken) {
		answer_error(connection, 404, "record", id, NULL);
		return;
	}
	if (taken->status != API_RECORD_SOURCING && publish->lie != PUBLISH_WANTS_FOR_EVER) {
		answer_error(connection, 405, NULL, NULL, NULL);
		return;
	}
	must(digest_parse(span_of_text(content), &named, NULL));
	for (size_t i = 0; i < taken->count; i++) {
		if (!digest_equals(&taken->contents[i].digest, &digest) || !digest_equals(&digest, &named))
			continue;
		taken->contents[i].came = true;
		wanted = true;
	}
	if (!wanted) {
		answer_error(connection, 400, NULL, NULL, "the content does not match");
		return;
	}
	go_on(publish, taken);
	if (!lies(publish, PUBLISH_UPLOAD_LOST))
		server_answer(connection, 201, span_of_text("{}"));
}

static void dispatch(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_publish *publish = user;
	char log[80], id[80], content[80], end;
	bool is_post = !strcmp(request->method, "POST"), hang = false;
	int count = sscanf(request->target, "/v1/package/%79[^/]/record/%79[^/]/content/%79[^/]%c", log, id, content,
			   &end);

	pthread_mutex_lock(&publish->mutex);
	if (count == 3 && is_post)
		post_content(publish, connection, id, content, request);
	else if (count == 2 && !is_post)
		get_record(publish, connection, log, id);
	else if (sscanf(request->target, "/v1/package/%79[^/]/recor%c%c", log, &end, &content[0]) == 2 && is_post)
		post_record(publish, connection, log, request, &hang);
	else
		answer_error(connection, 404, NULL, NULL, "not found");
	pthread_mutex_unlock(&publish->mutex);
	if (hang)
		server_hang(connection);
}

/* ---- The whole ---- */

struct fake_publish *fake_publish_new(struct fake_registry *fake)
{
	struct fake_publish *publish = calloc(1, sizeof(*publish));

	assert_non_null(publish);
	publish->fake = fake;
	publish->elsewhere = "https://elsewhere.example/";
	pthread_mutex_init(&publish->mutex, NULL);
	server_on(fake_registry_server(fake), "*", dispatch, publish);
	return publish;
}

void fake_publish_free(struct fake_publish *publish)
{
	if (!publish)
		return;
	for (size_t i = 0; i < publish->record_count; i++)
		taken_free(publish->records[i]);
	pthread_mutex_destroy(&publish->mutex);
	free(publish);
}

void fake_publish_lie(struct fake_publish *publish, enum fake_publish_lie lie, unsigned times)
{
	pthread_mutex_lock(&publish->mutex);
	publish->lie = lie;
	publish->times = times;
	pthread_mutex_unlock(&publish->mutex);
}

void fake_publish_then_lie(struct fake_publish *publish, enum fake_lie lie, const char *victim)
{
	pthread_mutex_lock(&publish->mutex);
	publish->then = lie;
	publish->victim = victim;
	pthread_mutex_unlock(&publish->mutex);
}

void fake_publish_elsewhere(struct fake_publish *publish, const char *url)
{
	pthread_mutex_lock(&publish->mutex);
	publish->elsewhere = url;
	pthread_mutex_unlock(&publish->mutex);
}

void fake_publish_delay(struct fake_publish *publish, unsigned polls)
{
	pthread_mutex_lock(&publish->mutex);
	publish->delay = polls;
	pthread_mutex_unlock(&publish->mutex);
}

void fake_publish_hide_missing(struct fake_publish *publish)
{
	pthread_mutex_lock(&publish->mutex);
	publish->hides_missing = true;
	pthread_mutex_unlock(&publish->mutex);
}

void fake_publish_meanwhile(struct fake_publish *publish, void (*meanwhile)(void *user), void *user)
{
	pthread_mutex_lock(&publish->mutex);
	publish->meanwhile = meanwhile;
	publish->user = user;
	pthread_mutex_unlock(&publish->mutex);
}

struct fake_publish_counts fake_publish_counts(struct fake_publish *publish)
{
	struct fake_publish_counts counts;

	pthread_mutex_lock(&publish->mutex);
	counts = publish->counts;
	pthread_mutex_unlock(&publish->mutex);
	return counts;
}
