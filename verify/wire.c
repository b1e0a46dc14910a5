/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The protobuf wire format: wire.h.
 */
#include "wire.h"

#define WIRE_NUMBER_MAX ((1u << 29) - 1)

static struct span span_behind(struct span bytes, size_t count)
{
	return (struct span){ bytes.data + count, bytes.length - count };
}

int wire_read_varint(struct wire_reader *reader, uint64_t *out, struct fault *flt)
{
	const unsigned char *data = reader->rest.data;
	uint64_t value = 0;

	for (size_t i = 0; i < WIRE_VARINT_SIZE; i++) {
		if (i == reader->rest.length)
			return fault_invalid(flt, "a varint is cut short");
		/* Nine bytes hold 63 bits: the tenth has room for one. */
		if (i == WIRE_VARINT_SIZE - 1 && data[i] > 1)
			return fault_invalid(flt, "a varint has more than 64 bits");
		value |= (uint64_t)(data[i] & 0x7f) << (7 * i);
		if (data[i] & 0x80)
			continue;
		if (i && data[i] == 0)
			return fault_invalid(flt, "a varint is longer than it has to be");
		reader->rest = span_behind(reader->rest, i + 1);
		*out = value;
		return 0;
	}
	return fault_invalid(flt, "a varint has more than 64 bits");
}

/* Read `size` bytes, lowest first. */
static int read_fixed(struct wire_reader *reader, size_t size, uint64_t *out, struct fault *flt)
{
	uint64_t value = 0;

	if (reader->rest.length < size)
		return fault_invalid(flt, "a number of %zu bytes is cut short", size);
	for (size_t i = size; i-- > 0;)
		value = value << 8 | reader->rest.data[i];
	reader->rest = span_behind(reader->rest, size);
	*out = value;
	return 0;
}

static int read_bytes(struct wire_reader *reader, struct span *out, struct fault *flt)
{
	uint64_t length = 0;
	int r;

	r = wire_read_varint(reader, &length, flt);
	if (r)
		return r;
	if (length > reader->rest.length)
		return fault_invalid(flt, "a field's length is past the end");
	*out = (struct span){ reader->rest.data, (size_t)length };
	reader->rest = span_behind(reader->rest, (size_t)length);
	return 0;
}

static int read_content(struct wire_reader *reader, struct wire_field *field, struct fault *flt)
{
	switch (field->type) {
	case WIRE_VARINT:
		return wire_read_varint(reader, &field->value, flt);
	case WIRE_FIXED64:
		return read_fixed(reader, 8, &field->value, flt);
	case WIRE_BYTES:
		return read_bytes(reader, &field->bytes, flt);
	case WIRE_FIXED32:
		return read_fixed(reader, 4, &field->value, flt);
	}
	return fault_invalid(flt, "field %u has the wire type %u", field->number, field->type);
}

int wire_read_field(struct wire_reader *reader, struct wire_field *out, struct fault *flt)
{
	struct wire_reader ahead = *reader;
	struct wire_field field = { 0 };
	uint64_t tag = 0;
	int r;

	r = wire_read_varint(&ahead, &tag, flt);
	if (r)
		return r;
	if (tag >> 3 == 0 || tag >> 3 > WIRE_NUMBER_MAX)
		return fault_invalid(flt, "a field has the number %llu", (unsigned long long)(tag >> 3));
	field.number = (uint32_t)(tag >> 3);
	field.type = (enum wire_type)(tag & 7);
	r = read_content(&ahead, &field, flt);
	if (r)
		return r;
	*reader = ahead;
	*out = field;
	return 0;
}

size_t wire_format_varint(uint64_t value, unsigned char out[static WIRE_VARINT_SIZE])
{
	size_t size = 0;

	for (; value >= 0x80; value >>= 7)
		out[size++] = (unsigned char)(value | 0x80);
	out[size++] = (unsigned char)value;
	return size;
}

int wire_write_varint(struct buf *out, uint64_t value, struct fault *flt)
{
	unsigned char bytes[WIRE_VARINT_SIZE];

	return buf_append(out, (struct span){ bytes, wire_format_varint(value, bytes) }, flt);
}

/* Append a tag, a varint and bytes: all of it, or nothing. */
static int write_field(struct buf *out, uint32_t number, enum wire_type type, uint64_t varint, struct span bytes,
		       struct fault *flt)
{
	unsigned char head[2 * WIRE_VARINT_SIZE];
	size_t size = wire_format_varint((uint64_t)number << 3 | type, head);
	int r;

	size += wire_format_varint(varint, head + size);
	if (bytes.length > SIZE_MAX - size)
		return fault_undecided(flt, FAULT_LIMIT, "a field of %zu bytes", bytes.length);
	r = buf_reserve(out, size + bytes.length, flt);
	if (r)
		return r;
	r = buf_append(out, (struct span){ head, size }, flt);
	return r ? r : buf_append(out, bytes, flt);
}

int wire_write_varint_field(struct buf *out, uint32_t number, uint64_t value, struct fault *flt)
{
	return write_field(out, number, WIRE_VARINT, value, (struct span){ 0 }, flt);
}

int wire_write_bytes_field(struct buf *out, uint32_t number, struct span bytes, struct fault *flt)
{
	return write_field(out, number, WIRE_BYTES, bytes.length, bytes, flt);
}
