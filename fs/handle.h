/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a program has open, and the kernel alone has a pointer to.
 *
 * The kernel tells of the end by RELEASE and RELEASEDIR, which it sends when it has the time: if the mount ends before
 * that, it sends none. So the mount knows its handles, and frees those that are left at its own end.
 */
#ifndef WARGFS_FS_HANDLE_H
#define WARGFS_FS_HANDLE_H

#include <stdbool.h>
#include <sys/queue.h>

struct mount;

/** The first member of an open file or folder. */
struct handle {
	LIST_ENTRY(handle) others;
	void (*free)(struct mount *mount, struct handle *handle);
	bool is_open;
};
LIST_HEAD(handles, handle);

/** The kernel is about to get the handle. Any thread. */
void handle_open(struct mount *mount, struct handle *handle, void (*end)(struct mount *mount, struct handle *handle));

/** The kernel has no pointer to it any more; does nothing if it never had one. Any thread. */
void handle_close(struct mount *mount, struct handle *handle);

/** Free all that are left. The kernel talks to nobody any more. */
void handles_end(struct mount *mount);

#endif
