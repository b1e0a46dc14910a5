/*
 * What a view says about the tree: what is there, and what is in a folder. Asks nobody.
 */
#ifndef WARGFS_FS_TREE_H
#define WARGFS_FS_TREE_H

#include "client/view.h"
#include "path.h"

/** Whether something is there. */
enum tree_answer {
	TREE_YES,
	TREE_NO,             /* proven, or nobody names it */
	TREE_ASK_LISTING,    /* not known without a listing */
	TREE_ASK_PACKAGE,    /* not known without the package's log */
};

/** Whether there is a namespace, or a package. */
enum tree_answer tree_has_namespace(const struct view *view, struct span namespace);
enum tree_answer tree_has_package(const struct view *view, const struct name *name);

/** The release of a package that is shown under a version: one that is there and not yanked; else NULL. */
const struct package_release *tree_find_release(const struct view_package *package, struct span version);

/** Something in a folder. Borrowed from the view. */
struct tree_entry {
	struct span text; /* a namespace, a package, a version without suffix, or PATH_LATEST_NAME */
	const struct package_release *release; /* NULL: not a release */
};

/** What is in a folder, sorted but for releases, which come in the order of the log. */
struct tree_entries {
	struct tree_entry *entries; /* owned */
	size_t count;
};

/**
 * List a folder as far as the view knows it.
 * @param folder  the root, a namespace, or a package that the view has
 */
int tree_list(const struct view *view, const struct path *folder, struct tree_entries *out, struct fault *flt);
void tree_entries_release(struct tree_entries *entries);

/** Whether what tree_list() says is proven to be all. */
bool tree_is_complete(const struct view *view, const struct path *folder);

/** When a folder changed last, as far as is known; false: not at all. */
bool tree_changed_at(const struct view *view, const struct path *folder, struct record_time *out);

#endif
