/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records on their way in: they come log by log, and enter in the order of the registry's log. A table that lives as
 * long as the transaction.
 */
#ifndef WARG_SERVER_IMPORT_TABLE_H
#define WARG_SERVER_IMPORT_TABLE_H

#include "client/net/api.h"
#include "published.h"

/** Begin, with what the ledger says comes from the place `first` on. Within database_begin(), here and below. */
int import_table_begin(struct database *database, uint64_t first, const struct api_ledger_entry *entries, size_t count,
		       struct fault *flt);

/** The logs that have records to come, each once. @param out  free() it */
int import_table_logs(struct database *database, struct digest **out, size_t *count, struct fault *flt);

/**
 * The next record of a log came.
 * @return 0; WARG_INVALID if the ledger has another one in its place, it in another place, or no more of its log
 */
int import_table_put(struct database *database, const struct published_record *record, struct fault *flt);

/**
 * Records in the order of the registry's log, from a place on, at most `limit`, as published_walk() does.
 * @return WARG_INVALID if one did not come
 */
int import_table_walk(struct database *database, uint64_t first, uint64_t limit,
		      int (*take)(void *user, const struct published_record *record, struct fault *flt), void *user,
		      struct fault *flt);

/** Forget all of it. */
int import_table_end(struct database *database, struct fault *flt);

#endif
