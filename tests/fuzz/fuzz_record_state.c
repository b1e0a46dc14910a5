/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a registry says about a record that is published. The first byte chooses the status, the second whether the
 * record is known, the rest is the body.
 */
#include <string.h>

#include "client/net/api_parts.h"
#include "fuzz.h"

static const int statuses[] = { 202, 200, 303, 400, 401, 404, 409, 422, 500, 501, 503 };

/* The digest of "a". */
static const char content[] = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

static void check_header(const struct buf *header)
{
	fuzz_require(header->length <= CAP_UPLOAD_HEADER + 1);
	fuzz_require(!header->length || (header->length > 1 && !header->data[header->length - 1]));
	for (size_t i = 0; i + 1 < header->length; i++)
		fuzz_require(header->data[i] >= 0x20 && header->data[i] < 0x7f);
}

static void check_upload(const struct http_url *url, const struct api_upload *upload, const struct digest *allowed)
{
	fuzz_require(digest_equals(&upload->content, allowed));
	fuzz_require(upload->method == HTTP_POST || upload->method == HTTP_PUT);
	fuzz_require(upload->url.length > 1 && upload->url.length <= CAP_URL + 1);
	fuzz_require(strlen((const char *)upload->url.data) == upload->url.length - 1);
	fuzz_require(!http_url_check_origin(url, (const char *)upload->url.data, NULL));
	check_header(&upload->content_type);
	check_header(&upload->authorization);
}

static void check_state(const struct http_url *url, const struct api_record_state *state, const struct digest *id,
			const struct digest *allowed, bool known)
{
	fuzz_require(digest_equals(&state->record_id, id));
	fuzz_require(state->upload_count <= (known ? 1 : 0));
	fuzz_require(!state->upload_count || state->status == API_RECORD_SOURCING);
	fuzz_require(state->registry_index < CAP_LOG_LENGTH);
	for (const char *c = state->reason; *c; c++)
		fuzz_require(*c >= 0x20 && *c < 0x7f);
	for (size_t i = 0; i < state->upload_count; i++)
		check_upload(url, &state->uploads[i], allowed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_exchange exchange = { .url = "http://127.0.0.1/x" };
	struct record_entry entry = { .type = ENTRY_RELEASE };
	struct record record = { .kind = RECORD_PACKAGE, .entries = &entry, .entry_count = 1 };
	struct api_record_state state;
	struct api_conflict conflict;
	struct fault flt = { 0 };
	struct http_url url;
	int r;

	if (size < 2 || http_url_parse("http://127.0.0.1:8090/", &url, NULL) ||
	    digest_parse(span_of_text(content), &entry.content, NULL))
		return 0;
	exchange.status = statuses[data[0] % (sizeof(statuses) / sizeof(statuses[0]))];
	exchange.received = (struct buf){ .data = (unsigned char *)(uintptr_t)(data + 2), .length = size - 2 };
	/* The record's id is all zero. */
	r = api_decode_record(&url, &exchange, &record.id, data[1] & 1 ? &record : NULL, &state, &flt);
	fuzz_require(flt.verdict == r);
	if (!r) {
		check_state(&url, &state, &record.id, &entry.content, data[1] & 1);
		api_record_state_release(&state);
	}
	flt = (struct fault){ 0 };
	r = api_decode_conflict(&exchange, &conflict, &flt);
	fuzz_require(flt.verdict == r);
	fuzz_require(conflict.type == API_CONFLICT_NONE || (r == WARG_UNDECIDED && flt.kind == FAULT_REFUSED));
	return 0;
}
