/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * SHA-256: digest.h.
 */

/*
 * OpenSSL 3 calls SHA256_Init() and its kin deprecated, and would have EVP in their place. That allocates, can fail,
 * and costs more than the hash of a Merkle node. These run the same code (with the SHA extensions), and cannot fail.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "digest.h"

#include <openssl/sha.h>
#include <string.h>

#include "hex.h"

#define DIGEST_PREFIX "sha256:"
#define DIGEST_PREFIX_LENGTH (sizeof(DIGEST_PREFIX) - 1)

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct digest_stream *)0)->state), "digest_stream has room for it");
_Static_assert(_Alignof(SHA256_CTX) <= _Alignof(struct digest_stream), "and lies well");

static SHA256_CTX *state_of(struct digest_stream *stream)
{
	return (void *)stream->state;
}

void digest_stream_init(struct digest_stream *stream)
{
	SHA256_Init(state_of(stream));
}

void digest_stream_update(struct digest_stream *stream, struct span bytes)
{
	if (bytes.length)
		SHA256_Update(state_of(stream), bytes.data, bytes.length);
}

struct digest digest_stream_final(struct digest_stream *stream)
{
	struct digest digest;

	SHA256_Final(digest.bytes, state_of(stream));
	return digest;
}

struct digest digest_of_parts(const struct span *parts, size_t count)
{
	struct digest_stream stream;

	digest_stream_init(&stream);
	for (size_t i = 0; i < count; i++)
		digest_stream_update(&stream, parts[i]);
	return digest_stream_final(&stream);
}

struct digest digest_of(struct span bytes)
{
	return digest_of_parts(&bytes, 1);
}

int digest_parse(struct span text, struct digest *out, struct fault *flt)
{
	struct span digits;

	if (text.length < DIGEST_PREFIX_LENGTH || memcmp(text.data, DIGEST_PREFIX, DIGEST_PREFIX_LENGTH) != 0)
		return fault_invalid(flt, "a hash does not begin with " DIGEST_PREFIX);
	digits = (struct span){ text.data + DIGEST_PREFIX_LENGTH, text.length - DIGEST_PREFIX_LENGTH };
	return hex_decode(digits, out->bytes, DIGEST_SIZE, flt);
}

void digest_format(const struct digest *digest, char out[static DIGEST_TEXT_SIZE])
{
	memcpy(out, DIGEST_PREFIX, DIGEST_PREFIX_LENGTH);
	hex_encode(digest_span(digest), out + DIGEST_PREFIX_LENGTH);
}

struct span digest_span(const struct digest *digest)
{
	return (struct span){ digest->bytes, DIGEST_SIZE };
}

bool digest_equals(const struct digest *a, const struct digest *b)
{
	return digest_compare(a, b) == 0;
}

int digest_compare(const struct digest *a, const struct digest *b)
{
	return memcmp(a->bytes, b->bytes, DIGEST_SIZE);
}
