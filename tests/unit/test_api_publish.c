/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * client/net/api_publish.c: what a registry says about a record, honest and not, and what is sent to it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/net/api_parts.h"
#include "fake_publish.h"
#include "forge.h"
#include "server.h"
#include "torture.h"

static struct embedded_registry *server;
static struct http *http;
static struct http_url url;
static struct api api;
static struct ecdsa_private_key *key;

/* A record that releases two contents, one of them twice; one that was released before it is no business of it. */
static struct name name;
static struct forge_record sent;
static struct record record;
static char id_text[DIGEST_TEXT_SIZE], log_text[DIGEST_TEXT_SIZE], hash_a[DIGEST_TEXT_SIZE], hash_b[DIGEST_TEXT_SIZE],
	hash_other[DIGEST_TEXT_SIZE];

static void format_digest(struct digest digest, char *out)
{
	digest_format(&digest, out);
}

static int set_up_all(void **state)
{
	struct record_entry entries[5];

	(void)state;
	key = forge_key(2);
	entries[0] = forge_init(key);
	entries[1] = forge_release("1.0.0", "a");
	entries[2] = forge_release("1.1.0", "b");
	entries[3] = forge_release("1.2.0", "a");
	entries[4] = forge_yank("1.0.0");
	name = forge_name("test:hello");
	struct record made = { .kind = RECORD_PACKAGE, .time = { 1700000000, 5 }, .entries = entries,
			       .entry_count = 5 };
	forge_record(RECORD_PACKAGE, &made, key, &sent);
	assert_int_equal(record_decode(RECORD_PACKAGE, buf_span(&sent.content), &record, NULL), 0);
	format_digest(sent.id, id_text);
	format_digest(name_log_id(&name), log_text);
	format_digest(digest_of(span_of_text("a")), hash_a);
	format_digest(digest_of(span_of_text("b")), hash_b);
	format_digest(digest_of(span_of_text("other")), hash_other);
	return 0;
}

static int tear_down_all(void **state)
{
	(void)state;
	record_release(&record);
	forge_record_release(&sent);
	ecdsa_private_key_free(key);
	return 0;
}

/* What the next answers are, which the server's threads read. */
static struct {
	pthread_mutex_t mutex;
	int status;
	char *body;
} next = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* The last request. Under the same lock. */
static struct buf seen;

static int set_up(void **state)
{
	(void)state;
	server = server_new();
	assert_int_equal(http_new(&http, NULL), 0);
	assert_int_equal(http_url_parse(server_url(server), &url, NULL), 0);
	api = (struct api){ .http = http, .url = &url };
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_free(http);
	credential_unref(api.credential);
	server_free(server);
	buf_release(&seen);
	free(next.body);
	next.body = NULL;
	return 0;
}

static clock_ms soon(void)
{
	return clock_in_seconds(60);
}

/* ---- Answers, without a server ---- */

/*
 * An answer as the tables have it: $R stands for the record's id, $L for its log's, $A and $B for its contents, $O for
 * another content, $U for a URL's worth of letters and $H for a header's.
 */
static char *expand(const char *template)
{
	struct buf out;
	char *text;

	buf_init(&out, 1u << 20);
	for (const char *c = template; *c; c++) {
		const char *value = *c != '$' ? NULL : c[1] == 'R' ? id_text : c[1] == 'L' ? log_text :
				    c[1] == 'A' ? hash_a : c[1] == 'B' ? hash_b : c[1] == 'O' ? hash_other : NULL;
		size_t letters = *c != '$' ? 0 : c[1] == 'U' ? CAP_URL : c[1] == 'H' ? CAP_UPLOAD_HEADER : 0;

		if (value)
			assert_int_equal(buf_append_text(&out, value, NULL), 0);
		for (size_t i = 0; i < letters; i++)
			assert_int_equal(buf_append_text(&out, "u", NULL), 0);
		if (!value && !letters)
			assert_int_equal(buf_append(&out, (struct span){ (const unsigned char *)c, 1 }, NULL), 0);
		c += value || letters;
	}
	assert_int_equal(buf_append(&out, (struct span){ (const unsigned char *)"", 1 }, NULL), 0);
	text = strdup((const char *)out.data);
	assert_non_null(text);
	buf_release(&out);
	return text;
}

static struct http_exchange answer_of(int status, const char *body)
{
	return (struct http_exchange){ .url = "https://r.example/w/x?secret",
				       .status = status,
				       .retry_after = 7,
				       .received = { (unsigned char *)(uintptr_t)body, strlen(body), strlen(body),
						     strlen(body) } };
}

/* The URL that answers are resolved against; as the caller has it, so before anything is tortured. */
static struct http_url base;

static int set_base(void **state)
{
	(void)state;
	return http_url_parse("https://r.example/w/", &base, NULL);
}

#define NOTHING "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define STATE(rest) "{\"recordId\":\"$R\"," rest "}"
#define SOURCING(missing) STATE("\"state\":\"sourcing\",\"missingContent\":{" missing "}")
#define UPLOAD(way) "\"$A\":{\"upload\":[" way "]}"
#define HTTP(rest) "{\"type\":\"http\",\"method\":\"POST\"," rest "}"
#define HEADERS(headers) SOURCING(UPLOAD(HTTP("\"url\":\"u\",\"headers\":{" headers "}")))

static const struct state_case {
	const char *name, *body;
	int verdict;
	enum fault_kind kind;
	enum api_record_status status;
	const char *url; /* of the first upload */
	size_t uploads;
	const char *reason;
} states[] = {
	{ "published", STATE("\"state\":\"published\",\"registryIndex\":7"), 0, FAULT_NONE, API_RECORD_PUBLISHED, NULL,
	  0, "" },
	{ "published first", STATE("\"state\":\"published\",\"registryIndex\":0"), 0, FAULT_NONE, API_RECORD_PUBLISHED,
	  NULL, 0, "" },
	{ "published nowhere", STATE("\"state\":\"published\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "published at -1", STATE("\"state\":\"published\",\"registryIndex\":-1"), WARG_INVALID, FAULT_FORGED, 0, NULL,
	  0, NULL },
	{ "published at a text", STATE("\"state\":\"published\",\"registryIndex\":\"7\""), WARG_INVALID, FAULT_FORGED,
	  0, NULL, 0, NULL },
	{ "published past all logs", STATE("\"state\":\"published\",\"registryIndex\":2147483647"), WARG_UNDECIDED,
	  FAULT_LIMIT, 0, NULL, 0, NULL },
	{ "processing", STATE("\"state\":\"processing\""), 0, FAULT_NONE, API_RECORD_PROCESSING, NULL, 0, "" },
	{ "more than we know", STATE("\"state\":\"processing\",\"more\":[{}]"), 0, FAULT_NONE, API_RECORD_PROCESSING,
	  NULL, 0, "" },
	{ "rejected", STATE("\"state\":\"rejected\",\"reason\":\"no\""), 0, FAULT_NONE, API_RECORD_REJECTED, NULL, 0,
	  "no" },
	{ "rejected with a reason that is not printable",
	  STATE("\"state\":\"rejected\",\"reason\":\"a\\u001b[2J\\n\\u00e9\\u007f~ \""), 0, FAULT_NONE,
	  API_RECORD_REJECTED, NULL, 0, "a\\x1b[2J\\x0a\xc3\xa9\\x7f~ " },
	{ "rejected without a reason", STATE("\"state\":\"rejected\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "rejected for a reason that is no text", STATE("\"state\":\"rejected\",\"reason\":{}"), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "in no state", STATE("\"state\":\"validated\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a state in upper case", STATE("\"state\":\"Published\",\"registryIndex\":7"), WARG_INVALID, FAULT_FORGED, 0,
	  NULL, 0, NULL },
	{ "without a state", STATE("\"registryIndex\":7"), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a state that is a list", STATE("\"state\":[\"published\"]"), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "another record", "{\"recordId\":\"$A\",\"state\":\"processing\"}", WARG_INVALID, FAULT_FORGED, 0, NULL, 0,
	  NULL },
	{ "no record", "{\"state\":\"processing\"}", WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "two records", "{\"recordId\":\"$R\",\"recordId\":\"$R\",\"state\":\"processing\"}", WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "nothing", "", WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "HTML", "<html>$R</html>", WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a list", "[" STATE("\"state\":\"processing\"") "]", WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "cut short", "{\"recordId\":\"$R\",\"state\":\"proce", WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },

	{ "nothing missing", SOURCING(""), 0, FAULT_NONE, API_RECORD_SOURCING, NULL, 0, "" },
	{ "one missing", SOURCING(UPLOAD(HTTP("\"url\":\"v1/u?s=1#f\""))), 0, FAULT_NONE, API_RECORD_SOURCING,
	  "https://r.example/w/v1/u?s=1", 1, "" },
	{ "both missing", SOURCING(UPLOAD(HTTP("\"url\":\"/u\"")) ",\"$B\":{\"upload\":[" HTTP("\"url\":\"a\"") "]}"),
	  0, FAULT_NONE, API_RECORD_SOURCING, "https://r.example/u", 2, "" },
	{ "with PUT", SOURCING(UPLOAD("{\"type\":\"http\",\"method\":\"PUT\",\"url\":\"u\"}")), 0, FAULT_NONE,
	  API_RECORD_SOURCING, "https://r.example/w/u", 1, "" },
	{ "absolute", SOURCING(UPLOAD(HTTP("\"url\":\"https://R.Example:443/u\""))), 0, FAULT_NONE, API_RECORD_SOURCING,
	  "https://R.Example:443/u", 1, "" },
	{ "the first of several ways", SOURCING(UPLOAD(HTTP("\"url\":\"u\"") ",{\"type\":\"ftp\"}")), 0, FAULT_NONE,
	  API_RECORD_SOURCING, "https://r.example/w/u", 1, "" },
	{ "no headers", HEADERS(""), 0, FAULT_NONE, API_RECORD_SOURCING, "https://r.example/w/u", 1, "" },
	{ "headers", HEADERS("\"authorization\":\"Basic eA==\",\"content-type\":\"application/wasm\""), 0, FAULT_NONE,
	  API_RECORD_SOURCING, "https://r.example/w/u", 1, "" },
	{ "as long as a header may be", HEADERS("\"authorization\":\"$H\""), 0, FAULT_NONE, API_RECORD_SOURCING,
	  "https://r.example/w/u", 1, "" },

	{ "sourcing what", STATE("\"state\":\"sourcing\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "missing a list", STATE("\"state\":\"sourcing\",\"missingContent\":[]"), WARG_INVALID, FAULT_FORGED, 0, NULL,
	  0, NULL },
	{ "a content that is not the record's", SOURCING("\"$O\":{\"upload\":[" HTTP("\"url\":\"u\"") "]}"),
	  WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "the content of what releases none", SOURCING("\"" NOTHING "\":{\"upload\":[" HTTP("\"url\":\"u\"") "]}"),
	  WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "one of it and one that is not",
	  SOURCING(UPLOAD(HTTP("\"url\":\"u\"")) ",\"$O\":{\"upload\":[" HTTP("\"url\":\"u\"") "]}"), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a content twice", SOURCING(UPLOAD(HTTP("\"url\":\"u\"")) "," UPLOAD(HTTP("\"url\":\"u\""))), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a content that is no hash", SOURCING("\"../../etc/passwd\":{\"upload\":[" HTTP("\"url\":\"u\"") "]}"),
	  WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a missing null", SOURCING("\"$A\":null"), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "no ways", SOURCING("\"$A\":{}"), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "an empty list of ways", SOURCING(UPLOAD("")), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a way that is null", SOURCING(UPLOAD("null")), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "another way", SOURCING(UPLOAD("{\"type\":\"ftp\",\"method\":\"POST\",\"url\":\"u\"}")), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a way of no type", SOURCING(UPLOAD("{\"method\":\"POST\",\"url\":\"u\"}")), WARG_INVALID, FAULT_FORGED, 0,
	  NULL, 0, NULL },
	{ "with DELETE", SOURCING(UPLOAD("{\"type\":\"http\",\"method\":\"DELETE\",\"url\":\"u\"}")), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "with a method in lower case", SOURCING(UPLOAD("{\"type\":\"http\",\"method\":\"post\",\"url\":\"u\"}")),
	  WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "with a request in the method",
	  SOURCING(UPLOAD("{\"type\":\"http\",\"method\":\"POST / HTTP/1.1\\r\\n\",\"url\":\"u\"}")), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "with no method", SOURCING(UPLOAD("{\"type\":\"http\",\"url\":\"u\"}")), WARG_INVALID, FAULT_FORGED, 0, NULL,
	  0, NULL },
	{ "nowhere", SOURCING(UPLOAD(HTTP("\"x\":1"))), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "an empty URL", SOURCING(UPLOAD(HTTP("\"url\":\"\""))), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "another host", SOURCING(UPLOAD(HTTP("\"url\":\"https://other.example/u\""))), WARG_INVALID, FAULT_FORGED, 0,
	  NULL, 0, NULL },
	{ "another host in short", SOURCING(UPLOAD(HTTP("\"url\":\"//other.example/u\""))), WARG_INVALID, FAULT_FORGED,
	  0, NULL, 0, NULL },
	{ "a host within the host", SOURCING(UPLOAD(HTTP("\"url\":\"https://r.example.other.example/u\""))),
	  WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a host below the host", SOURCING(UPLOAD(HTTP("\"url\":\"https://up.r.example/u\""))), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "another port", SOURCING(UPLOAD(HTTP("\"url\":\"https://r.example:8443/u\""))), WARG_INVALID, FAULT_FORGED, 0,
	  NULL, 0, NULL },
	{ "plain http", SOURCING(UPLOAD(HTTP("\"url\":\"http://r.example/u\""))), WARG_INVALID, FAULT_FORGED, 0, NULL,
	  0, NULL },
	{ "this machine", SOURCING(UPLOAD(HTTP("\"url\":\"http://127.0.0.1:631/u\""))), WARG_INVALID, FAULT_FORGED, 0,
	  NULL, 0, NULL },
	{ "a file", SOURCING(UPLOAD(HTTP("\"url\":\"file:///etc/passwd\""))), WARG_INVALID, FAULT_FORGED, 0, NULL, 0,
	  NULL },
	{ "a user", SOURCING(UPLOAD(HTTP("\"url\":\"https://a:b@r.example/u\""))), WARG_INVALID, FAULT_FORGED, 0, NULL,
	  0, NULL },
	{ "a URL with a request in it", SOURCING(UPLOAD(HTTP("\"url\":\"u HTTP/1.1\\r\\nx: y\""))), WARG_INVALID,
	  FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a URL too long", SOURCING(UPLOAD(HTTP("\"url\":\"$U\""))), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "headers in a list", SOURCING(UPLOAD(HTTP("\"url\":\"u\",\"headers\":[]"))), WARG_INVALID, FAULT_FORGED, 0,
	  NULL, 0, NULL },
	{ "another header", HEADERS("\"host\":\"other.example\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a header in upper case", HEADERS("\"Authorization\":\"a\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a length", HEADERS("\"content-length\":\"7\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a header that is none", HEADERS("\"content-type\":null"), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a header of several", HEADERS("\"content-type\":[\"a\"]"), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "an empty header", HEADERS("\"content-type\":\"\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
	{ "a header with a header in it", HEADERS("\"authorization\":\"a\\r\\nhost: b\""), WARG_INVALID, FAULT_FORGED,
	  0, NULL, 0, NULL },
	{ "a header that is not ASCII", HEADERS("\"authorization\":\"\\u00e9\""), WARG_INVALID, FAULT_FORGED, 0, NULL,
	  0, NULL },
	{ "a header too long", HEADERS("\"authorization\":\"$Ha\""), WARG_INVALID, FAULT_FORGED, 0, NULL, 0, NULL },
};

#define STATES (sizeof(states) / sizeof(states[0]))

static int decode(int status, const char *body, const struct record *of, struct api_record_state *out,
		  struct fault *flt)
{
	struct http_exchange exchange = answer_of(status, body);

	return api_decode_record(&base, &exchange, &sent.id, of, out, flt);
}

static void test_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < STATES; i++) {
		const struct state_case *c = &states[i];
		struct api_record_state out = { .status = 77 };
		char *body = expand(c->body);
		struct fault flt = {0};
		char sentence[FAULT_SENTENCE_SIZE];
		int r = decode(i & 1 ? 200 : 202, body, &record, &out, &flt);

		fault_sentence(&flt, sentence);
		print_message("  %s: %.300s\n", c->name, sentence);
		assert_int_equal(r, c->verdict);
		assert_int_equal(flt.verdict, r);
		assert_int_equal(flt.kind, c->kind);
		assert_int_equal(flt.party, r ? FAULT_BY_REGISTRY : FAULT_BY_UNKNOWN);
		assert_null(strstr(sentence, "secret"));
		assert_false(api_record_refused(&flt));
		if (r) {
			assert_int_equal(out.status, 77);
		} else {
			assert_int_equal(out.status, c->status);
			assert_string_equal(out.reason, c->reason);
			assert_int_equal(out.upload_count, c->uploads);
			assert_true(digest_equals(&out.record_id, &sent.id));
			if (c->url)
				assert_string_equal((const char *)out.uploads[0].url.data, c->url);
			api_record_state_release(&out);
			assert_int_equal(out.upload_count, 0);
		}
		free(body);
	}
}

/* Who does not know what a record releases takes no uploads, and still learns where it stands. */
static void test_states_of_others(void **state)
{
	(void)state;
	for (size_t i = 0; i < STATES; i++) {
		struct api_record_state out;
		char *body = expand(states[i].body);
		int r = decode(200, body, NULL, &out, NULL);

		if (!states[i].verdict)
			assert_int_equal(r, 0);
		if (!r) {
			assert_int_equal(out.upload_count, 0);
			api_record_state_release(&out);
		}
		free(body);
	}
}

static void test_uploads(void **state)
{
	char *body = expand(SOURCING("\"$B\":{\"upload\":[{\"type\":\"http\",\"method\":\"PUT\",\"url\":\"b\","
				     "\"headers\":{\"content-type\":\"t/b\"}}]},"
				     UPLOAD(HTTP("\"url\":\"a\",\"headers\":{\"authorization\":\"Bearer x\"}"))));
	struct api_record_state out;
	char text[DIGEST_TEXT_SIZE];

	(void)state;
	assert_int_equal(decode(202, body, &record, &out, NULL), 0);
	assert_int_equal(out.upload_count, 2);
	digest_format(&out.uploads[0].content, text);
	assert_string_equal(text, hash_b);
	assert_int_equal(out.uploads[0].method, HTTP_PUT);
	assert_string_equal((const char *)out.uploads[0].content_type.data, "t/b");
	assert_int_equal(out.uploads[0].authorization.length, 0);
	digest_format(&out.uploads[1].content, text);
	assert_string_equal(text, hash_a);
	assert_int_equal(out.uploads[1].method, HTTP_POST);
	assert_int_equal(out.uploads[1].content_type.length, 0);
	assert_string_equal((const char *)out.uploads[1].authorization.data, "Bearer x");
	api_record_state_release(&out);
	free(body);
}

static void test_long_reason(void **state)
{
	char *body = expand(STATE("\"state\":\"rejected\",\"reason\":\"$U\""));
	struct api_record_state out;

	(void)state;
	assert_int_equal(decode(200, body, &record, &out, NULL), 0);
	assert_int_equal(strlen(out.reason), CAP_MESSAGE);
	api_record_state_release(&out);
	free(body);
}

/* ---- Refusals, and what leaves it in doubt ---- */

static const struct refusal_case {
	int status;
	const char *body;
	int verdict;
	enum fault_kind kind;
	bool refused;
	enum api_conflict_type conflict;
	const char *says;
} refusals[] = {
	{ 400, "{\"status\":400,\"message\":\"no such log\"}", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "no such log" },
	{ 401, "{\"status\":401,\"message\":\"not that key\"}", WARG_UNDECIDED, FAULT_LOGIN, true, 0,
	  "neither the login nor the key is enough: not that key" },
	{ 403, "<html>", WARG_UNDECIDED, FAULT_LOGIN, true, 0, "403" },
	{ 404, "{\"status\":404,\"type\":\"namespace\",\"id\":\"test\"}", WARG_UNDECIDED, FAULT_ABSENT, true, 0,
	  "namespace test" },
	{ 404, "<html>", WARG_INVALID, FAULT_FORGED, false, 0, NULL },
	{ 405, "", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "405" },
	{ 408, "", WARG_UNDECIDED, FAULT_TIMEOUT, false, 0, NULL },
	{ 409, "{\"status\":409,\"type\":\"record\",\"id\":\"$A\"}", WARG_UNDECIDED, FAULT_REFUSED, true,
	  API_CONFLICT_RECORD, "$A" },
	{ 409, "{\"status\":409,\"type\":\"namespaceImport\",\"id\":\"test\"}", WARG_UNDECIDED, FAULT_REFUSED, true,
	  API_CONFLICT_NAMESPACE_IMPORT, "another registry" },
	{ 409, "{\"status\":409,\"type\":\"record\",\"id\":\"test\"}", WARG_INVALID, FAULT_FORGED, false, 0, NULL },
	{ 409, "{\"status\":409,\"type\":\"record\"}", WARG_INVALID, FAULT_FORGED, false, 0, NULL },
	{ 409, "{\"status\":409,\"type\":\"name\",\"id\":\"test\"}", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "409" },
	{ 409, "<html>", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "409" },
	{ 409, "", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "409" },
	{ 413, "", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "413" },
	{ 415, "", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "415" },
	{ 422, "{\"status\":422,\"message\":\"bad record\"}", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "bad record" },
	{ 422, "{\"status\":422,\"reason\":\"why\\u001b\"}", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "why\\x1b" },
	{ 429, "", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 500, "{\"status\":500,\"message\":\"oh\"}", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, "oh" },
	{ 501, "`Warg-Registry` header is not supported", WARG_UNDECIDED, FAULT_REFUSED, true, 0, "501" },
	{ 502, "", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 503, "", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 504, "", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 599, "", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 302, "", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 303, STATE("\"state\":\"processing\""), WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 308, "", WARG_UNDECIDED, FAULT_UNREACHABLE, false, 0, NULL },
	{ 200, "", WARG_INVALID, FAULT_FORGED, false, 0, NULL },
	{ 202, "<html>", WARG_INVALID, FAULT_FORGED, false, 0, NULL },
};

#define REFUSALS (sizeof(refusals) / sizeof(refusals[0]))

static void answer_with(int status, const char *body)
{
	pthread_mutex_lock(&next.mutex);
	next.status = status;
	free(next.body);
	next.body = strdup(body);
	assert_non_null(next.body);
	pthread_mutex_unlock(&next.mutex);
}

static void answer_next(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	pthread_mutex_lock(&next.mutex);
	server_answer(connection, next.status, span_of_text(next.body));
	pthread_mutex_unlock(&next.mutex);
}

static int publish(struct api_record_state *out, struct api_conflict *conflict, struct fault *flt)
{
	struct record_envelope envelope = forge_envelope(&sent);

	return api_publish_record(&api, soon(), &name, &envelope, out, conflict, flt);
}

static void test_refusals(void **state)
{
	(void)state;
	server_on(server, "*", answer_next, NULL);
	for (size_t i = 0; i < REFUSALS; i++) {
		const struct refusal_case *c = &refusals[i];
		char *body = expand(c->body), *says = expand(c->says ? c->says : "");
		struct api_record_state out = { .status = 77 };
		struct api_conflict conflict = { .type = 77 };
		struct fault flt = {0};

		answer_with(c->status, body);
		assert_int_equal(publish(&out, &conflict, &flt), c->verdict);
		print_message("  %d %.60s: %s\n", c->status, c->body, flt.what);
		assert_int_equal(flt.verdict, c->verdict);
		assert_int_equal(flt.kind, c->kind);
		assert_int_equal(flt.party, FAULT_BY_REGISTRY);
		assert_int_equal(api_record_refused(&flt), c->refused);
		assert_non_null(strstr(flt.what, says));
		assert_int_equal(conflict.type, c->conflict);
		assert_int_equal(out.status, 77);
		assert_int_equal(server_requests(server), i + 1);
		free(body);
		free(says);
	}
}

static void retry_later(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	server_write_text(connection, user);
}

static void test_retry_after(void **state)
{
	static char busy[] = "HTTP/1.1 503 No\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n",
		    many[] = "HTTP/1.1 429 No\r\nretry-after: 9\r\ncontent-length: 0\r\n\r\n";
	struct api_record_state out;
	struct api_conflict conflict;

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct fault flt = {0};

		server_on(server, "*", retry_later, i ? many : busy);
		assert_int_equal(publish(&out, &conflict, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_UNREACHABLE);
		assert_int_equal(flt.wait, 9);
	}
}

/* ---- A connection that is lost ---- */

static void hang_up(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	if (user)
		server_write_text(connection, user);
}

static void keep(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	server_keep(connection);
	server_answer(connection, 404, span_of_text("{\"status\":404,\"message\":\"\"}"));
}

static void hang(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	server_hang(connection);
}

static void test_lost(void **state)
{
	static char part[] = "HTTP/1.1 202 OK\r\ncontent-length: 100\r\n\r\n{", half[] = "HTTP/1.1 40";
	char path[256];
	struct api_record_state out;
	struct api_conflict conflict;
	struct signed_checkpoint checkpoint;

	(void)state;
	snprintf(path, sizeof(path), "/v1/package/%s/record", log_text);
	server_on(server, "/v1/fetch/checkpoint", keep, NULL);
	for (int i = 0; i < 3; i++) {
		struct fault flt = {0};
		unsigned before;

		/* A connection stands by that the server may close: nothing is sent on it that must not be repeated. */
		assert_int_equal(api_fetch_checkpoint(&api, soon(), &checkpoint, NULL), WARG_UNDECIDED);
		before = server_requests(server);
		server_on(server, path, hang_up, i == 0 ? NULL : i == 1 ? part : half);
		assert_int_equal(publish(&out, &conflict, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_UNREACHABLE);
		assert_false(api_record_refused(&flt));
		assert_int_equal(server_requests(server) - before, 1);
	}
	struct fault flt = {0};
	struct record_envelope envelope = forge_envelope(&sent);

	server_on(server, path, hang, NULL);
	assert_int_equal(api_publish_record(&api, clock_now() + 50, &name, &envelope, &out, &conflict, &flt),
			 WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	assert_false(api_record_refused(&flt));
}

/* ---- What is sent ---- */

static void see(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)user;
	pthread_mutex_lock(&next.mutex);
	buf_release(&seen);
	buf_init(&seen, 4u << 20);
	assert_int_equal(buf_append_text(&seen, request->head, NULL), 0);
	assert_int_equal(buf_append(&seen, request->body, NULL), 0);
	assert_int_equal(buf_append(&seen, (struct span){ (const unsigned char *)"", 1 }, NULL), 0);
	pthread_mutex_unlock(&next.mutex);
	answer_next(connection, request, NULL);
}

static bool saw(const char *template)
{
	char *what = expand(template);
	bool found;

	pthread_mutex_lock(&next.mutex);
	found = strstr((const char *)seen.data, what) != NULL;
	pthread_mutex_unlock(&next.mutex);
	free(what);
	return found;
}

/* With the token t0k. */
static void log_in(void)
{
	const struct credential_source none = {0};

	assert_int_equal(credential_new(api.url, span_of_text("t0k"), &none, &api.credential, NULL), 0);
}

static void test_publish(void **state)
{
	char *processing = expand(STATE("\"state\":\"processing\""));
	struct api_record_state out;
	struct api_conflict conflict = { .type = 77 };
	struct buf base64;

	(void)state;
	server_on(server, "*", see, NULL);
	answer_with(202, processing);
	log_in();
	api.registry = "other.example";
	assert_int_equal(publish(&out, &conflict, NULL), 0);
	assert_int_equal(out.status, API_RECORD_PROCESSING);
	assert_int_equal(conflict.type, API_CONFLICT_NONE);
	assert_true(saw("POST /v1/package/$L/record HTTP/1.1\r\n"));
	assert_true(saw("Content-Type: application/json\r\n"));
	assert_true(saw("Authorization: Bearer t0k\r\n"));
	assert_true(saw("Warg-Registry: other.example\r\n"));
	assert_true(saw("\"packageName\":\"test:hello\""));
	assert_true(saw(sent.signature));
	buf_init(&base64, CAP_REQUEST);
	assert_int_equal(buf_append_text(&base64, "\"contentBytes\":\"", NULL), 0);
	assert_int_equal(base64_encode(buf_span(&sent.content), &base64, NULL), 0);
	assert_int_equal(buf_append_format(&base64, NULL, "\"%c", 0), 0);
	assert_true(saw((const char *)base64.data));
	assert_false(saw("contentSources"));
	buf_release(&base64);
	free(processing);
}

/* A record as long as they come still fits. */
static void test_largest(void **state)
{
	struct record_entry *entries = calloc(CAP_RECORD_ENTRIES, sizeof(*entries));
	char (*versions)[20] = calloc(CAP_RECORD_ENTRIES, sizeof(*versions));
	struct record large = { .kind = RECORD_PACKAGE, .time = { 1700000000, 5 }, .entries = entries };
	struct record_envelope envelope = forge_envelope(&sent);
	struct api_record_state out;
	struct api_conflict conflict;
	struct fault flt = {0};
	struct buf content;

	(void)state;
	server_on(server, "*", see, NULL);
	answer_with(413, "");
	buf_init(&content, CAP_RECORD);
	for (int i = 0; i < 11000; i++) {
		snprintf(versions[i], sizeof(versions[i]), "1.0.%d", i);
		entries[large.entry_count++] = forge_release(versions[i], versions[i]);
	}
	assert_int_equal(record_encode(&large, &content, NULL), 0);
	assert_true(content.length > CAP_RECORD - 100000);
	envelope.content = buf_span(&content);
	assert_int_equal(api_publish_record(&api, soon(), &name, &envelope, &out, &conflict, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_REFUSED);
	pthread_mutex_lock(&next.mutex);
	assert_true(seen.length > content.length / 3 * 4 && seen.length < 2000000);
	pthread_mutex_unlock(&next.mutex);
	/* What is no record is not sent. */
	flt = (struct fault){0};
	envelope.content.length--;
	assert_int_equal(api_publish_record(&api, soon(), &name, &envelope, &out, &conflict, &flt), WARG_INVALID);
	assert_int_equal(server_requests(server), 1);
	buf_release(&content);
	free(versions);
	free(entries);
}

/* ---- Asking after a record ---- */

static const struct absent_case {
	int status;
	const char *body;
	int verdict;
	enum fault_kind kind;
} absents[] = {
	{ 404, "{\"status\":404,\"type\":\"record\",\"id\":\"$R\"}", WARG_UNDECIDED, FAULT_ABSENT },
	{ 404, "{\"status\":404,\"type\":\"log\",\"id\":\"$L\"}", WARG_UNDECIDED, FAULT_ABSENT },
	/* Nothing else is to have the record sent again. */
	{ 404, "{\"status\":404,\"type\":\"record\",\"id\":\"$A\"}", WARG_INVALID, FAULT_FORGED },
	{ 404, "{\"status\":404,\"type\":\"log\",\"id\":\"$R\"}", WARG_INVALID, FAULT_FORGED },
	{ 404, "{\"status\":404,\"type\":\"record\"}", WARG_INVALID, FAULT_FORGED },
	{ 404, "{\"status\":404,\"type\":\"record\",\"id\":7}", WARG_INVALID, FAULT_FORGED },
	{ 404, "{\"status\":404,\"type\":\"namespace\",\"id\":\"test\"}", WARG_UNDECIDED, FAULT_REFUSED },
	{ 404, "{\"status\":404,\"message\":\"not found\"}", WARG_UNDECIDED, FAULT_REFUSED },
	{ 404, "<html>", WARG_UNDECIDED, FAULT_REFUSED },
	{ 404, "", WARG_UNDECIDED, FAULT_REFUSED },
	{ 410, "{\"status\":410,\"type\":\"record\",\"id\":\"$R\"}", WARG_UNDECIDED, FAULT_REFUSED },
	{ 500, "{\"status\":404,\"type\":\"record\",\"id\":\"$R\"}", WARG_UNDECIDED, FAULT_UNREACHABLE },
	{ 200, "{\"status\":404,\"type\":\"record\",\"id\":\"$R\"}", WARG_INVALID, FAULT_FORGED },
	{ 401, "", WARG_UNDECIDED, FAULT_LOGIN },
	{ 503, "", WARG_UNDECIDED, FAULT_UNREACHABLE },
};

static void test_fetch(void **state)
{
	char *published = expand(STATE("\"state\":\"published\",\"registryIndex\":3"));
	struct api_record_state out;

	(void)state;
	server_on(server, "*", see, NULL);
	answer_with(200, published);
	assert_int_equal(api_fetch_record(&api, soon(), &name, &sent.id, &record, &out, NULL), 0);
	assert_int_equal(out.status, API_RECORD_PUBLISHED);
	assert_int_equal(out.registry_index, 3);
	assert_true(saw("GET /v1/package/$L/record/$R HTTP/1.1\r\n"));
	free(published);
	server_on(server, "*", answer_next, NULL);
	for (size_t i = 0; i < sizeof(absents) / sizeof(absents[0]); i++) {
		const struct absent_case *c = &absents[i];
		char *body = expand(c->body);
		struct fault flt = {0};

		answer_with(c->status, body);
		print_message("  %d %s\n", c->status, c->body);
		assert_int_equal(api_fetch_record(&api, soon(), &name, &sent.id, &record, &out, &flt), c->verdict);
		assert_int_equal(flt.kind, c->kind);
		free(body);
	}
}

/* ---- Uploading ---- */

static int upload_file(const struct api_upload *upload, int fd, uint64_t size, struct fault *flt)
{
	const struct http_file file = {.fd = fd, .length = size};

	return api_upload_content(&api, soon(), 0, upload, &file, flt);
}

static struct api_upload upload_to(const char *where, const char *type, const char *authorization)
{
	struct api_upload upload = { .method = HTTP_POST };

	buf_init(&upload.url, CAP_URL + 1);
	buf_init(&upload.content_type, CAP_UPLOAD_HEADER + 1);
	buf_init(&upload.authorization, CAP_UPLOAD_HEADER + 1);
	assert_int_equal(buf_append_format(&upload.url, NULL, "%s%c", where, 0), 0);
	if (type)
		assert_int_equal(buf_append_format(&upload.content_type, NULL, "%s%c", type, 0), 0);
	if (authorization)
		assert_int_equal(buf_append_format(&upload.authorization, NULL, "%s%c", authorization, 0), 0);
	return upload;
}

static void upload_release(struct api_upload *upload)
{
	buf_release(&upload->url);
	buf_release(&upload->content_type);
	buf_release(&upload->authorization);
}

static int content_of(const char *text)
{
	int fd = memfd_create("content", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void test_upload(void **state)
{
	static const struct {
		int status, verdict;
		enum fault_kind kind;
	} rows[] = {
		{ 201, 0, FAULT_NONE }, { 200, 0, FAULT_NONE }, { 204, 0, FAULT_NONE },
		{ 400, WARG_UNDECIDED, FAULT_REFUSED }, { 405, WARG_UNDECIDED, FAULT_REFUSED },
		{ 401, WARG_UNDECIDED, FAULT_LOGIN }, { 500, WARG_UNDECIDED, FAULT_UNREACHABLE },
		{ 503, WARG_UNDECIDED, FAULT_UNREACHABLE }, { 302, WARG_UNDECIDED, FAULT_UNREACHABLE },
		{ 307, WARG_UNDECIDED, FAULT_UNREACHABLE },
	};
	char where[300];
	int fd = content_of("content and more");

	(void)state;
	server_on(server, "*", see, NULL);
	log_in();
	api.registry = "other.example";
	snprintf(where, sizeof(where), "%su?secret", server_url(server));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_upload upload = upload_to(where, i & 1 ? "t/t" : NULL, i & 1 ? "Basic eA==" : NULL);
		struct fault flt = {0};

		answer_with(rows[i].status, "");
		upload.method = i & 2 ? HTTP_PUT : HTTP_POST;
		assert_int_equal(upload_file(&upload, fd, 7, &flt), rows[i].verdict);
		assert_int_equal(flt.kind, rows[i].kind);
		assert_null(strstr(flt.where, "secret"));
		assert_true(saw(i & 2 ? "PUT /u?secret HTTP/1.1\r\n" : "POST /u?secret HTTP/1.1\r\n"));
		assert_true(saw("Content-Length: 7\r\n"));
		assert_true(saw("\r\n\r\ncontent"));
		assert_false(saw("content and"));
		assert_int_equal(saw("Content-Type: t/t\r\n") && saw("Authorization: Basic eA==\r\n"), i & 1);
		assert_int_equal(saw("Authorization"), i & 1);
		/* What was meant for the registry's own calls. */
		assert_false(saw("t0k") || saw("Warg-Registry"));
		upload_release(&upload);
	}
	assert_int_equal(server_requests(server), sizeof(rows) / sizeof(rows[0]));
	/* Each has a connection of its own, whether or not the server would go on. */
	unsigned before = server_connections(server);

	server_on(server, "*", keep, NULL);
	for (unsigned i = 0; i < 3; i++) {
		struct api_upload upload = upload_to(where, NULL, NULL);

		assert_int_equal(upload_file(&upload, fd, 7, NULL), WARG_UNDECIDED);
		upload_release(&upload);
	}
	assert_int_equal(server_connections(server) - before, 3);
	close(fd);
}

/* Not a byte goes to another server than the registry's own. */
static void test_upload_elsewhere(void **state)
{
	struct embedded_registry *other = server_new();
	struct api_upload upload = upload_to(server_url(other), NULL, NULL);
	int fd = content_of("content");
	struct fault flt = {0};

	(void)state;
	server_on(other, "*", answer_next, NULL);
	assert_int_equal(upload_file(&upload, fd, 7, &flt), WARG_INVALID);
	assert_int_equal(server_connections(other), 0);
	upload_release(&upload);
	close(fd);
	server_free(other);
}

/* ---- All of it ---- */

static bool upload_all(const struct api_record_state *state)
{
	for (size_t i = 0; i < state->upload_count; i++) {
		char text[DIGEST_TEXT_SIZE];
		int fd;

		digest_format(&state->uploads[i].content, text);
		fd = content_of(!strcmp(text, hash_a) ? "a" : "b");
		assert_int_equal(upload_file(&state->uploads[i], fd, 1, NULL), 0);
		close(fd);
	}
	return state->upload_count == 2;
}

/* From the record to the log, with a registry that takes it; and what it says of one that its log does not allow. */
static void test_whole(void **state)
{
	struct fake_registry *fake = fake_registry_new();
	struct fake_publish *taking = fake_publish_new(fake);
	struct record_envelope envelope = forge_envelope(&sent);
	struct forge_record again;
	struct api_record_state now;
	struct api_conflict conflict;
	struct fault flt = {0};

	(void)state;
	api.url = fake_registry_url(fake);
	assert_int_equal(api_fetch_record(&api, soon(), &name, &sent.id, NULL, &now, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_int_equal(api_publish_record(&api, soon(), &name, &envelope, &now, &conflict, NULL), 0);
	assert_int_equal(now.status, API_RECORD_SOURCING);
	fake_publish_delay(taking, 2);
	assert_true(upload_all(&now));
	api_record_state_release(&now);
	assert_int_equal(api_fetch_record(&api, soon(), &name, &sent.id, &record, &now, NULL), 0);
	assert_int_equal(now.status, API_RECORD_PROCESSING);
	assert_int_equal(api_fetch_record(&api, soon(), &name, &sent.id, &record, &now, NULL), 0);
	assert_int_equal(now.status, API_RECORD_PUBLISHED);
	assert_int_equal(now.registry_index, 2);
	assert_int_equal(fake_publish_counts(taking).published, 1);

	struct record_entry yank = forge_yank("9.0.0");
	struct record wrong = { .kind = RECORD_PACKAGE, .has_prev = true, .prev = sent.id, .time = { 1700000001, 0 },
				.entries = &yank, .entry_count = 1 };

	forge_record(RECORD_PACKAGE, &wrong, key, &again);
	envelope = forge_envelope(&again);
	fake_publish_delay(taking, 0);
	assert_int_equal(api_publish_record(&api, soon(), &name, &envelope, &now, &conflict, NULL), 0);
	assert_int_equal(now.status, API_RECORD_REJECTED);
	assert_non_null(strstr(now.reason, "never released"));
	forge_record_release(&again);
	fake_registry_free(fake);
	fake_publish_free(taking);
}

/* ---- Without memory ---- */

static int torture_state(void *context, struct fault *flt)
{
	struct api_record_state out = { .status = 77 };
	int r = decode(202, context, &record, &out, flt);

	if (r)
		assert_int_equal(out.status, 77);
	else
		api_record_state_release(&out);
	return r;
}

static int torture_conflict(void *context, struct fault *flt)
{
	struct http_exchange exchange = answer_of(409, context);
	struct api_conflict out;
	int r = api_decode_conflict(&exchange, &out, flt);

	/* The conflict itself is a fault, too. */
	if (r == WARG_UNDECIDED && out.type == API_CONFLICT_RECORD && flt->kind == FAULT_REFUSED) {
		*flt = (struct fault){0};
		return 0;
	}
	return r;
}

static int torture_publish(void *context, struct fault *flt)
{
	struct api_record_state out = { .status = 77 };
	struct api_conflict conflict;
	int r = publish(&out, &conflict, flt);

	(void)context;
	if (!r)
		api_record_state_release(&out);
	else
		assert_int_equal(out.status, 77);
	return r;
}

static int torture_upload(void *context, struct fault *flt)
{
	int fd = content_of("content");
	int r = upload_file(context, fd, 7, flt);

	close(fd);
	return r;
}

static void test_torture(void **state)
{
	char *sourcing = expand(SOURCING("\"$B\":{\"upload\":[" HTTP("\"url\":\"/b\"") "]},"
					 UPLOAD(HTTP("\"url\":\"a\",\"headers\":{\"authorization\":\"Bearer x\"}"))));
	char *conflict = expand("{\"status\":409,\"type\":\"record\",\"id\":\"$A\"}");
	struct api_upload upload = upload_to(server_url(server), "t/t", "Basic eA==");

	(void)state;
	torture(torture_state, sourcing);
	torture(torture_conflict, conflict);
	server_on(server, "*", answer_next, NULL);
	answer_with(202, sourcing);
	torture(torture_publish, NULL);
	torture(torture_upload, &upload);
	upload_release(&upload);
	free(sourcing);
	free(conflict);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_states, set_base),
		cmocka_unit_test(test_states_of_others),
		cmocka_unit_test(test_uploads),
		cmocka_unit_test(test_long_reason),
		TEST(test_refusals),
		TEST(test_retry_after),
		TEST(test_lost),
		TEST(test_publish),
		TEST(test_largest),
		TEST(test_fetch),
		TEST(test_upload),
		TEST(test_upload_elsewhere),
		TEST(test_whole),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, set_up_all, tear_down_all);
}
