/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * client/net/http*.c against a server that lies, dribbles, hangs and hangs up.
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
#include <time.h>
#include <unistd.h>

#include "client/net/http.h"
#include "server.h"

static struct http *http;
static struct embedded_registry *server;
static char url[256];

static int set_up(void **state)
{
	struct fault flt = {0};

	(void)state;
	assert_int_equal(http_new(&http, &flt), 0);
	server = server_new();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_free(http);
	server_free(server);
	return 0;
}

static const char *at(const char *path)
{
	snprintf(url, sizeof(url), "%s%s", server_url(server), path);
	return url;
}

static void run(struct http_exchange *exchange)
{
	if (!exchange->url)
		exchange->url = at("x");
	if (!exchange->cap)
		exchange->cap = 1000;
	if (!exchange->deadline)
		exchange->deadline = clock_in_seconds(60);
	http_run(http, &exchange, 1);
}

static struct span text(const char *bytes)
{
	return (struct span){ (const unsigned char *)bytes, strlen(bytes) };
}

/* ---- Answers, good and bad ---- */

#define OK "HTTP/1.1 200 OK\r\n"

static const struct answer_case {
	const char *name, *answer;
	int verdict;
	enum fault_kind kind;
	enum fault_party party;
	int status;
	const char *body;
} answers[] = {
	{ "whole", OK "content-length: 2\r\n\r\nab", 0, FAULT_NONE, 0, 200, "ab" },
	{ "until the end", OK "\r\nabc", 0, FAULT_NONE, 0, 200, "abc" },
	{ "chunked", OK "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 0, FAULT_NONE, 0, 200,
	  "abc" },
	{ "no body", OK "content-length: 0\r\n\r\n", 0, FAULT_NONE, 0, 200, "" },
	{ "longer than it says", OK "content-length: 2\r\n\r\nabcdef", 0, FAULT_NONE, 0, 200, "ab" },
	{ "compressed though not asked", OK "content-encoding: gzip\r\ncontent-length: 2\r\n\r\nab", 0, FAULT_NONE, 0,
	  200, "ab" },
	{ "refused", "HTTP/1.1 500 No\r\ncontent-length: 3\r\n\r\nwhy", 0, FAULT_NONE, 0, 500, "why" },
	{ "redirect not followed", "HTTP/1.1 302 No\r\nlocation: /y\r\ncontent-length: 0\r\n\r\n", 0, FAULT_NONE, 0,
	  302, "" },
	{ "nothing", "", WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_NETWORK, 0, NULL },
	{ "cut short", OK "content-length: 10\r\n\r\nabc", WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_NETWORK, 200,
	  NULL },
	{ "chunk cut short", OK "transfer-encoding: chunked\r\n\r\n5\r\nab", WARG_UNDECIDED, FAULT_UNREACHABLE,
	  FAULT_BY_NETWORK, 200, NULL },
	{ "cut short in a header", OK "content-type: appl", WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_NETWORK, 0,
	  NULL },
	{ "cut short between two headers", OK "content-type: a\r\n", WARG_UNDECIDED, FAULT_UNREACHABLE,
	  FAULT_BY_NETWORK, 0, NULL },
	{ "cut short behind the headers", OK "content-length: 0\r\n", WARG_UNDECIDED, FAULT_UNREACHABLE,
	  FAULT_BY_NETWORK, 0, NULL },
	{ "cut short in the status line", "HTTP/1.1 2", WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_NETWORK, 0, NULL },
	{ "cut short in the status", "HTTP/1.1 200", WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_NETWORK, 0, NULL },
	{ "cut short at once", "HTT", WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_NETWORK, 0, NULL },
	{ "after a continue", "HTTP/1.1 100 Continue\r\n\r\n" OK "content-length: 2\r\n\r\nab", 0, FAULT_NONE, 0, 200,
	  "ab" },
	{ "cut short after a continue", "HTTP/1.1 100 Continue\r\n\r\n" OK "x: y\r\n", WARG_UNDECIDED,
	  FAULT_UNREACHABLE, FAULT_BY_NETWORK, 0, NULL },
	{ "trailers", OK "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx: y\r\n\r\n", 0, FAULT_NONE, 0, 200,
	  "ab" },
	{ "garbage", "SSH-2.0-OpenSSH_9.2\r\n", WARG_INVALID, FAULT_FORGED, FAULT_BY_UNKNOWN, 0, NULL },
	{ "no status line", "{\"a\":1}", WARG_INVALID, FAULT_FORGED, FAULT_BY_UNKNOWN, 0, NULL },
	{ "a part not asked for", "HTTP/1.1 206 Part\r\ncontent-range: bytes 0-1/2\r\ncontent-length: 2\r\n\r\nab",
	  WARG_INVALID, FAULT_FORGED, FAULT_BY_UNKNOWN, 206, NULL },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		const struct answer_case *c = &answers[i];
		struct http_exchange e = {0};

		print_message("  %s\n", c->name);
		server_on_bytes(server, "/x", text(c->answer));
		run(&e);
		assert_int_equal(e.verdict, c->verdict);
		assert_int_equal(e.fault.kind, c->kind);
		assert_int_equal(e.fault.party, c->party);
		/* Before the first line has its end, curl does not tell that anything came. */
		assert_int_equal(e.hung_up, c->verdict == WARG_UNDECIDED && !strstr(c->answer, "\r\n"));
		if (c->status)
			assert_int_equal(e.status, c->status);
		if (c->body)
			assert_true(span_is(buf_span(&e.received), c->body));
		http_exchange_release(&e);
	}
}

static void test_headers(void **state)
{
	struct http_exchange e = {0};

	(void)state;
	server_on_bytes(server, "/x", text(OK "Content-Type: application/json\r\nWARG-registry-hint: a=b.example\r\n"
					   "accept-ranges: bytes\r\ncontent-length: 1\r\n\r\n1"));
	run(&e);
	assert_string_equal(e.content_type, "application/json");
	assert_string_equal(e.hint, "a=b.example");
	assert_true(e.accepts_ranges && e.has_length);
	assert_int_equal(e.length, 1);
	http_exchange_release(&e);

	assert_int_equal(e.retry_after, 0);

	e = (struct http_exchange){0};
	server_on_bytes(server, "/x", text("HTTP/1.1 429 Slowly\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n"));
	run(&e);
	assert_int_equal(e.retry_after, 7);
	http_exchange_release(&e);

	e = (struct http_exchange){0};
	server_on_bytes(server, "/x", text(OK "retry-after: 99999999999\r\ncontent-length: 0\r\n\r\n"));
	run(&e);
	assert_int_equal(e.retry_after, CAP_RETRY_AFTER);
	http_exchange_release(&e);

	e = (struct http_exchange){ .method = HTTP_HEAD };
	server_on_bytes(server, "/x", text(OK "content-length: 123456789\r\n\r\n"));
	run(&e);
	assert_int_equal(e.verdict, 0);
	assert_int_equal(e.length, 123456789);
	http_exchange_release(&e);
}

/* ---- Without end ---- */

static void endless_body(struct server_connection *connection, const struct server_request *request, void *head)
{
	(void)request;
	server_write_text(connection, head);
	while (server_write_text(connection, "0123456789012345678901234567890123456789012345678901234567890123"))
		;
}

static void endless_headers(struct server_connection *connection, const struct server_request *request, void *line)
{
	(void)request;
	server_write_text(connection, OK);
	while (server_write_text(connection, line))
		;
}

static void test_endless(void **state)
{
	/* The server may go on a little after the other side has hung up. */
	static char line[] = "a: b\r\n", part[] = "aaaaaaaaaaaaaaaa", head[] = OK "\r\n",
		    refusal[] = "HTTP/1.1 404 No\r\n\r\n";
	struct http_exchange e = {0};

	(void)state;
	server_on(server, "/x", endless_body, head);
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_LIMIT);
	assert_int_equal(e.received.length <= 1000, 1);
	http_exchange_release(&e);
	/* An error's body is cut, and the status still told. */
	e = (struct http_exchange){0};
	server_on(server, "/x", endless_body, refusal);
	run(&e);
	assert_int_equal(e.verdict, 0);
	assert_int_equal(e.status, 404);
	assert_int_equal(e.received.length, CAP_BODY_SMALL);
	http_exchange_release(&e);
	for (int i = 0; i < 2; i++) {
		e = (struct http_exchange){0};
		server_on(server, "/x", endless_headers, i ? part : line);
		run(&e);
		assert_int_equal(e.verdict, WARG_UNDECIDED);
		assert_int_equal(e.fault.kind, FAULT_LIMIT);
		http_exchange_release(&e);
	}
	/* What says that it will be too long is not read at all. */
	e = (struct http_exchange){0};
	server_on_bytes(server, "/x", text(OK "content-length: 1001\r\n\r\na"));
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_LIMIT);
	http_exchange_release(&e);
	e = (struct http_exchange){ .cap = 2 };
	server_on_bytes(server, "/x", text(OK "content-length: 2\r\n\r\nab"));
	run(&e);
	assert_int_equal(e.verdict, 0);
	http_exchange_release(&e);
}

/* ---- Too slow, and not wanted any more ---- */

static void hang(struct server_connection *connection, const struct server_request *request, void *head)
{
	(void)request;
	if (head)
		server_write_text(connection, head);
	server_hang(connection);
}

static void test_slow(void **state)
{
	struct http_exchange e;
	char head[] = OK "content-length: 5\r\n\r\na";

	(void)state;
	for (int i = 0; i < 4; i++) {
		e = (struct http_exchange){ .deadline = clock_now() + (i & 1 ? 60000 : 50), .stall = i & 1 ? 50 : 0 };
		server_on(server, "/x", hang, i & 2 ? head : NULL);
		run(&e);
		assert_int_equal(e.verdict, WARG_UNDECIDED);
		assert_int_equal(e.fault.kind, FAULT_TIMEOUT);
		assert_int_equal(e.fault.party, FAULT_BY_NETWORK);
		http_exchange_release(&e);
	}
	e = (struct http_exchange){ .deadline = 1 };
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_TIMEOUT);
	http_exchange_release(&e);
}

struct many {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned done;
};

static void count_done(struct http_exchange *exchange)
{
	struct many *many = exchange->user;

	pthread_mutex_lock(&many->mutex);
	many->done++;
	pthread_cond_broadcast(&many->changed);
	pthread_mutex_unlock(&many->mutex);
}

#define MANY 40

static void start_many(struct many *many, struct http_exchange *exchanges)
{
	*many = (struct many){ .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
	server_on(server, "/x", hang, NULL);
	at("x");
	for (int i = 0; i < MANY; i++) {
		exchanges[i] = (struct http_exchange){ .url = url, .cap = 10, .deadline = CLOCK_NEVER,
						       .done = count_done, .user = many };
		http_start(http, &exchanges[i]);
	}
}

static void wait_done(struct many *many)
{
	pthread_mutex_lock(&many->mutex);
	while (many->done < MANY)
		pthread_cond_wait(&many->changed, &many->mutex);
	pthread_mutex_unlock(&many->mutex);
}

static void check_cancelled(const struct many *many, struct http_exchange *exchanges)
{
	assert_int_equal(many->done, MANY);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(exchanges[i].verdict, WARG_UNDECIDED);
		assert_int_equal(exchanges[i].fault.kind, FAULT_CANCELLED);
		http_exchange_release(&exchanges[i]);
	}
}

static void test_cancel(void **state)
{
	struct http_exchange exchanges[MANY], never = {0};
	struct many many;

	(void)state;
	http_cancel(http, &never);
	start_many(&many, exchanges);
	server_wait_for(server, 5); /* some are under way by then, others may be not */
	for (int i = 0; i < MANY; i++) {
		http_cancel(http, &exchanges[i]);
		http_cancel(http, &exchanges[i]);
	}
	wait_done(&many);
	for (int i = 0; i < MANY; i++)
		http_cancel(http, &exchanges[i]);
	/* The next honest answer works, and by then a second `done` would have been called. */
	server_on_bytes(server, "/x", text(OK "content-length: 1\r\n\r\n1"));
	run(&never);
	assert_int_equal(never.verdict, 0);
	http_exchange_release(&never);
	check_cancelled(&many, exchanges);
}

static void test_free_under_way(void **state)
{
	struct http_exchange exchanges[MANY];
	struct many many;
	struct fault flt = {0};

	(void)state;
	start_many(&many, exchanges);
	server_wait_for(server, 3);
	http_free(http);
	check_cancelled(&many, exchanges);
	http_free(NULL);
	assert_int_equal(http_new(&http, &flt), 0);
}

static void test_stop(void **state)
{
	struct http_exchange exchanges[MANY], late = {0};
	struct many many;

	(void)state;
	start_many(&many, exchanges);
	http_stop(http);
	wait_done(&many);
	check_cancelled(&many, exchanges);
	run(&late);
	assert_int_equal(late.fault.kind, FAULT_CANCELLED);
	http_exchange_release(&late);
}

/* ---- Sinks ---- */

static int gather(struct http_exchange *exchange, struct span piece, struct fault *flt)
{
	assert_true(exchange->status == 200 || exchange->status == 206);
	return buf_append(exchange->user, piece, flt);
}

static int refuse(struct http_exchange *exchange, struct span piece, struct fault *flt)
{
	(void)exchange;
	(void)piece;
	return fault_invalid(flt, "not this");
}

/* http_run() takes `user`, so what a sink fills lies beside the exchange. */
static struct buf sunk;

static int sink(struct http_exchange *exchange, struct span piece, struct fault *flt)
{
	void *user = exchange->user;
	int r;

	exchange->user = &sunk;
	r = gather(exchange, piece, flt);
	exchange->user = user;
	return r;
}

static const struct sink_case {
	const char *name, *answer;
	uint64_t from;
	int verdict;
	const char *sunk, *received;
} sinks[] = {
	{ "all", OK "content-length: 3\r\n\r\nabc", 0, 0, "abc", "" },
	{ "refusal", "HTTP/1.1 404 No\r\ncontent-length: 3\r\n\r\nabc", 0, 0, "", "abc" },
	{ "part", "HTTP/1.1 206 Part\r\ncontent-range: bytes 7-9/10\r\ncontent-length: 3\r\n\r\nabc", 7, 0, "abc", "" },
	{ "all, range not heeded", OK "content-length: 3\r\n\r\nabc", 7, 0, "abc", "" },
	{ "another part", "HTTP/1.1 206 Part\r\ncontent-range: bytes 6-8/10\r\ncontent-length: 3\r\n\r\nabc", 7,
	  WARG_INVALID, "", "" },
	{ "a part of nothing", "HTTP/1.1 206 Part\r\ncontent-length: 3\r\n\r\nabc", 7, WARG_INVALID, "", "" },
	{ "a strange part", "HTTP/1.1 206 Part\r\ncontent-range: bytes -7-9/10\r\ncontent-length: 3\r\n\r\nabc", 7,
	  WARG_INVALID, "", "" },
};

static void test_sinks(void **state)
{
	struct http_exchange e;

	(void)state;
	for (size_t i = 0; i < sizeof(sinks) / sizeof(sinks[0]); i++) {
		const struct sink_case *c = &sinks[i];

		print_message("  %s\n", c->name);
		buf_init(&sunk, 100);
		server_on_bytes(server, "/x", text(c->answer));
		e = (struct http_exchange){ .sink = sink, .range_from = c->from };
		run(&e);
		assert_int_equal(e.verdict, c->verdict);
		assert_true(span_is(buf_span(&sunk), c->sunk));
		assert_true(span_is(buf_span(&e.received), c->received));
		http_exchange_release(&e);
		buf_release(&sunk);
	}
	e = (struct http_exchange){ .sink = refuse };
	server_on_bytes(server, "/x", text(OK "content-length: 3\r\n\r\nabc"));
	run(&e);
	assert_int_equal(e.verdict, WARG_INVALID);
	assert_string_equal(e.fault.what, "not this");
	http_exchange_release(&e);
}

/* ---- What is sent ---- */

static void echo(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct buf all;

	(void)user;
	buf_init(&all, 1u << 20);
	assert_int_equal(buf_append_text(&all, request->head, NULL), 0);
	assert_int_equal(buf_append(&all, request->body, NULL), 0);
	server_keep(connection);
	server_answer(connection, 200, buf_span(&all));
	buf_release(&all);
}

static bool has(const struct http_exchange *e, const char *what)
{
	return memmem(e->received.data, e->received.length, what, strlen(what)) != NULL;
}

/* With a sink, the body of a refusal has the small cap of explanations, whatever its status. */
static void test_beside_sink(void **state)
{
	static char partial[] = "HTTP/1.1 203 Other\r\n\r\n", accepted[] = "HTTP/1.1 202 Later\r\n\r\n",
		    refusal[] = "HTTP/1.1 404 No\r\n\r\n", *const heads[] = {partial, accepted, refusal};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct http_exchange e = { .sink = sink, .cap = CAP_CONTENT };

		buf_init(&sunk, 10000);
		server_on(server, "/x", endless_body, heads[i]);
		run(&e);
		assert_int_equal(e.verdict, 0);
		assert_int_equal(e.received.length, CAP_BODY_SMALL);
		assert_int_equal(sunk.length, 0);
		buf_release(&sunk);
		http_exchange_release(&e);
	}
}

/* One byte at a time, for longer than any time-out here. */
static void drip(struct server_connection *connection, const struct server_request *request, void *head)
{
	(void)request;
	server_write_text(connection, head);
	for (int i = 0; i < 400 && server_write_text(connection, "a"); i++)
		usleep(10000);
}

/* Header lines, explanations and single bytes are no progress. */
static void test_drip(void **state)
{
	static char header[] = OK "a: ", refusal[] = "HTTP/1.1 404 No\r\n\r\n", wanted[] = OK "\r\n",
		    elsewhere[] = "HTTP/1.1 302 There\r\nlocation: /y\r\n\r\n",
		    *const heads[] = {header, refusal, wanted, elsewhere};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct http_exchange e = { .sink = sink, .stall = 200, .follow = true, .cap = CAP_CONTENT };

		buf_init(&sunk, 10000);
		server_on(server, "/x", drip, heads[i]);
		run(&e);
		buf_release(&sunk);
		assert_int_equal(e.verdict, WARG_UNDECIDED);
		assert_int_equal(e.fault.kind, FAULT_TIMEOUT);
		http_exchange_release(&e);
	}
}

static void test_request(void **state)
{
	struct http_exchange e = { .method = HTTP_POST, .body = text("{\"a\":1}"), .registry = "r.example", .token =
			"t0k",
				   .cap = 10000 };

	(void)state;
	server_on(server, "*", echo, NULL);
	run(&e);
	assert_true(has(&e, "POST /x HTTP/1.1\r\n"));
	assert_true(has(&e, "Content-Type: application/json\r\n"));
	assert_true(has(&e, "Content-Length: 7\r\n"));
	assert_true(has(&e, "Warg-Registry: r.example\r\n"));
	assert_true(has(&e, "Authorization: Bearer t0k\r\n"));
	assert_true(has(&e, "\r\n\r\n{\"a\":1}"));
	assert_false(has(&e, "Accept-Encoding"));
	assert_false(has(&e, "Cookie"));
	assert_false(has(&e, "Expect"));
	http_exchange_release(&e);
	for (int i = 0; i < 5; i++) {
		e = (struct http_exchange){ .url = at("y?z"), .cap = 10000, .range_from = 9 };
		run(&e);
		assert_true(has(&e, "GET /y?z HTTP/1.1\r\n"));
		assert_true(has(&e, "Range: bytes=9-\r\n"));
		assert_false(has(&e, "Authorization"));
		assert_false(has(&e, "Content-Type"));
		http_exchange_release(&e);
	}
	assert_int_equal(server_connections(server), 1);
	e = (struct http_exchange){ .token = "a\r\nb: c" };
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_MISUSE);
	assert_int_equal(server_requests(server), 6);
	http_exchange_release(&e);
}

static void test_hosts(void **state)
{
	static const char *const lies[] = { "http://localhost.example/", "http://127.0.0.1.example/",
			"http://10.0.0.1/",
					    "http://[::2]/", "ftp://127.0.0.1/", "file:///etc/passwd",
					    "http://u@127.0.0.1/", "http://u:p@localhost/", "" };

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct http_exchange e = { .url = lies[i] };

		print_message("  %s\n", lies[i]);
		run(&e);
		assert_int_equal(e.verdict, WARG_INVALID);
		http_exchange_release(&e);
	}
}

static void test_proxy(void **state)
{
	struct http_exchange e = {0};

	(void)state;
	setenv("http_proxy", "http://127.0.0.1:1/", 1);
	setenv("all_proxy", "http://127.0.0.1:1/", 1);
	server_on_bytes(server, "/x", text(OK "content-length: 1\r\n\r\n1"));
	run(&e);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	assert_int_equal(e.verdict, 0);
	http_exchange_release(&e);
}

/* ---- Requests that are put off ---- */

/* Answers the first `bad` requests with `refusal`, and the others well. */
struct moody {
	const char *refusal;
	unsigned bad, asked;
};

static void answer_moodily(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct moody *moody = user;

	(void)request;
	server_write_text(connection, moody->asked++ < moody->bad ? moody->refusal : OK "content-length: 2\r\n\r\nab");
}

static void test_repeats(void **state)
{
	static const char gateway[] = "HTTP/1.1 502 No\r\ncontent-length: 3\r\n\r\nwhy",
		busy[] = "HTTP/1.1 503 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
		many[] = "HTTP/1.1 429 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
		long_busy[] = "HTTP/1.1 503 No\r\nretry-after: 61\r\ncontent-length: 0\r\n\r\n",
		mute[] = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n",
		other[] = "HTTP/1.1 500 No\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n";
	const struct {
		const char *refusal;
		unsigned bad;
		bool repeats;
		unsigned asked;
		int status;
	} rows[] = {
		{ gateway, 1, true, 2, 200 }, { busy, 1, true, 2, 200 }, { many, 1, true, 2, 200 },
		{ gateway, 100, true, CAP_REPEATS + 1, 502 },
		{ gateway, 1, false, 1, 502 }, { busy, 1, false, 1, 503 },
		{ long_busy, 1, true, 1, 503 }, { mute, 1, true, 1, 503 }, { other, 1, true, 1, 500 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct moody moody = { .refusal = rows[i].refusal, .bad = rows[i].bad };
		struct http_exchange e = { .repeats = rows[i].repeats };

		print_message("  %u times %.16s\n", rows[i].bad, rows[i].refusal);
		server_on(server, "/x", answer_moodily, &moody);
		run(&e);
		assert_int_equal(e.verdict, 0);
		assert_int_equal(e.status, rows[i].status);
		assert_int_equal(moody.asked, rows[i].asked);
		if (e.status == 200)
			assert_true(span_is(buf_span(&e.received), "ab"));
		http_exchange_release(&e);
	}
}

static void ignore_done(struct http_exchange *exchange)
{
	(void)exchange;
}

/* While it waits to be sent again, the loop can end. */
static void test_repeats_end(void **state)
{
	static const char busy[] = "HTTP/1.1 503 No\r\nretry-after: 3000\r\ncontent-length: 0\r\n\r\n";
	struct http_exchange e = { .url = at("x"), .cap = 1000, .repeats = true, .deadline = clock_in_seconds(3600),
				   .done = ignore_done }, other = {0};
	struct moody moody = { .refusal = busy, .bad = 100 };
	char elsewhere[256];

	(void)state;
	server_on(server, "/x", answer_moodily, &moody);
	http_start(http, &e);
	server_wait_answered(server, 1);
	snprintf(elsewhere, sizeof(elsewhere), "%sy", server_url(server));
	other.url = elsewhere;
	server_on_bytes(server, "/y", text(OK "content-length: 0\r\n\r\n"));
	run(&other); /* by its end the other's answer was read */
	http_exchange_release(&other);
	http_free(http);
	http = NULL;
	assert_int_equal(e.fault.kind, FAULT_CANCELLED);
	assert_int_equal(moody.asked, 1);
	http_exchange_release(&e);
}

/* Retry-After may be a date. */
static void test_retry_date(void **state)
{
	static char answer[200];
	struct http_exchange e = {0};
	char date[64];
	time_t then = time(NULL) + 100;
	struct tm utc;

	(void)state;
	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&then, &utc));
	snprintf(answer, sizeof(answer), "HTTP/1.1 503 No\r\nretry-after: %s\r\ncontent-length: 0\r\n\r\n", date);
	server_on_bytes(server, "/x", text(answer));
	run(&e);
	assert_true(e.retry_after > 0 && e.retry_after <= 100);
	http_exchange_release(&e);
}

/* ---- Redirects ---- */

/* One that is not followed says where it leads, without what may be secret. */
static void test_unfollowed(void **state)
{
	static const struct {
		const char *location, *shown;
		bool leaves;
	} rows[] = {
		{ "/login?next=secret#x", "/login", false }, { "y", "/y", false },
		{ "https://portal.example/login?token=secret", "https://portal.example/login", true },
		{ "https://me:secret@portal.example/", "https://...@portal.example/", true },
		{ "ftp://portal.example/a", "ftp://portal.example/a", true },
	};
	static char redirects[sizeof(rows) / sizeof(rows[0])][300]; /* the server borrows them */

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_exchange e = {0};
		char shown[300];

		print_message("  %s\n", rows[i].location);
		snprintf(redirects[i], sizeof(redirects[i]),
			 "HTTP/1.1 302 There\r\nlocation: %s\r\ncontent-length: 0\r\n\r\n", rows[i].location);
		snprintf(shown, sizeof(shown), "%.*s%s", rows[i].leaves ? 0 : (int)strlen(server_url(server)) - 1,
			 server_url(server), rows[i].shown);
		server_on_bytes(server, "/x", text(redirects[i]));
		run(&e);
		assert_int_equal(e.verdict, 0);
		assert_string_equal(e.redirect, shown);
		assert_int_equal(e.leaves_host, rows[i].leaves);
		http_exchange_release(&e);
	}
}

static void redirect_to(struct server_connection *connection, const struct server_request *request, void *location)
{
	char head[512];

	(void)request;
	snprintf(head, sizeof(head), "HTTP/1.1 302 There\r\nlocation: %s\r\ncontent-length: 4\r\n\r\ngone",
		 (const char *)location);
	server_write_text(connection, head);
}

static void test_redirects(void **state)
{
	struct embedded_registry *other = server_new();
	struct http_exchange e = { .follow = true, .token = "secret", .registry = "r.example", .cap = 5000 };
	static char away[] = "HTTP/1.1 302 There\r\nlocation: y?z\r\n\r\n";
	char there[300], home[] = "y?q", out[] = "http://example.com/", strange[] = "ftp://127.0.0.1/", loop[] = "/x";

	(void)state;
	snprintf(there, sizeof(there), "%sy", server_url(other));
	server_on(server, "/y", echo, NULL);
	server_on(other, "/y", echo, NULL);
	server_on(server, "/x", redirect_to, home);
	run(&e);
	assert_true(has(&e, "GET /y?q") && has(&e, "Bearer secret") && has(&e, "Warg-Registry"));
	assert_false(has(&e, "gone"));
	http_exchange_release(&e);

	e = (struct http_exchange){ .follow = true, .token = "secret", .registry = "r.example", .cap = 5000 };
	server_on(server, "/x", redirect_to, there);
	run(&e);
	assert_true(has(&e, "GET /y"));
	assert_false(has(&e, "secret") || has(&e, "Warg-Registry"));
	http_exchange_release(&e);

	e = (struct http_exchange){ .follow = true };
	server_on(server, "/x", redirect_to, out);
	run(&e);
	assert_int_equal(e.verdict, WARG_INVALID);
	http_exchange_release(&e);
	e = (struct http_exchange){ .follow = true };
	server_on(server, "/x", redirect_to, strange);
	run(&e);
	assert_int_equal(e.verdict, WARG_INVALID);
	http_exchange_release(&e);

	/* However long its body is. */
	e = (struct http_exchange){ .follow = true, .cap = 5000 };
	server_on(server, "/x", endless_body, away);
	run(&e);
	assert_true(has(&e, "GET /y?z"));
	http_exchange_release(&e);

	unsigned before = server_requests(server);
	e = (struct http_exchange){ .follow = true };
	server_on(server, "/x", redirect_to, loop);
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_LIMIT);
	assert_int_equal(server_requests(server) - before, CAP_REDIRECTS + 1);
	http_exchange_release(&e);
	server_free(other);
}

static void test_unreachable(void **state)
{
	struct http_exchange e = { .url = "http://127.0.0.1:1/a?secret" };

	(void)state;
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_UNREACHABLE);
	assert_int_equal(e.fault.party, FAULT_BY_NETWORK);
	assert_string_equal(e.fault.where, "http://127.0.0.1:1");
	assert_string_equal(e.fault.what, "cannot be connected to: connection refused");
	http_exchange_release(&e);
	e = (struct http_exchange){ .url = "https://127.0.0.1:1/" };
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_UNREACHABLE);
	http_exchange_release(&e);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* Nothing is sent, and whoever asks hears so at once. */
static void test_offline(void **state)
{
	struct http_exchange exchange = {0};
	struct http *kept = http;
	unsigned before = server_requests(server);

	(void)state;
	assert_int_equal(http_new(&http, NULL), 0);
	http_go_offline(http);
	server_on_bytes(server, "/x", text(OK "content-length: 1\r\n\r\n1"));
	run(&exchange);
	assert_int_equal(exchange.verdict, WARG_UNDECIDED);
	assert_int_equal(exchange.fault.kind, FAULT_UNREACHABLE);
	assert_non_null(strstr(exchange.fault.what, "offline"));
	assert_int_equal(server_requests(server), before);
	http_exchange_release(&exchange);
	http_free(http);
	http = kept;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_answers), TEST(test_headers), TEST(test_endless), TEST(test_slow), TEST(test_cancel),
		TEST(test_free_under_way), TEST(test_stop), TEST(test_sinks), TEST(test_beside_sink),
		TEST(test_drip), TEST(test_request), TEST(test_hosts),
		TEST(test_proxy), TEST(test_redirects), TEST(test_unreachable), TEST(test_offline),
		TEST(test_repeats), TEST(test_repeats_end), TEST(test_retry_date), TEST(test_unfollowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
