/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The framing of a WebAssembly binary (see wasm.h).
 */
#include "wasm.h"

#include <stdio.h>
#include <string.h>

#define MAGIC_SIZE 4
#define SIZE_BYTES 5        /* of a u32 in LEB128, which may be longer than it has to be: linkers pad it */
#define SIZE_LAST_MAX 0x0f  /* what the fifth byte may hold: the upper four bits of 32, and nothing behind it */
#define KIND_COMPONENT 1
#define VERSION_MODULE 1
#define VERSION_COMPONENT 0x0d

static const char end_of_file[] = "unexpected end-of-file";
static const char not_wasm[] = "not WebAssembly";
static const unsigned char magic[MAGIC_SIZE] = { 0, 'a', 's', 'm' };

void wasm_framing_init(struct wasm_framing *framing)
{
	*framing = (struct wasm_framing){ .state = WASM_PREAMBLE };
}

static int broken(struct wasm_framing *framing, const char *what, uint64_t offset, struct fault *flt)
{
	framing->state = WASM_BROKEN;
	return fault_invalid(flt, "%s (at offset 0x%llx)", what, (unsigned long long)offset);
}

static int check_magic(struct wasm_framing *framing, struct fault *flt)
{
	const unsigned char *found = framing->preamble;
	char what[128];

	if (!memcmp(found, magic, MAGIC_SIZE))
		return 0;
	snprintf(what, sizeof(what), "magic header not detected: bad magic number - expected=[0x0, 0x61, 0x73, 0x6d] "
		 "actual=[0x%x, 0x%x, 0x%x, 0x%x]", found[0], found[1], found[2], found[3]);
	return broken(framing, what, 0, flt);
}

/* The version is two numbers of 16 bits, in little endian: the version of a kind, and the kind. */
static int check_version(struct wasm_framing *framing, struct fault *flt)
{
	const unsigned char *at = framing->preamble + MAGIC_SIZE;
	const unsigned version = at[0] | (unsigned)at[1] << 8, kind = at[2] | (unsigned)at[3] << 8;
	const char *words = "unknown binary version";
	char what[64];

	framing->is_component = kind == KIND_COMPONENT;
	if (kind > KIND_COMPONENT) {
		snprintf(what, sizeof(what), "%s: %#10x", words, kind << 16 | version);
		return broken(framing, what, MAGIC_SIZE, flt);
	}
	if (version == (framing->is_component ? VERSION_COMPONENT : VERSION_MODULE))
		return 0;
	if (framing->is_component)
		words = version < VERSION_COMPONENT ? "unsupported component version" : "unknown component version";
	snprintf(what, sizeof(what), "%s: 0x%x", words, version);
	return broken(framing, what, 0, flt);
}

static int take_preamble(struct wasm_framing *framing, unsigned char byte, struct fault *flt)
{
	framing->preamble[framing->count++] = byte;
	if (framing->count == MAGIC_SIZE)
		return check_magic(framing, flt);
	if (framing->count < WASM_PREAMBLE_SIZE)
		return 0;
	framing->state = WASM_SECTION_ID;
	return check_version(framing, flt);
}

static int take_size(struct wasm_framing *framing, unsigned char byte, struct fault *flt)
{
	if (framing->count == SIZE_BYTES - 1 && byte > SIZE_LAST_MAX)
		return broken(framing, byte & 0x80 ? "invalid var_u32: integer representation too long" :
			      "invalid var_u32: integer too large", framing->length, flt);
	framing->left |= (uint32_t)(byte & 0x7f) << (7 * framing->count);
	framing->count++;
	if (byte & 0x80)
		return 0;
	/* Each kind begins with a count or a name, so it is never empty; zeroes behind the end would look like some. */
	if (!framing->left)
		return broken(framing, end_of_file, framing->length + 1, flt);
	framing->state = WASM_SECTION_BODY;
	framing->body = framing->length + 1;
	return 0;
}

static int take_byte(struct wasm_framing *framing, unsigned char byte, struct fault *flt)
{
	int r = 0;

	switch (framing->state) {
	case WASM_PREAMBLE:
		r = take_preamble(framing, byte, flt);
		break;
	case WASM_SECTION_ID:
		framing->state = WASM_SECTION_SIZE;
		framing->left = 0;
		framing->count = 0;
		break;
	case WASM_SECTION_SIZE:
		r = take_size(framing, byte, flt);
		break;
	case WASM_SECTION_BODY:
	case WASM_BROKEN:
		return broken(framing, not_wasm, framing->length, flt);
	}
	if (!r)
		framing->length++;
	return r;
}

int wasm_framing_append(struct wasm_framing *framing, struct span bytes, struct fault *flt)
{
	size_t at = 0;
	int r = 0;

	while (!r && at < bytes.length) {
		uint64_t inside = wasm_framing_skip(framing);

		if (inside > bytes.length - at)
			inside = bytes.length - at;
		if (inside)
			wasm_framing_pass(framing, inside);
		else
			r = take_byte(framing, bytes.data[at], flt);
		at += inside ? inside : 1;
	}
	return r;
}

uint64_t wasm_framing_skip(const struct wasm_framing *framing)
{
	return framing->state == WASM_SECTION_BODY ? framing->left : 0;
}

void wasm_framing_pass(struct wasm_framing *framing, uint64_t count)
{
	framing->left -= (uint32_t)count;
	framing->length += count;
	if (framing->state == WASM_SECTION_BODY && !framing->left)
		framing->state = WASM_SECTION_ID;
}

int wasm_framing_end(const struct wasm_framing *framing, struct fault *flt)
{
	uint64_t offset = framing->length;

	switch (framing->state) {
	case WASM_SECTION_ID:
		return 0;
	case WASM_PREAMBLE:
		/* What is read as one, and is not whole: the magic number, then the version. */
		offset = framing->count < MAGIC_SIZE ? 0 : MAGIC_SIZE;
		break;
	case WASM_SECTION_SIZE:
		break;
	case WASM_SECTION_BODY:
		offset = framing->body;
		break;
	case WASM_BROKEN:
		return fault_invalid(flt, "%s (at offset 0x%llx)", not_wasm, (unsigned long long)offset);
	}
	return fault_invalid(flt, "%s (at offset 0x%llx)", end_of_file, (unsigned long long)offset);
}
