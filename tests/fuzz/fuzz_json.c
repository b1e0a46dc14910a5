/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * JSON: what was read and written can be read again, and then is written the same.
 */
#include "client/base/json.h"
#include "fuzz.h"

static void render(const struct json *value, struct buf *out, size_t size)
{
	/* An input byte becomes at most a number of 24 characters, and 64 levels of indentation. */
	buf_init(out, size * 256 + 256);
	fuzz_require(json_render(value, JSON_PRETTY, out, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json *value = NULL, *again = NULL;
	struct buf once, twice;
	struct fault flt = { 0 };
	int r = json_parse((struct span){ data, size }, &value, &flt);

	fuzz_require(r == flt.verdict);
	fuzz_require(r != WARG_UNDECIDED || flt.kind == FAULT_LIMIT);
	if (r)
		return 0;
	render(value, &once, size);
	fuzz_require(json_parse(buf_span(&once), &again, NULL) == 0);
	render(again, &twice, size);
	fuzz_require(span_equals(buf_span(&once), buf_span(&twice)));
	buf_release(&once);
	buf_release(&twice);
	json_free(again);
	json_free(value);
	return 0;
}
