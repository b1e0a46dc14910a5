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
};

/** Change the anchor under the lock of the folder. @param apply  tells whether there is anything to write */
int trust_change(const struct trust *trust, bool (*apply)(struct trust_anchor *anchor, const void *argument),
		 const void *argument, struct fault *flt);

/** What a charge is called in files. */
const char *trust_charge_name(enum trust_charge charge);

#endif
