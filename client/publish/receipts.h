/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts: what was published from here, each with its proof, kept for ever.
 *
 * `<state_dir>/<label>/receipts/<namespace>/<package>/<hex of the record id>.json`, in folders that are for nobody
 * else: a proof document of the record (proof.h), as it was proven then. `wargfs verify --proof` checks it, now and
 * later, here and elsewhere.
 *
 * The package's records lie beside them in `records.jsonl`, once, a line each, and grow with what is published from
 * here: a receipt says how many of them it takes. Where the package's log is not the one that lies there, a receipt has
 * all of them itself, as those of earlier versions do.
 */
#ifndef WARG_CLIENT_RECEIPTS_H
#define WARG_CLIENT_RECEIPTS_H

#include "client/sync/proof.h"

struct receipts;

/** Open a registry's receipts, making their folder where it is missing. Arguments as trust_open(). */
int receipts_open(const char *state_dir, const char *label, struct receipts **out, struct fault *flt);
/** NULL is fine. */
void receipts_close(struct receipts *receipts);

/** Append the path of a record's receipt and a NUL, whether it is there or not. Arguments as receipts_open(). */
int receipts_path(const char *state_dir, const char *label, const struct name *name, const struct digest *record_id,
		  struct buf *out, struct fault *flt);

/** How far the records of a package lie beside its receipts. */
struct receipts_end {
	uint64_t count; /* 0: not at all */
	struct digest record_id; /* of the last one */
};
int receipts_find_end(struct receipts *receipts, const struct name *name, struct receipts_end *out, struct fault *flt);

/**
 * Keep a document of a record: temp, fsync, rename, fsync of the folders. One that is there is replaced.
 * @param kept  false if it takes more records from those beside it than there are; one that has all is always kept
 */
int receipts_put(struct receipts *receipts, const struct proof *proof, bool *kept, struct fault *flt);

/**
 * Take the records that lie beside a document into it. Believes nothing.
 * @param folder  of the document
 * @return WARG_UNDECIDED with FAULT_ABSENT: they are not there
 */
int receipts_complete(int folder, struct proof *proof, struct fault *flt);

/**
 * Read a document, at most CAP_PROOF bytes, with all records in it; appends, and believes nothing.
 * @param out    NULL: only whether there is one is wanted
 * @param found  false if there is none
 */
int receipts_read(struct receipts *receipts, const struct name *name, const struct digest *record_id, struct buf *out,
		  bool *found, struct fault *flt);

/**
 * The record ids of a package's receipts, the oldest first.
 * @param out  free() it. At most CAP_RECEIPTS: FAULT_LIMIT
 */
int receipts_list(struct receipts *receipts, const struct name *name, struct digest **out, size_t *count,
		  struct fault *flt);

#endif
