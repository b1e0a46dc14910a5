/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What recheck.c and recheck_state.c share. Not for others.
 */
#ifndef WARG_CLIENT_RECHECK_PARTS_H
#define WARG_CLIENT_RECHECK_PARTS_H

#include "recheck.h"

/** Note a difference. `stored` and `proven` may be NULL: there is none. */
void recheck_differ(struct recheck_log *log, const char *stored, const char *proven, const char *what, ...)
	__attribute__((format(printf, 4, 5)));
/** The same of two hashes, if they are not the same; NULL: there is none. */
void recheck_differ_digest(struct recheck_log *log, const struct digest *stored, const struct digest *proven,
			   const char *what, ...) __attribute__((format(printf, 4, 5)));

/** Note where two states of a log at the same head are not the same. */
void recheck_compare_package(struct recheck_log *log, const struct package_log *stored,
			     const struct package_log *proven);
void recheck_compare_operator(struct recheck_log *log, const struct operator_log *stored,
			      const struct operator_log *proven);

#endif
