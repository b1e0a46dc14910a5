/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The framing of a Wasm binary: the same verdict whole, in pieces, and by skipping.
 */
#include <stdbool.h>

#include "fuzz.h"
#include "verify/wasm.h"

static int in_pieces(struct span bytes, size_t piece, struct wasm_framing *framing)
{
	int r = 0;

	wasm_framing_init(framing);
	for (size_t at = 0; !r && at < bytes.length; at += piece) {
		size_t count = bytes.length - at < piece ? bytes.length - at : piece;

		r = wasm_framing_append(framing, (struct span){ bytes.data + at, count }, NULL);
	}
	return r ? r : wasm_framing_end(framing, NULL);
}

static int by_skipping(struct span bytes, struct wasm_framing *framing)
{
	size_t at = 0;
	int r = 0;

	wasm_framing_init(framing);
	while (!r && at < bytes.length) {
		uint64_t skip = wasm_framing_skip(framing);

		if (skip > bytes.length - at)
			skip = bytes.length - at;
		wasm_framing_pass(framing, skip);
		at += skip;
		if (!skip)
			r = wasm_framing_append(framing, (struct span){ bytes.data + at++, 1 }, NULL);
	}
	return r ? r : wasm_framing_end(framing, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = { data, size };
	struct wasm_framing whole, other;
	struct fault flt = { 0 };
	int r, verdict;

	wasm_framing_init(&whole);
	r = wasm_framing_append(&whole, bytes, &flt);
	fuzz_require(r ? whole.state == WASM_BROKEN : whole.length == size);
	verdict = r ? r : wasm_framing_end(&whole, &flt);
	fuzz_require_verdict(verdict, &flt);
	fuzz_require(in_pieces(bytes, 1, &other) == verdict && other.length == whole.length);
	fuzz_require(in_pieces(bytes, 7, &other) == verdict && other.length == whole.length);
	fuzz_require(by_skipping(bytes, &other) == verdict && other.length == whole.length);
	/* A whole one with a section behind it is whole, and with a byte more it is not. */
	if (!verdict) {
		fuzz_require(!wasm_framing_append(&whole, (struct span){ (const unsigned char *)"\5\1x", 3 }, NULL));
		fuzz_require(!wasm_framing_end(&whole, NULL));
		fuzz_require(!wasm_framing_append(&whole, (struct span){ (const unsigned char *)"\5", 1 }, NULL));
		fuzz_require(wasm_framing_end(&whole, NULL) == WARG_INVALID);
	}
	return 0;
}
