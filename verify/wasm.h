/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The framing of a WebAssembly binary, checked piece by piece: whether a file is whole, not whether it is valid.
 *
 * A preamble of 8 bytes (module or component), then sections: an id, a size, that many bytes. Which sections there are,
 * in which order, and what is in them is not looked at: new kinds come with each proposal. What is looked at tells a
 * file that was cut short, has something behind it, or is none, from one that was written to its end.
 * Faults are in the words of the reference server's parser, wasmparser, with the offset that it reports: where the
 * bytes begin that it could not read. It looks into functions and nested modules, too, and reports offsets in those.
 * Source: WebAssembly core specification 5.5.2 and 5.5.16; component model, Binary.md, "Component Definitions".
 */
#ifndef WARG_VERIFY_WASM_H
#define WARG_VERIFY_WASM_H

#include "buf.h"

#define WASM_PREAMBLE_SIZE 8

enum wasm_state {
	WASM_PREAMBLE,     /* in the first 8 bytes */
	WASM_SECTION_ID,   /* where the file may end */
	WASM_SECTION_SIZE,
	WASM_SECTION_BODY,
	WASM_BROKEN,       /* it can become no Wasm binary any more */
};

/** A check under way. Plain memory: may be copied, nothing to release. */
struct wasm_framing {
	enum wasm_state state;
	bool is_component; /* known behind the preamble */
	uint64_t length;   /* bytes that were appended or passed over */
	uint32_t left;     /* of the section's body */
	uint64_t body;     /* where the section's body begins */
	unsigned count;    /* bytes of the preamble or of the size so far */
	unsigned char preamble[WASM_PREAMBLE_SIZE];
};

/** Begin a check. */
void wasm_framing_init(struct wasm_framing *framing);

/**
 * Look at the bytes behind those that came before.
 * @return 0; WARG_INVALID as soon as a magic number, version or size is whole and wrong, and ever after
 */
int wasm_framing_append(struct wasm_framing *framing, struct span bytes, struct fault *flt);

/** How many of the bytes that come next are the inside of a section, and need not be looked at; 0: look at the next. */
uint64_t wasm_framing_skip(const struct wasm_framing *framing);

/** Pass over bytes that are there, without looking at them: at most wasm_framing_skip(). */
void wasm_framing_pass(struct wasm_framing *framing, uint64_t count);

/**
 * The file ends here. A preamble alone is whole: an empty module or component.
 * @return 0; WARG_INVALID if it ends inside the preamble or a section
 */
int wasm_framing_end(const struct wasm_framing *framing, struct fault *flt);

#endif
