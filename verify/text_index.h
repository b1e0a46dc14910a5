/*
 * Finding one of many texts by what it says: an order kept beside an array that only grows at its end. For the logs' own
 * files.
 *
 * The order is sorted but for a short tail, which is merged in when it grows long. So nobody who chooses the texts can
 * make it slow, as they could a hash, and a copy is one memcpy.
 */
#ifndef WARG_VERIFY_TEXT_INDEX_H
#define WARG_VERIFY_TEXT_INDEX_H

#include "buf.h"

/** All-zero: empty. Release with text_index_release(). */
struct text_index {
	uint32_t *order; /* places in the array */
	size_t count;
	size_t sorted; /* how many of them, from the first, are in the order of their texts */
	size_t capacity;
};

/** The array: how to get at the text of a place. */
struct text_index_texts {
	const void *array;
	struct span (*at)(const void *array, uint32_t place);
};

/** Give the memory back; empty afterwards. */
void text_index_release(struct text_index *index);

/** Copy into an empty `out`. */
int text_index_copy(const struct text_index *index, struct text_index *out, struct fault *flt);

/** Make room for one place more, so that text_index_add() cannot fail. */
int text_index_reserve(struct text_index *index, struct fault *flt);

/** Add the next place, which is `index->count`. Its text must be there already, and must not be in the index. */
void text_index_add(struct text_index *index, struct text_index_texts texts);

/** Find a text. @return whether it is there */
bool text_index_find(const struct text_index *index, struct text_index_texts texts, struct span text, uint32_t *place);

/** Forget all places from `count` on. */
void text_index_cut(struct text_index *index, size_t count);

#endif
