/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Strict base64: base64.h.
 */
#include "base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define NO_DIGIT 64

/* The six bits of each digit, and NO_DIGIT in all other places. */
static void fill_values(unsigned char values[static 256])
{
	for (int i = 0; i < 256; i++)
		values[i] = NO_DIGIT;
	for (unsigned char i = 0; i < 64; i++)
		values[(unsigned char)digits[i]] = i;
}

static size_t padding_of(struct span text)
{
	if (text.length == 0 || text.data[text.length - 1] != '=')
		return 0;
	return text.data[text.length - 2] == '=' ? 2 : 1;
}

int base64_decode(struct span text, struct buf *out, struct fault *flt)
{
	unsigned char values[256], *bytes;
	size_t padding, length, written = 0;
	uint32_t bits = 0;
	int r;

	if (text.length % 4)
		return fault_invalid(flt, "base64 of %zu characters, which is not a multiple of four", text.length);
	padding = padding_of(text);
	length = text.length / 4 * 3 - padding;
	r = buf_reserve(out, length, flt);
	if (r)
		return r;

	/* Written behind what `out` holds; it counts only once all of it was read. */
	bytes = out->data + out->length;
	fill_values(values);
	for (size_t i = 0; i < text.length - padding; i++) {
		unsigned char value = values[text.data[i]];

		if (value == NO_DIGIT)
			return fault_invalid(flt, "byte 0x%02x is not a base64 digit", text.data[i]);
		bits = bits << 6 | value;
		/* The first of four digits completes no byte; each other one does. */
		if (i % 4)
			bytes[written++] = (unsigned char)(bits >> (6 - i % 4 * 2));
	}
	if (padding && bits & (padding == 2 ? 0x0f : 0x03))
		return fault_invalid(flt, "base64 with bits left over");
	out->length += length;
	return 0;
}

int base64_encode(struct span bytes, struct buf *out, struct fault *flt)
{
	size_t groups = bytes.length / 3 + (bytes.length % 3 != 0);
	unsigned char *text;
	int r;

	r = buf_reserve(out, groups * 4, flt);
	if (r)
		return r;
	text = out->data + out->length;
	for (size_t i = 0; i < bytes.length; i += 3) {
		size_t count = bytes.length - i < 3 ? bytes.length - i : 3;
		uint32_t bits = (uint32_t)bytes.data[i] << 16;

		if (count > 1)
			bits |= (uint32_t)bytes.data[i + 1] << 8;
		if (count > 2)
			bits |= bytes.data[i + 2];
		*text++ = (unsigned char)digits[bits >> 18];
		*text++ = (unsigned char)digits[bits >> 12 & 63];
		*text++ = count > 1 ? (unsigned char)digits[bits >> 6 & 63] : '=';
		*text++ = count > 2 ? (unsigned char)digits[bits & 63] : '=';
	}
	out->length += groups * 4;
	return 0;
}
