/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * mount.wargfs: what mount(8) calls for `mount -t wargfs` and for a line of /etc/fstab.
 *
 * It is this program under another name, and nothing but `wargfs mount` in mount(8)'s words: SPEC DIR [-sfnv]
 * [-o WORDS] [-t TYPE].
 */
#ifndef WARGFS_CMD_MOUNT_HELPER_H
#define WARGFS_CMD_MOUNT_HELPER_H

#include <stdbool.h>

/** Whether the program was called by that name. */
bool mount_helper_is(const char *program);

/** Run it. @return what to end with, in the numbers of mount(8) */
int mount_helper_run(int argc, char **argv);

#endif
