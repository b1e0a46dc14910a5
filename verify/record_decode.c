/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The content bytes of records, read: form only, strictly.
 *
 * Fields may come in any order, as protobuf has it, but no unknown ones, none twice, and of a oneof only one.
 * Source: protocol.md section 4; interop.md section B 11.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "caps.h"
#include "name.h"
#include "record_form.h"
#include "semver.h"
#include "wire.h"

/** A message while it is read. */
struct message {
	const char *name; /* for faults */
	struct wire_reader reader;
	uint32_t seen; /* a bit for each field that came and must not come again */
};

static bool has(const struct message *message, uint32_t number)
{
	return message->seen & 1u << number;
}

/** Read a field whose number is at most `last`, and that must not have come before, unless it is `repeated`. */
static int next(struct message *message, uint32_t last, uint32_t repeated, struct wire_field *out, struct fault *flt)
{
	int ret;

	ret = wire_read_field(&message->reader, out, flt);
	if (ret)
		return ret;
	if (out->number > last)
		return fault_invalid(flt, "%s has an unknown field %" PRIu32, message->name, out->number);
	if (has(message, out->number) && out->number != repeated)
		return fault_invalid(flt, "%s has field %" PRIu32 " twice", message->name, out->number);
	message->seen |= 1u << out->number;
	return 0;
}

static int check_type(const struct wire_field *field, enum wire_type type, const char *name, struct fault *flt)
{
	if (field->type != type)
		return fault_invalid(flt, "the %s has the wrong wire type", name);
	return 0;
}

static int read_text(struct span text, const char *name, struct span *out, struct fault *flt)
{
	if (text.length == 0)
		return fault_invalid(flt, "the %s is empty", name);
	*out = text;
	return 0;
}

static int read_version(struct span text, struct record_entry *entry, struct fault *flt)
{
	struct semver version;
	int ret;

	ret = semver_parse(text, &version, flt);
	if (ret)
		return ret;
	entry->version = text;
	return 0;
}

static int read_namespace(struct span text, struct record_entry *entry, struct fault *flt)
{
	if (!name_is_part(text))
		return fault_invalid(flt, "the namespace is not lowercase kebab-case");
	entry->namespace = text;
	return 0;
}

static int read_registry(struct span text, struct record_entry *entry, struct fault *flt)
{
	if (text.length > CAP_URL)
		return fault_invalid(flt, "the registry has %zu bytes, more than any URL", text.length);
	for (size_t i = 0; i < text.length; i++)
		if (text.data[i] <= ' ' || text.data[i] > '~')
			return fault_invalid(flt, "the registry is not printable ASCII");
	return read_text(text, "registry", &entry->registry, flt);
}

static int add_permission(enum record_kind kind, uint64_t number, struct record_entry *entry, struct fault *flt)
{
	unsigned bit = record_permission_bit(kind, number);

	if (!bit)
		return fault_invalid(flt, "there is no permission %" PRIu64, number);
	/* The second time it is not there any more. */
	if (entry->type == ENTRY_REVOKE_FLAT && entry->permissions & bit)
		return fault_invalid(flt, "permission %" PRIu64 " is revoked twice", number);
	entry->permissions |= bit;
	return 0;
}

/** Packed or not: proto3 has a reader take both. */
static int read_permissions(enum record_kind kind, const struct wire_field *field, struct record_entry *entry,
			    struct fault *flt)
{
	struct wire_reader reader = { field->bytes };
	uint64_t number;
	int ret;

	if (field->type == WIRE_VARINT)
		return add_permission(kind, field->value, entry, flt);
	ret = check_type(field, WIRE_BYTES, "permissions", flt);
	while (!ret && reader.rest.length > 0) {
		ret = wire_read_varint(&reader, &number, flt);
		if (!ret)
			ret = add_permission(kind, number, entry, flt);
	}
	return ret;
}

static int read_meaning(enum record_meaning meaning, struct span text, struct record_entry *entry, struct fault *flt)
{
	switch (meaning) {
	case MEANS_KEY:
		return read_text(text, "key", &entry->key, flt);
	case MEANS_HASH_ALGORITHM:
		if (!span_is(text, "sha256"))
			return fault_invalid(flt, "the hash algorithm is not sha256");
		return 0;
	case MEANS_KEY_ID:
		return digest_parse(text, &entry->key_id, flt);
	case MEANS_VERSION:
		return read_version(text, entry, flt);
	case MEANS_CONTENT:
		return digest_parse(text, &entry->content, flt);
	case MEANS_NAMESPACE:
		return read_namespace(text, entry, flt);
	case MEANS_REGISTRY:
		return read_registry(text, entry, flt);
	default:
		return 0;
	}
}

/** Read the message of an entry's oneof. */
static int read_form(enum record_kind kind, const struct record_form *form, struct span bytes,
		     struct record_entry *entry, struct fault *flt)
{
	uint32_t last = form->fields[1] == MEANS_NOTHING ? 1 : 2;
	uint32_t repeated = form->fields[1] == MEANS_PERMISSIONS ? 2 : 0;
	struct message message = { form->name, { bytes }, 0 };
	struct wire_field field;
	int ret = 0;

	entry->type = form->type;
	while (!ret && message.reader.rest.length > 0) {
		ret = next(&message, last, repeated, &field, flt);
		if (ret)
			return ret;
		enum record_meaning meaning = form->fields[field.number - 1];

		if (meaning == MEANS_PERMISSIONS) {
			ret = read_permissions(kind, &field, entry, flt);
			continue;
		}
		ret = check_type(&field, WIRE_BYTES, record_meaning_name(meaning), flt);
		if (!ret)
			ret = read_meaning(meaning, field.bytes, entry, flt);
		if (ret)
			fault_at(flt, "%s", record_meaning_name(meaning));
	}
	for (uint32_t number = 1; !ret && number <= last; number++)
		if (!has(&message, number) && number != repeated)
			ret = fault_invalid(flt, "it has no %s", record_meaning_name(form->fields[number - 1]));
	if (ret)
		fault_at(flt, "%s", form->name);
	return ret;
}

static int read_entry(enum record_kind kind, struct span bytes, struct record_entry *out, struct fault *flt)
{
	struct message message = { "an entry", { bytes }, 0 };
	struct record_entry entry = { 0 };
	struct wire_field field;
	int ret;

	if (bytes.length == 0)
		return fault_invalid(flt, "the entry is empty");
	ret = next(&message, RECORD_ENTRY_FORMS, 0, &field, flt);
	if (!ret)
		ret = check_type(&field, WIRE_BYTES, "entry", flt);
	if (!ret && message.reader.rest.length > 0)
		ret = fault_invalid(flt, "the entry holds more than one thing");
	if (!ret)
		ret = read_form(kind, &record_forms[kind][field.number - 1], field.bytes, &entry, flt);
	if (ret)
		return ret;
	*out = entry;
	return 0;
}

static int read_time(struct span bytes, struct record_time *out, struct fault *flt)
{
	struct message message = { "the time", { bytes }, 0 };
	struct record_time time = { 0 };
	struct wire_field field;
	int ret;

	while (message.reader.rest.length > 0) {
		ret = next(&message, TIME_NANOS, 0, &field, flt);
		if (!ret)
			ret = check_type(&field, WIRE_VARINT, "time", flt);
		if (ret)
			return ret;
		/* Negative numbers are large ones here, so both ends are looked at. */
		if (field.number == TIME_SECONDS) {
			if (field.value > CAP_SECONDS)
				return fault_invalid(flt, "the time is not between 1970 and 9999");
			time.seconds = (int64_t)field.value;
		} else {
			if (field.value > 999999999)
				return fault_invalid(flt, "the time has more than 999,999,999 nanoseconds");
			time.nanos = (int32_t)field.value;
		}
	}
	*out = time;
	return 0;
}

/** Read the frame's fields other than entries. */
static int read_frame_field(const struct wire_field *field, struct record *record, struct fault *flt)
{
	int ret;

	switch (field->number) {
	case RECORD_PREV:
		ret = check_type(field, WIRE_BYTES, "prev", flt);
		if (!ret)
			ret = digest_parse(field->bytes, &record->prev, flt);
		if (ret)
			fault_at(flt, "prev");
		record->has_prev = true;
		return ret;
	case RECORD_VERSION:
		ret = check_type(field, WIRE_VARINT, "version", flt);
		if (!ret && field->value > UINT32_MAX)
			ret = fault_invalid(flt, "the version does not fit 32 bits");
		record->version = (uint32_t)field->value;
		return ret;
	default:
		ret = check_type(field, WIRE_BYTES, "time", flt);
		return ret ? ret : read_time(field->bytes, &record->time, flt);
	}
}

/** Read the frame, and count the entries. */
static int read_frame(struct span content, struct record *record, struct fault *flt)
{
	struct message message = { "the record", { content }, 0 };
	struct wire_field field;
	int ret;

	while (message.reader.rest.length > 0) {
		ret = next(&message, RECORD_ENTRIES, RECORD_ENTRIES, &field, flt);
		if (ret)
			return ret;
		if (field.number != RECORD_ENTRIES) {
			ret = read_frame_field(&field, record, flt);
		} else {
			ret = check_type(&field, WIRE_BYTES, "entry", flt);
			record->entry_count++;
		}
		if (ret)
			return ret;
	}
	if (!has(&message, RECORD_TIME))
		return fault_invalid(flt, "the record has no time");
	return 0;
}

/** Read the entries, which were counted before. */
static int read_entries(struct span content, struct record *record, struct fault *flt)
{
	struct wire_reader reader = { content };
	struct wire_field field;
	int ret;

	if (record->entry_count == 0)
		return 0;
	if (record->entry_count > CAP_RECORD_ENTRIES)
		return fault_undecided(flt, FAULT_LIMIT, "the record has %zu entries, more than %d",
				       record->entry_count, CAP_RECORD_ENTRIES);
	record->entries = calloc(record->entry_count, sizeof(*record->entries));
	if (!record->entries)
		return fault_no_memory(flt);
	for (size_t i = 0; reader.rest.length > 0;) {
		ret = wire_read_field(&reader, &field, flt);
		if (ret)
			return ret;
		if (field.number != RECORD_ENTRIES)
			continue;
		ret = read_entry(record->kind, field.bytes, &record->entries[i], flt);
		if (ret) {
			fault_at(flt, "entry %zu", i);
			return ret;
		}
		i++;
	}
	return 0;
}

int record_decode(enum record_kind kind, struct span content, struct record *out, struct fault *flt)
{
	struct record record = { .kind = kind };
	int ret;

	if (content.length > CAP_RECORD)
		return fault_undecided(flt, FAULT_LIMIT, "the record has %zu bytes, more than %u", content.length,
				       CAP_RECORD);
	ret = read_frame(content, &record, flt);
	if (!ret)
		ret = read_entries(content, &record, flt);
	if (ret) {
		record_release(&record);
		return ret;
	}
	record.id = record_id(kind, content);
	*out = record;
	return 0;
}
