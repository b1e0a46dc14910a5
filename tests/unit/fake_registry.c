/*
 * A registry in memory that can lie: fake_registry.h.
 */
#include "fake_registry.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/json.h"
#include "verify/base64.h"

#define PATHS 6
static const char *const paths[PATHS] = {"v1/fetch/checkpoint", "v1/fetch/logs",        "v1/fetch/names",
					 "v1/ledger",           "v1/proof/inclusion",   "v1/proof/consistency"};

/* A published record. */
struct fake_record {
	char package[64]; /* "": the operator's */
	struct digest log_id, id, key_id;
	struct buf content, signature;
};

struct fake_registry {
	struct server *server;
	struct http_url url;
	struct ecdsa_private_key *operator_key, *weak_key, *foreign_key, *package_key;
	struct fake_record *records;
	size_t count;
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
};

static void must(int verdict)
{
	assert_int_equal(verdict, 0);
}

/* ---- Records ---- */

static void publish(struct fake_registry *fake, const char *package, const struct record *record,
		    const struct ecdsa_private_key *key)
{
	enum record_kind kind = package[0] ? RECORD_PACKAGE : RECORD_OPERATOR;
	struct fake_record *published;
	struct name name;

	fake->records = reallocarray(fake->records, fake->count + 1, sizeof(*fake->records));
	assert_non_null(fake->records);
	published = &fake->records[fake->count++];
	memset(published, 0, sizeof(*published));
	strncpy(published->package, package, sizeof(published->package) - 1);
	published->log_id = name_operator_log_id();
	if (package[0]) {
		must(name_parse(span_of_text(package), &name, NULL));
		published->log_id = name_log_id(&name);
	}
	buf_init(&published->content, CAP_RECORD);
	buf_init(&published->signature, CAP_SIGNATURE_TEXT);
	must(record_encode(record, &published->content, NULL));
	must(record_sign(kind, key, buf_span(&published->content), &published->signature, NULL));
	published->id = record_id(kind, buf_span(&published->content));
	published->key_id = *ecdsa_public_key_id(ecdsa_private_key_public(key));
}

static const struct fake_record *last_of(const struct fake_registry *fake, const char *package)
{
	const struct fake_record *last = NULL;

	for (size_t i = 0; i < fake->count; i++)
		if (!strcmp(fake->records[i].package, package))
			last = &fake->records[i];
	return last;
}

static struct span public_text(const struct ecdsa_private_key *key)
{
	return span_of_text(ecdsa_public_key_text(ecdsa_private_key_public(key)));
}

void fake_registry_release(struct fake_registry *fake, const char *package, const char *version)
{
	struct record_entry entries[2] = {
		{.type = ENTRY_INIT, .key = public_text(fake->package_key)},
		{.type = ENTRY_RELEASE, .version = span_of_text(version), .content = digest_of(span_of_text(version))},
	};
	const struct fake_record *last = last_of(fake, package);
	struct record record = {
		.kind = RECORD_PACKAGE,
		.has_prev = last,
		.time = {.seconds = 1000 + (int64_t)fake->count},
		.entries = last ? entries + 1 : entries,
		.entry_count = last ? 1 : 2,
	};

	if (last)
		record.prev = last->id;
	pthread_mutex_lock(&fake->mutex);
	publish(fake, package, &record, fake->package_key);
	pthread_mutex_unlock(&fake->mutex);
}

static void publish_operator(struct fake_registry *fake)
{
	struct record_entry entries[3] = {
		{.type = ENTRY_INIT, .key = public_text(fake->operator_key)},
		{.type = ENTRY_GRANT_FLAT,
		 .key = public_text(fake->weak_key),
		 .permissions = PERMISSION_DEFINE_NAMESPACE},
		{.type = ENTRY_DEFINE_NAMESPACE, .namespace = span_of_text("test")},
	};
	struct record record = {
		.kind = RECORD_OPERATOR, .time = {.seconds = 1000}, .entries = entries, .entry_count = 3};

	publish(fake, "", &record, fake->operator_key);
}

/* ---- Log and map ---- */

static struct merkle_log *log_at(const struct fake_registry *fake, size_t length)
{
	struct merkle_log *log;

	must(merkle_log_new(&log, NULL));
	for (size_t i = 0; i < length; i++) {
		struct digest leaf = merkle_log_leaf(&fake->records[i].log_id, &fake->records[i].id);

		must(merkle_log_append(log, &leaf, NULL));
	}
	return log;
}

static struct merkle_map *map_at(const struct fake_registry *fake, size_t length)
{
	struct merkle_map *map;

	must(merkle_map_new(&map, NULL));
	for (size_t i = 0; i < length; i++) {
		const struct merkle_map_entry entry = {fake->records[i].log_id, fake->records[i].id};

		must(merkle_map_set(map, &entry, NULL));
	}
	return map;
}

void fake_registry_sign(struct fake_registry *fake)
{
	struct merkle_log *log = log_at(fake, fake->count);
	struct merkle_map *map = map_at(fake, fake->count);
	struct checkpoint checkpoint = {
		.log_length = fake->count,
		.log_root = merkle_log_root(log, fake->count),
		.map_root = merkle_map_root(map),
		.timestamp = 2000 + fake->checkpoint_count,
	};

	pthread_mutex_lock(&fake->mutex);
	fake->checkpoints = reallocarray(fake->checkpoints, fake->checkpoint_count + 1, sizeof(*fake->checkpoints));
	assert_non_null(fake->checkpoints);
	must(checkpoint_sign(&checkpoint, fake->operator_key, &fake->checkpoints[fake->checkpoint_count++], NULL));
	pthread_mutex_unlock(&fake->mutex);
	merkle_log_free(log);
	merkle_map_free(map);
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
	const struct ecdsa_private_key *key = fake->operator_key;

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

static bool is_victim(const struct fake_registry *fake, const struct fake_record *record)
{
	return !strcmp(fake->victim, record->package);
}

static struct json *render_record(const struct fake_registry *fake, const struct fake_record *record, size_t length)
{
	bool is_last = last_of(fake, record->package) == record;
	uint64_t index = (uint64_t)(record - fake->records);
	struct json *json = json_new_object();
	char token[DIGEST_TEXT_SIZE];
	struct buf content;

	buf_init(&content, CAP_RECORD);
	must(buf_append(&content, buf_span(&record->content), NULL));
	if ((is_lying(fake, LIE_RECORD) && is_victim(fake, record)) ||
	    (is_lying(fake, LIE_OPERATOR_RECORD) && !record->package[0]))
		content.data[content.length - 1] ^= 1;
	if (is_lying(fake, LIE_INDEX) && is_victim(fake, record) && is_last)
		index++;
	if (is_lying(fake, LIE_INDEX_PAST) && is_victim(fake, record) && is_last)
		index = length;
	if (is_lying(fake, LIE_INDEX_ORDER) && is_victim(fake, record))
		index = 1;
	put_base64(json, "contentBytes", buf_span(&content));
	json_put_digest(json, "keyId", &record->key_id);
	json_put_span(json, "signature", buf_span(&record->signature));
	json_put_uint(json, "registryIndex", index);
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
	for (size_t i = 0; i < fake->count; i++) {
		if (!digest_equals(&fake->records[i].id, &id))
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
		const struct fake_record *record = &fake->records[i];

		if (strcmp(record->package, package) || (is_lied_about && is_lying(fake, LIE_EMPTY)) ||
		    (is_lied_about && is_lying(fake, LIE_WITHHELD) && record == last_of(fake, package)))
			continue;
		json_add(list, render_record(fake, record, length));
		sent++;
	}
	*more = *more || sent == fake->page;
	return list;
}

static const char *package_of(const struct fake_registry *fake, const char *log_id)
{
	struct digest id;

	must(digest_parse(span_of_text(log_id), &id, NULL));
	for (size_t i = 0; i < fake->count; i++)
		if (digest_equals(&fake->records[i].log_id, &id))
			return fake->records[i].package;
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
	if (!find_token(fake, json_member(body, "operator"), &start))
		goto unknown_token;
	json_put(out, "operator", render_log(fake, "", start, length, &more));
	while (json_step(&walk)) {
		const char *package = package_of(fake, walk.name);

		if (!package || (is_lying(fake, LIE_ABSENT) && !strcmp(package, fake->victim))) {
			json_free(packages);
			answer_error(connection, 404, "log", walk.name);
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
	json_put_uint(source, "lastRegistryIndex", fake->count - 1);
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
	for (size_t i = 0; i < fake->count; i++) {
		size_t at = is_lying(fake, LIE_LEDGER_REORDERED) ? fake->count - 1 - i : i;

		if (is_lying(fake, LIE_LEDGER_SHORT) && i + 1 == fake->count)
			break;
		must(buf_append(&bytes, digest_span(&fake->records[at].log_id), NULL));
		must(buf_append(&bytes, digest_span(&fake->records[at].id), NULL));
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
			indices[i] = 0;
		return count;
	default:
		return count;
	}
}

static bool has_victim(const struct fake_registry *fake, const uint64_t *indices, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (is_victim(fake, &fake->records[indices[i]]))
			return true;
	return false;
}

static void prove(struct fake_registry *fake, uint64_t length, uint64_t *indices, size_t count, struct json *out)
{
	struct digest *log_ids = calloc(count + 1, sizeof(*log_ids));
	struct merkle_log *log = log_at(fake, length);
	struct merkle_map *map = map_at(fake, length);
	struct merkle_log_bundle log_bundle;
	struct merkle_map_bundle map_bundle;
	struct buf bytes;

	count = lie_about_indices(fake, indices, count);
	assert_non_null(log_ids);
	for (size_t i = 0; i < count; i++)
		log_ids[i] = fake->records[indices[i]].log_id;
	must(merkle_log_prove_inclusion(log, length, indices, count, &log_bundle, NULL));
	must(merkle_map_prove(map, log_ids, is_lying(fake, LIE_MAP_FEWER) && count > 1 ? count - 1 : count,
			      &map_bundle, NULL));
	put_log_bundle(out, "log", &log_bundle);
	buf_init(&bytes, CAP_BODY_PROOF);
	must(merkle_map_bundle_encode(&map_bundle, &bytes, NULL));
	put_base64(out, "map", buf_span(&bytes));
	buf_release(&bytes);
	merkle_map_bundle_release(&map_bundle);
	merkle_log_free(log);
	merkle_map_free(map);
	free(log_ids);
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
	for (size_t i = 0; i < count; i++)
		assert_true(indices[i] < length && length <= fake->count);
	if (is_lying(fake, LIE_PROOFS_REFUSED) && has_victim(fake, indices, count)) {
		json_free(out);
		answer_error(connection, 422, NULL, NULL);
	} else {
		prove(fake, length, indices, count, out);
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
	struct merkle_log *log;
	uint64_t from, to;

	must(json_read_uint(body, "from", &from, NULL));
	must(json_read_uint(body, "to", &to, NULL));
	pthread_mutex_lock(&fake->mutex);
	count_request(fake, "v1/proof/consistency");
	if (is_lying(fake, LIE_CONSISTENCY_NONE) || to > fake->count) {
		json_free(out);
		answer_error(connection, 422, NULL, NULL);
	} else {
		if (is_lying(fake, LIE_CONSISTENCY_FROM))
			from = from > 1 ? from - 1 : from + 1;
		log = log_at(fake, to);
		must(merkle_log_prove_consistency(log, from, to, &bundle, NULL));
		if (is_lying(fake, LIE_CONSISTENCY_HASH))
			bundle.hashes[0].hash.bytes[0] ^= 1;
		put_log_bundle(out, "proof", &bundle);
		merkle_log_free(log);
		answer(connection, 200, out);
	}
	pthread_mutex_unlock(&fake->mutex);
	json_free(body);
}

/* ---- The whole ---- */

struct fake_registry *fake_registry_new(void)
{
	struct fake_registry *fake = calloc(1, sizeof(*fake));

	assert_non_null(fake);
	pthread_mutex_init(&fake->mutex, NULL);
	pthread_cond_init(&fake->came, NULL);
	fake->page = CAP_REQUEST_RECORDS;
	fake->gathered = PATHS;
	must(ecdsa_private_key_generate(&fake->operator_key, NULL));
	must(ecdsa_private_key_generate(&fake->weak_key, NULL));
	must(ecdsa_private_key_generate(&fake->foreign_key, NULL));
	must(ecdsa_private_key_generate(&fake->package_key, NULL));
	fake_registry_lie(fake, LIE_NONE, NULL);
	publish_operator(fake);
	fake_registry_sign(fake);
	fake->server = server_new();
	must(http_url_parse(server_url(fake->server), &fake->url, NULL));
	server_on(fake->server, "/v1/fetch/checkpoint", answer_checkpoint, fake);
	server_on(fake->server, "/v1/fetch/logs", answer_logs, fake);
	server_on(fake->server, "/v1/fetch/names", answer_names, fake);
	server_on(fake->server, "/v1/ledger", answer_ledger, fake);
	server_on(fake->server, "/ledger.bin", answer_ledger_bytes, fake);
	server_on(fake->server, "/v1/proof/inclusion", answer_inclusion, fake);
	server_on(fake->server, "/v1/proof/consistency", answer_consistency, fake);
	return fake;
}

void fake_registry_free(struct fake_registry *fake)
{
	fake_registry_gather(fake, "", 0);
	server_free(fake->server);
	for (size_t i = 0; i < fake->count; i++) {
		buf_release(&fake->records[i].content);
		buf_release(&fake->records[i].signature);
	}
	free(fake->records);
	free(fake->checkpoints);
	ecdsa_private_key_free(fake->operator_key);
	ecdsa_private_key_free(fake->weak_key);
	ecdsa_private_key_free(fake->foreign_key);
	ecdsa_private_key_free(fake->package_key);
	pthread_cond_destroy(&fake->came);
	pthread_mutex_destroy(&fake->mutex);
	free(fake);
}

struct server *fake_registry_server(struct fake_registry *fake)
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
	memset(fake->victim, 0, sizeof(fake->victim));
	if (victim)
		strncpy(fake->victim, victim, sizeof(fake->victim) - 1);
	else
		fake->victim[0] = '-';
	pthread_mutex_unlock(&fake->mutex);
}

void fake_registry_page(struct fake_registry *fake, size_t records)
{
	pthread_mutex_lock(&fake->mutex);
	fake->page = records;
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
