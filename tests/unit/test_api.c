/*
 * client/api*.c: the real server's answers, each kind of lie, and what is split.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/api_parts.h"
#include "data.h"
#include "server.h"
#include "torture.h"

#define REFERENCE "tests/data/valid/reference/"
#define ID_A "sha256:071fda594d2219ee6a4b8fb7deb6e10f01a6dcf4890f2c120c973e5b0fe134d3" /* example:hello */
#define ID_B "sha256:332a074821b50bddd53feb9f81544417ff2790353f294747f4fd799d52343311" /* example:pkg1 */
#define ID_0 "sha256:0000000000000000000000000000000000000000000000000000000000000000"
#define KEY "sha256:d6d9b4cd077a829c0275233bf3843c8294e250dfcc82b8ea15745e92982a820d"

static struct server *server;
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
		for (size_t i = 0; i < 2; i++) {
			for (size_t j = 0; j < list[i].count; j++)
				buf_release(&list[i].records[j].content);
			free(list[i].records);
		}
		logs.packages = NULL;
		logs.package_count = 0;
		api_logs_release(&logs);
		return r;
	case NAMES:
		return api_decode_names(&e, ids, 2, names, flt);
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
	assert_int_equal(api_fetch_names(&api, soon(), ids, 2, found, &flt), 0);
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
	assert_int_equal(api_fetch_names(&api, soon(), ids, 3, names, &flt), 0);
	assert_string_equal(names[0].text, "");
	assert_string_equal(names[1].text, "example:hello");
	assert_string_equal(names[2].text, "");
	/* A 404 for what was not asked for is no way to go on for ever. */
	server_on_answer(server, "/v1/fetch/names", 404, span_of_text("{\"status\":404,\"type\":\"log\",\"id\":\"" KEY
			"\"}"));
	assert_int_equal(api_fetch_names(&api, soon(), ids, 3, names, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_decode), TEST(test_refusals), TEST(test_retry_after), TEST(test_torture), TEST(test_recorded),
		TEST(test_logs), TEST(test_unknown_names), TEST(test_discover),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
