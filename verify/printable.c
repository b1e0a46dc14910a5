/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Characters that may be shown: printable.h.
 */
#include "printable.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Of the characters past ASCII, those that are not shown as they are: first and last of each range. */
static const uint32_t hidden[][2] = {
	{0x80, 0x9f},       /* C1: U+009B begins a command to a terminal */
	{0x61c, 0x61c},     /* Arabic letter mark */
	{0x200b, 0x200f},   /* of no width, and marks of direction */
	{0x2028, 0x202e},   /* separators of lines and paragraphs; overrides of direction */
	{0x2060, 0x206f},   /* of no width; isolates of direction */
	{0xfeff, 0xfeff},   /* byte order mark */
	{0xfff9, 0xfffb},   /* annotations */
	{0xe0000, 0xe007f}, /* tags */
};

/* Decode one UTF-8 character. @return its length in bytes; 0 at the end or if malformed */
static size_t decode(struct span text, uint32_t *out)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t value = text.length ? text.data[0] : 0xff;
	size_t length = value < 0x80 ? 1 : value < 0xe0 ? 2 : value < 0xf0 ? 3 : 4;

	if (length > text.length || (value >= 0x80 && value < 0xc0) || value >= 0xf8)
		return 0;
	value &= length == 1 ? 0x7f : 0x7fu >> length;
	for (size_t i = 1; i < length; i++) {
		if ((text.data[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (text.data[i] & 0x3f);
	}
	if (value < least[length] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
		return 0;
	*out = value;
	return length;
}

size_t printable_character(struct span text)
{
	uint32_t value = 0;
	size_t length = decode(text, &value);

	if (!length || value < ' ' || value == 0x7f)
		return 0;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
		if (value >= hidden[i][0] && value <= hidden[i][1])
			return 0;
	}
	return length;
}

static struct span rest_of(struct span text, size_t from)
{
	return (struct span){text.data + from, text.length - from};
}

bool printable_is(struct span text)
{
	size_t at = 0, length = 1;

	for (; at < text.length && length; at += length)
		length = printable_character(rest_of(text, at));
	return length;
}

bool printable_is_utf8(struct span text)
{
	size_t at = 0, length = 1;
	uint32_t value;

	for (; at < text.length && length; at += length)
		length = decode(rest_of(text, at), &value);
	return length;
}

/* A character, or the escape of a byte. @param used  how many bytes of the text @return the length of `piece` */
static size_t take_piece(struct span text, char piece[static 5], size_t *used)
{
	size_t length = printable_character(text);

	*used = length ? length : 1;
	if (!length)
		return (size_t)snprintf(piece, 5, "\\x%02x", text.data[0]);
	memcpy(piece, text.data, length);
	return length;
}

size_t printable_write(struct span text, char *out, size_t size)
{
	size_t written = 0, used;
	char piece[5];

	for (size_t at = 0; at < text.length; at += used) {
		size_t length = take_piece(rest_of(text, at), piece, &used);

		if (length >= size - written)
			break;
		memcpy(out + written, piece, length);
		written += length;
	}
	out[written] = '\0';
	return written;
}

int printable_append(struct span text, struct buf *out, struct fault *flt)
{
	size_t used;
	char piece[5];
	int r = 0;

	for (size_t at = 0; at < text.length && !r; at += used) {
		size_t length = take_piece(rest_of(text, at), piece, &used);

		r = buf_append(out, (struct span){(const unsigned char *)piece, length}, flt);
	}
	return r;
}
