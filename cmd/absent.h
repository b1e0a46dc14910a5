/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a registry does not have, told with what it has under a name that could have been meant.
 */
#ifndef WARGFS_CMD_ABSENT_H
#define WARGFS_CMD_ABSENT_H

#include "client/registry/registry.h"

/** The fault of a package that the registry's proven view lacks. Returns WARG_UNDECIDED. */
int absent_package(struct registry *registry, const struct name *name, struct fault *flt);

/** The fault of a namespace that it lacks. Returns WARG_UNDECIDED. */
int absent_namespace(struct registry *registry, const char *namespace, struct fault *flt);

/** Add the package that was meant to a fault of kind FAULT_ABSENT, if one is known. */
void absent_suggest(struct registry *registry, const struct name *name, struct fault *flt);

#endif
