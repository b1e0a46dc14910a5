/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Whole answers, changed (see mutate.h).
 */
#include "mutate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "content-type: application/json\r\n"

static void must(int verdict)
{
	assert_int_equal(verdict, 0);
}

void mutate_splice(struct buf *bytes, size_t at, size_t length, struct span by)
{
	struct buf out;

	if (bytes->length - length + by.length > MUTATION_MOST)
		return;
	buf_init(&out, MUTATION_MOST);
	must(buf_append(&out, (struct span){ bytes->data, at }, NULL));
	must(buf_append(&out, by, NULL));
	must(buf_append(&out, (struct span){ bytes->data + at + length, bytes->length - at - length }, NULL));
	buf_release(bytes);
	*bytes = out;
}

/* ---- Bytes ---- */

static struct span some_of(struct chance *chance, struct span whole, size_t most)
{
	size_t at = chance_below(chance, whole.length + 1);
	size_t length = chance_below(chance, whole.length - at + 1);

	return (struct span){ whole.data + at, length > most ? most : length };
}

static void insert_some(struct chance *chance, struct buf *bytes, size_t at)
{
	unsigned char some[64];
	size_t length = 1 + chance_below(chance, sizeof(some));
	int byte = (int)chance_below(chance, 256);

	for (size_t i = 0; i < length; i++)
		some[i] = (unsigned char)(byte < 64 ? 0 : byte < 128 ? byte : (int)chance_below(chance, 256));
	mutate_splice(bytes, at, 0, (struct span){ some, length });
}

/* Two pieces of the same length change places: records of a packed ledger, say. */
static void swap_pieces(struct chance *chance, struct buf *bytes)
{
	size_t size = chance_below(chance, 2) ? 64 : 32;
	size_t count = bytes->length / size;
	unsigned char *a, *b, kept[64];

	if (count < 2)
		return;
	a = bytes->data + size * chance_below(chance, count);
	b = bytes->data + size * chance_below(chance, count);
	memcpy(kept, a, size);
	memmove(a, b, size);
	memcpy(b, kept, size);
}

/* A piece is left out, repeated, or put in the place of another. */
static void move_piece(struct chance *chance, struct buf *bytes)
{
	size_t size = chance_below(chance, 4) ? 64 : 32;
	size_t count = bytes->length / size, at = size * chance_below(chance, count);
	unsigned char piece[64];

	if (!count)
		return;
	memcpy(piece, bytes->data + size * chance_below(chance, count), size);
	mutate_splice(bytes, at, chance_below(chance, 2) ? size : 0,
		      (struct span){ piece, chance_below(chance, 3) ? size : 0 });
}

void mutate_bytes(struct chance *chance, struct buf *bytes, const struct pool *pool)
{
	size_t at = chance_below(chance, bytes->length);
	struct span piece;

	switch (bytes->length ? chance_below(chance, 11) : 7) {
	case 0:
	case 1:
		bytes->data[at] ^= (unsigned char)(1u << chance_below(chance, 8));
		break;
	case 2:
		bytes->data[at] = (unsigned char)chance_below(chance, 256);
		break;
	case 3:
		bytes->length = at;
		break;
	case 4:
		mutate_splice(bytes, at, 1 + chance_below(chance, bytes->length - at), (struct span){ NULL, 0 });
		break;
	case 5:
		piece = some_of(chance, buf_span(bytes), 4096);
		mutate_splice(bytes, at, 0, piece);
		break;
	case 6:
		memset(bytes->data + at, 0, bytes->length - at > 40 ? 40 : bytes->length - at);
		break;
	case 7:
		insert_some(chance, bytes, bytes->length ? at : 0);
		break;
	case 8:
		swap_pieces(chance, bytes);
		break;
	case 9:
		move_piece(chance, bytes);
		break;
	default:
		if (!pool || !pool->count)
			break;
		piece = some_of(chance, buf_span(&pool->bodies[chance_below(chance, pool->count)]), 65536);
		mutate_splice(bytes, at, chance_below(chance, bytes->length - at + 1), piece);
	}
}

/* ---- The body ---- */

static void mutate_body(struct chance *chance, struct buf *body, const struct pool *pool, struct mutation *mutation)
{
	unsigned times = 1 + (unsigned)chance_below(chance, 3);
	const struct buf *other;

	switch (chance_below(chance, 12)) {
	case 0:
		other = &pool->bodies[chance_below(chance, pool->count)];
		mutate_splice(body, 0, body->length, buf_span(other));
		snprintf(mutation->what, sizeof(mutation->what), "the body of another answer");
		return;
	case 1:
	case 2:
		while (times--)
			mutate_bytes(chance, body, pool);
		snprintf(mutation->what, sizeof(mutation->what), "bytes");
		return;
	default:
		snprintf(mutation->what, sizeof(mutation->what), "JSON");
		while (times--)
			if (!mutate_json(chance, body, pool)) {
				mutate_bytes(chance, body, pool);
				snprintf(mutation->what, sizeof(mutation->what), "bytes, as it is no JSON");
			}
	}
}

/* ---- The head ---- */

static const int statuses[] = { 200, 201, 202, 204, 206, 300, 301, 302, 304, 307, 400, 401, 403, 404, 405, 409, 413,
				415, 416, 422, 429, 500, 501, 502, 503, 504, 99,  0,   600, 999, -1, 1000 };

static const char *const heads[] = {
	"content-type: text/html\r\ncontent-length: %zu\r\n",
	"content-type: application/json; charset=utf-8\r\ncontent-length: %zu\r\n",
	"content-length: %zu\r\n",
	"content-type: \r\ncontent-length: %zu\r\n",
	HEAD "content-encoding: gzip\r\ncontent-length: %zu\r\n",
	HEAD "content-encoding: identity\r\ncontent-length: %zu\r\n",
	HEAD "transfer-encoding: chunked\r\nx: %zu\r\n",
	HEAD "transfer-encoding: chunked\r\ncontent-length: %zu\r\n",
	HEAD "transfer-encoding: gzip, chunked\r\nx: %zu\r\n",
	HEAD "content-length: %zu\r\ncontent-length: 7\r\n",
	HEAD "content-length: -%zu\r\n",
	HEAD "content-length: 0x%zx\r\n",
	HEAD "content-length: 99999999999999999999%zu\r\n",
	HEAD "content-length: 18446744073709551615\r\nx: %zu\r\n",
	HEAD "x: %zu\r\n",
	HEAD "content-length: %zu\r\nlocation: /v1/fetch/checkpoint\r\n",
	HEAD "content-length: %zu\r\nlocation: http://registry.example/\r\n",
	HEAD "content-length: %zu\r\nlocation: file:///etc/passwd\r\n",
	HEAD "content-length: %zu\r\nwarg-registry-hint: test=registry.example\r\n",
	HEAD "content-length: %zu\r\nwarg-registry-hint: test=../../etc\r\n",
	HEAD "content-length: %zu\r\nretry-after: 99999999999\r\n",
	HEAD "content-length: %zu\r\ncontent-range: bytes 5-9/3\r\n",
	HEAD "content-length: %zu\r\naccept-ranges: bytes\r\n",
	HEAD "content-length: %zu\r\nno colon here\r\n",
	HEAD "content-length: %zu\r\n: no name\r\n",
	HEAD " folded: yes\r\ncontent-length: %zu\r\n",
	HEAD "content-length: %zu\r\nset-cookie: a=b\r\nstrict-transport-security: max-age=9999\r\n",
	HEAD "content-length: %zu\r\nconnection: upgrade\r\nupgrade: h2c\r\n",
	HEAD "content-length: %zu\r\nalt-svc: h3=\":1\"\r\n",
	HEAD "content-length: %zu\r\nproxy-authenticate: Basic\r\nwww-authenticate: Negotiate\r\n",
};

static const char *const first_lines[] = {
	"HTTP/1.0 200 OK\r\n", "HTTP/1.1 200\r\n", "HTTP/2 200\r\n", "HTTP/0.9 200 OK\r\n", "HTTP/9.9 200 OK\r\n",
	"ICY 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\n",
	"HTTP/1.1 2OO OK\r\n",
	"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n", "", "\r\n\r\nHTTP/1.1 200 OK\r\n",
	"HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
};

static void put_head(const struct answer *answer, const char *first_line, const char *headers, size_t length,
		     struct buf *out)
{
	char line[64], text[512];

	snprintf(line, sizeof(line), "HTTP/1.1 %d Whatever\r\n", answer->status);
	must(buf_append_text(out, first_line ? first_line : line, NULL));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), headers, length);
#pragma GCC diagnostic pop
	must(buf_append_text(out, text, NULL));
}

static void put_much(struct chance *chance, struct buf *out)
{
	size_t lines = chance_below(chance, 2) ? 3000 : 1, width = lines > 1 ? 20 : 100000;

	for (size_t i = 0; i < lines; i++) {
		must(buf_append_format(out, NULL, "x-%zu: ", i));
		for (size_t j = 0; j < width; j++)
			must(buf_append_text(out, "y", NULL));
		must(buf_append_text(out, "\r\n", NULL));
	}
}

/* A body in chunks, well or not so well made. */
static void put_chunks(struct chance *chance, struct span body, struct buf *out)
{
	static const char *const ends[] = { "0\r\n\r\n", "0\r\n", "", "-1\r\n", "ffffffffffffffff\r\n", "zz\r\n\r\n",
					    "0\r\nlate: header\r\n\r\n", "0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" };
	size_t half = chance_below(chance, body.length + 1);

	must(buf_append_format(out, NULL, "%zx\r\n", half));
	must(buf_append(out, (struct span){ body.data, half }, NULL));
	must(buf_append_format(out, NULL, "\r\n%zx;ext=1\r\n", body.length - half));
	must(buf_append(out, (struct span){ body.data + half, body.length - half }, NULL));
	must(buf_append_text(out, "\r\n", NULL));
	must(buf_append_text(out, ends[chance_below(chance, sizeof(ends) / sizeof(ends[0]))], NULL));
}

static void mutate_head(struct chance *chance, const struct answer *answer, const struct pool *pool, struct buf *out,
			struct mutation *mutation)
{
	struct answer other = *answer;
	const char *headers = HEAD "content-length: %zu\r\n", *first_line = NULL;
	size_t length = answer->body.length;
	bool is_chunked = false, has_another = false;

	switch (chance_below(chance, 6)) {
	case 0:
		other.status = statuses[chance_below(chance, sizeof(statuses) / sizeof(statuses[0]))];
		snprintf(mutation->what, sizeof(mutation->what), "status %d", other.status);
		break;
	case 1:
		first_line = first_lines[chance_below(chance, sizeof(first_lines) / sizeof(first_lines[0]))];
		snprintf(mutation->what, sizeof(mutation->what), "the first line");
		break;
	case 2:
		length = chance_below(chance, 2) ? length + 1 + chance_below(chance, 100)
						 : chance_below(chance, length);
		snprintf(mutation->what, sizeof(mutation->what), "a length of %zu", length);
		break;
	case 3:
		headers = HEAD "transfer-encoding: chunked\r\nx: %zu\r\n";
		is_chunked = true;
		snprintf(mutation->what, sizeof(mutation->what), "in chunks");
		break;
	case 4:
		has_another = true;
		snprintf(mutation->what, sizeof(mutation->what), "another answer behind it");
		break;
	default:
		headers = heads[chance_below(chance, sizeof(heads) / sizeof(heads[0]))];
		snprintf(mutation->what, sizeof(mutation->what), "the headers \"%.100s\"", headers);
	}
	put_head(&other, first_line, headers, length, out);
	if (!chance_below(chance, 20))
		put_much(chance, out);
	must(buf_append_text(out, "\r\n", NULL));
	if (is_chunked)
		put_chunks(chance, answer->body, out);
	else if (!answer->is_head)
		must(buf_append(out, answer->body, NULL));
	if (has_another) {
		other.body = buf_span(&pool->bodies[chance_below(chance, pool->count)]);
		mutate_nothing(&other, out);
	}
}

/* ---- Together ---- */

void mutate_nothing(const struct answer *answer, struct buf *out)
{
	put_head(answer, NULL, HEAD "accept-ranges: bytes\r\ncontent-length: %zu\r\n", answer->body.length, out);
	must(buf_append_text(out, "connection: close\r\n\r\n", NULL));
	if (!answer->is_head)
		must(buf_append(out, answer->body, NULL));
}

/* It is the honest one, and does not arrive. */
static void let_travel(struct chance *chance, const struct answer *answer, bool may_stall, struct buf *out,
		       struct mutation *mutation)
{
	static const char *const words[] = { "whole", "cut", "closed", "silent", "dribbles" };

	mutation->travel = may_stall ? TRAVEL_SILENT + (enum travel)chance_below(chance, 2)
				     : TRAVEL_CUT + (enum travel)chance_below(chance, 2);
	mutate_nothing(answer, out);
	if (mutation->travel == TRAVEL_CUT || mutation->travel == TRAVEL_DRIBBLE)
		out->length = 1 + chance_below(chance, out->length - 1);
	else
		out->length = 0;
	snprintf(mutation->what, sizeof(mutation->what), "%s after %zu bytes", words[mutation->travel], out->length);
}

void mutate_answer(struct chance *chance, const struct answer *answer, const struct pool *pool, bool may_stall,
		   struct buf *out, struct mutation *mutation)
{
	struct answer other = *answer;
	size_t choice = chance_below(chance, 20);
	struct buf body;

	*mutation = (struct mutation){ .travel = TRAVEL_WHOLE };
	if (may_stall || choice == 0) {
		let_travel(chance, answer, may_stall, out, mutation);
		return;
	}
	if (choice < 4 || answer->is_head) {
		mutate_head(chance, answer, pool, out, mutation);
		return;
	}
	buf_init(&body, MUTATION_MOST);
	must(buf_append(&body, answer->body, NULL));
	mutate_body(chance, &body, pool, mutation);
	other.body = buf_span(&body);
	mutate_nothing(&other, out);
	mutation->says_other = true;
	buf_release(&body);
}
