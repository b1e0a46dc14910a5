/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What federation.c, federation_open.c and federation_update.c share. Not for others.
 */
#ifndef WARG_CLIENT_FEDERATION_PARTS_H
#define WARG_CLIENT_FEDERATION_PARTS_H

#include "client/net/api_call.h"
#include "federation.h"

#include <sys/stat.h>

/** Another registry, open or not. Made with the first want for its domain, and there until the end. */
struct federation_other {
	struct federation *federation;
	char domain[CAP_DOMAIN + 1];
	struct http_url url;       /* of the domain */
	struct registry *registry; /* NULL: not open. Set once; the home registry, if that is what it came out to be */

	/* Opening it. */
	struct completion *completion; /* holds the waiters while it is being opened; NULL: it is not */
	unsigned joining; /* threads between finding that it is being opened and joining the completion */
	struct api_call call;
	struct fault refused; /* why the home registry does not speak for it */
	bool is_spoken_for;
	struct http_url found;   /* by discovery */
	struct fault unreached; /* why there was none: what the cache proves is all that can be had */
	struct job job;
};

/** A hint that nobody took or refused yet. */
struct federation_hint {
	char namespace[CAP_NAME_PART + 1];
	char domain[CAP_DOMAIN + 1];
};

struct federation {
	struct federation_options options;
	struct registry *home;
	struct deadlines *deadlines;

	pthread_mutex_t mutex;
	pthread_cond_t joined; /* nobody is about to join any more */
	bool closing;
	struct http *http;       /* what opens others: NULL until the first one is wanted */
	struct workers *workers; /* likewise */
	bool is_silent;          /* the home registry does not speak for others */
	struct federation_other *others[CAP_REGISTRIES];
	size_t count;
	struct namespaces map;
	struct stat map_seen; /* of the file that the map was read from; all zero: it was not read, or there is none */
	struct federation_hint hints[CAP_HINTS];
	size_t hint_count;
};

/** Begin to open a registry; finishes its completion in the end. No lock is held. */
void federation_begin(struct federation_other *other);

/** Take a hint out of those that came. @return false if none came for the namespace */
bool federation_take_hint(struct federation *federation, struct span namespace, char domain[static CAP_DOMAIN + 1]);

#endif
