/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Content bytes of records. The first byte of an input chooses the kind.
 *
 * Borrowed spans are inside the input. An accepted record, encoded as the reference does and decoded again, is the same
 * record. The loose reader finds the contents that it releases.
 */
#include "fuzz.h"
#include "verify/caps.h"
#include "verify/record.h"

static void require_inside(struct span part, struct span whole)
{
	fuzz_require(part.length == 0 || (part.data >= whole.data && part.length <= whole.length &&
					  (size_t)(part.data - whole.data) <= whole.length - part.length));
}

static void require_same(const struct record_entry *a, const struct record_entry *b)
{
	fuzz_require(a->type == b->type && a->permissions == b->permissions);
	fuzz_require(span_equals(a->key, b->key) && digest_equals(&a->key_id, &b->key_id));
	fuzz_require(span_equals(a->version, b->version) && digest_equals(&a->content, &b->content));
	fuzz_require(span_equals(a->namespace, b->namespace) && span_equals(a->registry, b->registry));
}

static void write_and_read(const struct record *record)
{
	struct record again;
	struct buf content;

	buf_init(&content, SIZE_MAX);
	fuzz_require(record_encode(record, &content, NULL) == 0);
	fuzz_require(record_decode(record->kind, buf_span(&content), &again, NULL) == 0);
	fuzz_require(again.has_prev == record->has_prev && digest_equals(&again.prev, &record->prev));
	fuzz_require(again.version == record->version);
	fuzz_require(record_time_compare(again.time, record->time) == 0);
	fuzz_require(again.entry_count == record->entry_count);
	for (size_t i = 0; i < record->entry_count; i++)
		require_same(&again.entries[i], &record->entries[i]);
	record_release(&again);
	buf_release(&content);
}

/* Compares the contents that the loose reader finds with those of a decoded record. */
struct releases {
	const struct record *record; /* NULL: the record was refused */
	size_t next;
};

static int take_content(void *user, const struct digest *digest, struct fault *flt)
{
	struct releases *releases = user;
	const struct record *record = releases->record;

	(void)flt;
	if (!record)
		return 0;
	while (releases->next < record->entry_count && record->entries[releases->next].type != ENTRY_RELEASE)
		releases->next++;
	fuzz_require(releases->next < record->entry_count);
	fuzz_require(digest_equals(digest, &record->entries[releases->next++].content));
	return 0;
}

static void walk_contents(struct span content, const struct record *record)
{
	struct releases releases = { record, 0 };

	fuzz_require(record_walk_contents(content, take_content, &releases, NULL) == 0);
	for (size_t i = releases.next; record && i < record->entry_count; i++)
		fuzz_require(record->entries[i].type != ENTRY_RELEASE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault flt = { 0 };
	struct record record;
	struct span content;
	enum record_kind kind;
	int r;

	if (size == 0)
		return 0;
	kind = data[0] & 1 ? RECORD_OPERATOR : RECORD_PACKAGE;
	content = (struct span){ data + 1, size - 1 };
	r = record_decode(kind, content, &record, &flt);
	fuzz_require_verdict(r, &flt);
	if (kind == RECORD_PACKAGE)
		walk_contents(content, r ? NULL : &record);
	if (r)
		return 0;
	fuzz_require(record.entry_count <= CAP_RECORD_ENTRIES);
	for (size_t i = 0; i < record.entry_count; i++) {
		require_inside(record.entries[i].key, content);
		require_inside(record.entries[i].version, content);
		require_inside(record.entries[i].namespace, content);
		require_inside(record.entries[i].registry, content);
	}
	write_and_read(&record);
	record_release(&record);
	return 0;
}
