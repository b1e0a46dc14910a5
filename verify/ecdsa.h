/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * P-256 keys and signatures in their text forms (protocol.md sections 1 and 3). ECDSA over SHA-256.
 */
#ifndef WARG_VERIFY_ECDSA_H
#define WARG_VERIFY_ECDSA_H

#include "digest.h"

/** A public key on the curve, immutable, counted by references. Safe to use from several threads. */
struct ecdsa_public_key;

/**
 * Parse "ecdsa-p256:" and base64 of a SEC1 compressed point.
 * @param out  a new reference; give it back with ecdsa_public_key_unref()
 * @return 0; WARG_INVALID if not compressed, off the curve, the point at infinity, or not exactly this text form
 */
int ecdsa_public_key_parse(struct span text, struct ecdsa_public_key **out, struct fault *flt);

/**
 * Keys that were parsed lately, for a caller that parses the same ones again and again. All zero: none. Used by one
 * thread at a time.
 */
struct ecdsa_recent_keys {
	struct ecdsa_public_key *keys[16]; /* one reference each; NULL: none */
	unsigned next;                     /* whose place the next one takes */
};
/** Give back the references; empty afterwards. */
void ecdsa_recent_keys_release(struct ecdsa_recent_keys *recent);
/** As ecdsa_public_key_parse(). @param recent  NULL: nothing is remembered */
int ecdsa_recent_keys_parse(struct ecdsa_recent_keys *recent, struct span text, struct ecdsa_public_key **out,
			    struct fault *flt);

/** One more reference to the same key. */
struct ecdsa_public_key *ecdsa_public_key_ref(struct ecdsa_public_key *key);
/** NULL is fine. */
void ecdsa_public_key_unref(struct ecdsa_public_key *key);

/** The text form, NUL-terminated; lives as long as the key. */
const char *ecdsa_public_key_text(const struct ecdsa_public_key *key);

/** The key id: H(text form). Lives as long as the key. */
const struct digest *ecdsa_public_key_id(const struct ecdsa_public_key *key);

/**
 * Check a signature over the concatenation of `parts`.
 *
 * @param signature  text form: "ecdsa-p256:" and base64 of the DER of (r, s); high s is accepted, other than strict DER
 *                   is not
 * @return 0; WARG_INVALID if it does not verify or is malformed; WARG_UNDECIDED if memory ran out
 */
int ecdsa_verify(const struct ecdsa_public_key *key, const struct span *parts, size_t count, struct span signature,
		 struct fault *flt);

/** A private key; wiped when freed. */
struct ecdsa_private_key;

/** Make a key from the system's random numbers. */
int ecdsa_private_key_generate(struct ecdsa_private_key **out, struct fault *flt);

/** Parse "ecdsa-p256:" and base64 of the 32-byte scalar, which must be in 1 … n-1. */
int ecdsa_private_key_parse(struct span text, struct ecdsa_private_key **out, struct fault *flt);

/** Wipe and free; NULL is fine. */
void ecdsa_private_key_free(struct ecdsa_private_key *key);

/** Append the text form to `out`; use buf_wipe() on it afterwards. */
int ecdsa_private_key_format(const struct ecdsa_private_key *key, struct buf *out, struct fault *flt);

/** The public half; borrowed, lives as long as the private key. */
struct ecdsa_public_key *ecdsa_private_key_public(const struct ecdsa_private_key *key);

/** Check that a text has the form of a signature. @return 0; WARG_INVALID */
int ecdsa_check_signature(struct span signature, struct fault *flt);

/** Sign the concatenation of `parts` and append the signature's text form to `out`. */
int ecdsa_sign(const struct ecdsa_private_key *key, const struct span *parts, size_t count, struct buf *out,
	       struct fault *flt);

#endif
