/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Chance that can be had again: the same numbers for the same seed (splitmix64, public domain).
 */
#ifndef WARG_TESTS_MUTATION_CHANCE_H
#define WARG_TESTS_MUTATION_CHANCE_H

#include <stddef.h>
#include <stdint.h>

struct chance {
	uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
	uint64_t z = chance->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/** A number below `end`; 0 when that is 0. */
static inline size_t chance_below(struct chance *chance, size_t end)
{
	return end ? (size_t)(chance_next(chance) % end) : 0;
}

#endif
