/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The HTTP client: bodies from files, and what is never sent twice, with a server that does not read what it is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/net/http.h"
#include "server.h"

#define LARGE (64u << 20) /* more than any socket holds */

static struct http *http;
static struct embedded_registry *server;
static char url[256];
static int fd;

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(http_new(&http, NULL), 0);
	server = server_new();
	snprintf(url, sizeof(url), "%sx", server_url(server));
	fd = memfd_create("sent", MFD_CLOEXEC);
	assert_true(fd >= 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	http_free(http);
	server_free(server);
	close(fd);
	return 0;
}

static struct span text(const char *bytes)
{
	return (struct span){ (const unsigned char *)bytes, strlen(bytes) };
}

static void run(struct http_exchange *exchange)
{
	if (!exchange->url)
		exchange->url = url;
	exchange->cap = 1u << 20;
	if (!exchange->deadline)
		exchange->deadline = clock_in_seconds(60);
	http_run(http, &exchange, 1);
}

/* Fill the file with bytes that tell their place. */
static void fill(size_t size)
{
	unsigned char piece[4096];

	assert_int_equal(ftruncate(fd, 0), 0);
	for (size_t at = 0; at < size; at += sizeof(piece)) {
		size_t count = size - at < sizeof(piece) ? size - at : sizeof(piece);

		for (size_t i = 0; i < count; i++)
			piece[i] = (unsigned char)((at + i) * 2654435761u >> 13);
		assert_int_equal(pwrite(fd, piece, count, (off_t)at), count);
	}
}

/* ---- What goes out ---- */

/* The last request as the server had it. */
static struct {
	struct buf head, body;
} seen;

static void see(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)user;
	buf_release(&seen.head);
	buf_release(&seen.body);
	buf_init(&seen.head, 1u << 20);
	buf_init(&seen.body, 8u << 20);
	assert_int_equal(buf_append_format(&seen.head, NULL, "%s%c", request->head, 0), 0);
	assert_int_equal(buf_append(&seen.body, request->body, NULL), 0);
	server_answer(connection, 201, text("{}"));
}

static bool sent(const char *what)
{
	return strcasestr((const char *)seen.head.data, what) != NULL;
}

static bool body_is_file(size_t size)
{
	unsigned char *bytes = malloc(size + 1);
	bool same;

	assert_int_equal(pread(fd, bytes, size, 0), size);
	same = span_equals((struct span){ bytes, size }, buf_span(&seen.body));
	free(bytes);
	return same;
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 1000, 65535, 65536, 65537, 200000, 3u << 20 };

	(void)state;
	server_on(server, "/x", see, NULL);
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		const struct http_file file = { .fd = fd, .length = sizes[i / 2] };
		struct http_exchange e = { .method = i & 1 ? HTTP_PUT : HTTP_POST, .file = &file, .once = i & 2 };
		char length[64];

		fill(sizes[i / 2] + 100); /* what is behind is not sent */
		run(&e);
		assert_int_equal(e.verdict, 0);
		assert_int_equal(e.status, 201);
		snprintf(length, sizeof(length), "\r\ncontent-length: %zu\r\n", sizes[i / 2]);
		assert_true(sent(length));
		assert_true(sent(i & 1 ? "PUT /x HTTP/1.1\r\n" : "POST /x HTTP/1.1\r\n"));
		assert_false(sent("content-type") || sent("expect") || sent("transfer-encoding") || sent("auth"));
		assert_true(body_is_file(sizes[i / 2]));
		assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
		http_exchange_release(&e);
	}
	buf_release(&seen.head);
	buf_release(&seen.body);
}

static void test_headers(void **state)
{
	const struct http_file file = { .fd = fd, .length = 10 };
	struct http_exchange e = { .method = HTTP_PUT, .file = &file, .body_type = "application/wasm",
				   .authorization = "Basic b3duOg==", .token = "t0k" };

	(void)state;
	fill(10);
	server_on(server, "/x", see, NULL);
	run(&e);
	assert_int_equal(e.verdict, 0);
	assert_true(sent("\r\ncontent-type: application/wasm\r\n"));
	assert_true(sent("\r\nauthorization: Basic b3duOg==\r\n"));
	assert_false(sent("t0k"));
	http_exchange_release(&e);
	/* A line break would be a header of its own, or a request. */
	for (int i = 0; i < 2; i++) {
		unsigned before = server_requests(server);

		e = (struct http_exchange){ .method = HTTP_POST, .file = &file, .body_type = i ? NULL : "a\r\nb: c",
					    .authorization = i ? "a\nb: c" : NULL };
		run(&e);
		assert_int_equal(e.fault.kind, FAULT_MISUSE);
		assert_int_equal(server_requests(server), before);
		http_exchange_release(&e);
	}
	e = (struct http_exchange){ .method = HTTP_POST, .body = text("a: b"), .body_type = "text/plain" };
	run(&e);
	assert_true(sent("\r\ncontent-type: text/plain\r\n"));
	http_exchange_release(&e);
	buf_release(&seen.head);
	buf_release(&seen.body);
}

/* ---- A file that is not what it was ---- */

static void test_file_faults(void **state)
{
	int read_end[2];
	const struct http_file longer = { .fd = fd, .length = 100001 }, bad = { .fd = -1, .length = 10 };
	struct http_exchange e = { .method = HTTP_POST, .file = &longer };

	(void)state;
	fill(100000);
	server_on(server, "/x", see, NULL);
	run(&e);
	assert_int_equal(e.verdict, WARG_UNDECIDED);
	assert_int_equal(e.fault.kind, FAULT_SYSTEM);
	assert_int_equal(e.fault.errnum, EIO);
	http_exchange_release(&e);
	/* A pipe has no places to read from. */
	assert_int_equal(pipe2(read_end, O_CLOEXEC), 0);
	for (int i = 0; i < 2; i++) {
		const struct http_file pipe_file = { .fd = read_end[0], .length = 10 };

		e = (struct http_exchange){ .method = HTTP_PUT, .file = i ? &pipe_file : &bad };
		run(&e);
		assert_int_equal(e.fault.kind, FAULT_SYSTEM);
		assert_int_equal(e.fault.errnum, i ? ESPIPE : EBADF);
		http_exchange_release(&e);
	}
	close(read_end[0]);
	close(read_end[1]);
	/* No request was ever whole. */
	assert_int_equal(server_requests(server), 0);
}

/* ---- A server that does not take it all ---- */

static void refuse_at_once(struct server_connection *connection, const struct server_request *request, void *answer)
{
	unsigned char piece[4096];

	assert_true(request->body.length < LARGE);
	server_write_text(connection, answer);
	/* Until the other side has read it and goes: what lay here unread would take the answer with it. */
	while (server_read(connection, piece, sizeof(piece)))
		;
}

static void test_refused_early(void **state)
{
	static char length[] = "HTTP/1.1 413 No\r\ncontent-length: 5\r\n\r\nlarge",
		    close_[] = "HTTP/1.1 400 No\r\nconnection: close\r\ncontent-length: 5\r\n\r\nlarge",
		    continued[] = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 405 No\r\ncontent-length: 5\r\n\r\nlarge",
		    expectation[] = "HTTP/1.1 417 No\r\ncontent-length: 5\r\n\r\nlarge",
		    chunked[] = "HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\nretry-after: 7\r\n\r\n"
				"5\r\nlarge\r\n0\r\n\r\n";
	static const struct {
		char *answer;
		int status;
	} rows[] = { { length, 413 }, { close_, 400 }, { continued, 405 }, { expectation, 417 }, { chunked, 503 } };
	const struct http_file file = { .fd = fd, .length = LARGE };

	(void)state;
	assert_int_equal(ftruncate(fd, LARGE), 0);
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		struct http_exchange e = { .method = i & 1 ? HTTP_PUT : HTTP_POST, .file = &file, .once = true };

		server_on_head(server, "/x", refuse_at_once, rows[i / 2].answer);
		run(&e);
		print_message("  %d %s\n", rows[i / 2].status, e.fault.what);
		assert_int_equal(e.verdict, 0);
		assert_int_equal(e.status, rows[i / 2].status);
		assert_true(span_is(buf_span(&e.received), "large"));
		http_exchange_release(&e);
		assert_int_equal(server_requests(server), i + 1);
	}
}

static void hang(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	server_hang(connection);
}

static void hang_up(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)connection;
	(void)request;
	(void)user;
}

static void test_not_taken(void **state)
{
	const struct http_file file = { .fd = fd, .length = LARGE };
	struct http_exchange e = { .method = HTTP_PUT, .file = &file, .once = true };

	(void)state;
	assert_int_equal(ftruncate(fd, LARGE), 0);
	server_on_head(server, "/x", hang_up, NULL);
	run(&e);
	assert_int_equal(e.fault.kind, FAULT_UNREACHABLE);
	http_exchange_release(&e);
	assert_int_equal(server_requests(server), 1);
	server_on_head(server, "/x", hang, NULL);
	e = (struct http_exchange){ .method = HTTP_POST, .file = &file, .stall = 50 };
	for (int i = 0; i < 2; i++) {
		run(&e);
		assert_int_equal(e.fault.kind, FAULT_TIMEOUT);
		assert_int_equal(e.fault.party, FAULT_BY_NETWORK);
		http_exchange_release(&e);
		e = (struct http_exchange){ .method = HTTP_PUT, .file = &file, .deadline = clock_now() + 50 };
	}
}

static void end_here(struct http_exchange *exchange)
{
	atomic_store((atomic_bool *)exchange->user, true);
}

static void test_cancelled(void **state)
{
	const struct http_file file = { .fd = fd, .length = LARGE };
	atomic_bool over = false;
	struct http_exchange e = { .method = HTTP_POST, .url = url, .file = &file, .deadline = CLOCK_NEVER,
				   .cap = 10, .done = end_here, .user = &over }, next = {0};

	(void)state;
	assert_int_equal(ftruncate(fd, LARGE), 0);
	server_on_head(server, "/x", hang, NULL);
	http_start(http, &e);
	server_wait_for(server, 1);
	http_cancel(http, &e);
	/* Behind it in the loop, so that it is over by then. */
	next.deadline = 1;
	run(&next);
	http_exchange_release(&next);
	assert_true(atomic_load(&over));
	assert_int_equal(e.fault.kind, FAULT_CANCELLED);
	http_exchange_release(&e);
}

/* How long the server was without anything to read at most, and how long it took in all. */
static struct {
	clock_ms stall, longest, all;
} took;

/* Take it piece by piece for three times as long as silence may last. */
static void take_slowly(struct server_connection *connection, const struct server_request *request, void *user)
{
	static unsigned char piece[64 << 10];
	clock_ms begun = clock_now(), before = begun, now = begun;
	size_t left = LARGE - request->body.length, n;

	(void)user;
	took.longest = 0;
	while (left && (n = server_read(connection, piece, sizeof(piece)))) {
		left -= n;
		now = clock_now();
		if (now - before > took.longest)
			took.longest = now - before;
		before = now;
		/* As slowly as that the rest takes the rest of the time. */
		while (clock_now() - begun < 3 * took.stall * (clock_ms)(LARGE - left) / LARGE)
			usleep(1000);
	}
	took.all = now - begun;
	if (!left)
		server_answer(connection, 201, text("{}"));
}

/* Bytes that go out are no silence. Where the machine itself was silent for about as long, it is tried again. */
static void test_slow_is_no_stall(void **state)
{
	const struct http_file file = { .fd = fd, .length = LARGE };

	(void)state;
	assert_int_equal(ftruncate(fd, LARGE), 0);
	server_on_head(server, "/x", take_slowly, NULL);
	for (took.stall = 250;; took.stall *= 2) {
		struct http_exchange e = { .method = HTTP_POST, .file = &file, .stall = took.stall };

		run(&e);
		server_free(server); /* its thread is through then */
		server = server_new();
		print_message("  stall %lld, longest %lld, all %lld: %s\n", (long long)took.stall,
			      (long long)took.longest, (long long)took.all, e.fault.what);
		http_exchange_release(&e);
		if (!e.verdict)
			break;
		assert_true(took.stall < 8000);
		snprintf(url, sizeof(url), "%sx", server_url(server));
		server_on_head(server, "/x", take_slowly, NULL);
	}
	assert_true(took.all > 2 * took.stall);
}

/* ---- Never twice ---- */

static void keep(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	server_keep(connection);
	server_answer(connection, 200, text("{}"));
}

/* On a connection that was used before, a request that gets no answer is what curl sends again. */
static unsigned requests_of(struct http_exchange *exchange)
{
	char kept[256];
	struct http_exchange before = { .url = kept };
	unsigned requests;

	snprintf(kept, sizeof(kept), "%skept", server_url(server));
	server_on(server, "/kept", keep, NULL);
	server_on(server, "/x", hang_up, NULL);
	run(&before);
	assert_int_equal(before.verdict, 0);
	http_exchange_release(&before);
	requests = server_requests(server);
	run(exchange);
	assert_int_equal(exchange->verdict, WARG_UNDECIDED);
	assert_int_equal(exchange->fault.kind, FAULT_UNREACHABLE);
	http_exchange_release(exchange);
	return server_requests(server) - requests;
}

static void test_once(void **state)
{
	const struct http_file file = { .fd = fd, .length = 1000 };
	struct http_exchange again = { .method = HTTP_POST, .body = text("{}") };

	(void)state;
	fill(1000);
	assert_true(requests_of(&again) > 1); /* what this is all about */
	for (int i = 0; i < 4; i++) {
		struct http_exchange e = { .method = i & 1 ? HTTP_PUT : HTTP_POST, .body = text("{\"a\":1}"),
					   .file = i & 2 ? &file : NULL, .once = true };

		assert_int_equal(requests_of(&e), 1);
		/* A file cannot be rewound, so it is not even sent again where that is allowed. */
		e = (struct http_exchange){ .method = HTTP_POST, .file = &file };
		assert_int_equal(requests_of(&e), 1);
	}
}

/* Whatever is sent once has a connection of its own, which nobody else gets afterwards. */
static void test_connections(void **state)
{
	(void)state;
	server_on(server, "/x", keep, NULL);
	for (unsigned i = 0; i < 6; i++) {
		struct http_exchange e = { .method = HTTP_POST, .body = text("{}"), .once = i & 1 };

		run(&e);
		assert_int_equal(e.verdict, 0);
		http_exchange_release(&e);
	}
	assert_int_equal(server_connections(server), 4);
}

static void redirect_to(struct server_connection *connection, const struct server_request *request, void *location)
{
	char head[512];

	assert_int_equal(request->body.length, strcmp(request->method, "GET") ? 1000 : 0);
	snprintf(head, sizeof(head), "HTTP/1.1 308 There\r\nlocation: %s\r\ncontent-length: 4\r\n\r\ngone",
		 (const char *)location);
	server_write_text(connection, head);
}

static void test_not_redirected(void **state)
{
	struct embedded_registry *other = server_new();
	const struct http_file file = { .fd = fd, .length = 1000 };
	char there[300], here[] = "/kept";

	(void)state;
	fill(1000);
	snprintf(there, sizeof(there), "%skept", server_url(other));
	server_on(other, "*", see, NULL);
	for (int i = 0; i < 4; i++) {
		struct http_exchange e = { .method = i & 1 ? HTTP_PUT : HTTP_POST, .file = &file, .follow = true,
					   .once = true };

		server_on(server, "/x", redirect_to, i & 2 ? there : here);
		run(&e);
		assert_int_equal(e.verdict, 0);
		assert_int_equal(e.status, 308);
		assert_true(span_is(buf_span(&e.received), "gone"));
		http_exchange_release(&e);
	}
	assert_int_equal(server_requests(server), 4);
	assert_int_equal(server_requests(other), 0);
	server_free(other);
}

/* What one server is to know of who asks is not told another. */
static void test_authorization(void **state)
{
	struct embedded_registry *other = server_new();
	struct http_exchange e = { .follow = true, .authorization = "Basic b3duOg==" };
	char there[300];

	(void)state;
	snprintf(there, sizeof(there), "%sx", server_url(other));
	server_on(server, "/x", see, NULL);
	server_on(other, "/x", see, NULL);
	run(&e);
	assert_true(sent("\r\nauthorization: Basic b3duOg==\r\n"));
	http_exchange_release(&e);
	e = (struct http_exchange){ .follow = true, .authorization = "Basic b3duOg==" };
	server_on(server, "/x", redirect_to, there);
	run(&e);
	assert_int_equal(e.status, 201);
	assert_false(sent("authorization"));
	http_exchange_release(&e);
	server_free(other);
	buf_release(&seen.head);
	buf_release(&seen.body);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizes), TEST(test_headers), TEST(test_file_faults), TEST(test_refused_early),
		TEST(test_not_taken), TEST(test_cancelled), TEST(test_slow_is_no_stall), TEST(test_once),
		TEST(test_connections), TEST(test_not_redirected), TEST(test_authorization),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
