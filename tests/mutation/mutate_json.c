/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * JSON, changed as text, so that what no writer would write can be had as well (see mutate.h).
 */
#include "mutate.h"

#include <ctype.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verify/base64.h"

#define NODES 4096
#define DEPTH 40

struct node {
	char type;         /* '{', '[', '"', '0' for numbers, 'l' for true, false and null */
	size_t from;       /* where its member begins, with the name; or the value, outside of objects */
	size_t start, end; /* of the value */
	int parent;        /* -1: none */
};

struct document {
	struct span text;
	struct node nodes[NODES];
	size_t count, at;
};

static void skip_space(struct document *document)
{
	while (document->at < document->text.length && strchr(" \t\r\n", document->text.data[document->at]))
		document->at++;
}

static bool take(struct document *document, char byte)
{
	skip_space(document);
	if (document->at == document->text.length || document->text.data[document->at] != (unsigned char)byte)
		return false;
	document->at++;
	return true;
}

static bool take_string(struct document *document)
{
	if (!take(document, '"'))
		return false;
	while (document->at < document->text.length && document->text.data[document->at] != '"')
		document->at += document->text.data[document->at] == '\\' ? 2 : 1;
	return document->at < document->text.length && take(document, '"');
}

static bool take_value(struct document *document, size_t from, int parent, unsigned depth);

static bool take_members(struct document *document, int parent, char end, unsigned depth)
{
	if (take(document, end))
		return true;
	do {
		size_t from;

		skip_space(document);
		from = document->at;
		if (end == '}' && (!take_string(document) || !take(document, ':')))
			return false;
		if (!take_value(document, from, parent, depth + 1))
			return false;
	} while (take(document, ','));
	return take(document, end);
}

static bool take_value(struct document *document, size_t from, int parent, unsigned depth)
{
	size_t index = document->count++;
	struct node *node = &document->nodes[index];
	unsigned char first;
	bool good = true;

	skip_space(document);
	if (index + 1 >= NODES || depth > DEPTH || document->at == document->text.length)
		return false;
	first = document->text.data[document->at];
	*node = (struct node){ .type = (char)first, .from = from, .start = document->at, .parent = parent };
	if (first == '{' || first == '[') {
		document->at++;
		good = take_members(document, (int)index, first == '{' ? '}' : ']', depth);
	} else if (first == '"') {
		good = take_string(document);
	} else {
		node->type = first == '-' || isdigit(first) ? '0' : 'l';
		while (document->at < document->text.length && !strchr(",]} \r\n", document->text.data[document->at]))
			document->at++;
		good = document->at > node->start;
	}
	node->end = document->at;
	return good;
}

static bool take_document(struct document *document, struct span text)
{
	document->text = text;
	document->count = document->at = 0;
	if (!take_value(document, 0, -1, 0))
		return false;
	skip_space(document);
	return document->at == text.length;
}

static struct span text_of(const struct document *document, const struct node *node)
{
	return (struct span){ document->text.data + node->start, node->end - node->start };
}

/* Another node of the same type, from the same document or from another. */
static struct span find_alike(struct chance *chance, const struct document *document, const struct node *node,
			      const struct pool *pool, struct document *room)
{
	const struct document *source = document;
	const struct buf *other = &pool->bodies[chance_below(chance, pool->count)];

	if (chance_below(chance, 3) == 0 && take_document(room, buf_span(other)))
		source = room;
	for (size_t tries = 0; tries < 64; tries++) {
		const struct node *found = &source->nodes[chance_below(chance, source->count)];

		if (found->type == node->type && (source != document || found != node))
			return text_of(source, found);
	}
	return text_of(document, node);
}

/* ---- What may become of a node ---- */

static void replace(struct buf *text, const struct node *node, const char *by)
{
	mutate_splice(text, node->start, node->end - node->start, span_of_text(by));
}

static void replace_by_any(struct chance *chance, struct buf *text, const struct node *node)
{
	static const char *const values[] = {
		"null", "true", "false", "0", "1", "-1", "\"\"", "[]", "{}", "1e999", "-0", "0.5", "1.0", "4294967295",
		"4294967296", "2147483647", "9223372036854775807", "9223372036854775808", "18446744073709551615",
		"18446744073709551616", "\"null\"", "\"\\u0000\"", "\"../../x\"", "\"\\ud800\"", "[[[[[[]]]]]]",
		"[null]",
		"{\"a\":1}", "01", "NaN", "'x'", "\"sha256:\"", "\"/\"", "\"file:///etc/passwd\"", "",
	};

	replace(text, node, values[chance_below(chance, sizeof(values) / sizeof(values[0]))]);
}

static void change_number(struct chance *chance, struct buf *text, const struct node *node)
{
	size_t length = node->end - node->start;
	long long number;
	char by[64];

	memcpy(by, text->data + node->start, length < sizeof(by) ? length : sizeof(by) - 1);
	by[length < sizeof(by) ? length : sizeof(by) - 1] = '\0';
	number = strtoll(by, NULL, 10);
	number = number > INT32_MAX ? INT32_MAX : number;

	switch (chance_below(chance, 6)) {
	case 0:
	case 1:
		snprintf(by, sizeof(by), "%lld", number + 1);
		break;
	case 2:
		snprintf(by, sizeof(by), "%lld", number - 1);
		break;
	case 3:
		snprintf(by, sizeof(by), "-%lld", number);
		break;
	case 4:
		snprintf(by, sizeof(by), "%lld", (long long)chance_below(chance, 32));
		break;
	default:
		snprintf(by, sizeof(by), "%" PRIu64, chance_next(chance) >> chance_below(chance, 64));
	}
	replace(text, node, by);
}

/* Take the base64 apart, change what it says, and put it together again. */
static void change_base64(struct chance *chance, struct buf *text, const struct node *node)
{
	struct span inside = { text->data + node->start + 1, node->end - node->start - 2 };
	struct buf payload, out;

	buf_init(&payload, MUTATION_MOST);
	buf_init(&out, MUTATION_MOST);
	if (!base64_decode(inside, &payload, NULL) && payload.length) {
		mutate_protobuf(chance, &payload);
		if (!base64_encode(buf_span(&payload), &out, NULL))
			mutate_splice(text, node->start + 1, inside.length, buf_span(&out));
	}
	buf_release(&payload);
	buf_release(&out);
}

static void change_string(struct chance *chance, struct buf *text, const struct node *node)
{
	size_t length = node->end - node->start - 2, at = node->start + 1 + chance_below(chance, length);
	char by[2] = { (char)("0123456789abcdefABCDEFghxyz:/.-+=\\\" "[chance_below(chance, 36)]), 0 };

	switch (chance_below(chance, 6)) {
	case 0:
		mutate_splice(text, at, length ? 1 : 0, span_of_text(by));
		break;
	case 1:
		mutate_splice(text, at, 0, span_of_text(by));
		break;
	case 2:
		mutate_splice(text, at, node->end - 1 - at, (struct span){ NULL, 0 });
		break;
	case 3:
		if (length)
			text->data[at] = (unsigned char)toupper(text->data[at]);
		break;
	case 4:
		mutate_splice(text, at, 0, span_of_text("\\u0000"));
		break;
	default:
		if (length)
			text->data[at] ^= (unsigned char)(1u << chance_below(chance, 8));
	}
}

/* Leave a member or element out, or repeat it. */
static void drop_or_repeat(struct chance *chance, struct buf *text, const struct node *node)
{
	struct buf member;
	size_t end = node->end, from = node->from;

	if (chance_below(chance, 2)) {
		if (end < text->length && text->data[end] == ',')
			end++;
		else if (from && text->data[from - 1] == ',')
			from--;
		mutate_splice(text, from, end - from, (struct span){ NULL, 0 });
		return;
	}
	buf_init(&member, MUTATION_MOST);
	assert_int_equal(buf_append(&member, (struct span){ text->data + from, end - from }, NULL), 0);
	assert_int_equal(buf_append_text(&member, ",", NULL), 0);
	mutate_splice(text, from, 0, buf_span(&member));
	buf_release(&member);
}

/* Two of the same parent change places; in an object with or without their names. */
static void swap_siblings(struct chance *chance, struct buf *text, const struct document *document,
			  const struct node *node)
{
	const struct node *other = node;
	bool named = chance_below(chance, 2);
	struct buf first, second;

	for (size_t tries = 0; tries < 64 && (other == node || other->parent != node->parent); tries++)
		other = &document->nodes[chance_below(chance, document->count)];
	if (other == node || other->parent != node->parent)
		return;
	if (other->from < node->from) {
		const struct node *kept = node;

		node = other;
		other = kept;
	}
	size_t a = named ? node->from : node->start, b = named ? other->from : other->start;
	buf_init(&first, MUTATION_MOST);
	buf_init(&second, MUTATION_MOST);
	assert_int_equal(buf_append(&first, (struct span){ text->data + a, node->end - a }, NULL), 0);
	assert_int_equal(buf_append(&second, (struct span){ text->data + b, other->end - b }, NULL), 0);
	mutate_splice(text, b, other->end - b, buf_span(&first));
	mutate_splice(text, a, node->end - a, buf_span(&second));
	buf_release(&first);
	buf_release(&second);
}

static void change_by_type(struct chance *chance, struct buf *text, const struct node *node)
{
	switch (node->type) {
	case '0':
		change_number(chance, text, node);
		break;
	case '"':
		if (node->end - node->start > 14 && chance_below(chance, 4))
			change_base64(chance, text, node);
		else
			change_string(chance, text, node);
		break;
	case '{':
		if (chance_below(chance, 4) == 0)
			replace(text, node, "{}");
		else
			mutate_splice(text, node->start + 1, 0, span_of_text(
				      node->end - node->start > 2 ? "\"unheard\":[1,{}]," : "\"unheard\":0"));
		break;
	case '[':
		replace(text, node, "[]");
		break;
	default:
		replace_by_any(chance, text, node);
	}
}

bool mutate_json(struct chance *chance, struct buf *text, const struct pool *pool)
{
	struct document *document = calloc(1, sizeof(*document)), *room = calloc(1, sizeof(*room));
	bool is_json = take_document(document, buf_span(text));
	struct node *node;
	struct buf alike;

	if (is_json) {
		node = &document->nodes[chance_below(chance, document->count)];
		switch (chance_below(chance, 8)) {
		case 0:
			replace_by_any(chance, text, node);
			break;
		case 1:
			drop_or_repeat(chance, text, node);
			break;
		case 2:
			swap_siblings(chance, text, document, node);
			break;
		case 3:
		case 4:
			buf_init(&alike, MUTATION_MOST);
			assert_int_equal(buf_append(&alike, find_alike(chance, document, node, pool, room), NULL), 0);
			mutate_splice(text, node->start, node->end - node->start, buf_span(&alike));
			buf_release(&alike);
			break;
		default:
			change_by_type(chance, text, node);
		}
	}
	free(document);
	free(room);
	return is_json;
}
