/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A keyed hash of digests, for tables. Registries choose digests, so which ones fall together must be a secret of ours.
 */
#ifndef WARG_CLIENT_DIGEST_HASH_H
#define WARG_CLIENT_DIGEST_HASH_H

#include "verify/digest.h"

struct digest_hash {
	uint64_t seeds[9];
};

/** Draw a key. */
int digest_hash_init(struct digest_hash *hash, struct fault *flt);

/** Any two digests fall together with a chance of one in 2^32, whoever chose them. */
uint32_t digest_hash_of(const struct digest_hash *hash, const struct digest *digest);

#endif
