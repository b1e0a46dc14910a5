/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The packages of a view: a persistent hash trie, keyed by log ids.
 *
 * Two tries that were copied from each other share all nodes that did not change since. So copying costs a reference,
 * and putting a package copies the nodes on the way to it: O(log n), whatever the number of packages. Log ids are
 * SHA-256 digests: the trie is as deep as chance makes it, and no choice of names makes it deeper.
 *
 * A trie belongs to one thread until its view is shown to others; nodes that two tries share are never changed.
 */
#ifndef WARG_CLIENT_VIEW_TRIE_H
#define WARG_CLIENT_VIEW_TRIE_H

#include "verify/digest.h"

#include <stddef.h>

struct view_package;
struct view_trie_node;

/** All-zero: no packages. Release with view_trie_release(). */
struct view_trie {
	struct view_trie_node *root;
	size_t count;
};

/** The same packages, to be changed apart. Cannot fail. */
struct view_trie view_trie_copy(const struct view_trie *trie);

/** Give the packages back; empty afterwards. */
void view_trie_release(struct view_trie *trie);

/** The package whose log has this id, or NULL. Borrowed from the trie. */
struct view_package *view_trie_find(const struct view_trie *trie, const struct digest *log_id);

/**
 * Put a package in, or in the place of the one with its log id. Its `fault` must not change afterwards.
 * @param package  stolen, also on failure
 * @return 0; WARG_UNDECIDED without memory: the packages are the same as before
 */
int view_trie_put_take(struct view_trie *trie, struct view_package *package, struct fault *flt);

/** Called for a package of a trie. @return 0 to go on; anything else ends the walk, and is what the walk returns */
typedef int view_trie_visit(void *user, const struct view_package *package);

/** Visit every package, in the order of log ids. */
int view_trie_each(const struct view_trie *trie, view_trie_visit *visit, void *user);

/** Visit the packages with a fault: O(their number * log n). */
int view_trie_each_failed(const struct view_trie *trie, view_trie_visit *visit, void *user);

/**
 * Visit the packages of `after` that `before` has not, or has otherwise. What both share is passed over without a look:
 * O(changes * log n) where one was copied from the other.
 * @param visit  gets NULL as `known` where `before` has no such package
 */
int view_trie_each_changed(const struct view_trie *before, const struct view_trie *after,
			   int (*visit)(void *user, const struct view_package *known,
					const struct view_package *package),
			   void *user);

#endif
