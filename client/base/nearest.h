/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The word that a mistyped one was probably meant to be.
 */
#ifndef WARG_CLIENT_NEAREST_H
#define WARG_CLIENT_NEAREST_H

#include <stddef.h>

/** A search: begin with {.typed = word, .length = strlen(word)}. */
struct nearest {
	const char *typed;
	size_t length;    /* of `typed`: it need not end there */
	const char *word; /* the nearest that was offered; NULL: none is near. Borrowed */
	unsigned distance;
};

/**
 * Offer a word that could have been meant. Near is what some edits make of it, one for each three letters typed and at
 * least one: a letter more, less or other, or two neighbours swapped.
 */
void nearest_offer(struct nearest *nearest, const char *word);

#endif
