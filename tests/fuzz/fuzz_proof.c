/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Proof documents: what is read is written in a form that is read again and does not change any more, and whose check
 * ends the same way; and a document whose check is good says what its logs say.
 */
#include "client/sync/proof.h"
#include "fuzz.h"

static void render(const struct proof *proof, struct buf *out)
{
	buf_init(out, CAP_PROOF);
	fuzz_require(proof_render(proof, out, NULL) == 0);
}

static void again(const struct proof *proof, int verdict)
{
	struct release_proof_finding finding;
	struct fault flt = { 0 };
	struct buf once, twice;
	struct proof read;

	render(proof, &once);
	fuzz_require(proof_parse(buf_span(&once), &read, &flt) == 0);
	render(&read, &twice);
	fuzz_require(span_equals(buf_span(&once), buf_span(&twice)));
	fuzz_require(proof_check(&read, &finding, &flt) == verdict);
	fuzz_require(flt.verdict == verdict);
	if (!verdict)
		fuzz_require(digest_equals(&finding.content, &read.content));
	buf_release(&once);
	buf_release(&twice);
	proof_release(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct release_proof_finding finding;
	struct fault flt = { 0 };
	struct proof proof;
	int verdict = proof_parse((struct span){ data, size }, &proof, &flt);

	fuzz_require(flt.verdict == verdict && (verdict != WARG_UNDECIDED || flt.kind == FAULT_LIMIT));
	if (verdict)
		return 0;
	verdict = proof_check(&proof, &finding, &flt);
	fuzz_require(flt.verdict == verdict && (verdict != WARG_UNDECIDED || flt.kind == FAULT_LIMIT));
	again(&proof, verdict);
	proof_release(&proof);
	return 0;
}
