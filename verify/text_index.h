/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Finding one of many texts by what it says: a hash table beside an array that only grows and shrinks at its end. For
 * the logs' own files.
 *
 * The hash is keyed with random bytes, so that whoever chooses the texts cannot make it slow.
 */
#ifndef WARG_VERIFY_TEXT_INDEX_H
#define WARG_VERIFY_TEXT_INDEX_H

#include "buf.h"

/** All-zero: empty. Release with text_index_release(). */
struct text_index {
	size_t count;
	struct text_index_table *table; /* NULL: few texts, that are looked through one by one */
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

/**
 * Make room for one place more, so that text_index_add() cannot fail.
 * @param texts  those that were added
 * @return 0; WARG_UNDECIDED without memory, or without random numbers for the key
 */
int text_index_reserve(struct text_index *index, struct text_index_texts texts, struct fault *flt);

/** Add the next place, which is `index->count`. Its text must be there already, and must not be in the index. */
void text_index_add(struct text_index *index, struct text_index_texts texts);

/** Find a text. @return whether it is there */
bool text_index_find(const struct text_index *index, struct text_index_texts texts, struct span text, uint32_t *place);

/** Forget all places from `count` on. */
void text_index_cut(struct text_index *index, size_t count);

#endif
