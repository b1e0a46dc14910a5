/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The sockets on which mounts tell their status and are told things (fs/asking.h): one a daemon, named after its
 * process, in a folder that nobody else can enter.
 */
#ifndef WARGFS_CMD_SOCKETS_H
#define WARGFS_CMD_SOCKETS_H

#include "client/base/clock.h"
#include "client/user/config.h"

/** The folder's path: $XDG_RUNTIME_DIR/wargfs, else /run/user/<uid>/wargfs, else /tmp/wargfs-<uid>. */
void sockets_path(const struct config_environment *environment, char *path, size_t size);

/**
 * Open the folder, or make it.
 * @param out  close() it
 * @return 0; WARG_UNDECIDED if other users can access it
 */
int sockets_open_folder(const struct config_environment *environment, int *out, struct fault *flt);

/** A name in the folder. */
#define SOCKETS_NAME_SIZE 32

/** Listen as this process. @param name  for sockets_remove() */
int sockets_listen(int folder, int *out, char name[static SOCKETS_NAME_SIZE], struct fault *flt);

/** Take a name out of the folder. */
void sockets_remove(int folder, const char *name);

/** The names in the folder. @param out  free() it */
int sockets_list(int folder, char (**out)[SOCKETS_NAME_SIZE], size_t *count, struct fault *flt);

/**
 * Ask one for its status, and take the answer whole. The name of a daemon that is no more is removed.
 * @param deadline  of all of it
 * @param there     false: there is no daemon behind it any more
 */
int sockets_ask(int folder, const char *name, clock_ms deadline, struct buf *answer, bool *there, struct fault *flt);

/**
 * Have all mounts of a registry look for a new checkpoint, and wait until programs see it through them, but not longer
 * than a few seconds: for a command that has just changed or learned something. Where no mount can be told, none is
 * there, or it looks by itself soon.
 */
void sockets_refresh(const struct config_environment *environment, const char *url);

#endif
