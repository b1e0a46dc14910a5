/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Journal entries: what is taken for one is signed, and is written again in a form that is taken again.
 */
#include "client/publish/journal.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct journal_entry entry, again;
	struct fault flt = { 0 };
	struct buf text;
	int r = journal_entry_parse((struct span){ data, size }, &entry, &flt);

	fuzz_require(flt.verdict == r && (r != WARG_UNDECIDED || flt.kind == FAULT_LIMIT));
	if (r)
		return 0;
	buf_init(&text, CAP_FILE_JOURNAL);
	fuzz_require(journal_entry_render(&entry, &text, NULL) == 0);
	fuzz_require(journal_entry_parse(buf_span(&text), &again, NULL) == 0);
	fuzz_require(digest_equals(&entry.record.id, &again.record.id) && entry.stage == again.stage);
	buf_release(&text);
	journal_entry_release(&entry);
	journal_entry_release(&again);
	return 0;
}
