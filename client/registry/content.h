/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents: from a digest to a local file whose bytes were hashed here, or a download under way that others join.
 *
 * Nothing is handed out before it matched its digest. A file that lay in the cache is hashed at its first use by this
 * process; one that does not match is removed and fetched again. None of these functions waits for the disk's reading
 * of contents or the network: what needs that runs on the event loop and the workers, and finishes the completion.
 */
#ifndef WARG_CLIENT_CONTENT_H
#define WARG_CLIENT_CONTENT_H

#include "client/base/completion.h"
#include "client/base/workers.h"
#include "client/net/api.h"
#include "client/store/store.h"

#include <stdatomic.h>
#include <sys/types.h>
#include <time.h>

/** What the contents of one registry need. Borrowed. */
struct content_options {
	struct api api;
	struct store *store;
	struct deadlines *deadlines;
	struct workers *workers;
	clock_ms timeout; /* milliseconds without progress after which a request is given up */
};

struct content;
/** @param out  content_free() it, before anything that the options name */
int content_new(const struct content_options *options, struct content **out, struct fault *flt);
/** Cancels downloads. Nobody may wait any more. NULL is fine. */
void content_free(struct content *content);

/** What tells whether a file is still the one that was hashed. */
struct content_facts {
	dev_t device;
	ino_t inode;
	uint64_t size;
	struct timespec modified, changed;
};

/** A verified file, open for reading. Immutable, counted by references. */
struct content_file {
	atomic_uint references;
	int fd;
	uint64_t size;
	struct content_facts facts;
};
/** Whether nobody touched the file since it verified. One fstat(). */
bool content_file_is_intact(const struct content_file *file);
struct content_file *content_file_ref(struct content_file *file);
/** Closes the descriptor with the last reference. NULL is fine. */
void content_file_unref(struct content_file *file);

/** The verified file, if this process has verified it; else NULL. At most one stat and one open. A new reference. */
struct content_file *content_find(struct content *content, const struct digest *digest);

/**
 * Have it there: joins the completion for this digest, or starts it. After `done` with verdict 0, content_find() finds
 * it. A waiter leaves with completion_leave(); the download goes on for others, and for the cache.
 */
void content_fetch(struct content *content, const struct digest *digest, struct waiter *waiter);

/** The size, if it is known: of the verified file, or as claimed. No network. @return whether it is known */
bool content_find_size(struct content *content, const struct digest *digest, uint64_t *size);

/** Have the size known: from the content source's `size`, else one HEAD. As content_fetch(). */
void content_fetch_size(struct content *content, const struct digest *digest, struct waiter *waiter);

/** Have the sizes of many known soon, a bounded number at a time, waiting for none. */
void content_prefetch_sizes(struct content *content, const struct digest *digests, size_t count);

/** Counters since the start, for status. */
struct content_counters {
	uint64_t downloads_running, downloads_done, downloads_failed, bytes_received, cache_hits;
};
void content_count(struct content *content, struct content_counters *out);

#endif
