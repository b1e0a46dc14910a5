/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The protobuf reader: it ends, stays inside the input, and accepts only what the writer would have written.
 */
#include "fuzz.h"
#include "verify/wire.h"

static void write_again(const struct wire_field *field, struct span consumed)
{
	struct buf out;
	int r = 0;

	buf_init(&out, consumed.length);
	if (field->type == WIRE_VARINT)
		r = wire_write_varint_field(&out, field->number, field->value, NULL);
	else if (field->type == WIRE_BYTES)
		r = wire_write_bytes_field(&out, field->number, field->bytes, NULL);
	else
		goto done; /* nobody here writes fixed numbers */
	fuzz_require(r == 0);
	fuzz_require(span_equals(buf_span(&out), consumed));
done:
	buf_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_reader reader = { { data, size } };

	while (reader.rest.length) {
		struct wire_field field;
		struct fault flt = { 0 };
		struct span before = reader.rest;
		int r = wire_read_field(&reader, &field, &flt);

		fuzz_require_verdict(r, &flt);
		if (r) {
			fuzz_require(reader.rest.data == before.data && reader.rest.length == before.length);
			break;
		}
		fuzz_require(reader.rest.length < before.length);
		write_again(&field, (struct span){ before.data, before.length - reader.rest.length });
	}
	return 0;
}
