/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Whether a data folder held a registry before. Its database may be lost: by a restored backup that lacks it, or by
 * hand. A registry that is begun anew under the same key is another history, which every client refuses; so none is
 * begun where one was.
 */
#ifndef WARG_SERVER_BEGUN_H
#define WARG_SERVER_BEGUN_H

#include "verify/fault.h"

/** The file that says that a registry was begun. */
#define BEGUN_FILE "begun"

/**
 * Refuse a folder that lacks its database, but has the file, or contents that a server has kept there.
 * @return 0, also if there is no folder; WARG_UNDECIDED: FAULT_ABSENT
 */
int begun_check(const char *data_dir, struct fault *flt);

/** Make the file, synced, unless it is there. @param folder  the data folder, with the server's lock */
int begun_mark(int folder, struct fault *flt);

#endif
