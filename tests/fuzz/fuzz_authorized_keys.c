/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Who may publish what, as a person writes it: it is read, or refused with its line, and nobody is let in that no table
 * names.
 */
#include "fuzz.h"
#include "server/authorized_keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_entry entry = {.type = ENTRY_INIT};
	const struct record record = {.entries = &entry, .entry_count = 1};
	const struct digest key_id = digest_of((struct span){data, size});
	struct authorized_keys *keys;
	struct fault flt = {0};
	struct name name;
	int r = authorized_keys_parse((struct span){data, size}, &keys, &flt);

	if (flt.kind == FAULT_LIMIT)
		return 0;
	fuzz_require_verdict(r, &flt);
	if (r)
		return 0;
	fuzz_require(!name_parse(span_of_text("test:a"), &name, NULL));
	/* Nobody can write down the hash of what he writes. */
	fuzz_require(authorized_keys_check(keys, &name, &key_id, &record, NULL) == WARG_UNDECIDED);
	authorized_keys_free(keys);
	return 0;
}
