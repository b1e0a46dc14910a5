/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which certificates a command trusts, and which proxy it uses: chosen once at its start.
 */
#ifndef WARGFS_CMD_NETWORK_H
#define WARGFS_CMD_NETWORK_H

#include "client/user/config.h"

/**
 * Choose for all requests of this process: certificates by `given`, else by the settings, else by the environment; the
 * proxy by the environment. Before any thread starts. A relative path is resolved now: daemons change their folder.
 * @param given     the file of --cacert; NULL: not given
 * @param settings  the file of settings; NULL: there is none
 * @return 0; WARG_UNDECIDED if the chosen file cannot be read, or holds no certificates. Files that the environment
 *         names are not looked at: many commands need none
 */
int network_choose(const char *given, const char *settings, const struct config_environment *environment,
		   struct fault *flt);

/**
 * Make a path of certificates absolute, and check that it has some.
 * @param out  free() it
 */
int network_check_file(const char *path, const struct config_environment *environment, char **out, struct fault *flt);

#endif
