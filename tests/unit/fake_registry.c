/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry in memory that can lie: fake_registry.h.
 */
#include "fake_registry.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/json.h"
#include "forge.h"
#include "verify/base64.h"
#include "verify/package_log.h"

#define PATHS 6
static const char *const paths[PATHS] = {"v1/fetch/checkpoint", "v1/fetch/logs",        "v1/fetch/names",
					 "v1/ledger",           "v1/proof/inclusion",   "v1/proof/consistency"};

#define HANDLERS 7

/** Who answers a path. */
struct route {
	struct fake_registry *fake;
	server_handler *handler;
};

struct fake_registry {
	struct embedded_registry *server;
	struct route routes[HANDLERS];
	struct http_url url;
	struct forge forge;
	struct ecdsa_private_key *weak_key, *foreign_key;
	char (*packages)[320]; /* package of each record; "": the operator's log */
	struct signed_checkpoint *checkpoints;
	size_t checkpoint_count;

	pthread_mutex_t mutex;
	pthread_cond_t came;
	enum fake_lie lie;
	char victim[64];
	size_t page;
	unsigned counts[PATHS];
	unsigned together;
	size_t gathered; /* the path whose answers wait */
	enum fake_speech speech;
	struct fake_registry *other; /* whom it speaks for */
	const char *token;           /* the token that it demands; NULL: none */
	const char *hint;
	struct buf heads; /* of all requests, one after the other */
};

static void must(int verdict)
{
	assert_int_equal(verdict, 0);
}

/* ---- Records ---- */

/* Whose the record is that was appended last. */
static void note_package(struct fake_registry *fake, const char *package)
{
	fake->packages = reallocarray(fake->packages, fake->forge.count, sizeof(fake->packages[0]));
	assert_non_null(fake->packages);
	snprintf(fake->packages[fake->forge.count - 1], sizeof(fake->packages[0]), "%s", package);
}

/* The operator's log: it knows a second key, which may not sign checkpoints. */
static void publish_operator(struct fake_registry *fake)
{
	const struct record_entry grant = forge_grant(fake->weak_key, PERMISSION_DEFINE_NAMESPACE);

	note_package(fake, "");
	forge_append(&fake->forge, RECORD_OPERATOR, NULL, &grant, 1, fake->forge.operator_key);
	note_package(fake, "");
}

void fake_registry_release(struct fake_registry *fake, const char *package, const char *version)
{
	pthread_mutex_lock(&fake->mutex);
	forge_publish(&fake->forge, package, version, version);
	note_package(fake, package);
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_import(struct fake_registry *fake, const char *namespace, const char *registry)
{
	const struct record_entry import = forge_import(namespace, registry);

	pthread_mutex_lock(&fake->mutex);
	forge_append(&fake->forge, RECORD_OPERATOR, NULL, &import, 1, fake->forge.operator_key);
	note_package(fake, "");
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_yank(struct fake_registry *fake, const char *package, const char *version)
{
	const struct record_entry entry = forge_yank(version);

	pthread_mutex_lock(&fake->mutex);
	forge_append(&fake->forge, RECORD_PACKAGE, package, &entry, 1, fake->forge.package_key);
	note_package(fake, package);
	pthread_mutex_unlock(&fake->mutex);
}

/* What its log says to a package's next record. */
static int validate(const struct fake_registry *fake, const char *package, const struct record_envelope *envelope,
		    struct fault *flt)
{
	struct name name = forge_name(package);
	struct package_log *log;
	int r;

	must(package_log_new(&name, &log, NULL));
	for (size_t i = 0; i < fake->forge.count; i++) {
		struct record_envelope before = forge_envelope(&fake->forge.records[i]);

		if (!strcmp(fake->packages[i], package))
			must(package_log_append(log, &before, NULL));
	}
	r = package_log_append(log, envelope, flt);
	package_log_unref(log);
	return r;
}

int fake_registry_take(struct fake_registry *fake, const char *package, const struct record_envelope *envelope,
		       uint64_t *index, struct fault *flt)
{
	int r;

	pthread_mutex_lock(&fake->mutex);
	r = validate(fake, package, envelope, flt);
	if (!r) {
		*index = fake->forge.count;
		forge_append_made(&fake->forge, package, envelope);
		note_package(fake, package);
	}
	pthread_mutex_unlock(&fake->mutex);
	return r;
}

void fake_registry_put(struct fake_registry *fake, const char *package, const struct record_envelope *envelope)
{
	pthread_mutex_lock(&fake->mutex);
	forge_append_made(&fake->forge, package, envelope);
	note_package(fake, package);
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_sign(struct fake_registry *fake)
{
	pthread_mutex_lock(&fake->mutex);
	fake->checkpoints = reallocarray(fake->checkpoints, fake->checkpoint_count + 1, sizeof(*fake->checkpoints));
	assert_non_null(fake->checkpoints);
	fake->checkpoints[fake->checkpoint_count] =
		forge_checkpoint(&fake->forge, fake->forge.count, 2000 + fake->checkpoint_count);
	fake->checkpoint_count++;
	pthread_mutex_unlock(&fake->mutex);
}

static bool is_last(const struct fake_registry *fake, size_t index)
{
	return forge_head(&fake->forge, &fake->forge.records[index].log_id, fake->forge.count) == (int64_t)index;
}

/* ---- Answers ---- */

/* Count the request; wait for the others that are to come with it. */
static void count_request(struct fake_registry *fake, const char *path)
{
	size_t at = 0;

	while (strcmp(paths[at], path))
		at++;
	fake->counts[at]++;
	pthread_cond_broadcast(&fake->came);
	while (fake->gathered == at && fake->counts[at] < fake->together)
		pthread_cond_wait(&fake->came, &fake->mutex);
}

static void answer(struct server_connection *connection, int status, struct json *json)
{
	struct buf text;

	buf_init(&text, CAP_BODY_LEDGER);
	must(json_render(json, JSON_COMPACT, &text, NULL));
	json_free(json);
	server_answer(connection, status, buf_span(&text));
	buf_release(&text);
}

static void answer_error(struct server_connection *connection, int status, const char *type, const char *id)
{
	struct json *json = json_new_object();

	json_put_uint(json, "status", (uint64_t)status);
	if (type) {
		json_put_text(json, "type", type);
		json_put_text(json, "id", id);
	} else {
		json_put_text(json, "reason", "failure");
		json_put_text(json, "message", "no");
	}
	answer(connection, status, json);
}

/* A log that is not there: with a hint, if there is one to give. */
static void answer_absent(const struct fake_registry *fake, struct server_connection *connection, const char *id)
{
	char text[1024];

	if (!fake->hint) {
		answer_error(connection, 404, "log", id);
		return;
	}
	snprintf(text, sizeof(text), "HTTP/1.1 404 No\r\nContent-Type: application/json\r\n"
		 "Warg-Registry-Hint: %s\r\n\r\n"
		 "{\"status\":404,\"type\":\"log\",\"id\":\"%s\"}", fake->hint, id);
	server_write_text(connection, text);
}

static void put_base64(struct json *json, const char *name, struct span bytes)
{
	struct buf text;

	buf_init(&text, CAP_BODY_PROOF);
	must(base64_encode(bytes, &text, NULL));
	json_put_span(json, name, buf_span(&text));
	buf_release(&text);
}

static bool is_lying(const struct fake_registry *fake, enum fake_lie lie)
{
	return fake->lie == lie;
}

static void checkpoint_lie(const struct fake_registry *fake, struct signed_checkpoint *checkpoint)
{
	struct checkpoint contents = checkpoint->contents;
	const struct ecdsa_private_key *key = fake->forge.operator_key;

	switch (fake->lie) {
	case LIE_KEY_UNKNOWN:
		key = fake->foreign_key;
		break;
	case LIE_KEY_NO_COMMIT:
		key = fake->weak_key;
		break;
	case LIE_LENGTH:
		contents.log_length--;
		break;
	case LIE_LOG_ROOT:
		contents.log_root.bytes[0] ^= 1;
		break;
	case LIE_MAP_ROOT:
		contents.map_root.bytes[0] ^= 1;
		break;
	case LIE_TIME:
		checkpoint->contents.timestamp++;
		return;
	case LIE_ROLLBACK:
		*checkpoint = fake->checkpoints[0];
		return;
	default:
		return;
	}
	must(checkpoint_sign(&contents, key, checkpoint, NULL));
}

static void answer_checkpoint(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_registry *fake = user;
	struct json *json = json_new_object(), *contents = json_new_object();
	struct signed_checkpoint checkpoint;

	(void)request;
	pthread_mutex_lock(&fake->mutex);
	count_request(fake, "v1/fetch/checkpoint");
	checkpoint = fake->checkpoints[fake->checkpoint_count - 1];
	checkpoint_lie(fake, &checkpoint);
	if (is_lying(fake, LIE_GARBAGE)) {
		server_answer(connection, 200, span_of_text("<html>It works!</html>"));
		json_free(json);
		json_free(contents);
	} else {
		json_put_uint(contents, "logLength", checkpoint.contents.log_length);
		json_put_digest(contents, "logRoot", &checkpoint.contents.log_root);
		json_put_digest(contents, "mapRoot", &checkpoint.contents.map_root);
		json_put_uint(contents, "timestamp", checkpoint.contents.timestamp);
		json_put(json, "contents", contents);
		json_put_digest(json, "keyId", &checkpoint.key_id);
		json_put_text(json, "signature", checkpoint.signature);
		answer(connection, 200, json);
	}
	pthread_mutex_unlock(&fake->mutex);
}

/* ---- Logs ---- */

static bool is_victim(const struct fake_registry *fake, size_t index)
{
	return !strcmp(fake->victim, fake->packages[index]);
}

/* Where the record at `index` stands, as the registry tells it. */
static uint64_t told_index(const struct fake_registry *fake, size_t index, size_t length)
{
	if (!is_victim(fake, index))
		return index;
	if (is_lying(fake, LIE_INDEX) && is_last(fake, index))
		return index + 1;
	if (is_lying(fake, LIE_INDEX_PAST) && is_last(fake, index))
		return length;
	return is_lying(fake, LIE_INDEX_ORDER) ? 1 : index;
}

static struct json *render_record(const struct fake_registry *fake, size_t index, size_t length)
{
	const struct forge_record *record = &fake->forge.records[index];
	struct json *json = json_new_object();
	char token[DIGEST_TEXT_SIZE];
	struct buf content;

	buf_init(&content, 2 * CAP_RECORD_CARRIED);
	must(buf_append(&content, buf_span(&record->content), NULL));
	if ((is_lying(fake, LIE_RECORD) && is_victim(fake, index)) ||
	    (is_lying(fake, LIE_OPERATOR_RECORD) && !fake->packages[index][0]))
		content.data[content.length - 1] ^= 1;
	put_base64(json, "contentBytes", buf_span(&content));
	json_put_digest(json, "keyId", &record->key_id);
	json_put_text(json, "signature", record->signature);
	json_put_uint(json, "registryIndex", told_index(fake, index, length));
	digest_format(&record->id, token);
	json_put_text(json, "fetchToken", token);
	buf_release(&content);
	return json;
}

/* Where to go on behind a token. @return false if it is unknown */
static bool find_token(const struct fake_registry *fake, const struct json *token, size_t *start)
{
	struct digest id;
	struct span text;

	*start = 0;
	if (!token)
		return true;
	must(json_as_text(token, &text, NULL));
	if (digest_parse(text, &id, NULL))
		return false;
	for (size_t i = 0; i < fake->forge.count; i++) {
		if (!digest_equals(&fake->forge.records[i].id, &id))
			continue;
		*start = i + 1;
		return true;
	}
	return false;
}

/* The records of a log behind a token. */
static struct json *render_log(const struct fake_registry *fake, const char *package, size_t start, size_t length,
			       bool *more)
{
	bool is_lied_about = package[0] && !strcmp(package, fake->victim);
	struct json *list = json_new_list();
	size_t sent = 0;

	if (is_lied_about && is_lying(fake, LIE_OTHER_LOG))
		package = "test:good";
	for (size_t i = start; i < length && sent < fake->page; i++) {
		if (strcmp(fake->packages[i], package) || (is_lied_about && is_lying(fake, LIE_EMPTY)) ||
		    (is_lied_about && is_lying(fake, LIE_WITHHELD) && is_last(fake, i)))
			continue;
		json_add(list, render_record(fake, i, length));
		sent++;
	}
	*more = *more || sent == fake->page;
	return list;
}

static const char *package_of(const struct fake_registry *fake, const char *log_id)
{
	struct digest id;

	must(digest_parse(span_of_text(log_id), &id, NULL));
	for (size_t i = 0; i < fake->forge.count; i++)
		if (digest_equals(&fake->forge.records[i].log_id, &id))
			return fake->packages[i];
	return NULL;
}

/* @return false if the request was answered with an error */
static bool render_logs(struct fake_registry *fake, struct server_connection *connection, const struct json *body,
			struct json *out)
{
	struct json_walk walk = json_walk(json_member(body, "packages"));
	struct json *packages = json_new_object();
	uint64_t length;
	bool more = false;
	size_t start;

	must(json_read_uint(body, "logLength", &length, NULL));
	if (length > fake->forge.count) {
		json_free(packages);
		answer_error(connection, 404, "logLength", "more");
		return false;
	}
	if (!find_token(fake, json_member(body, "operator"), &start))
		goto unknown_token;
	json_put(out, "operator", render_log(fake, "", start, length, &more));
	while (json_step(&walk)) {
		const char *package = package_of(fake, walk.name);

		if (!package || (is_lying(fake, LIE_ABSENT) && !strcmp(package, fake->victim))) {
			json_free(packages);
			answer_absent(fake, connection, walk.name);
			return false;
		}
		if (walk.value && is_lying(fake, LIE_TOKENS_HANG_UP)) {
			json_free(packages);
			return false;
		}
		if ((walk.value && is_lying(fake, LIE_TOKENS)) || !find_token(fake, walk.value, &start))
			goto unknown_token;
		json_put(packages, walk.name, render_log(fake, package, start, length, &more));
	}
	json_put(out, "packages", packages);
	json_put_bool(out, "more", more || is_lying(fake, LIE_MORE));
	return true;
unknown_token:
	json_free(packages);
	answer_error(connection, 404, "fetchToken", "some");
	return false;
}

static struct json *parse(const struct server_request *request)
{
	struct json *body;

	must(json_parse(request->body, &body, NULL));
	return body;
}

static void answer_logs(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_registry *fake = user;
	struct json *body = parse(request), *out = json_new_object();

	pthread_mutex_lock(&fake->mutex);
	count_request(fake, "v1/fetch/logs");
	if (render_logs(fake, connection, body, out))
		answer(connection, 200, out);
	else
		json_free(out);
	pthread_mutex_unlock(&fake->mutex);
	json_free(body);
}

/* ---- Names and ledger ---- */

static void answer_names(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_registry *fake = user;
	struct json *body = parse(request), *out = json_new_object(), *names = json_new_object();
	const struct json *list = json_member(body, "packages");
	size_t count = json_count(list);

	pthread_mutex_lock(&fake->mutex);
	count_request(fake, "v1/fetch/names");
	for (size_t i = 0; i < count; i++) {
		const struct json *named = json_at(list, is_lying(fake, LIE_NAMES_SWAPPED) ? (i + 1) % count : i);
		struct span key, other;
		char id[DIGEST_TEXT_SIZE] = "", other_id[DIGEST_TEXT_SIZE] = "";
		const char *package;

		must(json_as_text(json_at(list, i), &key, NULL));
		must(json_as_text(named, &other, NULL));
		memcpy(id, key.data, key.length);
		memcpy(other_id, other.data, other.length);
		package = package_of(fake, other_id);
		if (!package || (is_lying(fake, LIE_NAMES_WITHHELD) && !strcmp(package, fake->victim)))
			json_put_null(names, id);
		else
			json_put_text(names, id, package);
	}
	json_put(out, "packages", names);
	answer(connection, 200, out);
	pthread_mutex_unlock(&fake->mutex);
	json_free(body);
}

static void answer_ledger(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_registry *fake = user;
	struct json *out = json_new_object(), *sources = json_new_list(), *source = json_new_object();

	(void)request;
	pthread_mutex_lock(&fake->mutex);
	count_request(fake, "v1/ledger");
	json_put_text(out, "hashAlgorithm", "sha256");
	json_put_uint(source, "firstRegistryIndex", 0);
	json_put_uint(source, "lastRegistryIndex", fake->forge.count - 1);
	json_put_text(source, "url", "ledger.bin");
	json_put_text(source, "contentType", "application/vnd.warg.ledger.packed");
	json_add(sources, source);
	json_put(out, "sources", sources);
	if (is_lying(fake, LIE_LEDGER_NONE)) {
		json_free(out);
		answer_error(connection, 501, NULL, NULL);
	} else {
		answer(connection, 200, out);
	}
	pthread_mutex_unlock(&fake->mutex);
}

static void answer_ledger_bytes(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_registry *fake = user;
	struct buf bytes;

	(void)request;
	buf_init(&bytes, CAP_BODY_LEDGER);
	pthread_mutex_lock(&fake->mutex);
	for (size_t i = 0; i < fake->forge.count; i++) {
		size_t at = is_lying(fake, LIE_LEDGER_REORDERED) ? fake->forge.count - 1 - i : i;

		if (is_lying(fake, LIE_LEDGER_SHORT) && i + 1 == fake->forge.count)
			break;
		must(buf_append(&bytes, digest_span(&fake->forge.records[at].log_id), NULL));
		must(buf_append(&bytes, digest_span(&fake->forge.records[at].id), NULL));
	}
	if (is_lying(fake, LIE_LEDGER_CHANGED))
		bytes.data[bytes.length - 1] ^= 1;
	server_answer(connection, 200, buf_span(&bytes));
	pthread_mutex_unlock(&fake->mutex);
	buf_release(&bytes);
}

/* ---- Proofs ---- */

static void put_log_bundle(struct json *out, const char *name, struct merkle_log_bundle *bundle)
{
	struct buf bytes;

	buf_init(&bytes, CAP_BODY_PROOF);
	must(merkle_log_bundle_encode(bundle, &bytes, NULL));
	put_base64(out, name, buf_span(&bytes));
	buf_release(&bytes);
	merkle_log_bundle_release(bundle);
}

static size_t lie_about_indices(const struct fake_registry *fake, uint64_t *indices, size_t count)
{
	switch (fake->lie) {
	case LIE_PROOFS_FEWER:
		return count > 1 ? count - 1 : count;
	case LIE_PROOFS_MORE:
		indices[count] = 0;
		return count + 1;
	case LIE_PROOFS_REORDERED:
		for (size_t i = 0; i < count / 2; i++) {
			uint64_t index = indices[i];

			indices[i] = indices[count - 1 - i];
			indices[count - 1 - i] = index;
		}
		return count;
	case LIE_PROOFS_OTHER:
		for (size_t i = 0; i < count; i++)
			indices[i] = 1;
		return count;
	default:
		return count;
	}
}

static bool has_victim(const struct fake_registry *fake, const uint64_t *indices, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_victim(fake, indices[i]))
			return true;
	return false;
}

static void put_map_bundle(struct json *out, const char *name, struct merkle_map_bundle *bundle)
{
	struct buf bytes;

	buf_init(&bytes, CAP_BODY_PROOF);
	must(merkle_map_bundle_encode(bundle, &bytes, NULL));
	put_base64(out, name, buf_span(&bytes));
	buf_release(&bytes);
	merkle_map_bundle_release(bundle);
}

static void prove(struct fake_registry *fake, uint64_t length, uint64_t *indices, size_t count, struct json *out)
{
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;

	count = lie_about_indices(fake, indices, count);
	forge_prove_inclusion(&fake->forge, length, indices, count, &log, &map);
	put_log_bundle(out, "log", &log);
	if (is_lying(fake, LIE_MAP_FEWER) && count > 1)
		free(map.paths[--map.count].hashes);
	put_map_bundle(out, "map", &map);
}

static void put_padding(struct json *out, size_t size)
{
	unsigned char *bytes = calloc(1, size);

	assert_non_null(bytes);
	json_put_base64(out, "padding", (struct span){ bytes, size });
	free(bytes);
}

/* Whether all of them are records of the log at a length that it has. */
static bool can_prove(const struct fake_registry *fake, uint64_t length, const uint64_t *indices, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (indices[i] >= length)
			return false;
	return length <= fake->forge.count;
}

static void answer_inclusion(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_registry *fake = user;
	struct json *body = parse(request), *out = json_new_object();
	const struct json *leaves = json_member(body, "leafs");
	size_t count = json_count(leaves);
	uint64_t *indices = calloc(count + 1, sizeof(*indices));
	struct buf text;
	uint64_t length;
	char *at;

	/* A list of numbers has no reader in json.h: its text is as good. */
	assert_non_null(indices);
	buf_init(&text, CAP_REQUEST * 2);
	must(buf_append(&text, request->body, NULL));
	must(buf_append(&text, (struct span){(const unsigned char *)"", 1}, NULL));
	at = strchr(strstr((char *)text.data, "\"leafs\""), '[') + 1;
	for (size_t i = 0; i < count; i++, at++)
		indices[i] = strtoull(at, &at, 10);
	must(json_read_uint(body, "logLength", &length, NULL));

	pthread_mutex_lock(&fake->mutex);
	count_request(fake, "v1/proof/inclusion");
	if ((is_lying(fake, LIE_PROOFS_REFUSED) && has_victim(fake, indices, count)) ||
	    !can_prove(fake, length, indices, count)) {
		json_free(out);
		answer_error(connection, 422, NULL, NULL);
	} else {
		prove(fake, length, indices, count, out);
		if (is_lying(fake, LIE_PROOFS_LONG) && count > 1)
			put_padding(out, CAP_BODY_PROOF);
		answer(connection, 200, out);
	}
	pthread_mutex_unlock(&fake->mutex);
	buf_release(&text);
	json_free(body);
	free(indices);
}

static void answer_consistency(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct fake_registry *fake = user;
	struct json *body = parse(request), *out = json_new_object();
	struct merkle_log_bundle bundle;
	uint64_t from, to;

	must(json_read_uint(body, "from", &from, NULL));
	must(json_read_uint(body, "to", &to, NULL));
	pthread_mutex_lock(&fake->mutex);
	count_request(fake, "v1/proof/consistency");
	if (is_lying(fake, LIE_CONSISTENCY_NONE) || to > fake->forge.count) {
		json_free(out);
		answer_error(connection, 422, NULL, NULL);
	} else {
		if (is_lying(fake, LIE_CONSISTENCY_FROM))
			from = from > 1 ? from - 1 : from + 1;
		forge_prove_consistency(&fake->forge, from, to, &bundle);
		if (is_lying(fake, LIE_CONSISTENCY_HASH))
			bundle.hashes[0].hash.bytes[0] ^= 1;
		put_log_bundle(out, "proof", &bundle);
		answer(connection, 200, out);
	}
	pthread_mutex_unlock(&fake->mutex);
	json_free(body);
}

/* ---- The whole ---- */

/* Every request passes here: whose words answer it? */
static void dispatch(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct route *route = user;
	struct fake_registry *fake = route->fake, *who = fake;
	enum fake_speech speech = FAKE_IGNORES;
	char login[100];
	bool refused;

	pthread_mutex_lock(&fake->mutex);
	snprintf(login, sizeof(login), "\r\nauthorization: bearer %s\r\n", fake->token ? fake->token : "");
	refused = fake->token && !strcasestr(request->head, login);
	must(buf_append_text(&fake->heads, request->head, NULL));
	if (strcasestr(request->head, "\r\nwarg-registry:")) {
		speech = fake->speech;
		who = speech == FAKE_SPEAKS ? fake->other : fake;
	}
	pthread_mutex_unlock(&fake->mutex);
	if (refused)
		server_answer(connection, 401, span_of_text("{\"status\":401,\"message\":\"who is it\"}"));
	else if (speech == FAKE_REFUSES)
		server_write_text(connection, "HTTP/1.1 501 No\r\nContent-Type: text/plain\r\n\r\nunsupported");
	else if (speech == FAKE_HANGS)
		server_hang(connection);
	else if (speech != FAKE_HANGS_UP)
		route->handler(connection, request, who);
}

static void answer_by(struct fake_registry *fake, size_t at, const char *path, server_handler *handler)
{
	fake->routes[at] = (struct route){fake, handler};
	server_on(fake->server, path, dispatch, &fake->routes[at]);
}

struct fake_registry *fake_registry_new(void)
{
	return fake_registry_new_by("test", 1);
}

struct fake_registry *fake_registry_new_by(const char *namespace, unsigned operator)
{
	struct fake_registry *fake = calloc(1, sizeof(*fake));

	assert_non_null(fake);
	buf_init(&fake->heads, CAP_BODY_LOGS);
	forge_open_by(&fake->forge, namespace, operator);
	pthread_mutex_init(&fake->mutex, NULL);
	pthread_cond_init(&fake->came, NULL);
	fake->page = CAP_REQUEST_RECORDS;
	fake->gathered = PATHS;
	fake->weak_key = forge_key(3);
	fake->foreign_key = forge_key(4);
	fake_registry_lie(fake, LIE_NONE, NULL);
	publish_operator(fake);
	fake_registry_sign(fake);
	fake->server = server_new();
	must(http_url_parse(server_url(fake->server), &fake->url, NULL));
	answer_by(fake, 0, "/v1/fetch/checkpoint", answer_checkpoint);
	answer_by(fake, 1, "/v1/fetch/logs", answer_logs);
	answer_by(fake, 2, "/v1/fetch/names", answer_names);
	answer_by(fake, 3, "/v1/ledger", answer_ledger);
	answer_by(fake, 4, "/ledger.bin", answer_ledger_bytes);
	answer_by(fake, 5, "/v1/proof/inclusion", answer_inclusion);
	answer_by(fake, 6, "/v1/proof/consistency", answer_consistency);
	return fake;
}

void fake_registry_free(struct fake_registry *fake)
{
	fake_registry_gather(fake, "", 0);
	server_free(fake->server);
	buf_release(&fake->heads);
	forge_close(&fake->forge);
	free(fake->packages);
	free(fake->checkpoints);
	ecdsa_private_key_free(fake->weak_key);
	ecdsa_private_key_free(fake->foreign_key);
	pthread_cond_destroy(&fake->came);
	pthread_mutex_destroy(&fake->mutex);
	free(fake);
}

struct embedded_registry *fake_registry_server(struct fake_registry *fake)
{
	return fake->server;
}

const struct http_url *fake_registry_url(const struct fake_registry *fake)
{
	return &fake->url;
}

void fake_registry_lie(struct fake_registry *fake, enum fake_lie lie, const char *victim)
{
	pthread_mutex_lock(&fake->mutex);
	fake->lie = lie;
	snprintf(fake->victim, sizeof(fake->victim), "%s", victim ? victim : "-");
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_speak(struct fake_registry *fake, enum fake_speech speech, struct fake_registry *other)
{
	pthread_mutex_lock(&fake->mutex);
	fake->speech = speech;
	fake->other = other;
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_demand(struct fake_registry *fake, const char *token)
{
	pthread_mutex_lock(&fake->mutex);
	fake->token = token;
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_hint(struct fake_registry *fake, const char *hint)
{
	pthread_mutex_lock(&fake->mutex);
	fake->hint = hint;
	pthread_mutex_unlock(&fake->mutex);
}

const char *fake_registry_domain(const struct fake_registry *fake)
{
	static char domains[4][64];
	static unsigned turn;
	char *domain = domains[turn++ % 4];

	snprintf(domain, sizeof(domains[0]), "%s", fake->url.text + strlen("http://"));
	domain[strcspn(domain, "/")] = '\0';
	return domain;
}

unsigned fake_registry_count_header(struct fake_registry *fake, const char *line)
{
	char wanted[256];
	unsigned count = 0;

	snprintf(wanted, sizeof(wanted), "\r\n%s", line);
	pthread_mutex_lock(&fake->mutex);
	must(buf_append(&fake->heads, (struct span){(const unsigned char *)"", 1}, NULL));
	for (const char *at = (const char *)fake->heads.data; (at = strcasestr(at, wanted)); at++)
		count++;
	fake->heads.length--;
	pthread_mutex_unlock(&fake->mutex);
	return count;
}

void fake_registry_page(struct fake_registry *fake, size_t records)
{
	pthread_mutex_lock(&fake->mutex);
	fake->page = records;
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_forget_heads(struct fake_registry *fake)
{
	pthread_mutex_lock(&fake->mutex);
	fake->heads.length = 0;
	pthread_mutex_unlock(&fake->mutex);
}

unsigned fake_registry_count(struct fake_registry *fake, const char *path)
{
	unsigned count = 0;

	pthread_mutex_lock(&fake->mutex);
	for (size_t i = 0; i < PATHS; i++)
		if (!strcmp(paths[i], path))
			count = fake->counts[i];
	pthread_mutex_unlock(&fake->mutex);
	return count;
}

void fake_registry_gather(struct fake_registry *fake, const char *path, unsigned together)
{
	pthread_mutex_lock(&fake->mutex);
	memset(fake->counts, 0, sizeof(fake->counts));
	fake->together = together;
	fake->gathered = PATHS;
	for (size_t i = 0; i < PATHS; i++)
		if (together && !strcmp(paths[i], path))
			fake->gathered = i;
	pthread_cond_broadcast(&fake->came);
	pthread_mutex_unlock(&fake->mutex);
}
