/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * State files: what is taken for one is written again in a form that is taken again, and does not change any more.
 */
#include "client/store/store_state.h"
#include "fuzz.h"

enum kind { CHECKPOINT, OPERATOR, PACKAGE, KINDS };

static int render(enum kind kind, const struct json *value, struct buf *out, struct fault *flt)
{
	struct signed_checkpoint checkpoint;
	struct operator_log *operator = NULL;
	struct package_log *package = NULL;
	struct store_state state;
	int r;

	switch (kind) {
	case CHECKPOINT:
		r = checkpoint_json_read(value, &checkpoint, flt);
		return r ? r : checkpoint_json_render(&checkpoint, out, flt);
	case OPERATOR:
		r = store_state_read_operator(value, &operator, &state, flt);
		if (!r)
			r = store_state_render_operator(operator, "label", &state, out, flt);
		operator_log_unref(operator);
		return r;
	default:
		r = store_state_read_package(value, NULL, &package, &state, flt);
		if (!r)
			r = store_state_render_package(package, "label", &state, out, flt);
		package_log_unref(package);
		return r;
	}
}

static int around(enum kind kind, struct span text, struct buf *out, struct fault *flt)
{
	struct json *value = NULL;
	int r = json_parse(text, &value, flt);

	if (!r)
		r = render(kind, value, out, flt);
	json_free(value);
	return r;
}

static void try(enum kind kind, struct span text)
{
	struct fault flt = { 0 };
	struct buf once, twice;
	int r;

	buf_init(&once, CAP_FILE_STATE);
	buf_init(&twice, CAP_FILE_STATE);
	r = around(kind, text, &once, &flt);
	fuzz_require(flt.verdict == r && (r != WARG_UNDECIDED || flt.kind == FAULT_LIMIT)); /* nested too deep */
	if (!r) {
		fuzz_require(around(kind, buf_span(&once), &twice, &flt) == 0);
		fuzz_require(span_equals(buf_span(&once), buf_span(&twice)));
	}
	buf_release(&once);
	buf_release(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int kind = 0; kind < KINDS; kind++)
		try((enum kind)kind, (struct span){ data, size });
	return 0;
}
