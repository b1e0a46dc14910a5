/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Values of TOML that have no parts: strings, numbers, dates, times and booleans (see toml_parts.h).
 */
#include <ctype.h>
#include <stdint.h>
#include <string.h>

#include "toml_parts.h"

/* ---- Strings ---- */

static int put(struct toml_reader *reader, struct buf *out, const void *bytes, size_t count)
{
	return buf_append(out, (struct span){bytes, count}, reader->flt);
}

static int put_character(struct toml_reader *reader, struct buf *out, uint32_t code)
{
	const unsigned char tail = (unsigned char)(0x80 | (code & 0x3f));
	const unsigned char one[] = {(unsigned char)code};
	const unsigned char two[] = {(unsigned char)(0xc0 | code >> 6), tail};
	const unsigned char three[] = {(unsigned char)(0xe0 | code >> 12), (unsigned char)(0x80 | (code >> 6 & 0x3f)),
				       tail};
	const unsigned char four[] = {(unsigned char)(0xf0 | code >> 18), (unsigned char)(0x80 | (code >> 12 & 0x3f)),
				      (unsigned char)(0x80 | (code >> 6 & 0x3f)), tail};

	if (code < 0x80)
		return put(reader, out, one, sizeof(one));
	if (code < 0x800)
		return put(reader, out, two, sizeof(two));
	return code < 0x10000 ? put(reader, out, three, sizeof(three)) : put(reader, out, four, sizeof(four));
}

static unsigned value_of_digit(unsigned char digit)
{
	return (unsigned)(isdigit(digit) ? digit - '0' : tolower(digit) - 'a' + 10);
}

/* The digits of \u or \U. */
static int read_code(struct toml_reader *reader, unsigned digits, struct buf *out)
{
	uint32_t code = 0;

	for (unsigned i = 0; i < digits; i++) {
		if (reader->at == reader->end || !isxdigit(*reader->at))
			return toml_refuse(reader, "an escape is \\u and 4 or \\U and 8 digits in hex");
		code = code << 4 | value_of_digit(*reader->at);
		reader->at++;
	}
	if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return toml_refuse(reader, "an escape names no character of Unicode");
	return put_character(reader, out, code);
}

/* From behind the backslash. */
static int read_escape(struct toml_reader *reader, struct buf *out)
{
	static const char names[] = "btnfr\"\\", meant[] = "\b\t\n\f\r\"\\";
	const char *name;

	if (toml_take(reader, "u"))
		return read_code(reader, 4, out);
	if (toml_take(reader, "U"))
		return read_code(reader, 8, out);
	name = reader->at < reader->end && *reader->at ? strchr(names, *reader->at) : NULL;
	if (!name)
		return toml_refuse(reader, "an escape that TOML does not have");
	reader->at++;
	return put(reader, out, meant + (name - names), 1);
}

/* One character, or one escape, of a string that goes on. */
static int read_one(struct toml_reader *reader, bool is_literal, struct buf *out)
{
	if (!is_literal && toml_take(reader, "\\"))
		return read_escape(reader, out);
	if (!toml_is_plain(*reader->at))
		return toml_refuse(reader, "a string has a control character in it");
	return put(reader, out, reader->at++, 1);
}

/* A backslash at the end of a line takes away all space up to what follows. @return whether there was one */
static bool skip_folded(struct toml_reader *reader)
{
	const struct toml_reader before = *reader;
	bool is_folded = false;

	if (!toml_take(reader, "\\"))
		return false;
	while (toml_take(reader, " ") || toml_take(reader, "\t") || toml_take_newline(reader))
		is_folded |= reader->line != before.line;
	if (!is_folded)
		*reader = before;
	return is_folded;
}

/* Two quotes may stand before the three that end it. @return whether it ended */
static int end_lines(struct toml_reader *reader, char quote, struct buf *out, bool *has_ended)
{
	size_t count = 0;

	while (reader->at < reader->end && *reader->at == (unsigned char)quote && count < 5) {
		reader->at++;
		count++;
	}
	*has_ended = count >= 3;
	return put(reader, out, reader->at - count, *has_ended ? count - 3 : count);
}

/* A string of several lines, from behind its quotes. A line's end right there is no part of it. */
static int read_lines(struct toml_reader *reader, char quote, struct buf *out)
{
	const bool is_literal = quote == '\'';
	bool has_ended = false;
	int r = 0;

	toml_take_newline(reader);
	while (!r && !has_ended) {
		if (reader->at == reader->end)
			return toml_refuse(reader, "a string does not end");
		if (*reader->at == (unsigned char)quote)
			r = end_lines(reader, quote, out, &has_ended);
		else if (toml_take_newline(reader))
			r = put(reader, out, "\n", 1);
		else if (is_literal || !skip_folded(reader))
			r = read_one(reader, is_literal, out);
	}
	return r;
}

int toml_read_string(struct toml_reader *reader, bool is_key, struct buf *out)
{
	const char quote = (char)*reader->at;
	int r = 0;

	if (toml_take(reader, quote == '"' ? "\"\"\"" : "'''"))
		return is_key ? toml_refuse(reader, "a key is on one line") : read_lines(reader, quote, out);
	reader->at++;
	while (!r) {
		if (reader->at == reader->end || *reader->at == '\n' || toml_is_at(reader, "\r\n"))
			return toml_refuse(reader, "a string does not end on its line");
		if (*reader->at == (unsigned char)quote)
			break;
		r = read_one(reader, quote == '\'', out);
	}
	if (!r)
		reader->at++;
	return r;
}

/* ---- Numbers: each function takes what it knows off the front of `text` ---- */

static bool take(struct span *text, const char *any)
{
	if (!text->length || !text->data[0] || !strchr(any, text->data[0]))
		return false;
	text->data++;
	text->length--;
	return true;
}

/* Digits of a base, with single underscores between them. */
static bool take_digits(struct span *text, const char *digits)
{
	bool is_wanted = true;

	while (take(text, digits)) {
		is_wanted = text->length && text->data[0] == '_';
		if (is_wanted)
			take(text, "_");
	}
	return !is_wanted;
}

#define DECIMAL "0123456789"

/* Without leading zeroes. */
static bool take_whole(struct span *text)
{
	if (take(text, "0"))
		return !text->length || !(isdigit(text->data[0]) || text->data[0] == '_');
	return take_digits(text, DECIMAL);
}

/* Whether it fits into 64 bits with a sign, as TOML has it. */
static bool fits(struct span digits, unsigned base, bool is_negative)
{
	const uint64_t most = (uint64_t)INT64_MAX + is_negative;
	uint64_t value = 0;

	for (size_t i = 0; i < digits.length; i++) {
		const unsigned digit = value_of_digit(digits.data[i]);

		if (digits.data[i] == '_')
			continue;
		if (value > (most - digit) / base)
			return false;
		value = value * base + digit;
	}
	return true;
}

static bool is_in_base(struct span text)
{
	static const struct {
		const char *prefix, *digits;
		unsigned base;
	} bases[] = {{"x", DECIMAL "abcdefABCDEF", 16}, {"o", "01234567", 8}, {"b", "01", 2}};
	struct span rest;

	if (!take(&text, "0"))
		return false;
	for (unsigned i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
		rest = text;
		if (take(&rest, bases[i].prefix)) {
			text = rest;
			return take_digits(&rest, bases[i].digits) && !rest.length && fits(text, bases[i].base, false);
		}
	}
	return false;
}

static bool is_integer(struct span text)
{
	const bool is_negative = text.length && text.data[0] == '-';
	struct span rest = text;

	if (is_in_base(text))
		return true;
	take(&rest, "+-");
	text = rest;
	return take_whole(&rest) && !rest.length && fits(text, 10, is_negative);
}

static bool is_float(struct span text)
{
	bool has_part = false;

	take(&text, "+-");
	if (span_is(text, "inf") || span_is(text, "nan"))
		return true;
	if (!take_whole(&text))
		return false;
	if (take(&text, ".")) {
		has_part = true;
		if (!take_digits(&text, DECIMAL))
			return false;
	}
	if (take(&text, "eE")) {
		has_part = true;
		take(&text, "+-");
		if (!take_digits(&text, DECIMAL))
			return false;
	}
	return has_part && !text.length;
}

/* ---- Dates and times (RFC 3339 section 5.6) ---- */

/* Exactly so many digits. */
static bool take_number(struct span *text, unsigned digits, unsigned *out)
{
	*out = 0;
	for (unsigned i = 0; i < digits; i++) {
		const unsigned digit = text->length ? text->data[0] - (unsigned)'0' : 10;

		if (!take(text, DECIMAL))
			return false;
		*out = *out * 10 + digit;
	}
	return true;
}

static bool take_date(struct span *text)
{
	static const unsigned char days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned year, month, day;

	if (!take_number(text, 4, &year) || !take(text, "-") || !take_number(text, 2, &month) || !take(text, "-") ||
	    !take_number(text, 2, &day) || month < 1 || month > 12 || day < 1 || day > days[month - 1])
		return false;
	return month != 2 || day < 29 || (year % 4 == 0 && (year % 100 || year % 400 == 0));
}

static bool take_time(struct span *text)
{
	unsigned hour, minute, second;

	if (!take_number(text, 2, &hour) || !take(text, ":") || !take_number(text, 2, &minute) || !take(text, ":") ||
	    !take_number(text, 2, &second) || hour > 23 || minute > 59 || second > 60)
		return false;
	if (!take(text, "."))
		return true;
	if (!take(text, DECIMAL))
		return false;
	while (take(text, DECIMAL))
		;
	return true;
}

static bool take_offset(struct span *text)
{
	unsigned hour, minute;

	if (take(text, "Zz"))
		return true;
	return take(text, "+-") && take_number(text, 2, &hour) && take(text, ":") && take_number(text, 2, &minute) &&
	       hour < 24 && minute < 60;
}

/* @return whether it is one of the four */
static bool is_moment(struct span text, enum toml_type *out)
{
	struct span rest = text;

	*out = TOML_LOCAL_TIME;
	if (take_time(&rest) && !rest.length)
		return true;
	*out = TOML_LOCAL_DATE;
	if (!take_date(&text))
		return false;
	if (!text.length)
		return true;
	*out = TOML_LOCAL_DATETIME;
	if (!take(&text, "Tt ") || !take_time(&text))
		return false;
	if (!text.length)
		return true;
	*out = TOML_DATETIME;
	return take_offset(&text) && !text.length;
}

/* ---- All of them ---- */

static struct span take_word(struct toml_reader *reader)
{
	const unsigned char *start = reader->at;

	while (reader->at < reader->end && *reader->at && (isalnum(*reader->at) || strchr("+-_.:", *reader->at)))
		reader->at++;
	return (struct span){start, (size_t)(reader->at - start)};
}

/* A date and a time may have a space between them. */
static struct span take_words(struct toml_reader *reader)
{
	struct span word = take_word(reader), date = word;

	if (!take_date(&date) || date.length || !toml_is_at(reader, " ") || reader->end - reader->at < 2 ||
	    !isdigit(reader->at[1]))
		return word;
	reader->at++;
	take_word(reader);
	return (struct span){word.data, (size_t)(reader->at - word.data)};
}

int toml_read_scalar(struct toml_reader *reader, struct toml_value *out)
{
	const struct span word = take_words(reader);
	enum toml_type moment;

	if (!word.length)
		return toml_refuse(reader, "a value is missing");
	if (span_is(word, "true") || span_is(word, "false"))
		out->type = TOML_BOOL;
	else if (is_integer(word))
		out->type = TOML_INTEGER;
	else if (is_float(word))
		out->type = TOML_FLOAT;
	else if (is_moment(word, &moment))
		out->type = moment;
	else
		return toml_refuse(reader, "'%.*s' is no value: strings have quotes",
				   (int)(word.length < 60 ? word.length : 60), (const char *)word.data);
	return buf_append(&out->text, word, reader->flt);
}
