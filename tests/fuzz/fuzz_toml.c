/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A document of TOML: it is read, or refused with its line. What was read is a tree in which each value of a table is
 * found by its key, and strings are UTF-8.
 */
#include <string.h>

#include "fuzz.h"
#include "server/toml.h"
#include "verify/caps.h"
#include "verify/printable.h"

static void look_at(const struct toml_value *whole, const struct toml_value *part)
{
	fuzz_require(part->depth == whole->depth + 1 && part->depth <= CAP_TOML_DEPTH);
	fuzz_require(part->line >= 1);
	if (whole->type == TOML_TABLE)
		fuzz_require(toml_find(whole, buf_span(&part->key)) == part);
	fuzz_require(printable_is_utf8(buf_span(&part->key)) && printable_is_utf8(buf_span(&part->text)));
	fuzz_require(!part->first || part->type == TOML_TABLE || part->type == TOML_ARRAY);
	for (const struct toml_value *inner = part->first; inner; inner = inner->next)
		look_at(part, inner);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct toml_value *document = NULL;
	struct fault flt = {0};
	int r = toml_parse((struct span){data, size}, &document, &flt);

	if (flt.kind == FAULT_LIMIT)
		return 0;
	fuzz_require_verdict(r, &flt);
	if (r) {
		fuzz_require(!strncmp(flt.where, "line ", 5));
		return 0;
	}
	for (const struct toml_value *part = document->first; part; part = part->next)
		look_at(document, part);
	toml_free(document);
	return 0;
}
