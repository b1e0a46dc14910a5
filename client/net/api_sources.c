/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Asking where a content can be had (protocol.md section 6).
 */
#include "api_parts.h"

#include <stdlib.h>
#include <string.h>

void api_sources_release(struct api_sources *sources)
{
	free(sources->sources);
	*sources = (struct api_sources){ 0 };
}

/** Read one source. @param used  false: of a type that we do not know */
static int read_source(const struct api *api, const struct json *value, struct api_source *out, bool *used,
		       struct fault *flt)
{
	struct buf resolved;
	struct span text;
	int r;

	r = json_read_text(value, "type", &text, flt);
	if (r)
		return r;
	*used = span_is(text, "httpGet");
	if (!*used)
		return 0;
	r = json_read_text(value, "url", &text, flt);
	if (r)
		return r;
	buf_init(&resolved, CAP_URL);
	r = http_url_resolve(api->url, text, &resolved, flt);
	if (!r) {
		memcpy(out->url, resolved.data, resolved.length);
		out->url[resolved.length] = '\0';
	}
	buf_release(&resolved);
	if (!r && json_member(value, "acceptRanges"))
		r = json_read_bool(value, "acceptRanges", &out->accepts_ranges, flt);
	out->has_size = json_member(value, "size") != NULL;
	if (!r && out->has_size)
		r = json_read_uint(value, "size", &out->size, flt);
	return r;
}

static int read_sources(const struct api *api, const struct json *list, struct api_sources *out, struct fault *flt)
{
	size_t count = json_count(list);
	bool used;
	int r;

	/* What is past the cap is left out: that many sources are enough. */
	out->sources = calloc(CAP_SOURCES, sizeof(*out->sources));
	if (!out->sources)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count && out->count < CAP_SOURCES; i++) {
		out->sources[out->count] = (struct api_source){ 0 };
		r = read_source(api, json_at(list, i), &out->sources[out->count], &used, flt);
		if (r) {
			fault_at(flt, "content source %zu", i);
			return r;
		}
		out->count += used;
	}
	if (out->count == 0)
		return fault_undecided(flt, FAULT_ABSENT, "no source has this content");
	return 0;
}

int api_sources_decode(const struct api *api, const struct digest *content, const struct http_exchange *exchange,
		       struct api_sources *out, struct fault *flt)
{
	struct api_sources sources = { 0 };
	char digest[DIGEST_TEXT_SIZE];
	const struct json *all, *list;
	struct json *body = NULL;
	int r = api_answer_read(exchange, NULL, &body, flt);

	if (r)
		return r;
	digest_format(content, digest);
	r = json_read_object(body, "contentSources", &all, flt);
	if (!r)
		r = json_read_list(all, digest, &list, flt);
	if (!r)
		r = read_sources(api, list, &sources, flt);
	json_free(body);
	if (r) {
		api_blame_answer(exchange, flt);
		api_sources_release(&sources);
		return r;
	}
	*out = sources;
	return 0;
}

int api_sources_request(const struct api *api, const struct digest *content, struct http_exchange *exchange,
			struct buf *url, struct fault *flt)
{
	char digest[DIGEST_TEXT_SIZE];
	int r;

	digest_format(content, digest);
	buf_init(url, 2 * CAP_URL);
	r = buf_append_format(url, flt, "%sv1/content/%s%c", api->url->text, digest, 0);
	if (r)
		return r;
	exchange->method = HTTP_GET;
	exchange->url = (const char *)url->data;
	exchange->registry = api->registry;
	exchange->credential = api->credential;
	exchange->repeats = true;
	exchange->cap = CAP_BODY_SMALL;
	return 0;
}
