/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files of a mount share.
 */
#ifndef WARGFS_FS_MOUNT_PARTS_H
#define WARGFS_FS_MOUNT_PARTS_H

#define FUSE_USE_VERSION 314

#include <fuse3/fuse_lowlevel.h>

#include "client/registry/federation.h"
#include "handle.h"
#include "log.h"
#include "metrics.h"
#include "mount.h"
#include "node.h"

#include <stdatomic.h>

struct staging;
struct publisher;
struct workers;

/** A version that is being published just now. */
struct claim {
	struct claim *next;
	struct path path; /* the release's */
};

/** What was published or removed lately: who did it may go on to set attributes of it (see publishing.h). */
struct recent {
	struct path path;
	pid_t process; /* group of threads */
	clock_ms end;
};
#define MOUNT_RECENTS 256

/** A draft that waits for the next try of an open() to write a release (see repeat.h). */
struct repeat {
	struct path path; /* the release's */
	pid_t thread;
	clock_ms end;
	struct node *node; /* a reference; NULL: this place is free */
};
#define MOUNT_REPEATS 64

/** What the kernel is told of a file whose size is not known: more than any has, so that it asks for all there is. */
#define MOUNT_SIZE_UNKNOWN (CAP_CONTENT + 1)

/** Seconds that the kernel may keep what cannot change, or what it is told of when it does. */
#define MOUNT_FOREVER 1e9

struct mount {
	struct mount_options options; /* a copy; `passed` is not looked at */
	struct federation *federation;
	struct registry *registry; /* the home registry */
	struct nodes *nodes;
	pthread_mutex_t handles_mutex;
	struct handles handles; /* what is open */
	struct open_contents *open_contents;
	struct refusals *refusals;
	struct links *links;
	struct log *log;
	struct metrics metrics;
	struct fuse_session *session;
	int device; /* one more descriptor of its device; -1: none */
	bool opens;             /* open() of a file is a message; else the kernel opens files without us */
	bool can_be_parallel;   /* the kernel can have several lookups in one folder at once */
	atomic_bool negotiated; /* the first answer was given */
	struct loop *loop;
	struct invalidation *invalidation;
	struct status *status;
	int end; /* eventfd: readable once the mount is to end */
	_Atomic clock_ms times_rest; /* no request waits for a time before then (times.c) */
	int refresh; /* eventfd: readable when a new checkpoint is to be looked for */
	char *folder;
	char *source; /* what the kernel shows as the mounted device */
	clock_ms started_at;

	/* Of other registries (federated.c). */
	pthread_mutex_t elsewhere_mutex;
	bool elsewhere_stopped;
	struct channel *channels;
	atomic_bool has_elsewhere; /* something may live elsewhere: most registries are alone, and need not look */
	struct namespaces_listed *elsewhere; /* what the kernel may know of the map; the watcher's own */
	size_t elsewhere_count;
	int watch; /* inotify; -1: none */

	/* Of a mount that may be written to (publishing.c); else zeroed. */
	struct mount_publishing publishing;
	struct staging *staging;
	struct publisher *publisher;
	struct workers *blocking_jobs; /* for short local blocking jobs, which must not wait behind a publish */
	struct workers *publishes; /* for blocking jobs that wait for the registry */
	atomic_bool has_leftovers; /* the journal may have records that nobody drives */
	pthread_mutex_t writing_mutex; /* for what follows */
	struct claim *claims;
	struct recent recents[MOUNT_RECENTS]; /* a ring */
	size_t oldest_recent;
	struct repeat repeats[MOUNT_REPEATS]; /* a ring */
	size_t oldest_repeat;
	atomic_uint repeat_count; /* places that are not free */
};

/**
 * The registry that a place belongs to. @param path  NULL: the mount as a whole
 * @return NULL: its namespace lives elsewhere, and nobody needed that registry yet; or it cannot be told where it lives
 */
struct registry *mount_registry(const struct mount *mount, const struct path *path);

/** Have a new checkpoint looked for now, of every registry that is open. Waits for nothing. */
void mount_refresh_soon(struct mount *mount);

/** Fill in what stat() says of a node. @return for how many seconds that holds */
double mount_attributes(struct mount *mount, const struct view *view, struct node *node, struct stat *out);

/** A fault that somebody met at a node: log it and remember it there. Faults that are no news are passed over. */
void mount_tell(struct mount *mount, struct node *node, const struct fault *flt);

#endif
