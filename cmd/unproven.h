/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The folders of registries that never proved anything, as of a mistyped URL: nothing is kept of them.
 */
#ifndef WARGFS_CMD_UNPROVEN_H
#define WARGFS_CMD_UNPROVEN_H

#include "client/user/config.h"

#include <stdbool.h>

/**
 * Remove the folders of the registry with this label in cache and state, if none of them has a file in it, however
 * deep: what was proven, trusted, accused, staged or signed is a file. Another process that meets the registry at the
 * same time makes them again. Failure is no fault: they lie in nobody's way.
 */
void unproven_remove(const struct config *config, const char *label);

/** Whether a registry's folder in the store has anything that the registry proved. */
bool unproven_is(const char *registries_dir, const char *label);

#endif
