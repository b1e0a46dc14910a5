/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents that are being read, held open: the kernel does not tell who has a file open. So what was read lately stays
 * as it is, whatever becomes of the cache, the registry and the network.
 */
#ifndef WARGFS_FS_OPEN_CONTENTS_H
#define WARGFS_FS_OPEN_CONTENTS_H

#include "client/base/clock.h"
#include "client/registry/content.h"

/** How many there are at most, and the seconds after which one that nobody reads is let go. */
#define OPEN_CONTENTS_MOST 64
#define OPEN_CONTENTS_SECONDS 60

struct open_contents;

/** Nothing is held. @param out  open_contents_free() it */
int open_contents_new(struct open_contents **out, struct fault *flt);
/** NULL is fine. */
void open_contents_free(struct open_contents *held);

/** A content that is held, if nobody touched its file since it verified: a reference; else NULL. */
struct content_file *open_contents_find(struct open_contents *held, const struct digest *digest);

/** Hold a content, in place of the one that was not read for the longest time where there are too many. */
void open_contents_keep(struct open_contents *held, const struct digest *digest, struct content_file *file);

/** Let those go that nobody read for OPEN_CONTENTS_SECONDS, at the time `now`. */
void open_contents_let_go(struct open_contents *held, clock_ms now);

#endif
