/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A thread that keeps a mirror up to date: looks at the origin every so many seconds, and brings what is new.
 */
#ifndef WARG_SERVER_MIRROR_H
#define WARG_SERVER_MIRROR_H

#include "import.h"

struct mirror;

/** How to follow. */
struct mirror_options {
	struct import import; /* what it names is used by no other while this runs */
	unsigned refresh; /* seconds between looks */
	/** Where the registry stands now, and its operator's log. Called on the mirror's thread, as the next. */
	void (*stands)(void *user, const struct append_state *state, struct operator_log *operator);
	/** What went wrong; it is tried again. */
	void (*failed)(void *user, const struct fault *flt);
	void *user;
};

/**
 * @param state     where the registry stands; copied
 * @param operator  its operator's log; a reference is taken
 */
int mirror_start(const struct mirror_options *options, const struct append_state *state, struct operator_log *operator,
		 struct mirror **out, struct fault *flt);
/** Ends soon, also while it waits for the origin. NULL is fine. */
void mirror_stop(struct mirror *mirror);

#endif
