/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The protobuf wire format, read strictly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "torture.h"
#include "verify/wire.h"

static struct span bytes_of(const char *text, size_t length)
{
	return (struct span){ (const unsigned char *)text, length };
}

#define BYTES(text) bytes_of(text, sizeof(text) - 1)

static void test_varints(void **state)
{
	static const struct {
		uint64_t value;
		const char *bytes;
		size_t length;
	} rows[] = {
		{ 0, "\0", 1 },
		{ 1, "\x01", 1 },
		{ 127, "\x7f", 1 },
		{ 128, "\x80\x01", 2 },
		{ 300, "\xac\x02", 2 },
		{ UINT32_MAX, "\xff\xff\xff\xff\x0f", 5 },
		{ UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10 },
		{ 1ull << 63, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_reader reader = { bytes_of(rows[i].bytes, rows[i].length) };
		unsigned char formatted[WIRE_VARINT_SIZE];
		uint64_t value = 0;
		struct buf out;

		buf_init(&out, 100);
		assert_int_equal(wire_write_varint(&out, rows[i].value, NULL), 0);
		assert_true(span_equals(buf_span(&out), reader.rest));
		assert_int_equal(wire_format_varint(rows[i].value, formatted), rows[i].length);
		assert_memory_equal(formatted, rows[i].bytes, rows[i].length);
		assert_int_equal(wire_read_varint(&reader, &value, NULL), 0);
		assert_int_equal(value, rows[i].value);
		assert_int_equal(reader.rest.length, 0);
		buf_release(&out);
	}
}

static void test_bad_varints(void **state)
{
	const struct span rows[] = {
		BYTES(""),
		BYTES("\x80"),
		BYTES("\xff\xff"),
		BYTES("\x80\x00"),
		BYTES("\x81\x80\x00"),
		BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
		BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"),
		BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"),
		BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_reader reader = { rows[i] };
		uint64_t value = 4711;

		assert_int_equal(wire_read_varint(&reader, &value, NULL), WARG_INVALID);
		assert_int_equal(value, 4711);
		assert_ptr_equal(reader.rest.data, rows[i].data);
		assert_int_equal(reader.rest.length, rows[i].length);
	}
}

static void test_fields(void **state)
{
	struct wire_reader reader = { BYTES("\x08\x96\x01" "\x12\x03" "abc" "\x1d\x01\x02\x03\x04"
					    "\x21\x01\x02\x03\x04\x05\x06\x07\x80" "\x2a\x00"
					    "\xf8\xff\xff\xff\x0f\x00") };
	struct wire_field field;

	(void)state;
	assert_int_equal(wire_read_field(&reader, &field, NULL), 0);
	assert_true(field.number == 1 && field.type == WIRE_VARINT && field.value == 150);
	assert_int_equal(wire_read_field(&reader, &field, NULL), 0);
	assert_true(field.number == 2 && field.type == WIRE_BYTES && span_is(field.bytes, "abc"));
	assert_int_equal(wire_read_field(&reader, &field, NULL), 0);
	assert_true(field.number == 3 && field.type == WIRE_FIXED32 && field.value == 0x04030201);
	assert_int_equal(wire_read_field(&reader, &field, NULL), 0);
	assert_true(field.number == 4 && field.type == WIRE_FIXED64 && field.value == 0x8007060504030201);
	assert_int_equal(wire_read_field(&reader, &field, NULL), 0);
	assert_true(field.number == 5 && field.type == WIRE_BYTES && field.bytes.length == 0);
	assert_int_equal(wire_read_field(&reader, &field, NULL), 0);
	assert_true(field.number == 0x1fffffff && field.type == WIRE_VARINT && field.value == 0);
	assert_int_equal(reader.rest.length, 0);
}

static void test_bad_fields(void **state)
{
	const struct span rows[] = {
		BYTES("\x00\x00"),                         /* number 0 */
		BYTES("\x80\x80\x80\x80\x10\x00"),         /* a number of 30 bits */
		BYTES("\x0b\x0c"),                         /* a group */
		BYTES("\x0c"),
		BYTES("\x0e\x00"),                         /* wire types that do not exist */
		BYTES("\x0f\x00"),
		BYTES("\x08"),                             /* cut short */
		BYTES("\x0d\x01\x02\x03"),
		BYTES("\x09\x01\x02\x03\x04\x05\x06\x07"),
		BYTES("\x0a"),
		BYTES("\x0a\x04" "abc"),
		BYTES("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" "abc"),
		BYTES("\x88\x00\x01"),                     /* a tag longer than it has to be */
		BYTES("\x0a\x83\x00" "abc"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct wire_reader reader = { rows[i] };
		struct wire_field field = { .number = 4711 };
		struct fault flt = { 0 };

		assert_int_equal(wire_read_field(&reader, &field, &flt), WARG_INVALID);
		assert_int_equal(flt.verdict, WARG_INVALID);
		assert_int_equal(field.number, 4711);
		assert_ptr_equal(reader.rest.data, rows[i].data);
		assert_int_equal(reader.rest.length, rows[i].length);
	}
}

static int write_fields(void *context, struct fault *flt)
{
	static const unsigned char long_bytes[300];
	struct buf *out = context;
	int r;

	r = wire_write_varint_field(out, 1, 0, flt);
	if (!r)
		r = wire_write_bytes_field(out, 16, (struct span){ long_bytes, sizeof(long_bytes) }, flt);
	if (!r)
		r = wire_write_bytes_field(out, 2, (struct span){ NULL, 0 }, flt);
	return r;
}

static void test_write(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	assert_int_equal(write_fields(&out, NULL), 0);
	assert_int_equal(out.length, 2 + 4 + 300 + 2);
	assert_memory_equal(out.data, "\x08\x00\x82\x01\xac\x02", 6);
	assert_memory_equal(out.data + 306, "\x12\x00", 2);
	buf_release(&out);
	/* All of a field, or nothing. */
	buf_init(&out, 10);
	assert_int_equal(write_fields(&out, NULL), WARG_UNDECIDED);
	assert_int_equal(out.length, 2);
	buf_release(&out);
}

static int write_without_memory(void *context, struct fault *flt)
{
	struct buf out;
	int r;

	(void)context;
	buf_init(&out, 1000);
	r = write_fields(&out, flt);
	assert_true(!r || out.length == 0 || out.length == 2 || out.length == 2 + 4 + 300);
	buf_release(&out);
	return r;
}

static void test_no_memory(void **state)
{
	(void)state;
	torture(write_without_memory, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_varints),
		cmocka_unit_test(test_bad_varints),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_bad_fields),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
