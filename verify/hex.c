/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Lowercase hexadecimal: hex.h.
 */
#include "hex.h"

/* The value of a digit, or -1. */
static int digit_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int hex_decode(struct span text, unsigned char *out, size_t size, struct fault *flt)
{
	if (text.length / 2 != size || text.length % 2)
		return fault_invalid(flt, "%zu hexadecimal digits are not %zu bytes", text.length, size);
	for (size_t i = 0; i < text.length; i++) {
		if (digit_value(text.data[i]) < 0)
			return fault_invalid(flt, "byte 0x%02x is not a lowercase hexadecimal digit", text.data[i]);
	}
	for (size_t i = 0; i < size; i++)
		out[i] = (unsigned char)(digit_value(text.data[2 * i]) << 4 | digit_value(text.data[2 * i + 1]));
	return 0;
}

void hex_encode(struct span bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < bytes.length; i++) {
		*out++ = digits[bytes.data[i] >> 4];
		*out++ = digits[bytes.data[i] & 15];
	}
	*out = '\0';
}
