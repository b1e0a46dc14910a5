/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Pending publishes: what is taken for one is written again in a form that is taken again, and does not change any
 * more.
 */
#include "client/publish/pending.h"
#include "fuzz.h"

static int around(struct span text, struct buf *out, struct fault *flt)
{
	struct pending pending;
	int r = pending_parse(text, &pending, flt);

	if (r)
		return r;
	r = pending_render(&pending, out, flt);
	pending_release(&pending);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault flt = { 0 };
	struct buf once, twice;
	int r;

	buf_init(&once, CAP_FILE_PENDING);
	buf_init(&twice, CAP_FILE_PENDING);
	r = around((struct span){ data, size }, &once, &flt);
	fuzz_require(flt.verdict == r && (r != WARG_UNDECIDED || flt.kind == FAULT_LIMIT));
	if (!r) {
		fuzz_require(around(buf_span(&once), &twice, &flt) == 0);
		fuzz_require(span_equals(buf_span(&once), buf_span(&twice)));
	}
	buf_release(&once);
	buf_release(&twice);
	return 0;
}
