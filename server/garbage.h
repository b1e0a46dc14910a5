/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Removes contents that no record names, and rows of rejected records.
 *
 * A published or waiting record names a content if its bytes contain the digest. Published records are read first, in
 * one snapshot, and must match the signed checkpoint, so that a damaged registry loses no content. Then one write
 * transaction reads the records that are new since and the waiting ones, and removes the contents that none of them
 * names. A server decides within its own write transactions which contents are there and which a record lacks, so this
 * never removes a content that the server relies on, whichever process runs it.
 */
#ifndef WARG_SERVER_GARBAGE_H
#define WARG_SERVER_GARBAGE_H

#include <stdatomic.h>
#include <stdint.h>

#include "database.h"

/** Which contents may be taken. */
enum garbage_scope {
	GARBAGE_RECEIVED, /* contents uploaded for a record that was not published */
	GARBAGE_ALL       /* any unnamed content, a day after it was stored, if the folder has named ones */
};

/** Options. */
struct garbage {
	struct database *reading, *writing; /* two connections; the caller must not use them meanwhile */
	int folder;                         /* of contents */
	enum garbage_scope scope;
	bool is_trial;                      /* only counted */
	const atomic_bool *is_stopping;     /* another thread sets it to cancel with FAULT_CANCELLED; may be NULL */
};

/** What was removed, or would be. */
struct garbage_counts {
	uint64_t contents, bytes;
	uint64_t records; /* rejected ones */
};

/**
 * Remove garbage.
 * @return 0; WARG_INVALID if the registry is damaged: nothing is removed then; FAULT_MISUSE if the folder is another
 *         registry's; EBUSY during an import; WARG_UNDECIDED: the disk
 */
int garbage_collect(const struct garbage *garbage, struct garbage_counts *out, struct fault *flt);

#endif
