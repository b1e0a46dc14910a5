/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * SHA-256: values, their text form, hashing at once and piece by piece (protocol.md section 1).
 *
 * Hashing cannot fail and allocates nothing.
 */
#ifndef WARG_VERIFY_DIGEST_H
#define WARG_VERIFY_DIGEST_H

#include "buf.h"

#define DIGEST_SIZE 32
/** "sha256:", 64 digits and the NUL. */
#define DIGEST_TEXT_SIZE 72

struct digest {
	unsigned char bytes[DIGEST_SIZE];
};

/** A hash in the making; initialise before use, nothing to release. Plain memory: may be copied. */
struct digest_stream {
	_Alignas(8) unsigned char state[128];
};

/** H(bytes). */
struct digest digest_of(struct span bytes);

/** H(parts[0] || parts[1] || …). */
struct digest digest_of_parts(const struct span *parts, size_t count);

/** Begin a hash. */
void digest_stream_init(struct digest_stream *stream);
/** Put bytes behind those that came before. */
void digest_stream_update(struct digest_stream *stream, struct span bytes);
/** The hash of all updates; the stream must be initialised again before it is used again. */
struct digest digest_stream_final(struct digest_stream *stream);

/** Parse "sha256:" and 64 lowercase digits. @return 0; WARG_INVALID for anything else */
int digest_parse(struct span text, struct digest *out, struct fault *flt);

/** Write the text form and a NUL. */
void digest_format(const struct digest *digest, char out[static DIGEST_TEXT_SIZE]);

/** The digest's 32 bytes, borrowed. */
struct span digest_span(const struct digest *digest);

/** Whether both are the same hash. */
bool digest_equals(const struct digest *a, const struct digest *b);

/** <0, 0, >0 in the order of the bytes. */
int digest_compare(const struct digest *a, const struct digest *b);

#endif
