/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Sealed texts: seal.h.
 */
#include "seal.h"

#include <string.h>

int seal_put(const char *kind, struct span body, struct buf *out, struct fault *flt)
{
	struct digest hash = digest_of(body);
	char digits[DIGEST_TEXT_SIZE];
	int r;

	digest_format(&hash, digits);
	r = buf_append_format(out, flt, "%s %s\n", kind, digits);
	return r ? r : buf_append(out, body, flt);
}

int seal_open(struct span text, const char *kind, struct span *body, struct fault *flt)
{
	const size_t head = strlen(kind) + 1, line = head + DIGEST_TEXT_SIZE - 1;
	struct digest sealed, found;
	int r;

	if (text.length <= line || memcmp(text.data, kind, head - 1) || text.data[head - 1] != ' ' ||
	    text.data[line] != '\n')
		return fault_invalid(flt, "it does not begin with a line \"%s\" and a hash", kind);
	r = digest_parse((struct span){text.data + head, line - head}, &sealed, flt);
	if (r)
		return r;
	*body = (struct span){text.data + line + 1, text.length - line - 1};
	found = digest_of(*body);
	if (!digest_equals(&sealed, &found))
		return fault_invalid(flt, "it is damaged: it is not what was written there");
	return 0;
}
