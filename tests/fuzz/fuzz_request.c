/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A request, of any method, path, headers and body, to a server with a registry: it is answered, and the registry stays
 * what it is but for records that are in order. Input: a line with the method and the path, lines of headers, an empty
 * line, the body.
 */
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "fuzz.h"
#include "server/routes.h"

#define OPERATOR "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk="
#define HEADERS 16

static char folder[256];
static struct service *service;
static struct ecdsa_private_key *key;
static sem_t resumed;

/* The headers of the request that is being answered. */
static struct {
	const char *name, *value;
} headers[HEADERS];
static unsigned header_count;

static void failed(void *user, const struct fault *flt)
{
	(void)user;
	/* The disk is as it was, so that nothing here is the server's own fault. */
	fuzz_require(flt->kind == FAULT_LIMIT);
}

static void close_service(void)
{
	char *name = strrchr(folder, '/');
	int parent;

	service_close(service);
	ecdsa_private_key_free(key);
	*name++ = 0;
	if (!file_open_top(folder, &parent, NULL)) {
		file_remove_tree(parent, name, NULL);
		close(parent);
	}
}

static void open_service(void)
{
	const char *place = getenv("TMPDIR");
	static char contents[sizeof(folder) + 16];
	struct operator_wish wish = {"test", NULL};
	struct service_options options = {
		.namespaces = &wish, .namespace_count = 1, .content_limit = 1 << 20, .failed = failed,
	};

	snprintf(folder, sizeof(folder), "%s/wargfs-fuzz-XXXXXX", place && *place ? place : "/tmp");
	fuzz_require(mkdtemp(folder) && !sem_init(&resumed, 0, 0));
	snprintf(contents, sizeof(contents), "%s/contents", folder);
	fuzz_require(!ecdsa_private_key_parse(span_of_text(OPERATOR), &key, NULL));
	options.content_dir = contents;
	options.key = key;
	fuzz_require(!database_open(folder, &options.database, NULL));
	fuzz_require(!service_open(&options, &service, NULL));
	atexit(close_service);
}

static const char *find_header(const struct exchange *exchange, const char *name)
{
	(void)exchange;
	for (unsigned i = 0; i < header_count; i++)
		if (!strcasecmp(headers[i].name, name))
			return headers[i].value;
	return NULL;
}

static void resume(struct exchange *exchange)
{
	(void)exchange;
	sem_post(&resumed);
}

/* The next line, ended; NULL: there is none. */
static char *next_line(char **at, const char *end)
{
	char *line = *at, *newline = line < end ? memchr(line, '\n', (size_t)(end - line)) : NULL;

	if (!newline)
		return NULL;
	*newline = 0;
	*at = newline + 1;
	return line;
}

static void read_headers(char **at, const char *end)
{
	char *line;

	header_count = 0;
	while ((line = next_line(at, end)) && *line) {
		char *colon = strchr(line, ':');

		if (!colon || header_count == HEADERS)
			continue;
		*colon = 0;
		headers[header_count].name = line;
		headers[header_count++].value = colon + 1 + strspn(colon + 1, " ");
	}
}

static void answer(struct exchange *exchange, struct span body)
{
	if (!routes_find(exchange))
		return;
	if (exchange->route->takes_contents) {
		exchange->route->answer(exchange);
		if (!exchange->status && exchange->route->take(exchange, body))
			exchange->route->take_end(exchange);
	} else if (!buf_append(&exchange->body, body, NULL)) {
		exchange->route->answer(exchange);
	}
	if (!exchange->status && exchange->wait) {
		exchange->wait(exchange);
		sem_wait(&resumed);
		exchange->route->go_on(exchange);
	}
}

static enum exchange_method method_of(char letter)
{
	switch (letter) {
	case 'G': return EXCHANGE_GET;
	case 'H': return EXCHANGE_HEAD;
	case 'P': return EXCHANGE_POST;
	case 'U': return EXCHANGE_PUT;
	default: return EXCHANGE_OTHER;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *at = text, *end = text + size, *line;
	struct exchange exchange;

	if (!service)
		open_service();
	if (!text)
		return 0;
	memcpy(text, data, size);
	line = next_line(&at, end);
	if (line && *line) {
		read_headers(&at, end);
		exchange_init(&exchange, service);
		exchange.method = method_of(*line);
		exchange.path = line + 1;
		exchange.header = find_header;
		exchange.resume = resume;
		answer(&exchange, (struct span){(unsigned char *)at, (size_t)(end - at)});
		fuzz_require(exchange.status >= 200 && exchange.status < 600);
		fuzz_require(!exchange.answer.length || exchange.type);
		if (exchange.route && exchange.route->forget)
			exchange.route->forget(&exchange);
		exchange_release(&exchange);
	}
	free(text);
	return 0;
}
