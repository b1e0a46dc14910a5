/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs config, when there is nothing to change.
 */
#ifndef WARGFS_CMD_CONFIG_SHOW_H
#define WARGFS_CMD_CONFIG_SHOW_H

#include "session.h"

/**
 * Load the configuration and print it: each member by its name in config.json, its value, and whether the file says so
 * or it is the default; then the operator keys that are demanded. Writes nothing.
 * @return what to end with
 */
int config_show(const struct command *command, const struct options *options, struct session *session);

#endif
