/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What to call a registry of which only the label is known, the name of its folder in the cache: for lists of what is
 * stored, and for --registry.
 *
 *   STATE/LABEL/folder   of a registry in a folder: where that was last; one line
 */
#ifndef WARGFS_CMD_LOCAL_NAMES_H
#define WARGFS_CMD_LOCAL_NAMES_H

#include "client/net/http_url.h"
#include "client/user/config.h"

/** Remember the name of a registry in a folder, "local:DIR". Where it cannot be kept, lists show less. */
void local_names_remember(const struct config *config, const struct http_url *url);

/** Room for a name. */
#define LOCAL_NAMES_SIZE (4096 + 16)

/** The name that goes with a label: "local:DIR", a URL, or where neither can be told the label. */
void local_names_find(const struct config *config, const char *label, char out[static LOCAL_NAMES_SIZE]);

#endif
