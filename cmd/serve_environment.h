/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the reference server reads from the environment, where the command line does not say it, and where a registry is
 * kept if nobody says it.
 */
#ifndef WARGFS_CMD_SERVE_ENVIRONMENT_H
#define WARGFS_CMD_SERVE_ENVIRONMENT_H

#include <limits.h>

#include "serve_files.h"

struct serve_environment {
	const char *listen;    /* NULL: not given, here and below */
	char *namespace;       /* may be written to */
	bool is_verbose;
	char folder[PATH_MAX]; /* a data folder that nobody named; "": one was named */
};

/**
 * Read the environment. Options count more: what they set is kept.
 * @return 0; WARG_UNDECIDED: FAULT_MISUSE
 */
int serve_environment_read(struct serve_environment *environment, struct embedded_registry *server,
			   struct serve_files *files, struct fault *flt);

/**
 * Choose the data folder if none is named: in the user's data folder, by the operator's key. A key has one registry:
 * two with the same key would be two histories of it.
 * @return 0; WARG_UNDECIDED: FAULT_MISUSE if there is no key; faults of the key
 */
int serve_environment_place(struct serve_environment *environment, struct embedded_registry *server, struct fault *flt);

#endif
