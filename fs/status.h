/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a mount believes, for whoever asks on its socket (see asking.h).
 *
 * A thread of its own answers, from memory and the cache's folder: also while the network or the mount hangs.
 */
#ifndef WARGFS_FS_STATUS_H
#define WARGFS_FS_STATUS_H

#include "mount_parts.h"

struct status;

/** Append what a mount believes: one JSON object without a newline at its end. */
int status_render(struct mount *mount, struct buf *out, struct fault *flt);

/** @param socket  listening; closed by status_stop(), also when this fails */
int status_start(struct mount *mount, int socket, struct status **out, struct fault *flt);
/** NULL is fine. */
void status_stop(struct status *status);

#endif
