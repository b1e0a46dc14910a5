/*
 * The states of packages' logs, which say whether a record may be the next: rebuilt from the database when they are
 * asked for, and kept for a while. For the one thread that writes.
 */
#ifndef WARG_SERVER_PACKAGE_LOGS_H
#define WARG_SERVER_PACKAGE_LOGS_H

#include "committed.h"
#include "verify/package_log.h"

/** A package's log as it is in the database; without records, if there is none. @param out  one reference */
int package_logs_load(struct database *database, const struct name *name, struct package_log **out, struct fault *flt);

struct package_logs;

/** @param database  borrowed */
int package_logs_new(struct database *database, struct package_logs **out, struct fault *flt);
/** NULL is fine. */
void package_logs_free(struct package_logs *logs);

/**
 * Whether a record may be its package's next: all rules of protocol.md section 4, signature included.
 * @param append  whether it then is: later ones come behind it. If it does not enter the database after all, forget
 * @param signed_by  whether the signer's key is known to the log, or made known by the record, and the signature
 *                   verifies; valid if the verdict is WARG_INVALID
 * @return 0; WARG_INVALID, and why; WARG_UNDECIDED if that could not be found out
 */
int package_logs_check(struct package_logs *logs, const struct name *name, const struct record_envelope *record,
		       bool append, bool *signed_by, struct fault *flt);

/** Forget all that is kept: what was appended did not enter the database. */
void package_logs_forget(struct package_logs *logs);

#endif
