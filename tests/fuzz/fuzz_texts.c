/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The small text forms: whatever one of them accepts, writing it again gives the same text.
 */
#include <string.h>

#include "fuzz.h"
#include "verify/base64.h"
#include "verify/hex.h"
#include "verify/name.h"

static void try_hex(struct span text)
{
	unsigned char bytes[256];
	struct fault flt = { 0 };
	char back[513];
	int r;

	if (text.length > 512)
		return;
	r = hex_decode(text, bytes, text.length / 2, &flt);
	fuzz_require_verdict(r, &flt);
	if (r)
		return;
	hex_encode((struct span){ bytes, text.length / 2 }, back);
	fuzz_require(span_is(text, back));
}

static void try_base64(struct span text)
{
	struct fault flt = { 0 };
	struct buf bytes, back;
	int r;

	buf_init(&bytes, text.length);
	buf_init(&back, text.length);
	r = base64_decode(text, &bytes, &flt);
	fuzz_require_verdict(r, &flt);
	if (!r) {
		fuzz_require(base64_encode(buf_span(&bytes), &back, NULL) == 0);
		fuzz_require(span_equals(text, buf_span(&back)));
	}
	buf_release(&bytes);
	buf_release(&back);
}

/* The other way round: any bytes come back. */
static void try_bytes(struct span bytes)
{
	struct buf text, back;

	buf_init(&text, bytes.length * 2 + 4);
	buf_init(&back, bytes.length);
	fuzz_require(base64_encode(bytes, &text, NULL) == 0);
	fuzz_require(base64_decode(buf_span(&text), &back, NULL) == 0);
	fuzz_require(span_equals(bytes, buf_span(&back)));
	buf_release(&text);
	buf_release(&back);
}

static void try_digest(struct span text)
{
	struct fault flt = { 0 };
	struct digest digest;
	char back[DIGEST_TEXT_SIZE];
	int r = digest_parse(text, &digest, &flt);

	fuzz_require_verdict(r, &flt);
	if (r)
		return;
	digest_format(&digest, back);
	fuzz_require(span_is(text, back));
}

static void try_name(struct span text)
{
	struct name name, joined;
	struct fault flt = { 0 };
	int r = name_parse(text, &name, &flt);

	fuzz_require_verdict(r, &flt);
	if (r)
		return;
	fuzz_require(span_is(text, name.text));
	fuzz_require(name_join(name_namespace(&name), name_package(&name), &joined, NULL) == 0);
	fuzz_require(strcmp(name.text, joined.text) == 0);
	/* It is fit for a path as it is. */
	fuzz_require(!memchr(text.data, '/', text.length) && !memchr(text.data, '.', text.length));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span text = { data, size };

	try_hex(text);
	try_base64(text);
	try_bytes(text);
	try_digest(text);
	try_name(text);
	return 0;
}
