/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The protobuf wire format: a strict reader over borrowed bytes, and a writer.
 *
 * Strict means: varints in their shortest form, no groups, no field number 0, no length past the end. The reader knows
 * no schema: whoever reads a message refuses unknown fields, and singular fields that come twice.
 * Source: protobuf encoding specification, proto3; protocol.md section 4.
 */
#ifndef WARG_VERIFY_WIRE_H
#define WARG_VERIFY_WIRE_H

#include "buf.h"

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5,
};

struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;    /* of WIRE_VARINT, WIRE_FIXED64 and WIRE_FIXED32 */
	struct span bytes; /* of WIRE_BYTES; borrowed from what is read */
};

struct wire_reader {
	struct span rest; /* what was not read yet */
};

/** Read one field. Must not be called at the end. @return 0; WARG_INVALID for bytes that are no field */
int wire_read_field(struct wire_reader *reader, struct wire_field *out, struct fault *flt);

/**
 * Read one varint, for packed repeated fields.
 * @return 0; WARG_INVALID if cut short, longer than it has to be, or over 64 bits
 */
int wire_read_varint(struct wire_reader *reader, uint64_t *out, struct fault *flt);

/** The longest varint. */
#define WIRE_VARINT_SIZE 10

/** Write a varint to `out`; this is also leb(n) of protocol.md. @return how many bytes it took */
size_t wire_format_varint(uint64_t value, unsigned char out[static WIRE_VARINT_SIZE]);

/** Append a varint without a tag. */
int wire_write_varint(struct buf *out, uint64_t value, struct fault *flt);

/** Append a varint field, tag included, even when it is 0. */
int wire_write_varint_field(struct buf *out, uint32_t number, uint64_t value, struct fault *flt);

/** Append a length-delimited field, tag included, even when it is empty. */
int wire_write_bytes_field(struct buf *out, uint32_t number, struct span bytes, struct fault *flt);

#endif
