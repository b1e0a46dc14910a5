/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A notation of protobuf (see proto.h).
 */
#include "proto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "verify/hex.h"
#include "verify/wire.h"

static void write_items(const char **at, struct buf *out);

static void write_hex(const char **at, struct buf *out)
{
	unsigned char bytes[256];
	size_t digits = strspn(*at, "0123456789abcdef");

	assert_int_equal(hex_decode((struct span){ (const unsigned char *)*at, digits }, bytes, digits / 2, NULL), 0);
	assert_int_equal(buf_append(out, (struct span){ bytes, digits / 2 }, NULL), 0);
	*at += digits;
}

static void write_text(const char **at, uint32_t number, struct buf *out)
{
	size_t length = strcspn(*at, "'");

	assert_int_equal(wire_write_bytes_field(out, number,
						(struct span){ (const unsigned char *)*at, length }, NULL), 0);
	*at += length + 1;
}

static void write_message(const char **at, uint32_t number, struct buf *out)
{
	struct buf inner;

	buf_init(&inner, SIZE_MAX);
	write_items(at, &inner);
	assert_int_equal(**at, ')');
	++*at;
	assert_int_equal(wire_write_bytes_field(out, number, buf_span(&inner), NULL), 0);
	buf_release(&inner);
}

static void write_field(const char **at, struct buf *out)
{
	char *end;
	uint32_t number = (uint32_t)strtoul(*at, &end, 10);
	char form = *end;

	*at = end + 1;
	if (form == '(') {
		write_message(at, number, out);
	} else if (form == '\'') {
		write_text(at, number, out);
	} else if (form == '=') {
		assert_int_equal(wire_write_varint_field(out, number, strtoull(*at, &end, 10), NULL), 0);
		*at = end;
	} else {
		fail_msg("no notation of protobuf: %s", *at - 1);
	}
}

static void write_items(const char **at, struct buf *out)
{
	for (*at += strspn(*at, " "); **at && **at != ')'; *at += strspn(*at, " ")) {
		if (**at == 'x') {
			++*at;
			write_hex(at, out);
		} else {
			write_field(at, out);
		}
	}
}

struct buf proto_write(const char *notation)
{
	struct buf out;

	buf_init(&out, SIZE_MAX);
	write_items(&notation, &out);
	assert_int_equal(*notation, '\0');
	return out;
}
