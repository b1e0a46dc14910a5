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

#define FEW 8 /* texts without a table: most packages have few releases */
#define FREE UINT32_MAX

/** The hash table of more than a few texts. */
struct text_index_table {
	uint64_t *hashes; /* of the texts, by place */
	size_t capacity;
	uint32_t *slots; /* places, each where its hash has it or in the next free slot behind that; some are free */
	size_t slot_count;     /* a power of two, at least twice the capacity */
	unsigned char key[16]; /* of the hash */
};

static void table_free(struct text_index_table *table)
{
	if (!table)
		return;
	free(table->hashes);
	free(table->slots);
	free(table);
}

void text_index_release(struct text_index *index)
{
	table_free(index->table);
	*index = (struct text_index){ 0 };
}

static struct text_index_table *table_new(size_t capacity)
{
	struct text_index_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->capacity = capacity;
	table->slot_count = 2 * capacity;
	table->hashes = malloc(table->capacity * sizeof(*table->hashes));
	table->slots = malloc(table->slot_count * sizeof(*table->slots));
	if (!table->hashes || !table->slots) {
		table_free(table);
		return NULL;
	}
	memset(table->slots, 0xff, table->slot_count * sizeof(*table->slots)); /* FREE, all of them */
	return table;
}

int text_index_copy(const struct text_index *index, struct text_index *out, struct fault *flt)
{
	const struct text_index_table *table = index->table;
	struct text_index_table *copy = NULL;

	if (table) {
		copy = table_new(table->capacity);
		if (!copy)
			return fault_no_memory(flt);
		memcpy(copy->hashes, table->hashes, index->count * sizeof(*copy->hashes));
		memcpy(copy->slots, table->slots, table->slot_count * sizeof(*copy->slots));
		memcpy(copy->key, table->key, sizeof(copy->key));
	}
	*out = (struct text_index){ index->count, copy };
	return 0;
}

/** The first slot in which a text with this hash may be. */
static size_t first_slot(const struct text_index_table *table, uint64_t hash)
{
	return hash & (table->slot_count - 1);
}

static size_t next_slot(const struct text_index_table *table, size_t slot)
{
	return (slot + 1) & (table->slot_count - 1);
}

static void fill_slot(struct text_index_table *table, uint32_t place)
{
	size_t slot = first_slot(table, table->hashes[place]);

	while (table->slots[slot] != FREE)
		slot = next_slot(table, slot);
	table->slots[slot] = place;
}

static void free_slot(struct text_index_table *table, uint32_t place)
{
	size_t slot = first_slot(table, table->hashes[place]);

	while (table->slots[slot] != place)
		slot = next_slot(table, slot);
	table->slots[slot] = FREE;
}

static uint64_t hash_of(const struct text_index_table *table, struct span text)
{
	const struct span parts[] = { { table->key, sizeof(table->key) }, text };
	struct digest digest = digest_of_parts(parts, 2);
	uint64_t hash;

	memcpy(&hash, digest.bytes, sizeof(hash));
	return hash;
}

/* Fill a new table with the texts, by the hashes of the one before if there is one. */
static int fill(struct text_index_table *table, const struct text_index *index, struct text_index_texts texts,
		struct fault *flt)
{
	const struct text_index_table *before = index->table;

	if (before)
		memcpy(table->key, before->key, sizeof(table->key));
	else if (RAND_bytes(table->key, sizeof(table->key)) != 1)
		return fault_undecided(flt, FAULT_SYSTEM, "the system has no random numbers");
	for (uint32_t place = 0; place < index->count; place++) {
		table->hashes[place] = before ? before->hashes[place] : hash_of(table, texts.at(texts.array, place));
		fill_slot(table, place);
	}
	return 0;
}

int text_index_reserve(struct text_index *index, struct text_index_texts texts, struct fault *flt)
{
	struct text_index_table *table;
	int r;

	if (index->count < (index->table ? index->table->capacity : FEW))
		return 0;
	table = table_new(2 * index->count);
	if (!table)
		return fault_no_memory(flt);
	r = fill(table, index, texts, flt);
	if (r) {
		table_free(table);
		return r;
	}
	table_free(index->table);
	index->table = table;
	return 0;
}

void text_index_add(struct text_index *index, struct text_index_texts texts)
{
	uint32_t place = (uint32_t)index->count++;

	if (!index->table)
		return;
	index->table->hashes[place] = hash_of(index->table, texts.at(texts.array, place));
	fill_slot(index->table, place);
}

static bool look_through(const struct text_index *index, struct text_index_texts texts, struct span text,
			 uint32_t *place)
{
	for (uint32_t i = 0; i < index->count; i++) {
		if (span_equals(texts.at(texts.array, i), text)) {
			*place = i;
			return true;
		}
	}
	return false;
}

bool text_index_find(const struct text_index *index, struct text_index_texts texts, struct span text, uint32_t *place)
{
	const struct text_index_table *table = index->table;
	uint64_t hash;

	if (!table)
		return look_through(index, texts, text, place);
	hash = hash_of(table, text);
	for (size_t slot = first_slot(table, hash); table->slots[slot] != FREE; slot = next_slot(table, slot)) {
		uint32_t found = table->slots[slot];

		if (table->hashes[found] == hash && span_equals(texts.at(texts.array, found), text)) {
			*place = found;
			return true;
		}
	}
	return false;
}

void text_index_cut(struct text_index *index, size_t count)
{
	while (index->count > count) {
		index->count--;
		if (index->table)
			free_slot(index->table, (uint32_t)index->count);
	}
}
