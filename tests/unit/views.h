/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Views made up in memory from a few words, for tests. Nothing in them is signed. A failure inside fails the test.
 */
#ifndef WARG_TESTS_VIEWS_H
#define WARG_TESTS_VIEWS_H

#include "client/sync/view.h"

/** What a view is made of. Lists end with NULL. */
struct views_words {
	const char *const *packages; /* "ns:package 1.0.0 -1.1.0 …": versions in order, '-' before one yanked later */
	const char *const *listed;   /* names; NULL: no listing */
	bool is_complete;            /* the listing */
	const uint32_t *last;        /* last record of each name, which must be sorted; NULL: no ledger */
};
#define VIEWS_LIST(...) ((const char *const[]){ __VA_ARGS__ __VA_OPT__(,) NULL })

/** One reference. Records are a second apart from VIEWS_SECOND on, the first of each log the one of its `init`. */
#define VIEWS_SECOND 1700000000
struct view *views_make(const struct views_words *words);

/** Something went wrong with a package. */
void views_spoil(struct view *view, const char *package);

#endif
