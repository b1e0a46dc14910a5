/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What staging.c, staging_claim.c, staging_sweep.c and staging_files.c share. Not for others.
 */
#ifndef WARG_CLIENT_STAGING_PARTS_H
#define WARG_CLIENT_STAGING_PARTS_H

#include "staging.h"

/* Descriptors: nobody but us removes folders there. */
struct staging {
	struct store *store;
	char *state_dir, *label;
	int top, contents, files;
	int claim; /* lock file of the claimed slot; -1: none */
	unsigned slot;
};

#define STAGING_FILE_FOLDER "files"
#define STAGING_NAME_SIZE 32

/** Name of a slot's folder of files; slots count from 1. */
void staging_name_files(unsigned slot, char out[static STAGING_NAME_SIZE]);

/** Drop the claim; no-op if there is none. */
void staging_end_claim(struct staging *staging);

#define STAGING_TEMP_PREFIX ".new-"

/** Open contents/ once more: a lock on it is of the descriptor. */
int staging_reopen_contents(const struct staging *staging, int *fd, struct fault *flt);

#endif
