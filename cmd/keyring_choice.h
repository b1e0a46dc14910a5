/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Where keys and tokens are to be kept, for commands that store the first of them.
 */
#ifndef WARGFS_CMD_KEYRING_CHOICE_H
#define WARGFS_CMD_KEYRING_CHOICE_H

#include "client/user/config.h"
#include "options.h"

/** Read the value of --keyring-backend. @return 0; WARG_UNDECIDED with FAULT_MISUSE */
int keyring_choice_read(const char *value, const char **out, struct fault *flt);

/**
 * Set the configuration's backend: to `given`, else, at a terminal and where the configuration names none, to what the
 * person answers. The usual answer is the desktop's keyring where the session has a message bus, and else a file. For
 * good only once the configuration is saved.
 * @param given  the value of --keyring-backend; NULL: not given
 */
int keyring_choice_make(const struct options *options, const struct config_environment *environment, const char *given,
			struct config *config, struct fault *flt);

#endif
