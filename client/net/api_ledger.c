/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Fetching the ledger: first the list of its parts, then the parts (protocol.md section 6; interop.md section B 2).
 *
 * A source's last index only serves to skip sources that are not needed; which entries were received is counted from
 * the bytes. Entries are written to a file as they arrive, so a ledger may take several attempts and needs no memory
 * meanwhile.
 */
#include "api_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARTS_TOGETHER 16 /* on their way at once */
#define ENTRY_SIZE (2 * DIGEST_SIZE)
#define PACKED "application/vnd.warg.ledger.packed"

void api_ledger_release(struct api_ledger *ledger)
{
	for (size_t i = 0; i < ledger->count; i++)
		buf_release(&ledger->sources[i].url);
	free(ledger->sources);
	*ledger = (struct api_ledger){ 0 };
}

/** @param out  its URL is to be released even on failure */
static int read_source(const struct http_url *url, const struct json *value, struct api_ledger_source *out,
		       struct fault *flt)
{
	struct span text;
	int r;

	buf_init(&out->url, CAP_URL + 1);
	r = json_read_uint(value, "firstRegistryIndex", &out->first, flt);
	if (!r)
		r = json_read_uint(value, "lastRegistryIndex", &out->last, flt);
	if (!r && (out->last < out->first || out->last >= CAP_LOG_LENGTH))
		r = fault_invalid(flt, "its indices are no range");
	if (!r)
		r = json_read_text(value, "contentType", &text, flt);
	if (!r && !span_is(text, PACKED))
		r = fault_undecided(flt, FAULT_REFUSED, "the ledger has a form that we do not read");
	if (!r)
		r = json_read_text(value, "url", &text, flt);
	if (!r)
		r = http_url_resolve(url, text, &out->url, flt);
	if (!r)
		r = buf_append(&out->url, (struct span){ (const unsigned char *)"", 1 }, flt);
	return r;
}

int api_decode_ledger(const struct http_url *url, const struct http_exchange *exchange, struct api_ledger *out,
		      struct fault *flt)
{
	struct api_ledger ledger = { 0 };
	const struct json *list = NULL;
	struct json *body = NULL;
	struct span algorithm;
	size_t count = 0;
	int r = api_answer_read(exchange, NULL, &body, flt);

	if (r)
		return r;
	r = json_read_text(body, "hashAlgorithm", &algorithm, flt);
	if (!r && !span_is(algorithm, "sha256"))
		r = fault_undecided(flt, FAULT_REFUSED, "the ledger has hashes that we do not know");
	if (!r)
		r = json_read_list(body, "sources", &list, flt);
	if (!r)
		count = json_count(list);
	if (count > CAP_LEDGER_SOURCES)
		r = fault_undecided(flt, FAULT_LIMIT, "the ledger has %zu parts, more than %d", count,
				    CAP_LEDGER_SOURCES);
	if (!r) {
		ledger.sources = calloc(count + 1, sizeof(*ledger.sources));
		if (!ledger.sources)
			r = fault_no_memory(flt);
	}
	while (!r && ledger.count < count) {
		size_t i = ledger.count++;

		r = read_source(url, json_at(list, i), &ledger.sources[i], flt);
		if (!r && i && ledger.sources[i].first <= ledger.sources[i - 1].last)
			r = fault_invalid(flt, "it overlaps the part before");
		if (r)
			fault_at(flt, "ledger part %zu", i);
	}
	json_free(body);
	if (r) {
		fault_at(flt, "%s", exchange->url);
		if (flt && flt->kind != FAULT_SYSTEM)
			fault_blame(flt, FAULT_BY_REGISTRY);
		api_ledger_release(&ledger);
		return r;
	}
	*out = ledger;
	return 0;
}

/** A part that is being fetched into the spool. */
struct part {
	struct http_exchange exchange;
	const struct api_ledger_source *source;
	const struct api_ledger_spool *spool;
	uint64_t end;  /* index of the first entry that is not wanted */
	uint64_t from; /* bytes of the part that earlier attempts received */
	uint64_t came; /* bytes received by now, `from` included */
	bool begun;    /* the answer has begun: `came` was set to 0 if the server ignored the range */
};

static int write_at(int fd, struct span bytes, uint64_t at, struct fault *flt)
{
	while (bytes.length) {
		ssize_t count = pwrite(fd, bytes.data, bytes.length, (off_t)at);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0)
			return fault_system(flt, count ? errno : EIO, "keeping the ledger's records");
		bytes.data += count;
		bytes.length -= (size_t)count;
		at += (uint64_t)count;
	}
	return 0;
}

/** Write a piece to its place in the spool, without the entries that are not wanted. */
static int take_piece(struct http_exchange *exchange, struct span piece, struct fault *flt)
{
	struct part *part = (struct part *)(void *)((char *)exchange - offsetof(struct part, exchange));
	const struct api_ledger_spool *spool = part->spool;
	uint64_t at, end = (part->end - spool->first) * ENTRY_SIZE, first = spool->first * ENTRY_SIZE;

	/* What the spool has already is not to be written over with a page. */
	if (http_is_web_page(exchange))
		return 0;
	if (!part->begun && exchange->status == 200)
		part->came = 0; /* the server ignored the range and sends the whole part */
	part->begun = true;
	at = part->source->first * ENTRY_SIZE + part->came;
	part->came += piece.length;
	if (at < first) {
		const uint64_t before = first - at < piece.length ? first - at : piece.length;

		piece = (struct span){ piece.data + before, piece.length - before };
		at = first;
	}
	at -= first;
	if (at >= end)
		return 0;
	if (piece.length > end - at)
		piece.length = end - at;
	return write_at(spool->fd, piece, at, flt);
}

static int check_part(const struct part *part, struct fault *flt)
{
	const struct http_exchange *exchange = &part->exchange;

	if (exchange->verdict) {
		if (flt && !flt->verdict)
			*flt = exchange->fault;
		api_blame(flt);
		return exchange->verdict;
	}
	if (exchange->status != 200 && exchange->status != 206)
		return api_answer_refused(exchange, NULL, flt);
	if (http_is_web_page(exchange))
		return api_answered_by_other(exchange, flt);
	if (part->came % ENTRY_SIZE) {
		fault_invalid(flt, "a part of the ledger is of %llu bytes, no multiple of %d",
			      (unsigned long long)part->came, ENTRY_SIZE);
		api_blame(flt);
		return WARG_INVALID;
	}
	return 0;
}

/** What a part may hold: as many records as it says, and those that came since the list was made. */
static uint64_t cap_of(const struct api_ledger_source *source)
{
	uint64_t cap = (source->last - source->first + 1 + CAP_REQUEST_RECORDS) * ENTRY_SIZE;

	return cap < CAP_BODY_LEDGER ? cap : CAP_BODY_LEDGER;
}

/** Whether the part lies under the registry's own URL: only there the token and the registry's name go along. */
static bool is_at_home(const struct api *api, const struct api_ledger_source *source)
{
	return strncmp((const char *)source->url.data, api->url->text, strlen(api->url->text)) == 0;
}

static void prepare(struct part *part, const struct api *api, const struct api_ledger_source *source,
		    const struct api_ledger_spool *spool, uint64_t end, clock_ms deadline)
{
	const bool home = is_at_home(api, source);
	/* Resume a part that was interrupted: a server without ranges sends it whole (take_piece()). */
	const uint64_t from = spool->end > source->first ? (spool->end - source->first) * ENTRY_SIZE : 0;

	*part = (struct part){
		.exchange = { .method = HTTP_GET, .url = (const char *)source->url.data,
			      .registry = home ? api->registry : NULL, .credential = home ? api->credential : NULL,
			      .range_from = from, .repeats = true, .cap = cap_of(source), .deadline = deadline,
			      .sink = take_piece },
		.source = source, .spool = spool, .end = end, .from = from, .came = from,
	};
}

/** Move the spool's end to the last entry received without a gap before it. */
static void advance(struct api_ledger_spool *spool, const struct part *part)
{
	uint64_t reached = part->source->first + part->came / ENTRY_SIZE;

	if (reached > part->end)
		reached = part->end;
	if (part->source->first <= spool->end && reached > spool->end)
		spool->end = reached;
}

/** Fetch some parts at the same time. Entries of one part are kept even if another part fails. */
static int fetch_parts(const struct api *api, struct part *parts, size_t count, struct api_ledger_spool *spool,
		       struct fault *flt)
{
	struct http_exchange *exchanges[PARTS_TOGETHER];
	int r = 0;

	for (size_t i = 0; i < count; i++)
		exchanges[i] = &parts[i].exchange;
	http_run(api->http, exchanges, count);
	for (size_t i = 0; i < count; i++) {
		if (!r)
			r = check_part(&parts[i], flt);
		if (r)
			fault_at(flt, "the ledger from index %" PRIu64, parts[i].source->first);
		if (r != WARG_INVALID && !http_is_web_page(exchanges[i]))
			advance(spool, &parts[i]);
		http_exchange_release(exchanges[i]);
	}
	return r;
}

static int fetch_all(const struct api *api, clock_ms deadline, const struct api_ledger *ledger,
		     struct api_ledger_spool *spool, uint64_t end, struct fault *flt)
{
	struct part parts[PARTS_TOGETHER];
	size_t at = 0, count;
	int r = 0;

	while (!r && at < ledger->count) {
		for (count = 0; at < ledger->count && count < (spool->is_slow ? 1 : PARTS_TOGETHER); at++) {
			const struct api_ledger_source *source = &ledger->sources[at];

			if (source->first < end && source->last >= spool->end)
				prepare(&parts[count++], api, source, spool, end, deadline);
		}
		r = fetch_parts(api, parts, count, spool, flt);
	}
	return r;
}

/** A registry without a ledger says so in many ways. */
static int fetch_sources(const struct api *api, clock_ms deadline, struct api_ledger *out, struct fault *flt)
{
	struct api_call call;
	int r;

	r = api_call_init(&call, api, "v1/ledger", NULL, CAP_LEDGER_SOURCES * 512, deadline, flt);
	if (!r)
		r = api_run(api, &call, 1, flt);
	if (!r && !call.exchange.verdict && (call.exchange.status == 404 || call.exchange.status == 405)) {
		r = fault_undecided(flt, FAULT_ABSENT, "the registry has no ledger");
		api_blame(flt);
	}
	if (!r)
		r = api_decode_ledger(api->url, &call.exchange, out, flt);
	api_call_release(&call);
	return r;
}

/** Without memory it is not known, and the parts are listed again. */
static void note_tail(const struct api_ledger *ledger, struct api_ledger_tail *tail)
{
	const struct api_ledger_source *last = ledger->count ? &ledger->sources[ledger->count - 1] : NULL;

	if (!tail)
		return;
	buf_release(&tail->url);
	buf_init(&tail->url, CAP_URL + 1);
	if (last && !buf_append(&tail->url, buf_span(&last->url), NULL))
		tail->first = last->first;
}

int api_spool_ledger(const struct api *api, clock_ms deadline, struct api_ledger_spool *spool, uint64_t end,
		     struct fault *flt)
{
	struct api_ledger ledger = { 0 };
	uint64_t before = spool->end;
	int r;

	if (spool->end >= end || end > CAP_LOG_LENGTH)
		return fault_undecided(flt, FAULT_MISUSE, "no ledger has the records from %" PRIu64 " to %" PRIu64,
				       spool->end, end);
	if ((end - spool->first) * ENTRY_SIZE > CAP_BODY_LEDGER)
		return fault_undecided(flt, FAULT_LIMIT, "%" PRIu64 " records of the ledger are too many at once",
				       end - spool->first);
	r = fetch_sources(api, deadline, &ledger, flt);
	if (r)
		return r;
	note_tail(&ledger, spool->tail);
	r = fetch_all(api, deadline, &ledger, spool, end, flt);
	api_ledger_release(&ledger);
	spool->is_slow = spool->end == before;
	if (!r && spool->end < end) {
		r = fault_invalid(flt, "the ledger lacks the record at index %" PRIu64, spool->end);
		api_blame(flt);
	}
	return r;
}

/** The last part as it was listed once, as far as the spool's end: it may have grown since. */
static struct api_ledger_source tail_of(const struct api_ledger_spool *spool)
{
	return (struct api_ledger_source){
		.first = spool->tail->first, .last = spool->end - 1, .url = spool->tail->url,
	};
}

/**
 * Keep what came of it, if anything did. Where nothing answered, the next one does not wait again: the next list of
 * parts has the tail.
 */
static void keep_tail(struct part *part, struct api_ledger_spool *spool)
{
	bool is_away = part->exchange.verdict;

	if (!check_part(part, NULL) && !http_is_web_page(&part->exchange))
		advance(spool, part);
	http_exchange_release(&part->exchange);
	if (is_away)
		buf_release(&spool->tail->url);
}

void api_spool_tail(const struct api *api, clock_ms deadline, struct api_ledger_spool *spool, uint64_t end)
{
	const struct api_ledger_source source = tail_of(spool);
	const clock_ms now = clock_now();
	struct http_exchange *exchange;
	struct part part;

	prepare(&part, api, &source, spool, end, now + (deadline - now) / 4);
	exchange = &part.exchange;
	http_run(api->http, &exchange, 1);
	keep_tail(&part, spool);
}

int api_fetch_checkpoint_and_ledger(const struct api *api, clock_ms deadline, struct api_ledger_spool *spool,
				    struct signed_checkpoint *out, struct fault *flt)
{
	const struct api_ledger_source source = tail_of(spool);
	const clock_ms now = clock_now();
	struct api_call call;
	struct part part;
	int r;

	prepare(&part, api, &source, spool, spool->end + CAP_REQUEST_RECORDS, now + (deadline - now) / 4);
	r = api_begin_checkpoint(&call, api, deadline, flt);
	if (!r) {
		struct http_exchange *both[] = { &call.exchange, &part.exchange };

		http_run(api->http, both, 2);
		r = api_decode_checkpoint(&call.exchange, out, flt);
		keep_tail(&part, spool);
	}
	api_call_release(&call);
	return r;
}

/** @param out  as many entries as there are in the spool; free() it */
static int read_spool(const struct api_ledger_spool *spool, struct api_ledger_entry **out, struct fault *flt)
{
	const size_t size = (spool->end - spool->first) * ENTRY_SIZE;
	unsigned char *bytes = malloc(size);
	size_t length = 0;

	if (!bytes)
		return fault_no_memory(flt);
	while (length < size) {
		ssize_t count = pread(spool->fd, bytes + length, size - length, (off_t)length);

		if (count < 0 && errno == EINTR)
			continue;
		if (count <= 0) {
			free(bytes);
			return fault_system(flt, count ? errno : EIO, "reading the ledger's records");
		}
		length += (size_t)count;
	}
	*out = (struct api_ledger_entry *)(void *)bytes;
	return 0;
}

int api_fetch_ledger(const struct api *api, clock_ms deadline, uint64_t first, uint64_t end,
		     struct api_ledger_entry **out, struct fault *flt)
{
	struct api_ledger_spool spool = { .fd = memfd_create("ledger", MFD_CLOEXEC), .first = first, .end = first };
	int r;

	if (spool.fd < 0)
		return fault_system(flt, errno, "making an unlinked file");
	r = api_spool_ledger(api, deadline, &spool, end, flt);
	if (!r)
		r = read_spool(&spool, out, flt);
	close(spool.fd);
	return r;
}
