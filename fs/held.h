/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents that are being read, held open: the kernel does not tell who has a file open. So what was read lately stays
 * as it is, whatever becomes of the cache, the registry and the network.
 */
#ifndef WARGFS_FS_HELD_H
#define WARGFS_FS_HELD_H

#include "client/base/clock.h"
#include "client/registry/content.h"

/** How many there are at most, and the seconds after which one that nobody reads is let go. */
#define HELD_MOST 64
#define HELD_SECONDS 60

struct held;

/** Nothing is held. @param out  held_free() it */
int held_new(struct held **out, struct fault *flt);
/** NULL is fine. */
void held_free(struct held *held);

/** A content that is held, if nobody touched its file since it verified: a reference; else NULL. */
struct content_file *held_find(struct held *held, const struct digest *digest);

/** Hold a content, in place of the one that was not read for the longest time where there are too many. */
void held_keep(struct held *held, const struct digest *digest, struct content_file *file);

/** Let those go that nobody read for HELD_SECONDS, at the time `now`. */
void held_let_go(struct held *held, clock_ms now);

#endif
