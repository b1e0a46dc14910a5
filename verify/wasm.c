/*
 * The framing of a WebAssembly binary (see wasm.h).
 */
#include "wasm.h"

#define PREAMBLE_SIZE 8
#define VERSION_AT 4        /* behind the magic number */
#define SIZE_BYTES 5        /* of a u32 in LEB128, which may be longer than it has to be: linkers pad it */
#define SIZE_LAST_MAX 0x0f  /* what the fifth byte may hold: the upper four bits of 32, and nothing behind it */

static const unsigned char module_preamble[PREAMBLE_SIZE] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
static const unsigned char component_preamble[PREAMBLE_SIZE] = { 0, 'a', 's', 'm', 0x0d, 0, 1, 0 };

void wasm_framing_init(struct wasm_framing *framing)
{
	*framing = (struct wasm_framing){ .state = WASM_PREAMBLE };
}

static int broken(struct wasm_framing *framing, const char *what, struct fault *flt)
{
	framing->state = WASM_BROKEN;
	fault_invalid(flt, "%s", what);
	fault_at(flt, "byte %llu", (unsigned long long)framing->length);
	return WARG_INVALID;
}

static int take_preamble(struct wasm_framing *framing, unsigned char byte, struct fault *flt)
{
	const unsigned char *expected;

	if (framing->count == VERSION_AT)
		framing->is_component = byte == component_preamble[VERSION_AT];
	expected = framing->is_component ? component_preamble : module_preamble;
	if (byte != expected[framing->count])
		return broken(framing, framing->count < VERSION_AT ?
			      "it is no Wasm binary: those begin with the bytes 00 61 73 6d" :
			      "it is a Wasm binary of another version than 1 (modules) or 0d with layer 1 (components)",
			      flt);
	if (++framing->count == PREAMBLE_SIZE)
		framing->state = WASM_SECTION_ID;
	return 0;
}

static int take_size(struct wasm_framing *framing, unsigned char byte, struct fault *flt)
{
	if (framing->count == SIZE_BYTES - 1 && byte > SIZE_LAST_MAX)
		return broken(framing, "the size of a section is over 32 bits", flt);
	framing->left |= (uint32_t)(byte & 0x7f) << (7 * framing->count);
	framing->count++;
	if (byte & 0x80)
		return 0;
	/* Each kind begins with a count or a name, so it is never empty; zeroes behind the end would look like some. */
	if (!framing->left)
		return broken(framing, "a section is empty", flt);
	framing->state = WASM_SECTION_BODY;
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
		return broken(framing, "it is no Wasm binary", flt);
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
	switch (framing->state) {
	case WASM_SECTION_ID:
		return 0;
	case WASM_PREAMBLE:
		fault_invalid(flt, "%s", framing->length ? "it ends inside its first 8 bytes" : "it is empty");
		break;
	case WASM_SECTION_SIZE:
		fault_invalid(flt, "it ends inside the head of a section");
		break;
	case WASM_SECTION_BODY:
		fault_invalid(flt, "it ends inside a section, which has %u bytes more", framing->left);
		break;
	case WASM_BROKEN:
		fault_invalid(flt, "it is no Wasm binary");
		break;
	}
	fault_at(flt, "byte %llu", (unsigned long long)framing->length);
	return WARG_INVALID;
}
