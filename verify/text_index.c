/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A keyed hash table over texts (see text_index.h): open addressing, with at least half of the slots free.
 *
 * Slots are filled in the order of the places, also when the table grows. So the last place in can be taken out by
 * freeing its slot: none that came before it was looked for behind it.
 */
#include "text_index.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "digest.h"

#define SMALLEST 2 /* places: most packages have few releases */
#define FREE UINT32_MAX

void text_index_release(struct text_index *index)
{
	free(index->hashes);
	free(index->slots);
	*index = (struct text_index){ 0 };
}

int text_index_copy(const struct text_index *index, struct text_index *out, struct fault *flt)
{
	struct text_index copy = *index;

	if (index->capacity == 0)
		return 0;
	copy.hashes = malloc(index->capacity * sizeof(*copy.hashes));
	copy.slots = malloc(index->slot_count * sizeof(*copy.slots));
	if (!copy.hashes || !copy.slots) {
		text_index_release(&copy);
		return fault_no_memory(flt);
	}
	memcpy(copy.hashes, index->hashes, index->count * sizeof(*copy.hashes));
	memcpy(copy.slots, index->slots, index->slot_count * sizeof(*copy.slots));
	*out = copy;
	return 0;
}

/** The first slot in which a text with this hash may be. */
static size_t first_slot(const struct text_index *index, uint64_t hash)
{
	return hash & (index->slot_count - 1);
}

static size_t next_slot(const struct text_index *index, size_t slot)
{
	return (slot + 1) & (index->slot_count - 1);
}

static void fill_slot(struct text_index *index, uint32_t place)
{
	size_t slot = first_slot(index, index->hashes[place]);

	while (index->slots[slot] != FREE)
		slot = next_slot(index, slot);
	index->slots[slot] = place;
}

static void free_slot(struct text_index *index, uint32_t place)
{
	size_t slot = first_slot(index, index->hashes[place]);

	while (index->slots[slot] != place)
		slot = next_slot(index, slot);
	index->slots[slot] = FREE;
}

int text_index_reserve(struct text_index *index, struct fault *flt)
{
	size_t capacity = index->capacity ? 2 * index->capacity : SMALLEST, slot_count = 2 * capacity;
	uint64_t *hashes;
	uint32_t *slots;

	if (index->count < index->capacity)
		return 0;
	if (index->capacity == 0 && RAND_bytes(index->key, sizeof(index->key)) != 1)
		return fault_undecided(flt, FAULT_SYSTEM, "the system has no random numbers");
	slots = malloc(slot_count * sizeof(*slots));
	if (!slots)
		return fault_no_memory(flt);
	hashes = reallocarray(index->hashes, capacity, sizeof(*hashes));
	if (!hashes) {
		free(slots);
		return fault_no_memory(flt);
	}
	free(index->slots);
	index->hashes = hashes;
	index->capacity = capacity;
	index->slots = slots;
	index->slot_count = slot_count;
	memset(slots, 0xff, slot_count * sizeof(*slots)); /* FREE, all of them */
	for (uint32_t place = 0; place < index->count; place++)
		fill_slot(index, place);
	return 0;
}

static uint64_t hash_of(const struct text_index *index, struct span text)
{
	const struct span parts[] = { { index->key, sizeof(index->key) }, text };
	struct digest digest = digest_of_parts(parts, 2);
	uint64_t hash;

	memcpy(&hash, digest.bytes, sizeof(hash));
	return hash;
}

void text_index_add(struct text_index *index, struct text_index_texts texts)
{
	uint32_t place = (uint32_t)index->count++;

	index->hashes[place] = hash_of(index, texts.at(texts.array, place));
	fill_slot(index, place);
}

bool text_index_find(const struct text_index *index, struct text_index_texts texts, struct span text, uint32_t *place)
{
	uint64_t hash;

	if (index->count == 0)
		return false;
	hash = hash_of(index, text);
	for (size_t slot = first_slot(index, hash); index->slots[slot] != FREE; slot = next_slot(index, slot)) {
		uint32_t found = index->slots[slot];

		if (index->hashes[found] == hash && span_equals(texts.at(texts.array, found), text)) {
			*place = found;
			return true;
		}
	}
	return false;
}

void text_index_cut(struct text_index *index, size_t count)
{
	while (index->count > count)
		free_slot(index, (uint32_t)--index->count);
}
