/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A cache of package logs, to validate the next record of each: rebuilt from the database on demand, and kept by last
 * use while there is room. For the write thread's thread only.
 */
#ifndef WARG_SERVER_LOG_CACHE_H
#define WARG_SERVER_LOG_CACHE_H

#include "published.h"
#include "verify/package_log.h"

/**
 * Load a package's log from the database and verify each record; an empty log if there is none.
 * @param out  one reference
 */
int log_cache_load(struct database *database, const struct name *name, struct package_log **out, struct fault *flt);

struct log_cache;

/**
 * @param database  borrowed; its records were verified before they entered it
 * @param cap       bytes of cached logs, approximately; the last used one is always kept
 */
int log_cache_new(struct database *database, size_t cap, struct log_cache **out, struct fault *flt);
/** NULL is fine. */
void log_cache_free(struct log_cache *logs);

/**
 * Check whether a record may be its package's next, by all rules of protocol.md section 4, signature included.
 * @param append  also append it, so that later records follow it. Call log_cache_keep() or log_cache_forget()
 *                afterwards
 * @param signed_by  whether the signer's key is known to the log, or made known by the record, and the signature
 *                   verifies; valid if the verdict is WARG_INVALID, or FAULT_LIMIT
 * @return 0; WARG_INVALID, and why: of several reasons the signer and the signature come first; WARG_UNDECIDED if it
 *         cannot be decided
 */
int log_cache_check(struct log_cache *logs, const struct name *name, const struct record_envelope *record, bool append,
		    bool *signed_by, struct fault *flt);

/** Whether the first record of a log has a readable key: only then can its signature be verified. */
bool log_cache_has_first_key(const struct record_envelope *first);

/** Keep the appended records: they are in the database. */
void log_cache_keep(struct log_cache *logs);
/** Drop the logs with appended records that did not enter the database. */
void log_cache_forget(struct log_cache *logs);

#endif
