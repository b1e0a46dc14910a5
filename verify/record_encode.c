/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records, written as the reference does: fields in the order of their numbers, defaults left out, permissions packed.
 * Source: protocol.md section 4.
 */
#include "caps.h"
#include "record_form.h"
#include "wire.h"

/** Room for the two varints of a time and their tags. */
#define CAP_TIME 32

static int write_digest(struct buf *out, uint32_t number, const struct digest *digest, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	return wire_write_bytes_field(out, number, span_of_text(text), flt);
}

static int write_permissions(struct buf *out, uint32_t number, enum record_kind kind, unsigned permissions,
			     struct fault *flt)
{
	unsigned char packed[8];
	size_t count = 0;

	for (unsigned char each = 1; record_permission_bit(kind, each); each++)
		if (permissions & record_permission_bit(kind, each))
			packed[count++] = each; /* below 128, so its own varint */
	if (count == 0)
		return 0;
	return wire_write_bytes_field(out, number, (struct span){ packed, count }, flt);
}

static int write_meaning(struct buf *out, uint32_t number, enum record_meaning meaning, enum record_kind kind,
			 const struct record_entry *entry, struct fault *flt)
{
	switch (meaning) {
	case MEANS_KEY:
		return wire_write_bytes_field(out, number, entry->key, flt);
	case MEANS_HASH_ALGORITHM:
		return wire_write_bytes_field(out, number, span_of_text("sha256"), flt);
	case MEANS_PERMISSIONS:
		return write_permissions(out, number, kind, entry->permissions, flt);
	case MEANS_KEY_ID:
		return write_digest(out, number, &entry->key_id, flt);
	case MEANS_VERSION:
		return wire_write_bytes_field(out, number, entry->version, flt);
	case MEANS_CONTENT:
		return write_digest(out, number, &entry->content, flt);
	case MEANS_NAMESPACE:
		return wire_write_bytes_field(out, number, entry->namespace, flt);
	case MEANS_REGISTRY:
		return wire_write_bytes_field(out, number, entry->registry, flt);
	default:
		return 0;
	}
}

/** The number in the oneof of entries of this type; 0 if this kind of record has none. */
static uint32_t number_of(enum record_kind kind, enum record_entry_type type)
{
	for (uint32_t number = 1; number <= RECORD_ENTRY_FORMS; number++)
		if (record_forms[kind][number - 1].type == type)
			return number;
	return 0;
}

static int write_entry(struct buf *out, enum record_kind kind, const struct record_entry *entry, struct fault *flt)
{
	uint32_t number = number_of(kind, entry->type);
	struct buf form, message;
	int ret = 0;

	if (number == 0)
		return fault_undecided(flt, FAULT_MISUSE, "a record of this kind has no such entry");
	buf_init(&form, CAP_RECORD);
	buf_init(&message, CAP_RECORD);
	for (uint32_t i = 0; i < RECORD_ENTRY_FIELDS && !ret; i++)
		ret = write_meaning(&form, i + 1, record_forms[kind][number - 1].fields[i], kind, entry, flt);
	if (!ret)
		ret = wire_write_bytes_field(&message, number, buf_span(&form), flt);
	if (!ret)
		ret = wire_write_bytes_field(out, RECORD_ENTRIES, buf_span(&message), flt);
	buf_release(&form);
	buf_release(&message);
	return ret;
}

static int write_time(struct buf *out, struct record_time time, struct fault *flt)
{
	struct buf message;
	int ret = 0;

	buf_init(&message, CAP_TIME);
	if (time.seconds != 0)
		ret = wire_write_varint_field(&message, TIME_SECONDS, (uint64_t)time.seconds, flt);
	if (!ret && time.nanos != 0)
		ret = wire_write_varint_field(&message, TIME_NANOS, (uint64_t)time.nanos, flt);
	if (!ret)
		ret = wire_write_bytes_field(out, RECORD_TIME, buf_span(&message), flt);
	buf_release(&message);
	return ret;
}

int record_encode(const struct record *record, struct buf *out, struct fault *flt)
{
	size_t start = out->length;
	int ret = 0;

	if (record->has_prev)
		ret = write_digest(out, RECORD_PREV, &record->prev, flt);
	if (!ret && record->version != 0)
		ret = wire_write_varint_field(out, RECORD_VERSION, record->version, flt);
	if (!ret)
		ret = write_time(out, record->time, flt);
	for (size_t i = 0; i < record->entry_count && !ret; i++)
		ret = write_entry(out, record->kind, &record->entries[i], flt);
	if (ret)
		out->length = start;
	return ret;
}
