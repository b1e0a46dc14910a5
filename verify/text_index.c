/*
 * An order of texts (see text_index.h).
 */
#include "text_index.h"

#include <stdlib.h>
#include <string.h>

#define TAIL 256 /* so many are looked through one by one; merging moves all, so not after each */

void text_index_release(struct text_index *index)
{
	free(index->order);
	*index = (struct text_index){ 0 };
}

int text_index_copy(const struct text_index *index, struct text_index *out, struct fault *flt)
{
	struct text_index copy = { .count = index->count, .sorted = index->sorted, .capacity = index->count };

	if (index->count) {
		copy.order = malloc(index->count * sizeof(*copy.order));
		if (!copy.order)
			return fault_no_memory(flt);
		memcpy(copy.order, index->order, index->count * sizeof(*copy.order));
	}
	*out = copy;
	return 0;
}

int text_index_reserve(struct text_index *index, struct fault *flt)
{
	size_t capacity = index->capacity ? 2 * index->capacity : 16;
	uint32_t *order;

	if (index->count < index->capacity)
		return 0;
	order = reallocarray(index->order, capacity, sizeof(*order));
	if (!order)
		return fault_no_memory(flt);
	index->order = order;
	index->capacity = capacity;
	return 0;
}

static int compare(struct span a, struct span b)
{
	size_t common = a.length < b.length ? a.length : b.length;
	int order = common ? memcmp(a.data, b.data, common) : 0;

	return order ? order : (a.length > b.length) - (a.length < b.length);
}

/** Sort the tail by insertion, then merge it in from the end, in place. */
static void merge(struct text_index *index, struct text_index_texts texts)
{
	uint32_t tail[TAIL];
	size_t left = index->sorted, count = index->count - index->sorted;

	for (size_t i = 0; i < count; i++) {
		uint32_t place = index->order[index->sorted + i];
		struct span text = texts.at(texts.array, place);
		size_t at = i;

		for (; at > 0 && compare(texts.at(texts.array, tail[at - 1]), text) > 0; at--)
			tail[at] = tail[at - 1];
		tail[at] = place;
	}
	for (size_t at = index->count; count > 0; at--) {
		if (left > 0 && compare(texts.at(texts.array, index->order[left - 1]),
					texts.at(texts.array, tail[count - 1])) > 0)
			index->order[at - 1] = index->order[--left];
		else
			index->order[at - 1] = tail[--count];
	}
	index->sorted = index->count;
}

void text_index_add(struct text_index *index, struct text_index_texts texts)
{
	index->order[index->count] = (uint32_t)index->count;
	index->count++;
	if (index->count - index->sorted == TAIL)
		merge(index, texts);
}

bool text_index_find(const struct text_index *index, struct text_index_texts texts, struct span text, uint32_t *place)
{
	size_t low = 0, high = index->sorted;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare(texts.at(texts.array, index->order[middle]), text);

		if (order == 0) {
			*place = index->order[middle];
			return true;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (size_t i = index->sorted; i < index->count; i++) {
		if (span_equals(texts.at(texts.array, index->order[i]), text)) {
			*place = index->order[i];
			return true;
		}
	}
	return false;
}

void text_index_cut(struct text_index *index, size_t count)
{
	size_t kept = 0, sorted = 0;

	for (size_t i = 0; i < index->count; i++) {
		if (i == index->sorted)
			sorted = kept;
		if (index->order[i] < count)
			index->order[kept++] = index->order[i];
	}
	index->sorted = index->sorted == index->count ? kept : sorted;
	index->count = kept;
}
