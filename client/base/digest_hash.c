/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Multilinear hashing (see digest_hash.h): the upper half of a sum of products with random factors, modulo 2^64.
 * Strongly universal: Lemire and Kaser, "Strongly universal string hashing is fast", 2014.
 */
#include "digest_hash.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

int digest_hash_init(struct digest_hash *hash, struct fault *flt)
{
	/* Reads of up to 256 bytes come whole once the pool is there. */
	if (getrandom(hash->seeds, sizeof(hash->seeds), 0) != (ssize_t)sizeof(hash->seeds))
		return fault_system(flt, errno, "taking random numbers");
	return 0;
}

uint32_t digest_hash_of(const struct digest_hash *hash, const struct digest *digest)
{
	uint64_t sum = hash->seeds[8];
	uint32_t word;

	for (size_t i = 0; i < 8; i++) {
		memcpy(&word, digest->bytes + i * sizeof(word), sizeof(word));
		sum += hash->seeds[i] * word;
	}
	return (uint32_t)(sum >> 32);
}
