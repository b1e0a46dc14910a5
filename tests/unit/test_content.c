/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Contents over a server that can lie, break off and hang: content.h. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/registry/content.h"
#include "scratch.h"
#include "server.h"
#include "torture.h"
#include "verify/hex.h"

#define SIZE 100000u
#define PATIENCE 60 /* seconds; nothing that passes waits for it */

/* What a source does with a request. */
enum manner {
	HONEST,
	FLIPPED,     /* one byte */
	LONGER,      /* one byte more, up to the end of the connection */
	SHORTER,     /* one byte less, likewise */
	BROKEN_OFF,  /* Content-Length says all, half comes */
	MISSING,     /* 404 */
	BUSY,        /* 503 */
	HANGING,     /* half comes, then nothing until the server lets go on: then the rest */
	RESUMABLE,   /* BROKEN_OFF that takes ranges, and honours them */
	UNRESUMABLE, /* the same, but the whole comes where the rest was asked for */
	LYING_REST,  /* the same, but the rest is of something else */
	NO_LENGTH,   /* to HEAD */
	MORE_CLAIMED, /* sends the whole content; Content-Length claims more */
	HUGE_CLAIMED, /* the same, more than we ever take */
	SILENT,      /* nothing at all */
	EMPTY,
};

struct place {
	char *path;
	struct embedded_registry *server;
	struct http_url url;
	struct http *http;
	struct deadlines *deadlines;
	struct workers *workers;
	struct store *store;
	struct content *content;

	unsigned char *bytes;
	size_t size;
	struct digest digest;

	/* The script; set before anything is asked for. */
	enum manner manners[3]; /* of the sources /source/0, … */
	size_t sources;
	long long claimed;      /* `size`; -1: not told */
	bool untold;            /* the registry does not say where the content is */
	pthread_mutex_t mutex;
	unsigned asked, got[3], heads; /* requests that came */
};

static void answer_sources(struct server_connection *connection, struct place *place)
{
	char digest[DIGEST_TEXT_SIZE], text[2048], size[40] = "";
	size_t length;

	digest_format(&place->digest, digest);
	if (place->claimed >= 0)
		snprintf(size, sizeof(size), ",\"size\":%lld", place->claimed);
	length = (size_t)snprintf(text, sizeof(text), "{\"contentSources\":{\"%s\":[", digest);
	for (size_t i = 0; i < place->sources; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length,
					   "%s{\"type\":\"httpGet\",\"url\":\"%ssource/%zu\"%s}", i ? "," : "",
					   server_url(place->server), i, size);
	snprintf(text + length, sizeof(text) - length, "]}}");
	server_answer(connection, 200, span_of_text(text));
}

static void head(struct server_connection *connection, const char *status, const char *more)
{
	char text[512];

	snprintf(text, sizeof(text),
		 "HTTP/1.1 %s\r\ncontent-type: application/octet-stream\r\n%sconnection: close\r\n\r\n", status, more);
	server_write_text(connection, text);
}

static void head_with_length(struct server_connection *connection, const char *status, size_t length, const char *more)
{
	char text[256];

	snprintf(text, sizeof(text), "content-length: %zu\r\n%s", length, more);
	head(connection, status, text);
}

static struct span part(const struct place *place, size_t from, size_t to)
{
	return (struct span){place->bytes + from, to - from};
}

/* The rest, from where the request wants it. */
static void answer_rest(struct server_connection *connection, struct place *place, enum manner manner,
			const char *range)
{
	size_t from = strtoul(range, NULL, 10);
	char text[128];

	if (manner == UNRESUMABLE) {
		head_with_length(connection, "200 OK", place->size, "");
		server_write(connection, part(place, 0, place->size));
		return;
	}
	snprintf(text, sizeof(text), "content-range: bytes %zu-%zu/%zu\r\naccept-ranges: bytes\r\n", from,
		 place->size - 1, place->size);
	head_with_length(connection, "206 Partial Content", place->size - from, text);
	if (manner == LYING_REST)
		server_write(connection, part(place, 0, place->size - from));
	else
		server_write(connection, part(place, from, place->size));
}

static void answer_content(struct server_connection *connection, struct place *place, enum manner manner, bool first,
			   const struct server_request *request)
{
	const char *range = strcasestr(request->head, "range: bytes=");

	if (range && (manner == RESUMABLE || manner == UNRESUMABLE || manner == LYING_REST)) {
		answer_rest(connection, place, manner, range + strlen("range: bytes="));
		return;
	}
	switch (manner) {
	case FLIPPED:
		head_with_length(connection, "200 OK", place->size, "");
		server_write(connection, part(place, 0, place->size / 2));
		server_write_text(connection, place->bytes[place->size / 2] == 'x' ? "y" : "x");
		server_write(connection, part(place, place->size / 2 + 1, place->size));
		break;
	case LONGER:
		head(connection, "200 OK", "");
		server_write(connection, part(place, 0, place->size));
		server_write_text(connection, "x");
		break;
	case SHORTER:
		head(connection, "200 OK", "");
		server_write(connection, part(place, 0, place->size - 1));
		break;
	case BROKEN_OFF:
		head_with_length(connection, "200 OK", place->size, "");
		server_write(connection, part(place, 0, place->size / 2));
		break;
	case MISSING:
		head_with_length(connection, "404 Not Found", 0, "");
		break;
	case BUSY:
		head_with_length(connection, "503 Service Unavailable", 0, "");
		break;
	case SILENT:
		server_hang(connection);
		break;
	case HANGING:
		head_with_length(connection, "200 OK", place->size, "");
		server_write(connection, part(place, 0, place->size / 2));
		server_hang(connection);
		server_write(connection, part(place, place->size / 2, place->size));
		break;
	case RESUMABLE:
	case UNRESUMABLE:
	case LYING_REST:
		head_with_length(connection, "200 OK", place->size, "accept-ranges: bytes\r\n");
		server_write(connection, part(place, 0, first ? place->size / 2 : place->size));
		break;
	case MORE_CLAIMED:
	case HUGE_CLAIMED:
		head_with_length(connection, "200 OK", manner == MORE_CLAIMED ? place->size + 10 : CAP_CONTENT + 1,
				 "accept-ranges: bytes\r\n");
		server_write(connection, part(place, 0, place->size));
		break;
	case EMPTY:
		head_with_length(connection, "200 OK", 0, "");
		break;
	default:
		head_with_length(connection, "200 OK", place->size, "");
		server_write(connection, part(place, 0, place->size));
	}
}

static void answer_head(struct server_connection *connection, enum manner manner)
{
	if (manner == SILENT)
		server_hang(connection);
	else if (manner == MISSING)
		head_with_length(connection, "404 Not Found", 0, "");
	else if (manner == NO_LENGTH)
		head(connection, "200 OK", "");
	else
		head_with_length(connection, "200 OK", SIZE, "");
}

static void answer(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct place *place = user;
	bool is_head = !strcmp(request->method, "HEAD"), first;
	enum manner manner;
	size_t source;

	if (!strncmp(request->target, "/v1/content/", 12)) {
		pthread_mutex_lock(&place->mutex);
		place->asked++;
		pthread_mutex_unlock(&place->mutex);
		if (place->untold)
			server_answer(connection, 200, span_of_text("{}"));
		else
			answer_sources(connection, place);
		return;
	}
	assert_int_equal(strncmp(request->target, "/source/", 8), 0);
	source = (size_t)(request->target[8] - '0');
	pthread_mutex_lock(&place->mutex);
	place->heads += is_head;
	first = !is_head && !place->got[source]++;
	manner = place->manners[source];
	pthread_mutex_unlock(&place->mutex);
	if (is_head)
		answer_head(connection, manner);
	else
		answer_content(connection, place, manner, first, request);
}

/* ---- Set up ---- */

static void open_content(struct place *place, clock_ms timeout)
{
	struct content_options options = {.timeout = timeout};
	struct fault flt = {0};

	assert_int_equal(http_new(&place->http, &flt), 0);
	assert_int_equal(deadlines_new(&place->deadlines, &flt), 0);
	assert_int_equal(workers_new(2, &place->workers, &flt), 0);
	assert_int_equal(store_open(scratch_path(place->path, "registries"), scratch_path(place->path, "content"),
				    scratch_path(place->path, "own"), "label", &place->store, &flt), 0);
	options.api = (struct api){.http = place->http, .url = &place->url};
	options.store = place->store;
	options.deadlines = place->deadlines;
	options.workers = place->workers;
	assert_int_equal(content_new(&options, &place->content, &flt), 0);
}

static void close_content(struct place *place)
{
	content_free(place->content);
	place->content = NULL;
	store_close(place->store);
	workers_free(place->workers);
	http_free(place->http);
	deadlines_free(place->deadlines);
}

static void reopen_content(struct place *place, clock_ms timeout)
{
	close_content(place);
	open_content(place, timeout);
}

/* The content, of that size. */
static void make_bytes(struct place *place, size_t size)
{
	free(place->bytes);
	place->bytes = malloc(size);
	assert_non_null(place->bytes);
	place->size = size;
	for (size_t i = 0; i < size; i++)
		place->bytes[i] = (unsigned char)(i * 2654435761u >> 13);
	place->digest = digest_of((struct span){place->bytes, size});
}

static int set_up(void **state)
{
	struct place *place = calloc(1, sizeof(*place));
	struct fault flt = {0};

	assert_non_null(place);
	place->path = scratch_new();
	make_bytes(place, SIZE);
	place->sources = 1;
	place->claimed = -1;
	pthread_mutex_init(&place->mutex, NULL);
	place->server = server_new();
	assert_int_equal(http_url_parse(server_url(place->server), &place->url, &flt), 0);
	server_on(place->server, "*", answer, place);
	open_content(place, PATIENCE * 1000);
	*state = place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	close_content(place);
	server_free(place->server);
	assert_int_equal(scratch_count(scratch_path(place->path, "content/temp")), 0);
	pthread_mutex_destroy(&place->mutex);
	scratch_free(place->path);
	free(place->bytes);
	free(place);
	return 0;
}

static int fetch(struct place *place, struct fault *flt)
{
	struct blocking_waiter blocking = {0};

	blocking_waiter_init(&blocking, clock_in_seconds(PATIENCE));
	content_fetch(place->content, &place->digest, &blocking.waiter);
	return blocking_waiter_wait(&blocking, flt);
}

static int fetch_size(struct place *place, struct fault *flt)
{
	struct blocking_waiter blocking = {0};

	blocking_waiter_init(&blocking, clock_in_seconds(PATIENCE));
	content_fetch_size(place->content, &place->digest, &blocking.waiter);
	return blocking_waiter_wait(&blocking, flt);
}

static const char *cached_path(const struct place *place)
{
	char name[200] = "content/sha256/";

	hex_encode(digest_span(&place->digest), name + strlen(name));
	return scratch_path(place->path, name);
}

/* Whether content_find() gives a file with the very bytes. */
static bool is_found(struct place *place)
{
	struct content_file *file = content_find(place->content, &place->digest);
	unsigned char *bytes;

	if (!file)
		return false;
	bytes = malloc(place->size + 1);
	assert_non_null(bytes);
	assert_int_equal(file->size, place->size);
	assert_int_equal(pread(file->fd, bytes, place->size + 1, 0), place->size);
	assert_memory_equal(bytes, place->bytes, place->size);
	free(bytes);
	content_file_unref(file);
	return true;
}

static unsigned downloads(struct place *place)
{
	unsigned count;

	pthread_mutex_lock(&place->mutex);
	count = place->got[0] + place->got[1] + place->got[2];
	pthread_mutex_unlock(&place->mutex);
	return count;
}

static void expect_fetched(struct place *place)
{
	struct fault flt = {0};

	assert_int_equal(fetch(place, &flt), 0);
	assert_true(is_found(place));
}

/* ---- Fetching ---- */

static void test_fetch(void **state)
{
	struct place *place = *state;
	struct content_counters counters;
	struct stat status;
	uint64_t size = 0;

	assert_null(content_find(place->content, &place->digest));
	assert_false(content_find_size(place->content, &place->digest, &size));
	expect_fetched(place);
	expect_fetched(place);
	assert_int_equal(downloads(place), 1);
	assert_true(content_find_size(place->content, &place->digest, &size));
	assert_int_equal(size, SIZE);
	assert_int_equal(stat(cached_path(place), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0600);
	content_count(place->content, &counters);
	assert_int_equal(counters.downloads_running, 0);
	assert_int_equal(counters.downloads_done, 1);
	assert_int_equal(counters.downloads_failed, 0);
	assert_int_equal(counters.bytes_received, SIZE);
	assert_int_equal(counters.cache_hits, 1);
}

static void test_empty(void **state)
{
	struct place *place = *state;
	struct content_file *file;
	struct fault flt = {0};

	place->digest = digest_of((struct span){0});
	place->manners[0] = EMPTY;
	assert_int_equal(fetch(place, &flt), 0);
	file = content_find(place->content, &place->digest);
	assert_non_null(file);
	assert_int_equal(file->size, 0);
	content_file_unref(file);
}

/* One source that fails: the fault says who and what, and the next honest answer works again. */
static void test_bad_sources(void **state)
{
	static const struct {
		enum manner manner;
		long long claimed;
		int verdict;
		enum fault_kind kind;
		enum fault_party party;
	} cases[] = {
		{FLIPPED, -1, WARG_INVALID, FAULT_FORGED, FAULT_BY_SOURCE},
		{LONGER, -1, WARG_INVALID, FAULT_FORGED, FAULT_BY_SOURCE},
		{SHORTER, -1, WARG_INVALID, FAULT_FORGED, FAULT_BY_SOURCE},
		{EMPTY, -1, WARG_INVALID, FAULT_FORGED, FAULT_BY_SOURCE},
		{BROKEN_OFF, -1, WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_NETWORK},
		{MISSING, -1, WARG_UNDECIDED, FAULT_REFUSED, FAULT_BY_SOURCE},
		{BUSY, -1, WARG_UNDECIDED, FAULT_UNREACHABLE, FAULT_BY_SOURCE},
	};
	struct place *place = *state;
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&place->digest, digest);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault flt = {0};

		place->manners[0] = cases[i].manner;
		place->claimed = cases[i].claimed;
		assert_int_equal(fetch(place, &flt), cases[i].verdict);
		assert_int_equal(flt.kind, cases[i].kind);
		assert_int_equal(flt.party, cases[i].party);
		assert_non_null(strstr(flt.where, digest));
		assert_false(is_found(place));
		assert_int_equal(access(cached_path(place), F_OK), -1);
		assert_int_equal(scratch_count(scratch_path(place->path, "content/temp")), 0);

		place->manners[0] = HONEST;
		place->claimed = -1;
		expect_fetched(place);
		assert_int_equal(unlink(cached_path(place)), 0);
	}
}

/* The digest decides: bytes that match it are kept whatever size was claimed. */
static void test_sizes_claimed(void **state)
{
	static const struct {
		enum manner manner;
		long long claimed;
		unsigned requests;
	} cases[] = {
		{HONEST, SIZE - 1, 1},         {HONEST, 0, 1},           {HONEST, SIZE + 1, 1},
		{HONEST, CAP_CONTENT + 1, 1},  {HONEST, INT64_MAX, 1},   {RESUMABLE, SIZE / 4, 2},
		{UNRESUMABLE, SIZE / 4, 2},    {LYING_REST, 0, 3},       {MORE_CLAIMED, -1, 1},
		{MORE_CLAIMED, SIZE + 10, 1},  {HUGE_CLAIMED, -1, 1},
	};
	struct place *place = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t size = 0;

		place->got[0] = 0;
		place->manners[0] = cases[i].manner;
		place->claimed = cases[i].claimed;
		expect_fetched(place);
		assert_int_equal(downloads(place), cases[i].requests);
		assert_true(content_find_size(place->content, &place->digest, &size));
		assert_int_equal(size, SIZE);
		assert_int_equal(unlink(cached_path(place)), 0);
	}
}

/* The first honest source counts; a lie outranks what else went wrong. */
static void test_sources_in_turn(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	place->sources = 3;
	place->manners[0] = MISSING;
	place->manners[1] = FLIPPED;
	place->manners[2] = BUSY;
	assert_int_equal(fetch(place, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_SOURCE);
	place->manners[2] = HONEST;
	expect_fetched(place);
}

/* A broken connection is taken up where it ended; what does not fit together is fetched anew. */
static void test_resume(void **state)
{
	static const struct {
		enum manner manner;
		unsigned requests, received;
	} cases[] = {{RESUMABLE, 2, SIZE}, {UNRESUMABLE, 2, SIZE + SIZE / 2}, {LYING_REST, 3, 2 * SIZE}};
	struct place *place = *state;
	struct content_counters before, after;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		place->got[0] = 0;
		place->manners[0] = cases[i].manner;
		content_count(place->content, &before);
		expect_fetched(place);
		content_count(place->content, &after);
		assert_int_equal(downloads(place), cases[i].requests);
		assert_int_equal(after.bytes_received - before.bytes_received, cases[i].received);
		assert_int_equal(unlink(cached_path(place)), 0);
	}
}

static void test_stall(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	reopen_content(place, 300);
	place->manners[0] = HANGING;
	assert_int_equal(fetch(place, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	reopen_content(place, PATIENCE * 1000);
	place->manners[0] = HONEST;
	expect_fetched(place);
}

/* With any number of silent sources the slot is freed after twice the time-out. */
static void test_stalls(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	reopen_content(place, 1000);
	place->sources = 3;
	for (size_t i = 0; i < place->sources; i++)
		place->manners[i] = SILENT;
	assert_int_equal(fetch(place, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	assert_int_equal(fetch_size(place, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	/* The server still holds the connections that were given up. */
	pthread_mutex_lock(&place->mutex);
	assert_int_equal(place->got[1], 1);
	assert_int_equal(place->got[2], 0);
	assert_int_equal(place->heads, 2);
	place->manners[2] = HONEST;
	place->manners[0] = place->manners[1] = MISSING;
	pthread_mutex_unlock(&place->mutex);
	reopen_content(place, PATIENCE * 1000);
	expect_fetched(place);
}

static void test_nobody_there(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	server_free(place->server);
	place->server = NULL;
	assert_int_equal(fetch(place, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
}

/* ---- What lies in the cache ---- */

static void test_cached(void **state)
{
	struct place *place = *state;

	scratch_write(cached_path(place), part(place, 0, SIZE));
	assert_null(content_find(place->content, &place->digest));
	expect_fetched(place);
	assert_int_equal(downloads(place), 0);
}

static void test_cached_badly(void **state)
{
	struct place *place = *state;
	unsigned char bytes[SIZE];
	struct stat status;

	memcpy(bytes, place->bytes, SIZE);
	bytes[7] ^= 0x80;
	scratch_write(cached_path(place), (struct span){bytes, SIZE});
	expect_fetched(place);
	scratch_write(cached_path(place), part(place, 0, SIZE / 3));
	expect_fetched(place);
	assert_int_equal(unlink(cached_path(place)), 0);
	assert_int_equal(symlink("/etc/passwd", cached_path(place)), 0);
	expect_fetched(place);
	assert_int_equal(lstat(cached_path(place), &status), 0);
	assert_true(S_ISREG(status.st_mode));
	assert_int_equal(unlink(cached_path(place)), 0);
	assert_int_equal(mkdir(cached_path(place), 0777), 0);
	expect_fetched(place);
	assert_int_equal(downloads(place), 4);
}

/* ---- A disk that returns only part of a file ---- */

static struct {
	_Atomic ino_t file; /* 0: none fails */
	_Atomic off_t from; /* reads from here on fail */
} bad_disk;

/* Replaces the C library's. */
ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
	ino_t bad = atomic_load(&bad_disk.file);
	struct stat status;

	if (bad && !fstat(fd, &status) && status.st_ino == bad && offset + (off_t)size > atomic_load(&bad_disk.from)) {
		if (offset >= atomic_load(&bad_disk.from)) {
			errno = EIO;
			return -1;
		}
		size = (size_t)(atomic_load(&bad_disk.from) - offset);
	}
	return syscall(SYS_pread64, fd, bytes, size, offset);
}

static void break_file(const char *path, off_t from)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	atomic_store(&bad_disk.from, from);
	atomic_store(&bad_disk.file, status.st_ino);
}

/*
 * An unreadable file is neither used up to the error nor removed: it stays until a download replaces it, and without
 * one the read error is reported.
 */
static void test_unreadable(void **state)
{
	static const struct {
		size_t more; /* bytes behind the content's own */
		off_t from;
	} cases[] = {{0, SIZE / 2}, {0, 0}, {10, SIZE}, {0, SIZE - 1}};
	struct place *place = *state;
	unsigned char bytes[SIZE + 10] = {0};
	struct stat before, after;

	memcpy(bytes, place->bytes, SIZE);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault flt = {0};

		unlink(cached_path(place));
		scratch_write(cached_path(place), (struct span){bytes, SIZE + cases[i].more});
		assert_int_equal(stat(cached_path(place), &before), 0);
		break_file(cached_path(place), cases[i].from);
		place->manners[0] = MISSING;
		assert_int_equal(fetch(place, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.errnum, EIO);
		assert_int_equal(flt.party, FAULT_BY_SYSTEM);
		assert_int_equal(stat(cached_path(place), &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
		place->manners[0] = HONEST;
		expect_fetched(place);
		assert_int_equal(stat(cached_path(place), &after), 0);
		assert_int_not_equal(after.st_ino, before.st_ino);
		assert_int_equal(after.st_size, SIZE);
		atomic_store(&bad_disk.file, 0);
	}
}

/* Put other bytes into the file, of the same size, at a time that the file system can tell from the one before. */
static void tamper(const char *path)
{
	struct stat before, after;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &before), 0);
	do {
		assert_int_equal(pwrite(fd, "tampered", 8, 0), 8);
		assert_int_equal(fstat(fd, &after), 0);
	} while (before.st_ctim.tv_sec == after.st_ctim.tv_sec && before.st_ctim.tv_nsec == after.st_ctim.tv_nsec);
	close(fd);
}

/* A file that changed since it verified is not handed out, and is put right. */
static void test_changed(void **state)
{
	struct place *place = *state;

	expect_fetched(place);
	tamper(cached_path(place));
	assert_null(content_find(place->content, &place->digest));
	expect_fetched(place);
	assert_int_equal(truncate(cached_path(place), SIZE / 2), 0);
	assert_null(content_find(place->content, &place->digest));
	expect_fetched(place);
	assert_int_equal(unlink(cached_path(place)), 0);
	assert_null(content_find(place->content, &place->digest));
	expect_fetched(place);
	assert_int_equal(downloads(place), 4);
}

/* The reference's `clear` takes the folders away under us. */
static void test_cleared(void **state)
{
	struct place *place = *state;

	expect_fetched(place);
	scratch_free(strdup(scratch_path(place->path, "content")));
	assert_null(content_find(place->content, &place->digest));
	expect_fetched(place);
}

static void test_disk_fault(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	scratch_free(strdup(scratch_path(place->path, "content")));
	scratch_write_text(scratch_path(place->path, "content"), "a file where a folder has to be");
	assert_int_equal(fetch(place, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	assert_int_equal(flt.errnum, ENOTDIR);
	assert_int_equal(unlink(scratch_path(place->path, "content")), 0);
	expect_fetched(place);
}

struct simple_waiter {
	struct waiter waiter; /* first */
	atomic_int told, verdict;
};

static void tell_simply(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct simple_waiter *simple = (struct simple_waiter *)waiter;

	(void)flt;
	atomic_store(&simple->verdict, verdict);
	atomic_fetch_add(&simple->told, 1);
}

/* ---- Written and hashed beside the receiving ---- */

#define LARGE (6u << 20) /* more than is ever held in memory, in each half */

/* Both workers, held up. */
struct jam {
	struct open_contents {
		struct job job; /* first */
		struct jam *jam;
	} held[2];
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned stuck;
	bool released;
};

static void hold_up(struct job *job)
{
	struct jam *jam = ((struct open_contents *)job)->jam;

	pthread_mutex_lock(&jam->mutex);
	jam->stuck++;
	pthread_cond_broadcast(&jam->changed);
	while (!jam->released)
		pthread_cond_wait(&jam->changed, &jam->mutex);
	jam->stuck--;
	pthread_cond_broadcast(&jam->changed);
	pthread_mutex_unlock(&jam->mutex);
}

/* Have all workers do nothing. */
static void jam_workers(struct place *place, struct jam *jam)
{
	*jam = (struct jam){0};
	pthread_mutex_init(&jam->mutex, NULL);
	pthread_cond_init(&jam->changed, NULL);
	for (size_t i = 0; i < 2; i++) {
		jam->held[i] = (struct open_contents){{.run = hold_up}, jam};
		workers_run(place->workers, &jam->held[i].job);
	}
	pthread_mutex_lock(&jam->mutex);
	while (jam->stuck < 2)
		pthread_cond_wait(&jam->changed, &jam->mutex);
	pthread_mutex_unlock(&jam->mutex);
}

static void release_workers(struct jam *jam)
{
	pthread_mutex_lock(&jam->mutex);
	jam->released = true;
	pthread_cond_broadcast(&jam->changed);
	while (jam->stuck)
		pthread_cond_wait(&jam->changed, &jam->mutex);
	pthread_mutex_unlock(&jam->mutex);
	pthread_cond_destroy(&jam->changed);
	pthread_mutex_destroy(&jam->mutex);
}

/* Until so many bytes came in all. */
static void wait_for_bytes(struct place *place, uint64_t count)
{
	clock_ms deadline = clock_in_seconds(PATIENCE);
	struct content_counters counters;

	for (content_count(place->content, &counters); counters.bytes_received < count;
	     content_count(place->content, &counters)) {
		assert_true(clock_now() < deadline);
		usleep(1000);
	}
}

/* Begin with a large content, whose second half comes while no worker has time. */
static void fetch_in_a_jam(struct place *place, struct waiter *waiter, struct jam *jam)
{
	make_bytes(place, LARGE);
	place->manners[0] = HANGING;
	content_fetch(place->content, &place->digest, waiter);
	server_wait_for(place->server, 2);
	wait_for_bytes(place, LARGE / 2);
	jam_workers(place, jam);
	server_release(place->server);
	wait_for_bytes(place, LARGE);
}

static void test_large(void **state)
{
	static const enum manner manners[] = {HONEST, RESUMABLE, UNRESUMABLE, LYING_REST};
	struct place *place = *state;

	make_bytes(place, LARGE);
	for (size_t i = 0; i < sizeof(manners) / sizeof(manners[0]); i++) {
		place->got[0] = 0;
		place->manners[0] = manners[i];
		expect_fetched(place);
		assert_int_equal(unlink(cached_path(place)), 0);
	}
}

/* A lie in the midst of a large one is seen. */
static void test_large_lie(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	make_bytes(place, LARGE);
	place->manners[0] = FLIPPED;
	assert_int_equal(fetch(place, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_SOURCE);
	place->manners[0] = HONEST;
	expect_fetched(place);
}

/* The loop never waits for the workers, and holds no more in memory than it may: it reads the rest back. */
static void test_jam(void **state)
{
	struct blocking_waiter blocking = {0};
	struct place *place = *state;
	struct fault flt = {0};
	struct jam jam;

	blocking_waiter_init(&blocking, clock_in_seconds(PATIENCE));
	fetch_in_a_jam(place, &blocking.waiter, &jam);
	release_workers(&jam);
	assert_int_equal(blocking_waiter_wait(&blocking, &flt), 0);
	assert_true(is_found(place));
}

static void empty_temp(struct place *place)
{
	const char *path = scratch_path(place->path, "content/temp");
	DIR *folder = opendir(path);
	struct dirent *entry;

	assert_non_null(folder);
	while ((entry = readdir(folder))) {
		int fd = entry->d_name[0] == '.' ? -1 : openat(dirfd(folder), entry->d_name, O_WRONLY);

		if (fd >= 0) {
			assert_int_equal(ftruncate(fd, 0), 0);
			close(fd);
		}
	}
	closedir(folder);
}

/* What cannot be read back accuses no source. */
static void test_jam_and_lost(void **state)
{
	struct blocking_waiter blocking = {0};
	struct place *place = *state;
	struct fault flt = {0};
	struct jam jam;

	blocking_waiter_init(&blocking, clock_in_seconds(PATIENCE));
	fetch_in_a_jam(place, &blocking.waiter, &jam);
	empty_temp(place);
	release_workers(&jam);
	assert_int_equal(blocking_waiter_wait(&blocking, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	assert_int_equal(flt.party, FAULT_BY_SYSTEM);
	place->manners[0] = HONEST;
	expect_fetched(place);
}

static void *free_content(void *content)
{
	content_free(content);
	return NULL;
}

static void test_free_in_a_jam(void **state)
{
	struct simple_waiter simple = {.waiter = {.done = tell_simply, .deadline = CLOCK_NEVER}};
	struct place *place = *state;
	pthread_t thread;
	struct jam jam;

	fetch_in_a_jam(place, &simple.waiter, &jam);
	assert_int_equal(pthread_create(&thread, NULL, free_content, place->content), 0);
	release_workers(&jam);
	assert_int_equal(pthread_join(thread, NULL), 0);
	place->content = NULL;
	assert_int_equal(atomic_load(&simple.told), 1);
	assert_int_equal(scratch_count(scratch_path(place->path, "content/temp")), 0);
}

/* A disk that is full, in the midst: what came is given up, and the source not accused. */
static void test_disk_full(void **state)
{
	struct sigaction ignored = {.sa_handler = SIG_IGN}, former;
	struct rlimit limit, small;
	struct place *place = *state;
	struct fault flt = {0};

	make_bytes(place, LARGE);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = (struct rlimit){.rlim_cur = LARGE / 4, .rlim_max = limit.rlim_max};
	assert_int_equal(sigaction(SIGXFSZ, &ignored, &former), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(fetch(place, &flt), WARG_UNDECIDED);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(sigaction(SIGXFSZ, &former, NULL), 0);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	assert_int_equal(flt.errnum, EFBIG);
	assert_int_equal(flt.party, FAULT_BY_SYSTEM);
	assert_int_equal(scratch_count(scratch_path(place->path, "content/temp")), 0);
	expect_fetched(place);
}

/* ---- Many at once ---- */

static void *fetch_on_thread(void *argument)
{
	struct place *place = argument;
	struct fault flt = {0};

	return fetch(place, &flt) || !is_found(place) ? argument : NULL;
}

static void test_one_download(void **state)
{
	struct place *place = *state;
	pthread_t threads[16];
	void *failed;

	place->manners[0] = HANGING;
	for (size_t i = 0; i < 16; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, fetch_on_thread, place), 0);
	server_wait_for(place->server, 2);
	server_release(place->server);
	for (size_t i = 0; i < 16; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(downloads(place), 1);
	assert_int_equal(place->asked, 1);
}

/* Who leaves is not told; the download goes on for the cache. */
static void test_leave(void **state)
{
	struct simple_waiter simple = {.waiter = {.done = tell_simply, .deadline = CLOCK_NEVER}};
	struct place *place = *state;

	place->manners[0] = HANGING;
	content_fetch(place->content, &place->digest, &simple.waiter);
	server_wait_for(place->server, 2);
	assert_true(completion_leave(place->deadlines, &simple.waiter));
	server_release(place->server);
	expect_fetched(place);
	assert_int_equal(atomic_load(&simple.told), 0);
	assert_int_equal(downloads(place), 1);
}

/* Closing cancels, and tells those who wait still. */
static void test_free_under_way(void **state)
{
	struct simple_waiter simple = {.waiter = {.done = tell_simply, .deadline = CLOCK_NEVER}};
	struct place *place = *state;

	place->manners[0] = HANGING;
	content_fetch(place->content, &place->digest, &simple.waiter);
	server_wait_for(place->server, 2);
	content_free(place->content);
	place->content = NULL;
	assert_int_equal(atomic_load(&simple.told), 1);
	assert_int_equal(atomic_load(&simple.verdict), WARG_UNDECIDED);
	assert_int_equal(scratch_count(scratch_path(place->path, "content/temp")), 0);
}

static void test_deadline(void **state)
{
	struct blocking_waiter blocking = {0};
	struct place *place = *state;
	struct fault flt = {0};

	place->manners[0] = HANGING;
	blocking_waiter_init(&blocking, clock_now() + 50);
	content_fetch(place->content, &place->digest, &blocking.waiter);
	assert_int_equal(blocking_waiter_wait(&blocking, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	server_release(place->server);
	expect_fetched(place);
}

/* ---- Beside other processes ---- */

static const char *claim_path(const struct place *place)
{
	char name[200] = "own/downloads/";

	hex_encode(digest_span(&place->digest), name + strlen(name));
	return scratch_path(place->path, name);
}

/* Claim the content as another process does. */
static struct store_claim claim_as_another(struct place *place)
{
	struct store_claim claim = {-1};
	uint64_t received;

	assert_int_equal(store_claim_content(place->store, &place->digest, &claim, &received), STORE_CLAIM_OURS);
	return claim;
}

static void expect_deadline(struct place *place, clock_ms limit)
{
	struct blocking_waiter blocking = {0};
	struct fault flt = {0};

	blocking_waiter_init(&blocking, clock_now() + limit);
	content_fetch(place->content, &place->digest, &blocking.waiter);
	assert_int_equal(blocking_waiter_wait(&blocking, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
}

/* What another downloads is waited for, and taken from the cache. */
static void test_claimed(void **state)
{
	struct place *place = *state;
	struct store_claim claim = claim_as_another(place);

	expect_deadline(place, 50);
	assert_int_equal(place->asked, 0);
	scratch_write(cached_path(place), part(place, 0, SIZE));
	store_end_claim(place->store, &place->digest, &claim);
	expect_fetched(place);
	assert_int_equal(downloads(place), 0);
	assert_int_equal(scratch_count(scratch_path(place->path, "own/downloads")), 0);
}

/* Another that gives up, or leaves something else than the content, is followed by who waited. */
static void test_claimed_for_nothing(void **state)
{
	struct place *place = *state;
	struct store_claim claim = claim_as_another(place);

	expect_deadline(place, 50);
	scratch_write(cached_path(place), part(place, 0, SIZE / 2));
	store_end_claim(place->store, &place->digest, &claim);
	expect_fetched(place);
	assert_int_equal(downloads(place), 1);
}

/* Another that died has lost its claim. */
static void test_claimed_by_the_dead(void **state)
{
	struct place *place = *state;
	struct stat status;

	scratch_write(claim_path(place), part(place, 0, SIZE));
	place->manners[0] = HANGING;
	/* A slow machine needs more than the first limit to begin the download. */
	for (clock_ms limit = 50; downloads(place) == 0; limit *= 2)
		expect_deadline(place, limit);
	assert_int_equal(stat(claim_path(place), &status), 0);
	assert_in_range(status.st_size, 0, SIZE / 2);
	server_release(place->server);
	expect_fetched(place);
	assert_int_equal(access(claim_path(place), F_OK), -1);
}

/* A claim that is held for ever, while nothing comes, delays nobody for longer than a source that hangs. */
static void test_claimed_for_ever(void **state)
{
	struct place *place = *state;
	struct store_claim claim = claim_as_another(place);

	reopen_content(place, 2000);
	expect_fetched(place);
	assert_int_equal(downloads(place), 1);
	store_end_claim(place->store, &place->digest, &claim);
}

/* Where no source can be had, nothing stays claimed: the next who comes need not wait. */
static void test_claim_without_sources(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};

	place->untold = true;
	assert_int_equal(fetch(place, &flt), WARG_INVALID);
	assert_int_equal(scratch_count(scratch_path(place->path, "own/downloads")), 0);
	place->untold = false;
	expect_fetched(place);
}

/* Closing waits for no claim. */
static void test_free_while_claimed(void **state)
{
	struct simple_waiter simple = {.waiter = {.done = tell_simply, .deadline = CLOCK_NEVER}};
	struct place *place = *state;
	struct store_claim claim = claim_as_another(place);

	content_fetch(place->content, &place->digest, &simple.waiter);
	expect_deadline(place, 50);
	content_free(place->content);
	place->content = NULL;
	assert_int_equal(atomic_load(&simple.told), 1);
	assert_int_equal(atomic_load(&simple.verdict), WARG_UNDECIDED);
	store_end_claim(place->store, &place->digest, &claim);
}

/* What somebody put where a claim has to be is not touched, and keeps nobody from a content. */
static void test_claim_planted(void **state)
{
	struct place *place = *state;
	const char *victim = scratch_path(place->path, "victim");

	scratch_write_text(scratch_path(place->path, "own/downloads/stray"), "of another");
	scratch_write_text(victim, "precious");
	assert_int_equal(symlink(victim, claim_path(place)), 0);
	expect_fetched(place);
	assert_true(scratch_holds(victim, "precious"));
	assert_int_equal(unlink(claim_path(place)), 0);

	assert_int_equal(unlink(cached_path(place)), 0);
	assert_int_equal(mkfifo(claim_path(place), 0600), 0);
	expect_fetched(place);
	assert_int_equal(unlink(claim_path(place)), 0);

	assert_int_equal(unlink(cached_path(place)), 0);
	assert_int_equal(mkdir(claim_path(place), 0700), 0);
	expect_fetched(place);

	assert_int_equal(unlink(cached_path(place)), 0);
	scratch_free(strdup(scratch_path(place->path, "own/downloads")));
	assert_int_equal(symlink(place->path, scratch_path(place->path, "own/downloads")), 0);
	expect_fetched(place);

	assert_int_equal(unlink(cached_path(place)), 0);
	scratch_free(strdup(scratch_path(place->path, "own")));
	scratch_write_text(scratch_path(place->path, "own"), "a file where a folder has to be");
	expect_fetched(place);
	assert_int_equal(unlink(scratch_path(place->path, "own")), 0);
	assert_int_equal(downloads(place), 5);
}

/* ---- Sizes ---- */

static void test_size(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	uint64_t size = 0;

	assert_int_equal(fetch_size(place, &flt), 0);
	assert_true(content_find_size(place->content, &place->digest, &size));
	assert_int_equal(size, SIZE);
	assert_int_equal(place->heads, 1);
	/* Remembered, also by the next process. */
	reopen_content(place, PATIENCE * 1000);
	assert_true(content_find_size(place->content, &place->digest, &size));
	assert_int_equal(fetch_size(place, &flt), 0);
	assert_int_equal(place->heads, 1);
	assert_int_equal(place->asked, 1);
}

/* What the registry says is a claim, until the content has verified. */
static void test_size_claimed(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	uint64_t size = 0;

	place->claimed = SIZE + 77;
	assert_int_equal(fetch_size(place, &flt), 0);
	assert_true(content_find_size(place->content, &place->digest, &size));
	assert_int_equal(size, SIZE + 77);
	assert_int_equal(place->heads, 0);
	expect_fetched(place);
	assert_true(content_find_size(place->content, &place->digest, &size));
	assert_int_equal(size, SIZE);
	reopen_content(place, PATIENCE * 1000);
	assert_true(content_find_size(place->content, &place->digest, &size));
	assert_int_equal(size, SIZE);
}

static void test_size_of_cached(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	uint64_t size = 0;

	scratch_write(cached_path(place), part(place, 0, SIZE));
	assert_int_equal(fetch_size(place, &flt), 0);
	assert_true(content_find_size(place->content, &place->digest, &size));
	assert_int_equal(size, SIZE);
	assert_int_equal(place->asked, 0);
}

static void test_size_not_told(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	uint64_t size;

	place->sources = 2;
	place->manners[0] = MISSING;
	place->manners[1] = NO_LENGTH;
	assert_int_equal(fetch_size(place, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.party, FAULT_BY_SOURCE);
	assert_false(content_find_size(place->content, &place->digest, &size));
	place->manners[1] = HONEST;
	assert_int_equal(fetch_size(place, &flt), 0);
}

/* Ahead, nobody waits; who then does joins. */
static void test_size_ahead(void **state)
{
	struct place *place = *state;
	struct digest digests[200];
	struct fault flt = {0};

	for (size_t i = 0; i < 200; i++)
		digests[i] = digest_of((struct span){(unsigned char *)&i, sizeof(i)});
	digests[150] = place->digest;
	content_prefetch_sizes(place->content, digests, 200);
	content_prefetch_sizes(place->content, digests, 200);
	assert_int_equal(fetch_size(place, &flt), 0);
	assert_int_equal(place->heads, 1);
}

/* ---- Memory ---- */

static int fetch_once(void *context, struct fault *flt)
{
	struct place *place = context;
	int r;

	unlink(cached_path(place));
	r = fetch(place, flt);
	if (!r)
		assert_int_equal(access(cached_path(place), F_OK), 0);
	return r;
}

static int fetch_size_once(void *context, struct fault *flt)
{
	struct place *place = context;

	/* Another one each time: what is known needs no memory. */
	place->digest.bytes[0]++;
	return fetch_size(place, flt);
}

static int new_once(void *context, struct fault *flt)
{
	struct place *place = context;
	struct content_options options = {.store = place->store, .deadlines = place->deadlines};
	struct content *content = NULL;
	int r = content_new(&options, &content, flt);

	if (!r)
		content_free(content);
	return r;
}

static void test_torture(void **state)
{
	torture(new_once, *state);
	torture(fetch_once, *state);
	torture(fetch_size_once, *state);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_fetch),
		CASE(test_empty),
		CASE(test_bad_sources),
		CASE(test_sizes_claimed),
		CASE(test_sources_in_turn),
		CASE(test_resume),
		CASE(test_stall),
		CASE(test_stalls),
		CASE(test_nobody_there),
		CASE(test_cached),
		CASE(test_cached_badly),
		CASE(test_unreadable),
		CASE(test_changed),
		CASE(test_cleared),
		CASE(test_disk_fault),
		CASE(test_large),
		CASE(test_large_lie),
		CASE(test_jam),
		CASE(test_jam_and_lost),
		CASE(test_free_in_a_jam),
		CASE(test_disk_full),
		CASE(test_one_download),
		CASE(test_leave),
		CASE(test_claimed),
		CASE(test_claimed_for_nothing),
		CASE(test_claimed_by_the_dead),
		CASE(test_claimed_for_ever),
		CASE(test_claim_without_sources),
		CASE(test_free_while_claimed),
		CASE(test_claim_planted),
		CASE(test_free_under_way),
		CASE(test_deadline),
		CASE(test_size),
		CASE(test_size_claimed),
		CASE(test_size_of_cached),
		CASE(test_size_not_told),
		CASE(test_size_ahead),
		CASE(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
