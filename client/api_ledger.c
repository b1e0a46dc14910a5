/*
 * Fetching the ledger: where its parts lie, then the parts (protocol.md section 6; interop.md section B 2).
 *
 * What a source says of its last index is only used to leave it out; what its bytes hold is what counts.
 */
#include "api_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/** The entries under way: those of `first` … `end - 1`, and which of them came. */
struct harvest {
	uint64_t first, end;
	struct api_ledger_entry *entries;
	bool *came;
};

static int take_part(const struct api_ledger_source *source, const struct http_exchange *exchange,
		     struct harvest *harvest, struct fault *flt)
{
	const struct buf *bytes = &exchange->received;

	if (exchange->verdict) {
		if (flt && !flt->verdict)
			*flt = exchange->fault;
		api_blame(flt);
		return exchange->verdict;
	}
	if (exchange->status != 200)
		return api_answer_refused(exchange, NULL, flt);
	if (bytes->length % ENTRY_SIZE) {
		fault_invalid(flt, "a part of the ledger is of %zu bytes, no multiple of %d", bytes->length,
				ENTRY_SIZE);
		api_blame(flt);
		return WARG_INVALID;
	}
	for (size_t at = 0; at < bytes->length / ENTRY_SIZE; at++) {
		const unsigned char *entry = bytes->data + at * ENTRY_SIZE;
		uint64_t index = source->first + at;

		if (index < harvest->first || index >= harvest->end)
			continue;
		memcpy(harvest->entries[index - harvest->first].log_id.bytes, entry, DIGEST_SIZE);
		memcpy(harvest->entries[index - harvest->first].record_id.bytes, entry + DIGEST_SIZE, DIGEST_SIZE);
		harvest->came[index - harvest->first] = true;
	}
	return 0;
}

static bool is_needed(const struct api_ledger_source *source, const struct harvest *harvest)
{
	return source->first < harvest->end && source->last >= harvest->first;
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

/** Fetch the parts that are needed, side by side. */
static int fetch_parts(const struct api *api, clock_ms deadline, const struct api_ledger *ledger,
		       struct harvest *harvest, struct fault *flt)
{
	struct api_call *calls = calloc(ledger->count + 1, sizeof(*calls));
	const struct api_ledger_source **sources = calloc(ledger->count + 1, sizeof(sources[0]));
	size_t count = 0;
	int r = calls && sources ? 0 : fault_no_memory(flt);

	for (size_t i = 0; !r && i < ledger->count; i++) {
		bool home = is_at_home(api, &ledger->sources[i]);

		if (!is_needed(&ledger->sources[i], harvest))
			continue;
		sources[count] = &ledger->sources[i];
		calls[count++].exchange = (struct http_exchange){ .method = HTTP_GET,
								  .url = (const char *)ledger->sources[i].url.data,
								  .registry = home ? api->registry : NULL,
								  .token = home ? api->token : NULL,
								  .cap = cap_of(&ledger->sources[i]),
								  .deadline = deadline };
	}
	if (!r)
		r = api_run(api, calls, count, flt);
	for (size_t i = 0; !r && i < count; i++) {
		r = take_part(sources[i], &calls[i].exchange, harvest, flt);
		if (r)
			fault_at(flt, "the ledger from index %" PRIu64, sources[i]->first);
	}
	for (size_t i = 0; i < count; i++)
		api_call_release(&calls[i]);
	free(calls);
	free(sources);
	return r;
}

static int check_no_gap(const struct harvest *harvest, struct fault *flt)
{
	for (uint64_t index = harvest->first; index < harvest->end; index++)
		if (!harvest->came[index - harvest->first])
			return fault_invalid(flt, "the ledger lacks the record at index %" PRIu64, index);
	return 0;
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

int api_fetch_ledger(const struct api *api, clock_ms deadline, uint64_t first, uint64_t end,
		     struct api_ledger_entry **out, struct fault *flt)
{
	struct harvest harvest = { .first = first, .end = end };
	struct api_ledger ledger = { 0 };
	int r;

	if (first >= end || end > CAP_LOG_LENGTH)
		return fault_undecided(flt, FAULT_MISUSE, "no ledger has the records from %" PRIu64 " to %" PRIu64,
				       first, end);
	if ((end - first) * ENTRY_SIZE > CAP_BODY_LEDGER)
		return fault_undecided(flt, FAULT_LIMIT, "%" PRIu64 " records of the ledger are too many at once",
				       end - first);
	r = fetch_sources(api, deadline, &ledger, flt);
	if (r)
		return r;
	harvest.entries = calloc(end - first, sizeof(*harvest.entries));
	harvest.came = calloc(end - first, sizeof(*harvest.came));
	r = harvest.entries && harvest.came ? 0 : fault_no_memory(flt);
	if (!r)
		r = fetch_parts(api, deadline, &ledger, &harvest, flt);
	if (!r && check_no_gap(&harvest, flt)) {
		api_blame(flt);
		r = WARG_INVALID;
	}
	api_ledger_release(&ledger);
	free(harvest.came);
	if (r) {
		free(harvest.entries);
		return r;
	}
	*out = harvest.entries;
	return 0;
}
