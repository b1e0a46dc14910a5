/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Keys and signatures: a text that is accepted is the one that the key writes, and no text makes us doubt our memory.
 */
#include "fuzz.h"
#include "verify/caps.h"
#include "verify/ecdsa.h"

#define PRIVATE "ecdsa-p256:I+UlDo0HxyBBFeelhPPWmD+LnklOpqZDkrFP5VduASk="

static const struct span message = { (const unsigned char *)"message", 7 };

static void try_public(struct span text)
{
	struct ecdsa_public_key *key = NULL;
	struct fault flt = { 0 };
	int r = ecdsa_public_key_parse(text, &key, &flt);

	fuzz_require_verdict(r, &flt);
	fuzz_require(r || span_is(text, ecdsa_public_key_text(key)));
	ecdsa_public_key_unref(key);
}

static void try_private(struct span text)
{
	struct ecdsa_private_key *key = NULL;
	struct fault flt = { 0 };
	struct buf back, signature;
	int r = ecdsa_private_key_parse(text, &key, &flt);

	fuzz_require_verdict(r, &flt);
	if (r)
		return;
	buf_init(&back, text.length);
	buf_init(&signature, CAP_SIGNATURE_TEXT);
	fuzz_require(ecdsa_private_key_format(key, &back, NULL) == 0);
	fuzz_require(span_equals(text, buf_span(&back)));
	fuzz_require(ecdsa_sign(key, &message, 1, &signature, NULL) == 0);
	fuzz_require(ecdsa_verify(ecdsa_private_key_public(key), &message, 1, buf_span(&signature), NULL) == 0);
	buf_release(&signature);
	buf_wipe(&back);
	ecdsa_private_key_free(key);
}

static void try_signature(struct span text)
{
	static struct ecdsa_private_key *key;
	struct fault flt = { 0 };
	int r;

	if (!key)
		fuzz_require(ecdsa_private_key_parse(span_of_text(PRIVATE), &key, NULL) == 0);
	r = ecdsa_verify(ecdsa_private_key_public(key), &message, 1, text, &flt);
	fuzz_require_verdict(r, &flt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { data, size };

	try_public(text);
	try_private(text);
	try_signature(text);
	return 0;
}
