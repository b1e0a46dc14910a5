/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry that stands still, or runs, verified from the ground: the database, every record and signature, the log's
 * and the map's roots at every checkpoint, the checkpoints' signatures, and every content.
 *
 * It reads one moment of the database, and changes nothing. Memory grows with the number of packages, by some 200 bytes
 * each.
 */
#ifndef WARG_SERVER_FSCK_H
#define WARG_SERVER_FSCK_H

#include "verify/fault.h"

#include <stdbool.h>
#include <stdint.h>

/** What was looked at. */
struct fsck_counts {
	uint64_t records, packages, checkpoints, contents;
	uint64_t refused; /* packages imported with a refused record: refused.h */
	uint64_t problems;
};

/** Callbacks for the findings, one sentence each. */
struct fsck_listener {
	void (*problem)(void *user, const char *sentence); /* something is wrong */
	void (*refused)(void *user, const char *sentence); /* a package is refused, and unchanged since its import */
	void *user;
};

/**
 * Verify a registry.
 * @return 0, also when something is wrong; WARG_UNDECIDED if that could not be found out, or there is no registry
 */
int fsck(const char *data_dir, const char *content_dir, const struct fsck_listener *listener, struct fsck_counts *out,
	 struct fault *flt);

#endif
