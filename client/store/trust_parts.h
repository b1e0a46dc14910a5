/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What trust.c and trust_evidence.c share. Not for others.
 */
#ifndef WARG_CLIENT_TRUST_PARTS_H
#define WARG_CLIENT_TRUST_PARTS_H

#include "trust.h"

#define TRUST_FILE_MODE 0600

struct trust {
	char *folder;   /* <state_dir>/<label> */
	char *evidence; /* in it */
	bool is_demanding;
	struct digest demanded; /* as in trust_anchor */
};

/** Read the latch, if there is one. An unreadable latch latches, too. @param folder  `trust`'s */
int trust_read_latch(int folder, struct trust_anchor *out, struct fault *flt);
/** Remove the latch. No-op if there is none. */
int trust_remove_latch(int folder, struct fault *flt);

/** The charge of this name. @return whether it is one that latches */
bool trust_charge_latches(struct span name, enum trust_charge *out);

/** What a charge is called in files. */
const char *trust_charge_name(enum trust_charge charge);

#endif
