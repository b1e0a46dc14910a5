/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Documents, tables and arrays of TOML (see toml.h).
 *
 * A table may be written in several places, and each place says what may still be added to it: that is what
 * `toml_origin` records. Values of a table are also in a search tree, since a document may have a hundred thousand.
 */
#include "toml.h"

#include <ctype.h>
#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toml_parts.h"
#include "verify/caps.h"
#include "verify/printable.h"

/* ---- The reader ---- */

int toml_refuse(struct toml_reader *reader, const char *what, ...)
{
	char sentence[sizeof(reader->flt->what)];
	va_list arguments;

	va_start(arguments, what);
	vsnprintf(sentence, sizeof(sentence), what, arguments);
	va_end(arguments);
	fault_invalid(reader->flt, "%s", sentence);
	fault_at(reader->flt, "line %u", reader->line);
	return WARG_INVALID;
}

bool toml_is_at(const struct toml_reader *reader, const char *text)
{
	size_t length = strlen(text);

	return (size_t)(reader->end - reader->at) >= length && !memcmp(reader->at, text, length);
}

bool toml_take(struct toml_reader *reader, const char *text)
{
	if (!toml_is_at(reader, text))
		return false;
	reader->at += strlen(text);
	return true;
}

bool toml_take_newline(struct toml_reader *reader)
{
	if (!toml_take(reader, "\n") && !toml_take(reader, "\r\n"))
		return false;
	reader->line++;
	return true;
}

bool toml_is_plain(unsigned char character)
{
	return character == '\t' || (character >= ' ' && character != 0x7f);
}

static void skip_blanks(struct toml_reader *reader)
{
	while (toml_take(reader, " ") || toml_take(reader, "\t"))
		;
}

/* Blanks, and a comment behind them. */
static void skip_comment(struct toml_reader *reader)
{
	skip_blanks(reader);
	if (toml_take(reader, "#"))
		while (reader->at < reader->end && toml_is_plain(*reader->at))
			reader->at++;
}

static void skip_lines(struct toml_reader *reader)
{
	do
		skip_comment(reader);
	while (toml_take_newline(reader));
}

static int end_line(struct toml_reader *reader)
{
	skip_comment(reader);
	if (reader->at == reader->end || toml_take_newline(reader))
		return 0;
	return toml_refuse(reader, toml_is_plain(*reader->at) ? "there is more on the line than belongs there" :
			   "there is a control character");
}

/* ---- The tree ---- */

static int compare(const void *a, const void *b)
{
	const struct buf *one = &((const struct toml_value *)a)->key, *other = &((const struct toml_value *)b)->key;
	size_t length = one->length < other->length ? one->length : other->length;
	int order = length ? memcmp(one->data, other->data, length) : 0;

	return order ? order : (one->length > other->length) - (one->length < other->length);
}

struct toml_value *toml_find(const struct toml_value *table, struct span key)
{
	struct toml_value probe = {.key = {.data = (unsigned char *)(uintptr_t)key.data, .length = key.length}};
	void *const *found = tfind(&probe, (void *const *)&table->index, compare);

	return found ? *found : NULL;
}

static void keep_node(void *node)
{
	(void)node;
}

void toml_free(struct toml_value *value)
{
	struct toml_value *part, *next;

	if (!value)
		return;
	tdestroy(value->index, keep_node);
	for (part = value->first; part; part = next) {
		next = part->next;
		toml_free(part);
	}
	buf_release(&value->key);
	buf_release(&value->text);
	free(value);
}

static struct toml_value *value_new(unsigned line, unsigned depth)
{
	struct toml_value *value = calloc(1, sizeof(*value));

	if (!value)
		return NULL;
	value->line = line;
	value->depth = depth;
	buf_init(&value->key, CAP_FILE_CONFIG);
	buf_init(&value->text, CAP_FILE_CONFIG);
	return value;
}

/* Add an empty value to a table or an array. @param key  NULL: to an array */
static int add(struct toml_reader *reader, struct toml_value *whole, const struct buf *key, struct toml_value **out)
{
	struct toml_value *value;

	if (whole->depth == CAP_TOML_DEPTH)
		return fault_undecided(reader->flt, FAULT_LIMIT, "line %u: values are nested more than %d deep",
				       reader->line, CAP_TOML_DEPTH);
	value = value_new(reader->line, whole->depth + 1);
	if (!value)
		return fault_no_memory(reader->flt);
	if (key && buf_append(&value->key, buf_span(key), reader->flt)) {
		toml_free(value);
		return WARG_UNDECIDED;
	}
	if (key && !tsearch(value, &whole->index, compare)) {
		toml_free(value);
		return fault_no_memory(reader->flt);
	}
	*(whole->last ? &whole->last->next : &whole->first) = value;
	whole->last = value;
	*out = value;
	return 0;
}

/* ---- Keys ---- */

static bool is_bare(unsigned char character)
{
	return character < 0x80 && (isalnum(character) || character == '-' || character == '_');
}

static int read_key(struct toml_reader *reader, struct buf *out)
{
	const unsigned char *start = reader->at;

	out->length = 0;
	if (toml_is_at(reader, "\"") || toml_is_at(reader, "'"))
		return toml_read_string(reader, true, out);
	while (reader->at < reader->end && is_bare(*reader->at))
		reader->at++;
	if (reader->at == start)
		return toml_refuse(reader, "a key is missing, or has characters that need quotes");
	return buf_append(out, (struct span){start, (size_t)(reader->at - start)}, reader->flt);
}

static int refuse_key(struct toml_reader *reader, const struct buf *key, const char *why)
{
	return toml_refuse(reader, "'%.*s' %s", (int)(key->length < 60 ? key->length : 60),
			   key->length ? (const char *)key->data : "", why);
}

static int refuse_twice(struct toml_reader *reader, const struct buf *key, const struct toml_value *before)
{
	char why[64];

	snprintf(why, sizeof(why), "was there before, on line %u", before->line);
	return refuse_key(reader, key, why);
}

/* What `key` leads to in `table`, for a key of a header that goes on behind a dot. */
static int enter_by_header(struct toml_reader *reader, struct toml_value **table, const struct buf *key)
{
	struct toml_value *found = toml_find(*table, buf_span(key));

	if (!found) {
		int r = add(reader, *table, key, table);

		if (!r)
			(*table)->origin = TOML_IMPLIED;
		return r;
	}
	if (found->origin == TOML_REPEATED)
		found = found->last;
	if (found->type != TOML_TABLE || found->origin == TOML_INLINE)
		return refuse_key(reader, key, "was given a value: no header can add to it");
	*table = found;
	return 0;
}

/* The same for a key that gets a value. */
static int enter_by_dot(struct toml_reader *reader, struct toml_value **table, const struct buf *key)
{
	struct toml_value *found = toml_find(*table, buf_span(key));
	int r = found ? 0 : add(reader, *table, key, &found);

	if (r)
		return r;
	if (found->type != TOML_TABLE || (found->origin != TOML_DOTTED && found->origin != TOML_IMPLIED))
		return refuse_key(reader, key, "was written elsewhere: no dotted key can add to it");
	found->origin = TOML_DOTTED;
	*table = found;
	return 0;
}

/*
 * Read keys with dots between them.
 * @param table  where they begin; then where the last one belongs
 * @param key    then the last one
 */
static int read_path(struct toml_reader *reader,
		     int (*enter)(struct toml_reader *reader, struct toml_value **table, const struct buf *key),
		     struct toml_value **table, struct buf *key)
{
	int r = read_key(reader, key);

	skip_blanks(reader);
	while (!r && toml_take(reader, ".")) {
		skip_blanks(reader);
		r = enter(reader, table, key);
		if (!r)
			r = read_key(reader, key);
		skip_blanks(reader);
	}
	return r;
}

/* ---- Values ---- */

static int read_value(struct toml_reader *reader, struct toml_value *out);

static int read_items(struct toml_reader *reader, struct toml_value *array)
{
	struct toml_value *item;
	int r;

	for (;;) {
		skip_lines(reader);
		if (toml_take(reader, "]"))
			return 0;
		r = add(reader, array, NULL, &item);
		if (!r)
			r = read_value(reader, item);
		if (r)
			return r;
		skip_lines(reader);
		if (!toml_take(reader, ",") && !toml_is_at(reader, "]"))
			return toml_refuse(reader, "an array goes on with ',' or ends with ']'");
	}
}

static int read_entry_with(struct toml_reader *reader, struct toml_value *table, struct buf *key)
{
	struct toml_value *value;
	int r = read_path(reader, enter_by_dot, &table, key);

	if (r)
		return r;
	if (!toml_take(reader, "="))
		return toml_refuse(reader, "a key has '=' behind it");
	skip_blanks(reader);
	value = toml_find(table, buf_span(key));
	if (value)
		return refuse_twice(reader, key, value);
	r = add(reader, table, key, &value);
	return r ? r : read_value(reader, value);
}

static int read_entry(struct toml_reader *reader, struct toml_value *table)
{
	struct buf key;
	int r;

	buf_init(&key, CAP_FILE_CONFIG);
	r = read_entry_with(reader, table, &key);
	buf_release(&key);
	return r;
}

/* All on one line, but for what has lines of its own in it. */
static int read_members(struct toml_reader *reader, struct toml_value *table)
{
	int r;

	skip_blanks(reader);
	if (toml_take(reader, "}"))
		return 0;
	for (;;) {
		skip_blanks(reader);
		r = read_entry(reader, table);
		if (r)
			return r;
		skip_blanks(reader);
		if (toml_take(reader, "}"))
			return 0;
		if (!toml_take(reader, ","))
			return toml_refuse(reader, "a table in braces goes on with ',' or ends with '}', on its line");
	}
}

static int read_value(struct toml_reader *reader, struct toml_value *out)
{
	out->origin = TOML_INLINE;
	if (toml_take(reader, "[")) {
		out->type = TOML_ARRAY;
		return read_items(reader, out);
	}
	if (toml_take(reader, "{")) {
		out->type = TOML_TABLE;
		return read_members(reader, out);
	}
	if (!toml_is_at(reader, "\"") && !toml_is_at(reader, "'"))
		return toml_read_scalar(reader, out);
	out->type = TOML_STRING;
	return toml_read_string(reader, false, &out->text);
}

/* ---- Headers ---- */

/* [key]: a table that is not there yet, or only implied so far. */
static int open_table(struct toml_reader *reader, struct toml_value **table, const struct buf *key)
{
	struct toml_value *found = toml_find(*table, buf_span(key));
	int r = 0;

	if (found && (found->type != TOML_TABLE || found->origin != TOML_IMPLIED))
		return refuse_twice(reader, key, found);
	if (!found)
		r = add(reader, *table, key, &found);
	if (r)
		return r;
	found->origin = TOML_HEADED;
	found->line = reader->line;
	*table = found;
	return 0;
}

/* [[key]]: one more table of an array that is made of such headers. */
static int open_item(struct toml_reader *reader, struct toml_value **table, const struct buf *key)
{
	struct toml_value *found = toml_find(*table, buf_span(key));
	int r = 0;

	if (found && found->origin != TOML_REPEATED)
		return refuse_twice(reader, key, found);
	if (!found)
		r = add(reader, *table, key, &found);
	if (r)
		return r;
	found->type = TOML_ARRAY;
	found->origin = TOML_REPEATED;
	r = add(reader, found, NULL, table);
	if (!r)
		(*table)->origin = TOML_HEADED;
	return r;
}

/* @param table  the document's; then the one that follows */
static int read_header(struct toml_reader *reader, struct toml_value **table)
{
	const bool is_item = toml_take(reader, "[[");
	struct buf key;
	int r;

	if (!is_item)
		toml_take(reader, "[");
	skip_blanks(reader);
	buf_init(&key, CAP_FILE_CONFIG);
	r = read_path(reader, enter_by_header, table, &key);
	if (!r && !toml_take(reader, is_item ? "]]" : "]"))
		r = toml_refuse(reader, "a header ends with '%s'", is_item ? "]]" : "]");
	if (!r)
		r = (is_item ? open_item : open_table)(reader, table, &key);
	buf_release(&key);
	return r;
}

/* ---- Documents ---- */

static int read_document(struct toml_reader *reader, struct toml_value *document)
{
	struct toml_value *table = document;
	int r = 0;

	for (skip_lines(reader); !r && reader->at < reader->end; skip_lines(reader)) {
		if (toml_is_at(reader, "[")) {
			table = document;
			r = read_header(reader, &table);
		} else {
			r = read_entry(reader, table);
		}
		if (!r)
			r = end_line(reader);
	}
	return r;
}

/* A line at a time, so that it can be named: no character of several bytes has a line's end in it. */
static int check_encoding(struct toml_reader reader)
{
	while (reader.at < reader.end) {
		const unsigned char *end = memchr(reader.at, '\n', (size_t)(reader.end - reader.at));

		if (!end)
			end = reader.end;
		if (!printable_is_utf8((struct span){reader.at, (size_t)(end - reader.at)}))
			return toml_refuse(&reader, "it is not UTF-8");
		reader.at = end == reader.end ? end : end + 1;
		reader.line++;
	}
	return 0;
}

int toml_parse(struct span text, struct toml_value **out, struct fault *flt)
{
	struct toml_reader reader = {text.data, text.data + text.length, 1, flt};
	struct toml_value *document = value_new(1, 0);
	int r = document ? 0 : fault_no_memory(flt);

	if (!r && text.length) {
		toml_take(&reader, "\xef\xbb\xbf");
		r = check_encoding(reader);
		if (!r)
			r = read_document(&reader, document);
	}
	if (r)
		toml_free(document);
	else
		*out = document;
	return r;
}
