/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The pieces of versions and requirements: semver_text.h.
 */
#include "semver_text.h"

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static bool is_in_identifier(unsigned char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-';
}

static struct span first_of(struct span text, size_t count)
{
	return (struct span){ text.data, count };
}

static struct span all_behind(struct span text, size_t count)
{
	return (struct span){ text.data + count, text.length - count };
}

bool semver_text_take(struct span *rest, char c)
{
	if (rest->length == 0 || rest->data[0] != (unsigned char)c)
		return false;
	*rest = all_behind(*rest, 1);
	return true;
}

bool semver_text_take_number(struct span *rest, uint64_t *out)
{
	uint64_t value = 0;
	size_t length = 0;

	for (; length < rest->length && is_digit(rest->data[length]); length++) {
		if (length && value == 0)
			return false; /* a leading zero */
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, rest->data[length] - '0', &value))
			return false;
	}
	if (length == 0)
		return false;
	*rest = all_behind(*rest, length);
	*out = value;
	return true;
}

bool semver_text_is_number(struct span identifier)
{
	for (size_t i = 0; i < identifier.length; i++) {
		if (!is_digit(identifier.data[i]))
			return false;
	}
	return true;
}

bool semver_text_take_identifiers(struct span *rest, bool zeros, struct span *out)
{
	size_t start = 0, end;

	for (;; start = end + 1) {
		struct span identifier;

		for (end = start; end < rest->length && is_in_identifier(rest->data[end]);)
			end++;
		identifier = first_of(all_behind(*rest, start), end - start);
		if (identifier.length == 0)
			return false;
		if (!zeros && identifier.length > 1 && identifier.data[0] == '0' && semver_text_is_number(identifier))
			return false;
		if (end == rest->length || rest->data[end] != '.')
			break;
	}
	*out = first_of(*rest, end);
	*rest = all_behind(*rest, end);
	return true;
}

bool semver_text_next_identifier(struct span *rest, struct span *out)
{
	size_t length = 0;

	if (rest->length == 0)
		return false;
	while (length < rest->length && rest->data[length] != '.')
		length++;
	*out = first_of(*rest, length);
	*rest = all_behind(*rest, length < rest->length ? length + 1 : length);
	return true;
}
