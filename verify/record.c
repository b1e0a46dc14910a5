/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records as wholes: ids, signatures, times. What is inside is read in record_decode.c and written in record_encode.c.
 * Source: protocol.md sections 2 and 3.
 */
#include "record.h"

#include <stdlib.h>

int record_time_compare(struct record_time a, struct record_time b)
{
	if (a.seconds != b.seconds)
		return a.seconds < b.seconds ? -1 : 1;
	return (a.nanos > b.nanos) - (a.nanos < b.nanos);
}

void record_release(struct record *record)
{
	free(record->entries);
	*record = (struct record){ 0 };
}

struct digest record_id(enum record_kind kind, struct span content)
{
	const char *prefix = kind == RECORD_PACKAGE ? "WARG-PACKAGE-LOG-RECORD-V0:" : "WARG-OPERATOR-LOG-RECORD-V0:";

	return digest_of_parts((const struct span[]){ span_of_text(prefix), content }, 2);
}

static struct span signature_prefix(enum record_kind kind)
{
	return span_of_text(kind == RECORD_PACKAGE ? "WARG-PACKAGE-RECORD-SIGNATURE-V0:" :
						     "WARG-OPERATOR-RECORD-SIGNATURE-V0:");
}

int record_verify(enum record_kind kind, const struct ecdsa_public_key *key, const struct record_envelope *envelope,
		  struct fault *flt)
{
	const struct span message[] = { signature_prefix(kind), envelope->content };

	return ecdsa_verify(key, message, 2, envelope->signature, flt);
}

int record_sign(enum record_kind kind, const struct ecdsa_private_key *key, struct span content, struct buf *out,
		struct fault *flt)
{
	const struct span message[] = { signature_prefix(kind), content };

	return ecdsa_sign(key, message, 2, out, flt);
}
