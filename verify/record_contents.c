/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The contents that a record releases, read as loosely as protobuf allows (see record.h).
 *
 * A registry may publish records that record_decode() refuses: with unknown or repeated fields, or numbers in more
 * bytes than needed. The result only decides which contents belong to a record: one too many does no harm, one missing
 * does.
 */
#include "record_form.h"

struct loose_field {
	uint64_t number;
	unsigned type;
	struct span bytes; /* of WIRE_BYTES */
};

enum { LOOSE_VARINT, LOOSE_FIXED64, LOOSE_BYTES, LOOSE_GROUP, LOOSE_GROUP_END, LOOSE_FIXED32 };

static bool skip_bytes(struct span *rest, uint64_t count)
{
	if (count > rest->length)
		return false;
	rest->data += count;
	rest->length -= (size_t)count;
	return true;
}

static bool read_varint(struct span *rest, uint64_t *out)
{
	*out = 0;
	for (unsigned i = 0; i < 10 && rest->length; i++) {
		unsigned char byte = *rest->data;

		skip_bytes(rest, 1);
		*out |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* Fields inside a group are returned as if they stood outside. @return false at the end, or if malformed */
static bool read_field(struct span *rest, struct loose_field *out)
{
	uint64_t tag, length;

	if (!read_varint(rest, &tag))
		return false;
	*out = (struct loose_field){.number = tag >> 3, .type = tag & 7};
	switch (out->type) {
	case LOOSE_VARINT:
		return read_varint(rest, &length);
	case LOOSE_FIXED64:
		return skip_bytes(rest, 8);
	case LOOSE_FIXED32:
		return skip_bytes(rest, 4);
	case LOOSE_BYTES:
		if (!read_varint(rest, &length))
			return false;
		out->bytes.data = rest->data;
		out->bytes.length = (size_t)length;
		return skip_bytes(rest, length);
	default:
		return out->type == LOOSE_GROUP || out->type == LOOSE_GROUP_END;
	}
}

/* Find the next field with this number that holds bytes. */
static bool find_field(struct span *rest, uint64_t number, struct span *out)
{
	struct loose_field field;

	while (read_field(rest, &field)) {
		if (field.number != number || field.type != LOOSE_BYTES)
			continue;
		*out = field.bytes;
		return true;
	}
	return false;
}

int record_walk_contents(struct span content, int (*take)(void *user, const struct digest *digest, struct fault *flt),
			 void *user, struct fault *flt)
{
	enum { ENTRY_FIELD_RELEASE = 4, RELEASE_FIELD_CONTENT = 2 };
	struct span entry, release, text;
	struct digest digest;
	int r = 0;

	while (!r && find_field(&content, RECORD_ENTRIES, &entry))
		while (!r && find_field(&entry, ENTRY_FIELD_RELEASE, &release))
			while (!r && find_field(&release, RELEASE_FIELD_CONTENT, &text))
				if (!digest_parse(text, &digest, NULL))
					r = take(user, &digest, flt);
	return r;
}
