/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Packages imported from another registry with a record that breaks our rules or exceeds our bounds, although the other
 * registry published it.
 *
 * Their records are stored and served as bytes, at their indices, with proofs like all others, but not decoded from the
 * first bad one on. Nothing can be published to such a package here.
 */
#ifndef WARG_SERVER_REFUSED_H
#define WARG_SERVER_REFUSED_H

#include "database.h"
#include "verify/digest.h"

/** The first refused record of a package, and why it is refused. */
struct refused {
	uint64_t registry_index;
	char reason[FAULT_SENTENCE_SIZE];
};

/** Mark a package as refused from a record on. Within database_begin(). */
int refused_add(struct database *database, const struct digest *log_id, const struct refused *refused,
		struct fault *flt);

/** @return 0; FAULT_ABSENT: the package is not refused */
int refused_find(struct database *database, const struct digest *log_id, struct refused *out, struct fault *flt);

/**
 * Take the mark from packages whose whole log keeps the rules and bounds: those of this program may be wider than those
 * of the one that imported it. Looks at REFUSED_REVIEWED of them, as each log is verified up to what is wrong in it.
 * @return 0; WARG_UNDECIDED: the database, memory; the marks are as they were then
 */
int refused_review(struct database *database, struct fault *flt);
#define REFUSED_REVIEWED 1000

#endif
