/*
 * What staging.c, staging_sweep.c and staging_files.c share. Not for others.
 */
#ifndef WARG_CLIENT_STAGING_PARTS_H
#define WARG_CLIENT_STAGING_PARTS_H

#include "staging.h"

/* Descriptors: nobody but us removes folders there. */
struct staging {
	struct store *store;
	char *state_dir, *label;
	int contents, files;
};

#define STAGING_TEMP_PREFIX ".new-"

/** Open contents/ once more: a lock on it is of the descriptor. */
int staging_reopen_contents(const struct staging *staging, int *fd, struct fault *flt);

#endif
