/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Downloads, some at a time (see import_contents.h).
 */
#include "import_contents.h"

#include <stdlib.h>
#include <string.h>

#include "import_table.h"

#define TOGETHER 8                      /* downloads side by side */
#define LONGEST (6LL * 60 * 60 * 1000) /* milliseconds for one, however much it is */

/* ---- Which ---- */

struct wanted {
	const struct import *import;
	struct buf digests;
};

static int take_content(void *user, const struct digest *digest, struct fault *flt)
{
	struct wanted *wanted = user;

	if (content_files_have(wanted->import->contents, digest))
		return 0;
	return buf_append(&wanted->digests, digest_span(digest), flt);
}

static int take_releases(void *user, const struct published_record *committed, struct fault *flt)
{
	const struct digest operator = name_operator_log_id();

	if (digest_equals(&committed->log_id, &operator))
		return 0;
	return record_walk_contents(committed->envelope.content, take_content, user, flt);
}

static int compare(const void *a, const void *b)
{
	return digest_compare(a, b);
}

/* Each once. @return how many */
static size_t sort(struct digest *digests, size_t count)
{
	size_t kept = 0;

	if (!count)
		return 0;
	qsort(digests, count, sizeof(*digests), compare);
	for (size_t i = 0; i < count; i++)
		if (!kept || !digest_equals(&digests[kept - 1], &digests[i]))
			digests[kept++] = digests[i];
	return kept;
}

/* ---- Downloads ---- */

/* One content: where it can be had, then its bytes. */
struct download {
	struct digest digest;
	struct http_exchange exchange;
	struct buf url;
	struct api_sources sources;
	struct incoming *incoming;
	bool is_asked; /* its exchange is to be run */
	bool is_absent, is_kept;
	struct fault fault; /* of the last source */
};

static void download_release(struct download *download)
{
	http_exchange_release(&download->exchange);
	buf_release(&download->url);
	api_sources_release(&download->sources);
	incoming_free(download->incoming);
	*download = (struct download){0};
}

static int take_piece(struct http_exchange *exchange, struct span piece, struct fault *flt)
{
	struct download *download = (struct download *)((char *)exchange - offsetof(struct download, exchange));

	return incoming_write(download->incoming, piece, flt);
}

static void run(struct http *http, struct download *downloads, size_t count)
{
	struct http_exchange *exchanges[TOGETHER];
	size_t some = 0;

	for (size_t i = 0; i < count; i++)
		if (downloads[i].is_asked)
			exchanges[some++] = &downloads[i].exchange;
	if (some)
		http_run(http, exchanges, some);
}

static int find_sources(const struct import *import, struct download *downloads, size_t count, struct fault *flt)
{
	int r = 0;

	for (size_t i = 0; i < count && !r; i++) {
		buf_init(&downloads[i].url, CAP_URL + 1);
		r = api_sources_request(&import->api, &downloads[i].digest, &downloads[i].exchange, &downloads[i].url,
					flt);
		downloads[i].exchange.deadline = clock_now() + import->timeout;
		downloads[i].is_asked = true;
	}
	if (!r)
		run(import->api.http, downloads, count);
	for (size_t i = 0; i < count && !r; i++) {
		struct fault own = {0};
		bool found;

		r = api_sources_decode(&import->api, &downloads[i].digest, &downloads[i].exchange,
				       &downloads[i].sources, &own);
		http_exchange_release(&downloads[i].exchange);
		r = fault_unless_absent(r, &own, &found, flt);
		downloads[i].is_absent = !found;
	}
	return r;
}

static int begin(const struct import *import, struct download *download, size_t source, struct fault *flt)
{
	incoming_free(download->incoming);
	download->incoming = NULL;
	download->fault = (struct fault){0};
	download->exchange = (struct http_exchange){
		.method = HTTP_GET, .url = download->sources.sources[source].url, .follow = true, .cap = CAP_CONTENT,
		.deadline = clock_now() + LONGEST, .stall = import->timeout, .sink = take_piece,
	};
	return incoming_begin(import->contents, &download->digest, INCOMING_ANY, &download->incoming, flt);
}

/* It came, or why it did not is in its fault. */
static int end(struct download *download, struct fault *flt)
{
	enum incoming_verdict verdict = INCOMING_FINE;
	int r = 0;

	if (download->exchange.verdict)
		download->fault = download->exchange.fault;
	else if (download->exchange.status != 200)
		fault_undecided(&download->fault, FAULT_REFUSED, "the source answers with %d",
				download->exchange.status);
	else
		r = incoming_keep(download->incoming, &verdict, &download->fault);
	http_exchange_release(&download->exchange);
	if (r) {
		*flt = download->fault;
		return r;
	}
	download->is_kept = !download->fault.verdict;
	return 0;
}

/* From the first source that has it. */
static int fetch(const struct import *import, struct download *downloads, size_t count, struct fault *flt)
{
	bool any = true;
	int r = 0;

	for (size_t source = 0; any && !r; source++) {
		any = false;
		for (size_t i = 0; i < count && !r; i++) {
			downloads[i].is_asked = !downloads[i].is_kept && source < downloads[i].sources.count;
			any = any || downloads[i].is_asked;
			if (downloads[i].is_asked)
				r = begin(import, &downloads[i], source, flt);
		}
		if (!r)
			run(import->api.http, downloads, count);
		for (size_t i = 0; i < count && !r; i++)
			if (downloads[i].is_asked)
				r = end(&downloads[i], flt);
	}
	return r;
}

static int download_some(const struct import *import, const struct digest *digests, size_t count, struct fault *flt)
{
	struct download downloads[TOGETHER];
	int r;

	for (size_t i = 0; i < count; i++)
		downloads[i] = (struct download){.digest = digests[i]};
	r = find_sources(import, downloads, count, flt);
	if (!r)
		r = fetch(import, downloads, count, flt);
	for (size_t i = 0; i < count && !r; i++) {
		char text[DIGEST_TEXT_SIZE];

		if (downloads[i].is_kept || downloads[i].is_absent)
			continue;
		digest_format(&downloads[i].digest, text);
		r = downloads[i].fault.verdict;
		*flt = downloads[i].fault;
		fault_at(flt, "content %s", text);
		fault_blame(flt, FAULT_BY_SOURCE);
	}
	for (size_t i = 0; i < count; i++)
		download_release(&downloads[i]);
	return r;
}

int import_contents(const struct import *import, struct fault *flt)
{
	struct wanted wanted = {.import = import};
	struct digest *digests;
	size_t count;
	int r;

	buf_init(&wanted.digests, SIZE_MAX);
	r = import_table_walk(import->database, 0, CAP_LOG_LENGTH, take_releases, &wanted, flt);
	digests = (void *)wanted.digests.data;
	count = sort(digests, wanted.digests.length / DIGEST_SIZE);
	for (size_t at = 0; at < count && !r; at += TOGETHER) {
		if (import->progress)
			import->progress(import->user, "contents", at, count);
		r = download_some(import, digests + at, count - at < TOGETHER ? count - at : TOGETHER, flt);
	}
	buf_release(&wanted.digests);
	return r;
}
