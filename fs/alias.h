/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * How a draft that has a version's name is listed: with "~" behind its name.
 *
 * A program that lists a package takes `1.0.0.wasm` for a release, and once there is such a release its draft could not
 * be reached by that name at all. Under `1.0.0.wasm~` the draft can be seen, read, renamed and removed, and `rm -r`
 * finds it. The name is not on the disk. Where a file has it, one more "~" follows.
 */
#ifndef WARGFS_FS_ALIAS_H
#define WARGFS_FS_ALIAS_H

#include <limits.h>
#include <stdbool.h>

/**
 * The alias of a draft.
 * @param folder  of the disk, with the draft in it
 * @param name    the draft's
 * @return false: the draft has no version's name or is not there, or its alias would be too long for a name
 */
bool alias_of(int folder, const char *name, char out[static NAME_MAX + 1]);

/** The name of the draft that `alias` stands for. @return false: it stands for none */
bool alias_resolve(int folder, const char *alias, char out[static NAME_MAX + 1]);

#endif
