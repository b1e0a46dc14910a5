/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts: what was published from here, each with its proof, kept for ever.
 *
 * `<state_dir>/<label>/receipts/<namespace>/<package>/<hex of the record id>.json`, in folders that are for nobody
 * else: a proof document of the record (proof.h), as it was proven then. `wargfs verify --proof` checks it, now and
 * later, here and elsewhere.
 */
#ifndef WARG_CLIENT_RECEIPTS_H
#define WARG_CLIENT_RECEIPTS_H

#include "verify/name.h"

struct receipts;

/** Open a registry's receipts, making their folder where it is missing. Arguments as trust_open(). */
int receipts_open(const char *state_dir, const char *label, struct receipts **out, struct fault *flt);
/** NULL is fine. */
void receipts_close(struct receipts *receipts);

/** Append the path of a record's receipt and a NUL, whether it is there or not. Arguments as receipts_open(). */
int receipts_path(const char *state_dir, const char *label, const struct name *name, const struct digest *record_id,
		  struct buf *out, struct fault *flt);

/** Keep the text of a document: temp, fsync, rename, fsync of the folders. One that is there is replaced. */
int receipts_put(struct receipts *receipts, const struct name *name, const struct digest *record_id, struct span text,
		 struct fault *flt);

/**
 * Read a document, at most CAP_PROOF bytes; appends, and believes nothing.
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
