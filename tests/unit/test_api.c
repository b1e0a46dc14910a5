/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * client/net/api*.c: the real server's answers, each kind of lie, and what is split.
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
#include "data.h"
#include "server.h"
#include "torture.h"

#define REFERENCE "tests/data/valid/reference/"
#define ID_A "sha256:071fda594d2219ee6a4b8fb7deb6e10f01a6dcf4890f2c120c973e5b0fe134d3" /* example:hello */
#define ID_B "sha256:332a074821b50bddd53feb9f81544417ff2790353f294747f4fd799d52343311" /* example:pkg1 */
#define ID_0 "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define KEY "sha256:d6d9b4cd077a829c0275233bf3843c8294e250dfcc82b8ea15745e92982a820d"

static struct embedded_registry *server;
static struct http *http;
static struct http_url url;
static struct api api;
static struct digest id_a, id_b, id_0;

static int set_up(void **state)
{
	(void)state;
	server = server_new();
	assert_int_equal(http_new(&http, NULL), 0);
	assert_int_equal(http_url_parse(server_url(server), &url, NULL), 0);
	api = (struct api){ .http = http, .url = &url };
	assert_int_equal(digest_parse(span_of_text(ID_A), &id_a, NULL), 0);
	assert_int_equal(digest_parse(span_of_text(ID_B), &id_b, NULL), 0);
	assert_int_equal(digest_parse(span_of_text(ID_0), &id_0, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_free(http);
	server_free(server);
	return 0;
}

static clock_ms soon(void)
{
	return clock_in_seconds(60);
}

/* ---- The decoders, without a server ---- */

enum call { DISCOVERY, CHECKPOINT, LOGS, NAMES, LEDGER, INCLUSION, CONSISTENCY, SOURCES };

/* Decode an answer, check what every answer has to obey, and give back what it owns. */
static int decode(enum call call, int status, struct span body, struct fault *flt)
{
	struct http_exchange e = { .url = "http://127.0.0.1/x", .status = status,
				   .received = { (unsigned char *)(uintptr_t)body.data, body.length, body.length,
						 body.length } };
	struct http_url base, found;
	struct api a = { .url = &base };
	struct signed_checkpoint checkpoint;
	struct api_log list[2] = { { .log_id = id_a }, { .log_id = id_b } };
	struct api_logs logs = { .packages = list, .package_count = 2 };
	struct api_missing missing = {{0}, {0}};
	struct digest ids[2] = { id_a, id_b };
	struct name names[2];
	struct api_ledger ledger;
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
	struct api_sources sources;
	int r;

	if (http_url_parse("http://127.0.0.1/", &base, flt))
		return fault_no_memory(flt);
	switch (call) {
	case DISCOVERY:
		return api_decode_discovery(&base, &e, &found, flt);
	case CHECKPOINT:
		return api_decode_checkpoint(&e, &checkpoint, flt);
	case LOGS:
		r = api_decode_logs(&e, &logs, &missing, flt);
		for (size_t i = 0; i < 3; i++) {
			struct api_log *log_of = i < 2 ? &list[i] : &logs.operator;

			if (!r && log_of->fault) {
				*flt = *log_of->fault;
				r = flt->verdict;
			}
			api_log_release(log_of);
		}
		logs.packages = NULL;
		logs.package_count = 0;
		api_logs_release(&logs);
		return r;
	case NAMES:
		return api_decode_names(&e, ids, 2, names, NULL, flt);
	case LEDGER:
		r = api_decode_ledger(&base, &e, &ledger, flt);
		if (!r)
			api_ledger_release(&ledger);
		return r;
	case INCLUSION:
		r = api_decode_inclusion(&e, &log, &map, flt);
		if (!r) {
			merkle_log_bundle_release(&log);
			merkle_map_bundle_release(&map);
		}
		return r;
	case CONSISTENCY:
		r = api_decode_consistency(&e, &log, flt);
		if (!r)
			merkle_log_bundle_release(&log);
		return r;
	case SOURCES:
		r = api_sources_decode(&a, &id_a, &e, &sources, flt);
		if (!r)
			api_sources_release(&sources);
		return r;
	}
	return WARG_INVALID;
}

#define CONTENTS "\"contents\":{\"logRoot\":\"" ID_0 "\",\"logLength\":1,\"mapRoot\":\"" ID_0 "\",\"timestamp\":1}"
#define RECORD(bytes, key, index) \
	"{\"contentBytes\":\"" bytes "\",\"keyId\":\"" key "\",\"signature\":\"s\",\"registryIndex\":" index \
	",\"fetchToken\":\"t\"}"
#define LOG_A(records) "{\"packages\":{\"" ID_A "\":[" records "]}}"
#define SOURCE(first, last, type, where) \
	"{\"firstRegistryIndex\":" first ",\"lastRegistryIndex\":" last ",\"contentType\":\"" type "\"" \
	",\"url\":\"" where "\"}"
#define PACKED "application/vnd.warg.ledger.packed"
#define LEDGER_OF(sources) "{\"hashAlgorithm\":\"sha256\",\"sources\":[" sources "]}"
#define CONTENT(sources) "{\"contentSources\":{\"" ID_A "\":[" sources "]}}"

/* An empty body, HTML, wrong types and duplicate keys are lies to every call. */
static const char *const never[] = {
	"", "<html><body>Hello</body></html>", "nonsense", "[]", "1", "\"a\"", "null", "{", "{}x", "{\"a\":1,\"a\":1}",
	"{\"contents\":1,\"packages\":1,\"operator\":1,\"sources\":1,\"log\":1,\"proof\":1,\"contentSource"
	  "s\":1,\"wargUrl\":1}",
	"{\"\xff\":1}", "{\"a\\u0000\":1}",
};

static const struct decode_case {
	enum call call;
	const char *body;
	int verdict;
	enum fault_kind kind;
} cases[] = {
	{ DISCOVERY, "{}", 0, FAULT_NONE },
	{ DISCOVERY, "{\"wargUrl\":\"https://r.example\",\"more\":[]}", 0, FAULT_NONE },
	{ DISCOVERY, "{\"wargUrl\":\"r.example\"}", 0, FAULT_NONE },
	{ DISCOVERY, "{\"wargUrl\":\"http://r.example\"}", WARG_INVALID, FAULT_FORGED },
	{ DISCOVERY, "{\"wargUrl\":\"ftp://r.example\"}", WARG_INVALID, FAULT_FORGED },
	{ CHECKPOINT, "{" CONTENTS ",\"keyId\":\"" KEY "\",\"signature\":\"s\",\"x\":1}", 0, FAULT_NONE },
	{ CHECKPOINT, "{" CONTENTS ",\"signature\":\"s\"}", WARG_INVALID, FAULT_FORGED },
	{ CHECKPOINT, "{" CONTENTS ",\"keyId\":\"sha256:00\",\"signature\":\"s\"}", WARG_INVALID, FAULT_FORGED },
	{ LOGS, "{}", 0, FAULT_NONE },
	{ LOGS, "{\"more\":true,\"operator\":[],\"packages\":{}}", 0, FAULT_NONE },
	{ LOGS, "{\"more\":1}", WARG_INVALID, FAULT_FORGED },
	{ LOGS, LOG_A(RECORD("AA==", KEY, "0")), 0, FAULT_NONE },
	{ LOGS, LOG_A(RECORD("AA==", KEY, "-1")), WARG_INVALID, FAULT_FORGED },
	{ LOGS, LOG_A(RECORD("AA==", KEY, "1.0")), WARG_INVALID, FAULT_FORGED },
	{ LOGS, LOG_A(RECORD("AB==", KEY, "0")), WARG_INVALID, FAULT_FORGED },
	{ LOGS, LOG_A(RECORD("AA", KEY, "0")), WARG_INVALID, FAULT_FORGED },
	{ LOGS, LOG_A(RECORD("AA==", "sha256:D6D9", "0")), WARG_INVALID, FAULT_FORGED },
	{ LOGS, LOG_A("null"), WARG_INVALID, FAULT_FORGED },
	{ LOGS, LOG_A("{}"), WARG_INVALID, FAULT_FORGED },
	{ LOGS, "{\"packages\":{\"" ID_0 "\":[]}}", WARG_INVALID, FAULT_FORGED },
	{ LOGS, "{\"packages\":{\"" ID_A "\":[],\"" ID_A "\":[]}}", WARG_INVALID, FAULT_FORGED },
	{ NAMES, "{\"packages\":{\"" ID_A "\":\"example:hello\",\"" ID_B "\":null}}", 0, FAULT_NONE },
	{ NAMES, "{\"packages\":{}}", 0, FAULT_NONE },
	{ NAMES, "{\"packages\":{\"" ID_A "\":\"example:hellp\"}}", WARG_INVALID, FAULT_FORGED },
	{ NAMES, "{\"packages\":{\"" ID_A "\":\"../hello\"}}", WARG_INVALID, FAULT_FORGED },
	{ NAMES, "{\"packages\":{\"" ID_A "\":7}}", WARG_INVALID, FAULT_FORGED },
	{ NAMES, "{}", WARG_INVALID, FAULT_FORGED },
	{ LEDGER, LEDGER_OF(""), 0, FAULT_NONE },
	{ LEDGER, LEDGER_OF(SOURCE("0", "9", PACKED, "a") "," SOURCE("10", "12", PACKED, "b")), 0, FAULT_NONE },
	{ LEDGER, LEDGER_OF(SOURCE("0", "9", PACKED, "a") "," SOURCE("9", "12", PACKED, "b")), WARG_INVALID,
	  FAULT_FORGED },
	{ LEDGER, LEDGER_OF(SOURCE("9", "0", PACKED, "a")), WARG_INVALID, FAULT_FORGED },
	{ LEDGER, LEDGER_OF(SOURCE("0", "9223372036854775807", PACKED, "a")), WARG_INVALID, FAULT_FORGED },
	{ LEDGER, LEDGER_OF(SOURCE("0", "9", PACKED, "http://10.0.0.1/")), WARG_INVALID, FAULT_FORGED },
	{ LEDGER, LEDGER_OF(SOURCE("0", "9", "text/csv", "a")), WARG_UNDECIDED, FAULT_REFUSED },
	{ LEDGER, "{\"hashAlgorithm\":\"md5\",\"sources\":[]}", WARG_UNDECIDED, FAULT_REFUSED },
	{ INCLUSION, "{\"log\":\"CAEaAQA=\",\"map\":\"CiQKIgogtymH9W8DUhMkCZVDB0ue+UHFIdwPApAKx2rBYCV0Wu0=\"}", 0,
	  FAULT_NONE },
	{ INCLUSION, "{\"log\":\"CAEaAQA=\",\"map\":\"CiQ=\"}", WARG_INVALID, FAULT_FORGED },
	{ INCLUSION, "{\"log\":\"CAEaAQA\",\"map\":\"\"}", WARG_INVALID, FAULT_FORGED },
	{ INCLUSION, "{\"log\":\"CAEaAQA=\"}", WARG_INVALID, FAULT_FORGED },
	{ CONSISTENCY,
	  "{\"proof\":\"CAMSAQIiJAgBEiA9dGYCENzwVQExhl7rjByzN6wc+2XfSbfYEbahmbqp2iIkCAQSIK1enequonGz2CBEru7KuI3Ykb"
	  "+C1IuvacO6VcWLGvwt\"}", 0, FAULT_NONE },
	{ INCLUSION, "{\"log\":\"CAEaAQA=\",\"map\":\"\"}", 0, FAULT_NONE },
	{ CONSISTENCY, "{\"proof\":\"CAEaAQA=\"}", 0, FAULT_NONE },
	{ CONSISTENCY, "{\"proof\":\"/w==\"}", WARG_INVALID, FAULT_FORGED },
	{ SOURCES, CONTENT("{\"type\":\"httpGet\",\"url\":\"/c\",\"size\":7,\"acceptRanges\":true}"), 0, FAULT_NONE },
	{ SOURCES,
	  CONTENT("{\"type\":\"p2p\",\"magnet\":1},{\"type\":\"httpGet\",\"url\":\"https://cdn.example/c\"}"), 0,
	  		FAULT_NONE },
	{ SOURCES, CONTENT("{\"type\":\"p2p\"}"), WARG_UNDECIDED, FAULT_ABSENT },
	{ SOURCES, CONTENT(""), WARG_UNDECIDED, FAULT_ABSENT },
	{ SOURCES, CONTENT("{\"type\":\"httpGet\",\"url\":\"http://10.0.0.1/c\"}"), WARG_INVALID, FAULT_FORGED },
	{ SOURCES, CONTENT("{\"type\":\"httpGet\",\"url\":\"file:///c\"}"), WARG_INVALID, FAULT_FORGED },
	{ SOURCES, CONTENT("{\"type\":\"httpGet\",\"url\":\"/c\",\"size\":-1}"), WARG_INVALID, FAULT_FORGED },
	{ SOURCES, "{\"contentSources\":{\"" ID_B "\":[{\"type\":\"httpGet\",\"url\":\"/c\"}]}}", WARG_INVALID,
	  FAULT_FORGED },
};

static void test_decode(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct decode_case *c = &cases[i];
		struct fault flt = {0};

		print_message("  %d %s\n", c->call, c->body);
		assert_int_equal(decode(c->call, 200, span_of_text(c->body), &flt), c->verdict);
		assert_int_equal(flt.kind, c->kind);
		assert_int_equal(flt.party, c->verdict ? FAULT_BY_REGISTRY : FAULT_BY_UNKNOWN);
	}
	for (int call = DISCOVERY; call <= SOURCES; call++) {
		for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
			struct fault flt = {0};

			print_message("  %d %s\n", call, never[i]);
			assert_int_equal(decode((enum call)call, 200, span_of_text(never[i]), &flt), WARG_INVALID);
			assert_int_equal(flt.party, FAULT_BY_REGISTRY);
		}
	}
}

static const struct refusal_case {
	int status;
	const char *body;
	int verdict;
	enum fault_kind kind;
	const char *words; /* in `what` */
} refusals[] = {
	{ 404, "{\"status\":404,\"type\":\"log\",\"id\":\"" ID_A "\"}", WARG_UNDECIDED, FAULT_ABSENT, "log" },
	{ 404, "{\"status\":404,\"type\":\"leaf\",\"id\":7}", WARG_UNDECIDED, FAULT_ABSENT, "leaf" },
	{ 404, "{\"status\":404,\"message\":\"not found\"}", WARG_UNDECIDED, FAULT_ABSENT, "not found" },
	{ 404, "", WARG_INVALID, FAULT_FORGED, "404" },
	{ 404, "<html>", WARG_INVALID, FAULT_FORGED, "404" },
	{ 404, "{\"error\":\"?\"}", WARG_INVALID, FAULT_FORGED, "404" },
	{ 401, "", WARG_UNDECIDED, FAULT_LOGIN, "401" },
	{ 403, "<html>", WARG_UNDECIDED, FAULT_LOGIN, "403" },
	{ 502, "<html>", WARG_UNDECIDED, FAULT_UNREACHABLE, "502" },
	{ 503, "", WARG_UNDECIDED, FAULT_UNREACHABLE, "503" },
	{ 507, "", WARG_UNDECIDED, FAULT_SYSTEM, "507, the disk of the registry is full" },
	{ 504, "", WARG_UNDECIDED, FAULT_UNREACHABLE, "504" },
	{ 400, "{\"status\":400,\"message\":\"no such limit\"}", WARG_UNDECIDED, FAULT_REFUSED, "no such limit" },
	{ 422, "{\"status\":422,\"reason\":\"failure\",\"message\":\"Necessary hash not found\"}", WARG_UNDECIDED,
	  FAULT_REFUSED,
	  "Necessary hash" },
	{ 422, "{\"status\":422,\"reason\":\"packageNotIncluded\"}", WARG_UNDECIDED, FAULT_REFUSED,
	  "packageNotIncluded" },
	{ 501, "`Warg-Registry` header is not supported", WARG_UNDECIDED, FAULT_REFUSED, "501" },
	{ 413, "", WARG_UNDECIDED, FAULT_REFUSED, "413" },
};

static void test_refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		const struct refusal_case *c = &refusals[i];
		struct fault flt = {0};

		print_message("  %d %s\n", c->status, c->body);
		assert_int_equal(decode(CHECKPOINT, c->status, span_of_text(c->body), &flt), c->verdict);
		assert_int_equal(flt.kind, c->kind);
		assert_int_equal(flt.party, FAULT_BY_REGISTRY);
		assert_non_null(strstr(flt.what, c->words));
	}
}

/* Who asks for time is given it; who names a time for another reason is not. */
static void test_retry_after(void **state)
{
	static const struct {
		int status;
		unsigned wait;
	} rows[] = { { 429, 7 }, { 503, 7 }, { 404, 0 }, { 500, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_exchange exchange = { .url = "http://127.0.0.1/x", .status = rows[i].status,
						  .retry_after = 7 };
		struct fault flt = {0};

		assert_int_not_equal(api_answer_refused(&exchange, NULL, &flt), 0);
		assert_int_equal(flt.wait, rows[i].wait);
	}
}

static int torture_decode(void *context, struct fault *flt)
{
	const struct decode_case *c = context;

	return decode(c->call, 200, span_of_text(c->body), flt);
}

static int torture_refusal(void *context, struct fault *flt)
{
	(void)context;
	return decode(DISCOVERY, 404, span_of_text("{\"status\":404}"), flt);
}

/*
 * jansson 2.14 keeps a token in a buffer of 16 bytes at first. When that cannot grow, it loses the byte, which may be
 * the quote that it then looks for past the buffer's end. So only answers of short texts can be tried.
 */
static bool is_short(const char *body)
{
	while (*body) {
		size_t length = strcspn(body, "\"");

		if (length > 13)
			return false;
		body += length + (body[length] == '"');
	}
	return true;
}

static void test_torture(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct decode_case c = cases[i];

		if (!c.verdict && is_short(c.body))
			torture(torture_decode, &c);
	}
	torture(torture_refusal, NULL);
}

/* ---- A ledger in pieces ---- */

#define PARTS 40
#define PART_RECORDS 3

/** A server that serves only part of a ledger at a time. */
struct pieces {
	pthread_mutex_t mutex; /* guards the members below */
	struct buf bytes;
	unsigned given;        /* parts served whole; of the next one only one record and a half */
	bool has_ranges;
	bool is_behind_portal; /* each part is answered with a web page */
	unsigned asked[PARTS]; /* how often a part was requested */
};

static void answer_sources(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct json *out = json_new_object(), *list = json_new_list();
	struct buf text;

	(void)request;
	(void)user;
	for (unsigned i = 0; i < PARTS; i++) {
		struct json *source = json_new_object();
		char path[20];

		snprintf(path, sizeof(path), "v1/part/%u", i);
		json_put_uint(source, "firstRegistryIndex", i * PART_RECORDS);
		json_put_uint(source, "lastRegistryIndex", (i + 1) * PART_RECORDS - 1);
		json_put_text(source, "contentType", "application/vnd.warg.ledger.packed");
		json_put_text(source, "url", path);
		json_add(list, source);
	}
	json_put_text(out, "hashAlgorithm", "sha256");
	json_put(out, "sources", list);
	buf_init(&text, 1 << 20);
	assert_int_equal(json_render(out, JSON_COMPACT, &text, NULL), 0);
	server_answer(connection, 200, buf_span(&text));
	json_free(out);
	buf_release(&text);
}

/* A page that is as long as records are, as far as that goes. */
static void answer_page(struct server_connection *connection)
{
	char page[200 + 64 * PART_RECORDS];
	int head = snprintf(page, sizeof(page),
			    "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n",
			    64 * PART_RECORDS);

	memset(page + head, '<', 64 * PART_RECORDS);
	server_write(connection, (struct span){(unsigned char *)page, (size_t)head + 64 * PART_RECORDS});
}

static void answer_part(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct pieces *pieces = user;
	const unsigned part = (unsigned)atoi(request->target + strlen("/v1/part/"));
	const char *range = strcasestr(request->head, "range: bytes=");
	size_t from, sent, size = PART_RECORDS * 64;
	bool is_given;
	char head[200];

	pthread_mutex_lock(&pieces->mutex);
	if (pieces->is_behind_portal) {
		pthread_mutex_unlock(&pieces->mutex);
		answer_page(connection);
		return;
	}
	pieces->asked[part]++;
	is_given = part <= pieces->given;
	sent = part < pieces->given ? size : 96;
	range = pieces->has_ranges ? range : NULL;
	pthread_mutex_unlock(&pieces->mutex);
	if (!is_given)
		return;
	from = range ? strtoul(range + strlen("range: bytes="), NULL, 10) : 0;
	snprintf(head, sizeof(head), "HTTP/1.1 %s\r\ncontent-length: %zu\r\ncontent-range: bytes %zu-%zu/%zu\r\n\r\n",
		 range ? "206 Part" : "200 OK", size - from, from, size - 1, size);
	server_write_text(connection, head);
	if (sent > from)
		server_write(connection, (struct span){pieces->bytes.data + part * size + from, sent - from});
}

/* A web page, of a portal that wants a login, neither counts as records nor harms those that the spool has. */
static void meet_portal(struct pieces *pieces, struct api_ledger_spool *spool)
{
	uint64_t before = spool->end;
	struct fault flt = {0};

	pthread_mutex_lock(&pieces->mutex);
	pieces->is_behind_portal = true;
	pthread_mutex_unlock(&pieces->mutex);
	assert_int_equal(api_spool_ledger(&api, soon(), spool, PARTS * PART_RECORDS, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
	assert_int_equal(spool->end, before);
	pthread_mutex_lock(&pieces->mutex);
	pieces->is_behind_portal = false;
	pthread_mutex_unlock(&pieces->mutex);
}

/*
 * The spool keeps whole parts and the beginning of one, so repeated fetches complete the ledger however little each
 * receives, and whatever else comes in between.
 */
static void test_ledger_in_pieces(void **state)
{
	struct pieces both[2] = {{.has_ranges = false}, {.has_ranges = true}};

	(void)state;
	for (int ranges = 0; ranges < 2; ranges++) {
		struct pieces *pieces = &both[ranges];
		struct api_ledger_spool spool = {.first = 1, .end = 1};
		struct api_ledger_entry entries[PARTS * PART_RECORDS];
		unsigned tries = 0;
		int r = WARG_UNDECIDED;

		pthread_mutex_init(&pieces->mutex, NULL);
		pthread_mutex_lock(&pieces->mutex);
		buf_init(&pieces->bytes, 1 << 20);
		for (unsigned i = 0; i < PARTS * PART_RECORDS * 2; i++) {
			struct digest digest = digest_of((struct span){(unsigned char *)&i, sizeof(i)});

			assert_int_equal(buf_append(&pieces->bytes, digest_span(&digest), NULL), 0);
		}
		pthread_mutex_unlock(&pieces->mutex);
		spool.fd = memfd_create("spool", MFD_CLOEXEC);
		assert_true(spool.fd >= 0);
		server_on(server, "/v1/ledger", answer_sources, NULL);
		server_on(server, "*", answer_part, pieces);
		for (; r && tries < PARTS + 2; tries++) {
			struct fault flt = {0};

			meet_portal(pieces, &spool);
			r = api_spool_ledger(&api, soon(), &spool, PARTS * PART_RECORDS, &flt);
			assert_true(!r || flt.kind == FAULT_UNREACHABLE);
			if (r)
				assert_int_equal(spool.end, pieces->given * PART_RECORDS + 1);
			pthread_mutex_lock(&pieces->mutex);
			pieces->given += 9;
			pthread_mutex_unlock(&pieces->mutex);
		}
		assert_int_equal(r, 0);
		assert_int_equal(tries, 6);
		assert_int_equal(spool.end, PARTS * PART_RECORDS);
		assert_int_equal(pread(spool.fd, entries, sizeof(entries), 0), sizeof(entries) - 64);
		assert_memory_equal(entries, pieces->bytes.data + 64, sizeof(entries) - 64);
		for (unsigned i = 0; i < PARTS; i++)
			assert_in_range(pieces->asked[i], 1, 3);
		close(spool.fd);
	}
	server_free(server); /* it borrows them */
	server = NULL;
	for (int ranges = 0; ranges < 2; ranges++)
		buf_release(&both[ranges].bytes);
}

/* ---- Over the wire ---- */

static void test_recorded(void **state)
{
	struct buf checkpoint = data_read(REFERENCE "checkpoint.json"), logs = data_read(REFERENCE "logs.json");
	struct buf names = data_read(REFERENCE "names.json"), ledger = data_read(REFERENCE "ledger.bin");
	struct name found[2];
	struct digest ids[2] = { id_a, id_b };
	struct signed_checkpoint signed_checkpoint;
	struct api_ledger_entry *entries;
	struct fault flt = {0};

	(void)state;
	server_on_answer(server, "/v1/fetch/checkpoint", 200, buf_span(&checkpoint));
	server_on_answer(server, "/v1/fetch/logs", 200, buf_span(&logs));
	server_on_answer(server, "/v1/fetch/names", 200, buf_span(&names));
	server_on_answer(server, "/v1/ledger", 200, span_of_text(LEDGER_OF(SOURCE("0", "13", PACKED, "v1/part"))));
	server_on_answer(server, "/v1/part", 200, buf_span(&ledger));
	assert_int_equal(api_fetch_checkpoint(&api, soon(), &signed_checkpoint, &flt), 0);
	assert_int_equal(signed_checkpoint.contents.log_length, 14);
	assert_int_equal(api_fetch_names(&api, soon(), ids, 2, found, NULL, &flt), 0);
	assert_string_equal(found[0].text, "example:hello");
	assert_string_equal(found[1].text, "example:pkg1");
	assert_int_equal(api_fetch_ledger(&api, soon(), 1, 14, &entries, &flt), 0);
	assert_true(digest_equals(&entries[0].log_id, &id_a));
	free(entries);
	assert_int_equal(api_fetch_ledger(&api, soon(), 1, 15, &entries, &flt), WARG_INVALID);
	server_free(server); /* it borrows them */
	server = NULL;
	buf_release(&checkpoint);
	buf_release(&logs);
	buf_release(&names);
	buf_release(&ledger);
}

static void operator_unasked(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)user;
	(void)request;
	server_answer(connection, 200, span_of_text("{\"more\":true,\"operator\":[" RECORD("AA==", KEY, "0")
			"],\"packages\":{\"" ID_A "\":[]}}"));
}

static void test_logs(void **state)
{
	struct api_wanted wanted = { .log_id = id_a }, tokened = { .log_id = id_a, .token = ID_0 };
	struct api_absent absent;
	struct api_logs logs;
	struct fault flt = {0};

	(void)state;
	/* The reference sends the operator's log even when it is not asked to, and says `more` for it. */
	server_on(server, "/v1/fetch/logs", operator_unasked, NULL);
	assert_int_equal(api_fetch_logs(&api, soon(), 1, NULL, &wanted, 1, &logs, &absent, &flt), 0);
	assert_false(logs.more);
	assert_int_equal(logs.operator.count, 0);
	api_logs_release(&logs);
	assert_int_equal(api_fetch_logs(&api, soon(), 1, &wanted, &wanted, 1, &logs, &absent, &flt), 0);
	assert_true(logs.more);
	assert_int_equal(logs.operator.count, 1);
	api_logs_release(&logs);
	server_on_answer(server, "/v1/fetch/logs", 404, span_of_text("{\"status\":404,\"type\":\"log\",\"id\":\"" ID_A
			"\"}"));
	assert_int_equal(api_fetch_logs(&api, soon(), 1, NULL, &wanted, 1, &logs, &absent, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_true(digest_equals(&absent.log_id, &id_a));
	assert_string_equal(absent.hint, "");
	flt = (struct fault){0};
	server_on_bytes(server, "/v1/fetch/logs",
			span_of_text("HTTP/1.1 404 No\r\nWarg-Registry-Hint: a=b.example\r\n\r\n"
			"{\"status\":404,\"type\":\"log\",\"id\":\"" ID_A "\"}"));
	assert_int_equal(api_fetch_logs(&api, soon(), 1, NULL, &wanted, 1, &logs, &absent, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_true(digest_equals(&absent.log_id, &id_a));
	assert_string_equal(absent.hint, "a=b.example");
	flt = (struct fault){0};
	server_on_answer(server, "/v1/fetch/logs", 404,
			span_of_text("{\"status\":404,\"type\":\"fetchToken\",\"id\":\"x\"}"));
	assert_int_equal(api_fetch_logs(&api, soon(), 1, NULL, &tokened, 1, &logs, &absent, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_true(digest_equals(&absent.log_id, &id_0));
	assert_string_equal(absent.hint, "");
	flt = (struct fault){0};
	server_on_bytes(server, "/v1/fetch/logs", span_of_text(""));
	assert_int_equal(api_fetch_logs(&api, soon(), 1, NULL, &tokened, 1, &logs, &absent, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	flt = (struct fault){0};
	assert_int_equal(api_fetch_logs(&api, soon(), 1, NULL, &wanted, 1, &logs, &absent, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
}

/* Knows one name, and says 404 for the first other one. */
static void one_name(struct server_connection *connection, const struct server_request *request, void *user)
{
	char text[4096], *other, *id;
	char body[256];

	(void)user;
	assert_true(request->body.length < sizeof(text));
	memcpy(text, request->body.data, request->body.length);
	text[request->body.length] = '\0';
	for (id = text; (other = strstr(id, "sha256:")); id = other + 71)
		if (strncmp(other, ID_A, 71) != 0)
			break;
	if (other)
		snprintf(body, sizeof(body), "{\"status\":404,\"type\":\"log\",\"id\":\"%.71s\"}", other);
	else
		snprintf(body, sizeof(body), "{\"packages\":{\"" ID_A "\":\"example:hello\"}}");
	server_answer(connection, other ? 404 : 200, span_of_text(body));
}

static void test_unknown_names(void **state)
{
	struct digest ids[3] = { id_0, id_a, id_b };
	struct name names[3];
	struct fault flt = {0};

	(void)state;
	server_on(server, "/v1/fetch/names", one_name, NULL);
	assert_int_equal(api_fetch_names(&api, soon(), ids, 3, names, NULL, &flt), 0);
	assert_string_equal(names[0].text, "");
	assert_string_equal(names[1].text, "example:hello");
	assert_string_equal(names[2].text, "");
	/* A 404 for what was not asked for is no way to go on for ever. */
	server_on_answer(server, "/v1/fetch/names", 404, span_of_text("{\"status\":404,\"type\":\"log\",\"id\":\"" KEY
			"\"}"));
	assert_int_equal(api_fetch_names(&api, soon(), ids, 3, names, NULL, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
}

/* ---- Answers that are too long ---- */

#define MANY 9

/* A log whose records the server does not put into one answer with others. */
static struct {
	struct digest ids[MANY];
	size_t odd;       /* the one */
	bool is_hopeless; /* not alone either */
	int status;       /* of answers that are too long: 413, or 200 with more bytes than the bound */
} crowded;

static size_t crowded_place(const char *id)
{
	struct digest digest;

	assert_int_equal(digest_parse(span_of_text(id), &digest, NULL), 0);
	for (size_t i = 0; i < MANY; i++)
		if (digest_equals(&digest, &crowded.ids[i]))
			return i;
	fail();
	return 0;
}

static void set_crowd(size_t odd, bool is_hopeless, int status)
{
	for (size_t i = 0; i < MANY; i++) {
		char text[16];

		snprintf(text, sizeof(text), "test:p%zu", i);
		crowded.ids[i] = name_log_id_of_text(span_of_text(text));
	}
	crowded.odd = odd;
	crowded.is_hopeless = is_hopeless;
	crowded.status = status;
}

static void answer_too_long(struct server_connection *connection, size_t cap)
{
	struct buf body;

	buf_init(&body, cap + 1);
	assert_int_equal(buf_reserve(&body, cap + 1, NULL), 0);
	memset(body.data, ' ', cap + 1);
	body.length = crowded.status == 200 ? cap + 1 : 0;
	server_answer(connection, crowded.status, buf_span(&body));
	buf_release(&body);
}

static void crowded_names(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct json *asked = NULL, *out = json_new_object(), *names = json_new_object();
	const struct json *list;
	struct buf body;
	bool has_odd = false;
	size_t count;

	(void)user;
	assert_int_equal(json_parse(request->body, &asked, NULL), 0);
	list = json_member(asked, "packages");
	count = json_count(list);
	for (size_t i = 0; i < count; i++) {
		char id[DIGEST_TEXT_SIZE] = "", name[16];
		struct span text;
		size_t place;

		assert_int_equal(json_as_text(json_at(list, i), &text, NULL), 0);
		memcpy(id, text.data, text.length);
		place = crowded_place(id);
		has_odd = has_odd || place == crowded.odd;
		snprintf(name, sizeof(name), "test:p%zu", place);
		json_put_text(names, id, name);
	}
	json_put(out, "packages", names);
	buf_init(&body, 1 << 16);
	assert_int_equal(json_render(out, JSON_COMPACT, &body, NULL), 0);
	if (has_odd && (count > 1 || crowded.is_hopeless))
		answer_too_long(connection, CAP_BODY_NAMES);
	else
		server_answer(connection, 200, buf_span(&body));
	buf_release(&body);
	json_free(out);
	json_free(asked);
}

struct refusals {
	size_t count, place, length;
};

static int count_refusal(void *user, size_t place, struct span text, struct fault *flt)
{
	struct refusals *told = user;

	(void)flt;
	told->count++;
	told->place = place;
	told->length = text.length;
	return 0;
}

static void test_names_too_long(void **state)
{
	static const struct {
		bool is_hopeless;
		int status;
	} rows[] = {{false, 200}, {true, 200}, {false, 413}, {true, 413}};

	(void)state;
	server_on(server, "/v1/fetch/names", crowded_names, NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned before = server_requests(server);
		struct refusals told = {0};
		const struct api_refusal refusal = { count_refusal, &told };
		struct name names[MANY];
		struct fault flt = {0};

		set_crowd(i + 3, rows[i].is_hopeless, rows[i].status);
		assert_int_equal(api_fetch_names(&api, soon(), crowded.ids, MANY, names, &refusal, &flt), 0);
		for (size_t j = 0; j < MANY; j++)
			assert_int_equal(names[j].text[0] != 0, j != crowded.odd || !rows[i].is_hopeless);
		/* The refusal is not called: the name was not received. */
		assert_int_equal(told.count, 0);
		assert_in_range(server_requests(server) - before, 3, 1 + 2 * 4);
	}
	/* If no name can be fetched, it is a fault. */
	assert_int_equal(api_fetch_names(&api, soon(), crowded.ids + crowded.odd, 1, (struct name[1]){0}, NULL, NULL),
			 WARG_UNDECIDED);
}

#define LONG_NAME "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* A name that hashes to its log id and is not valid goes to the refusal; the other names are returned. */
static void test_names_refused(void **state)
{
	static const char text[] = "test:" LONG_NAME LONG_NAME LONG_NAME LONG_NAME;
	struct digest ids[2] = { id_a, name_log_id_of_text(span_of_text(text)) };
	struct refusals told = {0};
	const struct api_refusal refusal = { count_refusal, &told };
	char body[1024], lie[1024], id[DIGEST_TEXT_SIZE];
	struct name names[2];
	struct fault flt = {0};

	(void)state;
	digest_format(&ids[1], id);
	snprintf(body, sizeof(body), "{\"packages\":{\"" ID_A "\":\"example:hello\",\"%s\":\"%s\"}}", id, text);
	server_on_answer(server, "/v1/fetch/names", 200, span_of_text(body));
	assert_int_equal(api_fetch_names(&api, soon(), ids, 2, names, &refusal, &flt), 0);
	assert_string_equal(names[0].text, "example:hello");
	assert_string_equal(names[1].text, "");
	assert_int_equal(told.count, 1);
	assert_int_equal(told.place, 1);
	assert_int_equal(told.length, strlen(text));
	/* The refusal may be NULL. */
	assert_int_equal(api_fetch_names(&api, soon(), ids, 2, names, NULL, &flt), 0);
	/* A name that does not hash to its log id is a lie. */
	ids[1] = id_b;
	snprintf(lie, sizeof(lie), "{\"packages\":{\"" ID_A "\":\"example:hello\",\"" ID_B "\":\"%s\"}}", text);
	server_on_answer(server, "/v1/fetch/names", 200, span_of_text(lie));
	assert_int_equal(api_fetch_names(&api, soon(), ids, 2, names, &refusal, &flt), WARG_INVALID);
}

#define RECORD_JSON "{\"contentBytes\":\"AAAA\",\"keyId\":\"" KEY "\",\"signature\":\"s\",\"registryIndex\":1," \
		    "\"fetchToken\":\"t\"}"

static void crowded_logs(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct json *asked = NULL;
	struct json_walk walk;
	bool has_odd = false, is_first = true;
	uint64_t limit;
	struct buf body;

	(void)user;
	assert_int_equal(json_parse(request->body, &asked, NULL), 0);
	assert_int_equal(json_read_uint(asked, "limit", &limit, NULL), 0);
	walk = json_walk(json_member(asked, "packages"));
	buf_init(&body, 1 << 16);
	buf_append_text(&body, "{\"packages\":{", NULL);
	while (json_step(&walk)) {
		has_odd = has_odd || crowded_place(walk.name) == crowded.odd;
		buf_append_format(&body, NULL, "%s\"%s\":[" RECORD_JSON "]", is_first ? "" : ",", walk.name);
		is_first = false;
	}
	buf_append_text(&body, "}}", NULL);
	if (has_odd && (limit == CAP_REQUEST_RECORDS || crowded.is_hopeless))
		answer_too_long(connection, CAP_BODY_LOGS);
	else
		server_answer(connection, 200, buf_span(&body));
	buf_release(&body);
	json_free(asked);
}

/* A log that fills an answer is requested alone, with fewer records, and at worst has a fault of its own. */
static void test_logs_too_long(void **state)
{
	struct api_wanted wanted[MANY] = {0};

	(void)state;
	server_on(server, "/v1/fetch/logs", crowded_logs, NULL);
	for (int is_hopeless = 0; is_hopeless < 2; is_hopeless++) {
		unsigned before = server_requests(server);
		struct api_absent absent;
		struct api_logs logs;
		struct fault flt = {0};

		set_crowd(2, is_hopeless, 200);
		for (size_t i = 0; i < MANY; i++)
			wanted[i].log_id = crowded.ids[i];
		assert_int_equal(api_fetch_logs(&api, soon(), 20, NULL, wanted, MANY, &logs, &absent, &flt), 0);
		assert_int_equal(logs.package_count, MANY);
		for (size_t i = 0; i < MANY; i++) {
			bool lacks = is_hopeless && i == crowded.odd;

			assert_true(digest_equals(&logs.packages[i].log_id, &crowded.ids[i]));
			assert_int_equal(logs.packages[i].count, !lacks);
			assert_int_equal(logs.packages[i].fault != NULL, lacks);
		}
		api_logs_release(&logs);
		assert_in_range(server_requests(server) - before, 4, 2 + 2 * 4);
	}
}

/* A bad record sets the fault of its own log only. */
static void test_one_bad_log(void **state)
{
	static const struct {
		const char *record, *words;
		enum fault_kind kind;
	} rows[] = {
		{"7", "", FAULT_FORGED},
		{"{\"contentBytes\":\"AAB\",\"keyId\":\"" KEY "\",\"signature\":\"s\",\"registryIndex\":1,"
		 "\"fetchToken\":\"t\"}", "base64", FAULT_FORGED},
		{"{\"contentBytes\":\"AAAA\",\"keyId\":\"" KEY "\",\"signature\":\"" LONG_NAME LONG_NAME LONG_NAME
		 "\",\"registryIndex\":1,\"fetchToken\":\"t\"}", "signature", FAULT_OVERSIZED},
	};
	const struct api_wanted wanted[2] = {{id_a, NULL}, {id_b, NULL}};
	static char bodies[sizeof(rows) / sizeof(rows[0])][2048]; /* the server may still be at the one before */

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct api_absent absent;
		struct api_logs logs;
		struct fault flt = {0};
		char *body = bodies[i];

		snprintf(body, sizeof(bodies[i]), "{\"packages\":{\"" ID_A "\":[" RECORD_JSON ",%s],\"" ID_B "\":["
			 RECORD_JSON "]}}", rows[i].record);
		server_on_answer(server, "/v1/fetch/logs", 200, span_of_text(body));
		assert_int_equal(api_fetch_logs(&api, soon(), 20, NULL, wanted, 2, &logs, &absent, &flt), 0);
		assert_int_equal(logs.packages[0].count, 1);
		assert_non_null(logs.packages[0].fault);
		assert_int_equal(logs.packages[0].fault->kind, rows[i].kind);
		assert_int_equal(logs.packages[0].fault->party, FAULT_BY_REGISTRY);
		assert_non_null(strstr(logs.packages[0].fault->what, rows[i].words));
		assert_int_equal(logs.packages[1].count, 1);
		assert_null(logs.packages[1].fault);
		api_logs_release(&logs);
	}
}

static void note_limit(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct json *asked = NULL;

	assert_int_equal(json_parse(request->body, &asked, NULL), 0);
	assert_int_equal(json_read_uint(asked, "limit", user, NULL), 0);
	json_free(asked);
	server_answer(connection, 200, span_of_text("{}"));
}

/* An answer with a full page of every requested log has no more JSON values than allowed. */
static void test_pages_that_fit(void **state)
{
	struct api_wanted wanted[64] = {0};
	uint64_t limit = 0;

	(void)state;
	server_on(server, "/v1/fetch/logs", note_limit, &limit);
	for (size_t count = 1; count <= 64; count++) {
		struct api_absent absent;
		struct api_logs logs;

		wanted[count - 1].log_id.bytes[0] = (unsigned char)count;
		assert_int_equal(api_fetch_logs(&api, soon(), 20, NULL, wanted, count, &logs, &absent, NULL), 0);
		assert_true(limit && limit <= CAP_REQUEST_RECORDS && (limit == CAP_REQUEST_RECORDS || count > 16));
		/* A record and its members; a log's list; what stands around them. */
		assert_true(count * (limit * 7 + 1) + 5 <= CAP_JSON_VALUES);
		api_logs_release(&logs);
	}
}

static void test_discover(void **state)
{
	struct http_url found;
	struct fault flt = {0};

	(void)state;
	assert_int_equal(api_discover(http, &url, soon(), &found, &flt), 0);
	assert_string_equal(found.text, url.text);
	server_on_answer(server, "/.well-known/wasm-pkg/registry.json", 200,
			span_of_text("{\"wargUrl\":\"https://r.example\"}"));
	assert_int_equal(api_discover(http, &url, soon(), &found, &flt), 0);
	assert_string_equal(found.text, "https://r.example/");
}

/* Answers that do not tell whether a URL stands for itself: to take them for that would pin it, or accuse it. */
static void test_discover_later(void **state)
{
	static const unsigned later[] = {408, 429, 500, 502, 503, 504, 507, 511, 520};
	static const unsigned told[] = {302, 403, 404, 410, 501};
	const char *path = "/.well-known/wasm-pkg/registry.json";
	struct http_url found;

	(void)state;
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		struct fault flt = {0};

		server_on_answer(server, path, later[i], span_of_text("{}"));
		assert_int_equal(api_discover(http, &url, soon(), &found, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_UNREACHABLE);
		assert_non_null(strstr(flt.where, path));
	}
	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		server_on_answer(server, path, told[i], span_of_text(""));
		assert_int_equal(api_discover(http, &url, soon(), &found, NULL), 0);
		assert_string_equal(found.text, url.text);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_decode), TEST(test_refusals), TEST(test_retry_after), TEST(test_torture),
		TEST(test_ledger_in_pieces), TEST(test_recorded), TEST(test_logs), TEST(test_unknown_names),
		TEST(test_discover), TEST(test_discover_later), TEST(test_names_too_long), TEST(test_names_refused),
		TEST(test_logs_too_long), TEST(test_pages_that_fit), TEST(test_one_bad_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
