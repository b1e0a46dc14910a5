/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The threads that take the kernel's requests: a few, since none of them ever waits for the network.
 *
 * libfuse's own loop cannot be ended from another thread without a signal that may come too early to be noticed.
 */
#ifndef WARGFS_FS_REQUEST_LOOP_H
#define WARGFS_FS_REQUEST_LOOP_H

#include "mount_parts.h"

struct loop;

/** Start taking requests. @param end  eventfd that is made readable when somebody unmounts */
int request_loop_start(struct fuse_session *session, int end, struct loop **out, struct fault *flt);

/** End the threads. The session is told to exit. NULL is fine. */
void request_loop_join(struct loop *loop);

#endif
