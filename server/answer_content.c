/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * GET v1/content/DIGEST: where a content can be had. GET content/NAME: the content itself, whole or a range of it.
 */
#include "routes.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Where it can be had ---- */

static void answer_sources(struct exchange *exchange, const struct digest *digest, uint64_t size)
{
	struct json *answer = json_new_object(), *sources = json_new_object(), *list = json_new_list();
	struct json *source = json_new_object();
	char name[CONTENT_FILE_NAME_SIZE], id[DIGEST_TEXT_SIZE];
	struct fault flt = {0};
	struct buf url;

	buf_init(&url, CAP_URL);
	content_file_name(digest, name);
	digest_format(digest, id);
	if (!exchange_content_url(exchange, &url, &flt))
		buf_append_format(&url, &flt, "content/%s", name);
	json_put_text(source, "type", "httpGet");
	json_put_span(source, "url", buf_span(&url));
	json_put_bool(source, "acceptRanges", true);
	json_put_uint(source, "size", size);
	json_add(list, source);
	json_put(sources, id, list);
	json_put(answer, "contentSources", sources);
	if (flt.verdict) {
		json_free(answer);
		exchange_fail(exchange, &flt);
	} else {
		exchange_answer_json(exchange, 200, answer);
	}
	buf_release(&url);
}

void answer_content_sources(struct exchange *exchange)
{
	struct content_file file = {.fd = -1};
	struct digest digest;
	struct fault flt = {0};

	if (!exchange_read_digest(exchange, 0, &digest))
		return;
	if (!content_files_read(exchange->service->contents, &digest, &file, &flt)) {
		answer_sources(exchange, &digest, file.size);
		close(file.fd);
	} else if (flt.kind == FAULT_ABSENT) {
		exchange_answer_type_digest(exchange, 404, "contentDigest", &digest);
	} else {
		exchange_fail(exchange, &flt);
	}
}

/* ---- Ranges (RFC 9110 section 14) ---- */

enum range { RANGE_ALL, RANGE_PART, RANGE_BEYOND };

/* One number of a range. @return false: there is none, or it is beyond everything */
static bool read_number(const char **at, uint64_t *out)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	*out = strtoull(*at, &end, 10);
	*at = end;
	return true;
}

/*
 * Of a header with several ranges, or one that cannot be read, all is sent, as the rule allows.
 * @param length  the content's; then the range's
 */
static enum range read_range(const char *text, uint64_t *offset, uint64_t *length)
{
	uint64_t size = *length, first = 0, last = 0;
	bool has_first, has_last;

	if (!text || strncmp(text, "bytes=", 6))
		return RANGE_ALL;
	text += 6;
	has_first = read_number(&text, &first);
	if (*text++ != '-')
		return RANGE_ALL;
	has_last = read_number(&text, &last);
	if (*text || (!has_first && !has_last) || (has_first && has_last && last < first))
		return RANGE_ALL;
	if (!has_first) {
		/* The last so many bytes. */
		if (!last)
			return RANGE_BEYOND;
		first = last < size ? size - last : 0;
		last = size - 1;
	}
	if (first >= size)
		return RANGE_BEYOND;
	if (!has_last || last >= size)
		last = size - 1;
	*offset = first;
	*length = last - first + 1;
	return RANGE_PART;
}

/* ---- The content itself ---- */

static void format_date(int64_t seconds, char out[static 64])
{
	time_t time = seconds;
	struct tm utc;

	*out = 0;
	if (gmtime_r(&time, &utc))
		strftime(out, 64, "%a, %d %b %Y %H:%M:%S GMT", &utc);
}

static bool is_date_at_least(const char *text, int64_t seconds)
{
	struct tm utc = {0};
	const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &utc);

	return end && !*end && timegm(&utc) >= seconds;
}

/* Whether one of a list of tags is the one: weak ones count, too. */
static bool has_tag(const char *list, const char *tag)
{
	return !strcmp(list, "*") || strstr(list, tag);
}

/* What the client has is what there is (RFC 9110 section 13). */
static bool is_unchanged(const struct exchange *exchange, const char *tag, int64_t modified)
{
	const char *tags = exchange->header(exchange, "If-None-Match");
	const char *since = exchange->header(exchange, "If-Modified-Since");

	return tags ? has_tag(tags, tag) : since && is_date_at_least(since, modified);
}

/* Whether a range may be of what the client has the rest of. */
static bool is_range_in_order(const struct exchange *exchange, const char *tag, const char *date)
{
	const char *condition = exchange->header(exchange, "If-Range");

	return !condition || !strcmp(condition, tag) || !strcmp(condition, date);
}

static void send_file(struct exchange *exchange, const char *tag, const char *date)
{
	const char *range = exchange->header(exchange, "Range");
	uint64_t size = exchange->file.size;

	exchange->length = size;
	switch (is_range_in_order(exchange, tag, date) ? read_range(range, &exchange->offset, &exchange->length) :
		RANGE_ALL) {
	case RANGE_PART:
		exchange_put_header(exchange, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
				    exchange->offset, exchange->offset + exchange->length - 1, size);
		exchange_answer(exchange, 206, "application/octet-stream");
		break;
	case RANGE_BEYOND:
		exchange_put_header(exchange, "Content-Range", "bytes */%" PRIu64, size);
		exchange_answer_empty(exchange, 416);
		break;
	case RANGE_ALL:
		exchange_answer(exchange, 200, "application/octet-stream");
		break;
	}
}

/* The name that a content has as a file. */
static bool read_file_name(struct span text, struct digest *out)
{
	char name[DIGEST_TEXT_SIZE];

	if (text.length != sizeof(name) - 1 || text.data[6] != '-')
		return false;
	memcpy(name, text.data, text.length);
	name[6] = ':';
	return !digest_parse((struct span){(const unsigned char *)name, text.length}, out, NULL);
}

void answer_content(struct exchange *exchange)
{
	char tag[DIGEST_TEXT_SIZE + 2], id[DIGEST_TEXT_SIZE], date[64];
	struct digest digest;
	struct fault flt = {0};

	if (!read_file_name(exchange->places[0], &digest)) {
		exchange_answer_empty(exchange, 404);
		return;
	}
	if (content_files_read(exchange->service->contents, &digest, &exchange->file, &flt)) {
		if (flt.kind == FAULT_ABSENT)
			exchange_answer_empty(exchange, 404);
		else
			exchange_fail(exchange, &flt);
		return;
	}
	digest_format(&digest, id);
	snprintf(tag, sizeof(tag), "\"%s\"", id);
	format_date(exchange->file.modified, date);
	exchange_put_header(exchange, "ETag", "%s", tag);
	exchange_put_header(exchange, "Last-Modified", "%s", date);
	exchange_put_header(exchange, "Accept-Ranges", "bytes");
	exchange_put_header(exchange, "Cache-Control", "public, max-age=31536000, immutable");
	if (is_unchanged(exchange, tag, exchange->file.modified))
		exchange_answer_empty(exchange, 304);
	else
		send_file(exchange, tag, date);
}
