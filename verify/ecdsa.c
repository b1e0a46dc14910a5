/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * P-256 keys and signatures: ecdsa.h.
 *
 * What a stranger can get wrong in a text, a length or a DER is found here, before OpenSSL sees it. What is left to ask
 * OpenSSL is arithmetic. It says "no" and "I have no memory" with the same return value: openssl_accuses() tells them
 * apart, and in doubt nobody is accused.
 */
#include "ecdsa.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"

#define ECDSA_PREFIX "ecdsa-p256:"
#define ECDSA_PREFIX_LENGTH (sizeof(ECDSA_PREFIX) - 1)
#define SCALAR_SIZE 32
#define POINT_SIZE (1 + SCALAR_SIZE) /* compressed: a byte that tells the two y apart, and x */
#define DER_SIZE_MAX (2 + 2 * (2 + 1 + SCALAR_SIZE))

/* Base64 has digits for three bytes at a time. */
#define BASE64_GROUPS(size) (((size) + 2) / 3)
#define BASE64_LENGTH(size) (BASE64_GROUPS(size) * 4)

struct ecdsa_public_key {
	atomic_size_t references;
	EVP_PKEY *pkey;
	struct digest id;
	char text[ECDSA_PREFIX_LENGTH + BASE64_LENGTH(POINT_SIZE) + 1];
};

struct ecdsa_private_key {
	unsigned char scalar[SCALAR_SIZE];
	EVP_PKEY *pkey;
	struct ecdsa_public_key *public;
};

/* The order of the group, n (SEC 2 section 2.4.2). */
static const unsigned char order[SCALAR_SIZE] = {
	0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* ---- What OpenSSL says ---- */

/*
 * Whether the errors since ERR_clear_error() say that the other side's numbers are wrong, and not one of them that
 * something failed here. Empties the queue.
 */
static bool openssl_accuses(void)
{
	bool accuses = false, failed = false;
	unsigned long error;

	while ((error = ERR_get_error())) {
		int reason = ERR_GET_REASON(error);

		if (reason == ERR_R_MALLOC_FAILURE || ERR_GET_LIB(error) == ERR_LIB_BN)
			failed = true;
		else if (ERR_GET_LIB(error) == ERR_LIB_EC)
			accuses |= reason == EC_R_INVALID_COMPRESSED_POINT || reason == EC_R_INVALID_ENCODING ||
				   reason == EC_R_POINT_AT_INFINITY;
	}
	return accuses && !failed;
}

/* The fault of an operation that OpenSSL gave up and that accuses nobody: there is no other reason than memory. */
static int openssl_failed(struct fault *flt)
{
	ERR_clear_error();
	return fault_no_memory(flt);
}

/* ---- Text forms ---- */

/*
 * Read "ecdsa-p256:" and base64 of about `size` bytes: two more may come through, for the caller to refuse. `out` is
 * set up by this, and is to be released even after an error. `what` names the thing in messages.
 */
static int read_text(struct span text, const char *what, size_t size, struct buf *out, struct fault *flt)
{
	struct span digits;

	buf_init(out, BASE64_GROUPS(size) * 3);
	if (text.length < ECDSA_PREFIX_LENGTH || memcmp(text.data, ECDSA_PREFIX, ECDSA_PREFIX_LENGTH) != 0)
		return fault_invalid(flt, "%s does not begin with " ECDSA_PREFIX, what);
	digits = (struct span){ text.data + ECDSA_PREFIX_LENGTH, text.length - ECDSA_PREFIX_LENGTH };
	/* Said before decoding, which would call it a limit of ours. */
	if (digits.length > BASE64_LENGTH(size))
		return fault_invalid(flt, "%s is too long", what);
	return base64_decode(digits, out, flt);
}

static int write_text(struct span bytes, struct buf *out, struct fault *flt)
{
	size_t before = out->length;
	int r;

	r = buf_append_text(out, ECDSA_PREFIX, flt);
	if (!r)
		r = base64_encode(bytes, out, flt);
	if (r)
		out->length = before;
	return r;
}

/* ---- Numbers ---- */

/* Whether a number of SCALAR_SIZE bytes, highest first, is in 1 … n-1. */
static bool is_scalar(const unsigned char *number)
{
	static const unsigned char zero[SCALAR_SIZE];

	return memcmp(number, zero, SCALAR_SIZE) != 0 && memcmp(number, order, SCALAR_SIZE) < 0;
}

/* Take one INTEGER of DER off the front of `rest` and see whether it is in 1 … n-1, written as short as can be. */
static bool take_der_scalar(struct span *rest)
{
	unsigned char number[SCALAR_SIZE] = { 0 };
	const unsigned char *bytes;
	size_t length;

	if (rest->length < 3 || rest->data[0] != 0x02 || rest->data[1] == 0 || rest->data[1] > rest->length - 2)
		return false;
	length = rest->data[1];
	bytes = rest->data + 2;
	*rest = (struct span){ bytes + length, rest->length - 2 - length };
	if (bytes[0] & 0x80)
		return false; /* negative */
	if (bytes[0] == 0) {
		if (length == 1 || !(bytes[1] & 0x80))
			return false; /* zero, or a byte too long */
		bytes++;
		length--;
	}
	if (length > SCALAR_SIZE)
		return false;
	memcpy(number + SCALAR_SIZE - length, bytes, length);
	return is_scalar(number);
}

/* Whether these bytes are what encoding some (r, s) in DER gives: X.690 section 10, RFC 3279 section 2.2.3. */
static bool is_der_signature(struct span der)
{
	struct span rest;

	if (der.length < 2 || der.data[0] != 0x30 || der.data[1] != der.length - 2)
		return false;
	rest = (struct span){ der.data + 2, der.length - 2 };
	return take_der_scalar(&rest) && take_der_scalar(&rest) && rest.length == 0;
}

/* ---- Public keys ---- */

/* Make OpenSSL's key from a compressed point, and from the scalar if that is not NULL. NULL if that fails. */
static EVP_PKEY *make_pkey(const unsigned char *point, const unsigned char *scalar)
{
	unsigned char native[SCALAR_SIZE];
	OSSL_PARAM parameters[4] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char[]){ "P-256" }, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)(uintptr_t)point, POINT_SIZE),
		OSSL_PARAM_construct_end(),
		OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *pkey = NULL;

	if (scalar) {
		/* A parameter's integer has the byte order of the machine: lowest first. */
		for (size_t i = 0; i < SCALAR_SIZE; i++)
			native[i] = scalar[SCALAR_SIZE - 1 - i];
		parameters[2] = OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof(native));
	}
	if (context && EVP_PKEY_fromdata_init(context) == 1 &&
	    EVP_PKEY_fromdata(context, &pkey, scalar ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, parameters) != 1) {
		EVP_PKEY_free(pkey); /* it leaves an empty one behind */
		pkey = NULL;
	}
	EVP_PKEY_CTX_free(context);
	OPENSSL_cleanse(native, sizeof(native));
	return pkey;
}

static int new_public_key(const unsigned char *point, struct ecdsa_public_key **out, struct fault *flt)
{
	struct ecdsa_public_key *key;
	struct buf text;
	int r;

	key = calloc(1, sizeof(*key));
	if (!key)
		return fault_no_memory(flt);
	atomic_init(&key->references, 1);
	buf_init(&text, sizeof(key->text) - 1);
	r = write_text((struct span){ point, POINT_SIZE }, &text, flt);
	if (!r) {
		memcpy(key->text, text.data, text.length);
		key->id = digest_of(buf_span(&text));
		ERR_clear_error();
		key->pkey = make_pkey(point, NULL);
		if (!key->pkey)
			r = openssl_accuses() ? fault_invalid(flt, "a public key is not on the curve") :
						openssl_failed(flt);
	}
	buf_release(&text);
	if (r)
		free(key);
	else
		*out = key;
	return r;
}

int ecdsa_public_key_parse(struct span text, struct ecdsa_public_key **out, struct fault *flt)
{
	struct buf point;
	int r;

	/* An uncompressed point is longer: let it in, to say what is wrong with it. */
	r = read_text(text, "a public key", 1 + 2 * SCALAR_SIZE, &point, flt);
	if (!r && (point.length != POINT_SIZE || (point.data[0] != 0x02 && point.data[0] != 0x03)))
		r = fault_invalid(flt, "a public key is not a compressed point");
	if (!r)
		r = new_public_key(point.data, out, flt);
	buf_release(&point);
	return r;
}

#define RECENT_KEYS (sizeof((struct ecdsa_recent_keys){ 0 }.keys) / sizeof(struct ecdsa_public_key *))

void ecdsa_recent_keys_release(struct ecdsa_recent_keys *recent)
{
	for (size_t i = 0; i < RECENT_KEYS; i++)
		ecdsa_public_key_unref(recent->keys[i]);
	*recent = (struct ecdsa_recent_keys){ 0 };
}

int ecdsa_recent_keys_parse(struct ecdsa_recent_keys *recent, struct span text, struct ecdsa_public_key **out,
			    struct fault *flt)
{
	struct ecdsa_public_key **place;
	int r;

	for (size_t i = 0; recent && i < RECENT_KEYS && recent->keys[i]; i++) {
		if (!span_is(text, recent->keys[i]->text))
			continue;
		*out = ecdsa_public_key_ref(recent->keys[i]);
		return 0;
	}
	r = ecdsa_public_key_parse(text, out, flt);
	if (r || !recent)
		return r;
	place = &recent->keys[recent->next];
	recent->next = (recent->next + 1) % RECENT_KEYS;
	ecdsa_public_key_unref(*place);
	*place = ecdsa_public_key_ref(*out);
	return 0;
}

struct ecdsa_public_key *ecdsa_public_key_ref(struct ecdsa_public_key *key)
{
	atomic_fetch_add_explicit(&key->references, 1, memory_order_relaxed);
	return key;
}

void ecdsa_public_key_unref(struct ecdsa_public_key *key)
{
	if (!key || atomic_fetch_sub_explicit(&key->references, 1, memory_order_acq_rel) != 1)
		return;
	EVP_PKEY_free(key->pkey);
	free(key);
}

const char *ecdsa_public_key_text(const struct ecdsa_public_key *key)
{
	return key->text;
}

const struct digest *ecdsa_public_key_id(const struct ecdsa_public_key *key)
{
	return &key->id;
}

/* ---- Verifying ---- */

static int verify_der(const struct ecdsa_public_key *key, const struct digest *hash, struct span der,
		      struct fault *flt)
{
	EVP_PKEY_CTX *context;
	int verdict = -1;

	ERR_clear_error();
	context = EVP_PKEY_CTX_new(key->pkey, NULL);
	if (context && EVP_PKEY_verify_init(context) == 1)
		verdict = EVP_PKEY_verify(context, der.data, der.length, hash->bytes, DIGEST_SIZE);
	EVP_PKEY_CTX_free(context);
	if (verdict == 1)
		return 0;
	/* Below 0 it found no answer. One reason is the signer's: (r, s) may lead to the point at infinity. */
	if (verdict == 0 || openssl_accuses()) {
		ERR_clear_error();
		return fault_invalid(flt, "the signature does not verify");
	}
	return openssl_failed(flt);
}

/* @param der  the caller releases it, also after a failure */
static int read_signature(struct span signature, struct buf *der, struct fault *flt)
{
	int r = read_text(signature, "a signature", DER_SIZE_MAX, der, flt);

	if (!r && !is_der_signature(buf_span(der)))
		r = fault_invalid(flt, "a signature is not the DER of two numbers below the group's order");
	return r;
}

int ecdsa_check_signature(struct span signature, struct fault *flt)
{
	struct buf der;
	int r = read_signature(signature, &der, flt);

	buf_release(&der);
	return r;
}

int ecdsa_verify(const struct ecdsa_public_key *key, const struct span *parts, size_t count, struct span signature,
		 struct fault *flt)
{
	struct digest hash;
	struct buf der;
	int r;

	r = read_signature(signature, &der, flt);
	if (!r) {
		hash = digest_of_parts(parts, count);
		r = verify_der(key, &hash, buf_span(&der), flt);
	}
	buf_release(&der);
	return r;
}

/* ---- Private keys ---- */

/* The compressed point of scalar × generator. @return whether there was memory for it */
static bool multiply_generator(const unsigned char *scalar, unsigned char *point)
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *product = group ? EC_POINT_new(group) : NULL;
	BIGNUM *factor = BN_bin2bn(scalar, SCALAR_SIZE, NULL);
	bool done = false;

	if (product && factor) {
		BN_set_flags(factor, BN_FLG_CONSTTIME);
		done = EC_POINT_mul(group, product, factor, NULL, NULL, NULL) == 1 &&
		       EC_POINT_point2oct(group, product, POINT_CONVERSION_COMPRESSED, point, POINT_SIZE, NULL) ==
			       POINT_SIZE;
	}
	BN_clear_free(factor);
	EC_POINT_free(product);
	EC_GROUP_free(group);
	return done;
}

static int new_private_key(const unsigned char *scalar, struct ecdsa_private_key **out, struct fault *flt)
{
	unsigned char point[POINT_SIZE];
	struct ecdsa_private_key *key;
	int r;

	key = calloc(1, sizeof(*key));
	if (!key)
		return fault_no_memory(flt);
	memcpy(key->scalar, scalar, SCALAR_SIZE);
	if (!multiply_generator(scalar, point)) {
		r = openssl_failed(flt);
		goto failed;
	}
	r = new_public_key(point, &key->public, flt);
	if (r)
		goto failed;
	key->pkey = make_pkey(point, scalar);
	if (!key->pkey) {
		r = openssl_failed(flt);
		goto failed;
	}
	*out = key;
	return 0;

failed:
	ecdsa_private_key_free(key);
	return r;
}

int ecdsa_private_key_generate(struct ecdsa_private_key **out, struct fault *flt)
{
	unsigned char scalar[SCALAR_SIZE];
	int r;

	do {
		if (RAND_priv_bytes(scalar, sizeof(scalar)) != 1) {
			ERR_clear_error();
			return fault_undecided(flt, FAULT_SYSTEM, "no random numbers can be had");
		}
	} while (!is_scalar(scalar));
	r = new_private_key(scalar, out, flt);
	OPENSSL_cleanse(scalar, sizeof(scalar));
	return r;
}

int ecdsa_private_key_parse(struct span text, struct ecdsa_private_key **out, struct fault *flt)
{
	struct buf scalar;
	int r;

	r = read_text(text, "a private key", SCALAR_SIZE, &scalar, flt);
	if (!r && (scalar.length != SCALAR_SIZE || !is_scalar(scalar.data)))
		r = fault_invalid(flt, "a private key is not a number from 1 up to the group's order, in 32 bytes");
	if (!r)
		r = new_private_key(scalar.data, out, flt);
	buf_wipe(&scalar);
	return r;
}

void ecdsa_private_key_free(struct ecdsa_private_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey);
	ecdsa_public_key_unref(key->public);
	OPENSSL_cleanse(key, sizeof(*key));
	free(key);
}

int ecdsa_private_key_format(const struct ecdsa_private_key *key, struct buf *out, struct fault *flt)
{
	return write_text((struct span){ key->scalar, SCALAR_SIZE }, out, flt);
}

struct ecdsa_public_key *ecdsa_private_key_public(const struct ecdsa_private_key *key)
{
	return key->public;
}

int ecdsa_sign(const struct ecdsa_private_key *key, const struct span *parts, size_t count, struct buf *out,
	       struct fault *flt)
{
	struct digest hash = digest_of_parts(parts, count);
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key->pkey, NULL);
	unsigned char der[DER_SIZE_MAX];
	size_t length = sizeof(der);
	bool done;

	done = context && EVP_PKEY_sign_init(context) == 1 &&
	       EVP_PKEY_sign(context, der, &length, hash.bytes, DIGEST_SIZE) == 1;
	EVP_PKEY_CTX_free(context);
	/* Where it has no memory to write the DER, it says that all is well and that this is 2^32 - 1 bytes long. */
	if (!done || length > sizeof(der))
		return openssl_failed(flt);
	return write_text((struct span){ der, length }, out, flt);
}
