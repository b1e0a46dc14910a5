/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a view says about the tree: what is there, and what is in a folder. Asks nobody.
 */
#ifndef WARGFS_FS_TREE_H
#define WARGFS_FS_TREE_H

#include "client/sync/view.h"
#include "path.h"

/** Whether something is there. */
enum tree_answer {
	TREE_YES,
	TREE_NO,          /* that is proven */
	TREE_UNSEEN,      /* nobody names it, which proves nothing */
	TREE_DOUBT,       /* it may be behind what went wrong with its package */
	TREE_ASK_LISTING, /* not known without a listing */
	TREE_ASK_PACKAGE, /* not known without the package's log */
};
enum tree_answer tree_has(const struct view *view, const struct path *path);

/** Whether there is a package. */
enum tree_answer tree_has_package(const struct view *view, const struct name *name);
/** Whether there is a namespace. */
enum tree_answer tree_has_namespace(const struct view *view, struct span namespace);

/** The package of a place, if it has one and the view knows it; else NULL. Borrowed from the view. */
const struct view_package *tree_package(const struct view *view, const struct path *path);

/**
 * The release that a place is about: the one of its version, yanked or not, or the one that a link leads to. NULL:
 * none. Borrowed from the view.
 */
const struct package_release *tree_release(const struct view *view, const struct path *path);

/** Where a link points to. @return false if there is no release that it could lead to */
bool tree_link(const struct view *view, const struct path *path, char out[static PATH_SIZE]);

/** Something in a folder. Borrowed from the view. */
struct tree_entry {
	enum path_kind kind;
	struct span stem; /* as path_join() takes it */
	const struct package_release *release; /* that it is about; NULL: none */
	const struct digest *digest; /* of a kind that path_has_digest() */
	bool is_staged; /* it was written here, and is not the registry's */
};

/** A folder's entries: sorted, but versions in the order of the log, after the link to one of them. */
struct tree_entries {
	struct tree_entry *entries; /* owned */
	size_t count;
};

/**
 * List a folder as far as the view knows it. What is found by name alone is not listed: requirements, and folders whose
 * name begins with a dot.
 */
int tree_list(const struct view *view, const struct path *folder, struct tree_entries *out, struct fault *flt);
void tree_entries_release(struct tree_entries *entries);

/** Whether what tree_list() says is proven to be all. */
bool tree_is_complete(const struct view *view, const struct path *folder);

/**
 * When a node last changed; false: unknown. The result does not depend on what else the view holds.
 *
 * A package's entries have the time of its log's newest record, a version and a link that of the release. A namespace's
 * folder has that of its package with the newest record, by the registry's index, which the ledger proves. All other
 * folders, and a namespace without a package or ledger, have that of the operator's newest record.
 */
bool tree_changed_at(const struct view *view, const struct path *path, struct record_time *out);

/**
 * What tree_changed_at() needs for a node.
 * @param package  set with TREE_ASK_PACKAGE
 * @return TREE_YES: tree_changed_at() tells all that there is; TREE_NO: there is no such package; TREE_ASK_LISTING, or
 *         TREE_ASK_PACKAGE: not known without
 */
enum tree_answer tree_time(const struct view *view, const struct path *path, struct name *package);

#endif
