/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Mistyped words (see nearest.h).
 */
#include "nearest.h"

#include <string.h>

#define LONGEST 40 /* letters; no word of ours is longer */

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* The distance of Damerau and Levenshtein, with neighbours swapped once (optimal string alignment). */
static unsigned distance_of(const char *a, size_t a_length, const char *b, size_t b_length)
{
	unsigned row[3][LONGEST + 1];

	for (unsigned j = 0; j <= b_length; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			now[j] = least(before[j - 1] + (a[i - 1] != b[j - 1]), least(before[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], earlier[j - 2] + 1);
		}
	}
	return row[a_length % 3][b_length];
}

void nearest_offer(struct nearest *nearest, const char *word)
{
	size_t length = strlen(word);
	unsigned most = nearest->length < 6 ? 1 : (unsigned)nearest->length / 3, distance;

	if (!length || nearest->length < 2 || length > LONGEST || nearest->length > LONGEST)
		return;
	distance = distance_of(nearest->typed, nearest->length, word, length);
	if (distance > most || (nearest->word && distance >= nearest->distance))
		return;
	nearest->word = word;
	nearest->distance = distance;
}
