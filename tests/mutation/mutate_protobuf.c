/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Protobuf, changed (see mutate.h).
 */
#include "mutate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIELDS 512

struct field {
	uint64_t number, value; /* of a varint */
	unsigned type;
	struct span bytes;      /* of a text, bytes or message */
};

static bool get_varint(struct span *rest, uint64_t *out)
{
	*out = 0;
	for (unsigned shift = 0; rest->length && shift < 64; shift += 7) {
		unsigned char byte = rest->data[0];

		*rest = (struct span){ rest->data + 1, rest->length - 1 };
		*out |= (uint64_t)(byte & 127) << shift;
		if (byte < 128)
			return true;
	}
	return false;
}

static void put_varint(struct buf *out, uint64_t value)
{
	unsigned char byte;

	do {
		byte = (unsigned char)((value & 127) | (value > 127 ? 128 : 0));
		assert_int_equal(buf_append(out, (struct span){ &byte, 1 }, NULL), 0);
		value >>= 7;
	} while (value);
}

/* @return how many fields it has; 0 if it is no message */
static size_t take_apart(struct span rest, struct field *fields)
{
	size_t count = 0;
	uint64_t key;

	while (rest.length) {
		struct field *field = &fields[count];

		if (count == FIELDS || !get_varint(&rest, &key) || key < 8)
			return 0;
		*field = (struct field){ .number = key >> 3, .type = key & 7 };
		if ((field->type != 0 && field->type != 2) || !get_varint(&rest, &field->value))
			return 0;
		if (field->type == 2) {
			if (field->value > rest.length)
				return 0;
			field->bytes = (struct span){ rest.data, (size_t)field->value };
			rest = (struct span){ rest.data + field->bytes.length, rest.length - field->bytes.length };
		}
		count++;
	}
	return count;
}

static void put_together(const struct field *fields, size_t count, struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		put_varint(out, fields[i].number << 3 | fields[i].type);
		put_varint(out, fields[i].type == 2 ? fields[i].bytes.length : fields[i].value);
		if (fields[i].type == 2)
			assert_int_equal(buf_append(out, fields[i].bytes, NULL), 0);
	}
}

static uint64_t other_number(struct chance *chance, uint64_t number)
{
	static const uint64_t numbers[] = { 0, 1, 2, 127, 128, INT32_MAX, UINT32_MAX, 1ull << 32, INT64_MAX,
					    UINT64_MAX };

	switch (chance_below(chance, 4)) {
	case 0:
		return number + 1;
	case 1:
		return number - 1;
	case 2:
		return number ^ (1ull << chance_below(chance, 64));
	default:
		return numbers[chance_below(chance, sizeof(numbers) / sizeof(numbers[0]))];
	}
}

/* Change one field, with what is inside in `inner`. */
static size_t change(struct chance *chance, struct field *fields, size_t count, struct buf *inner)
{
	size_t at = chance_below(chance, count), other = chance_below(chance, count);
	struct field kept = fields[at];

	switch (chance_below(chance, 8)) {
	case 0:
		memmove(fields + at, fields + at + 1, (count - at - 1) * sizeof(*fields));
		return count - 1;
	case 1:
		if (count == FIELDS)
			return count;
		memmove(fields + at + 1, fields + at, (count - at) * sizeof(*fields));
		return count + 1;
	case 2:
		fields[at] = fields[other];
		fields[other] = kept;
		return count;
	case 3:
		fields[at].number = 1 + chance_below(chance, chance_below(chance, 2) ? 8 : 9999);
		return count;
	default:
		if (fields[at].type == 0) {
			fields[at].value = other_number(chance, fields[at].value);
			return count;
		}
		assert_int_equal(buf_append(inner, fields[at].bytes, NULL), 0);
		mutate_protobuf(chance, inner);
		fields[at].bytes = buf_span(inner);
		return count;
	}
}

void mutate_protobuf(struct chance *chance, struct buf *message)
{
	static _Thread_local unsigned depth;
	struct field *fields = calloc(FIELDS, sizeof(*fields));
	size_t count = depth < 4 && chance_below(chance, 8) ? take_apart(buf_span(message), fields) : 0;
	struct buf inner, out;

	if (!count) {
		mutate_bytes(chance, message, NULL);
		free(fields);
		return;
	}
	depth++;
	buf_init(&inner, MUTATION_MOST);
	buf_init(&out, MUTATION_MOST);
	count = change(chance, fields, count, &inner);
	put_together(fields, count, &out);
	buf_release(&inner);
	buf_release(message);
	*message = out;
	free(fields);
	depth--;
}
