/*
 * A view: what was proven at one checkpoint. Immutable, counted by references, swapped in whole.
 */
#ifndef WARG_CLIENT_VIEW_H
#define WARG_CLIENT_VIEW_H

#include "listing.h"
#include "store.h"

/** A package at a checkpoint. Immutable, counted by references. */
struct view_package {
	atomic_uint references;
	struct name name;
	struct package_log *log; /* proven; never NULL */
	struct store_position position;
	uint64_t log_length; /* of the checkpoint at which it was proven */
	/*
	 * What went wrong when it was brought to a later checkpoint; verdict 0: nothing. The log stays the one that was
	 * proven before.
	 */
	struct fault fault;
};

struct view {
	atomic_uint references;
	struct signed_checkpoint checkpoint;
	struct signed_checkpoint held; /* a longer one that the registry is held to as well; length 0: none */
	struct operator_log *operator;
	struct store_position operator_position;
	struct view_package **packages; /* sorted by name */
	size_t package_count;
	struct listing *listing; /* at the same checkpoint; NULL: not fetched */
	int64_t verified_at;     /* seconds since 1970, of the clock here */
};

/** One more reference. @return the view */
struct view *view_ref(struct view *view);
/** NULL is fine. */
void view_unref(struct view *view);

/** A view with the same contents that may be changed until somebody else sees it. NULL as `view`: an empty one. */
int view_copy(const struct view *view, struct view **out, struct fault *flt);

/** The package, or NULL. Borrowed from the view. */
const struct view_package *view_find(const struct view *view, const struct name *name);

/** Put a package in, or in the place of the one with its name. Steals `package`, also on failure. */
int view_put_take(struct view *view, struct view_package *package, struct fault *flt);

/** A package with one reference. Steals nothing: takes a reference to `log`. */
int view_package_new(const struct name *name, struct package_log *log, const struct store_position *position,
		     uint64_t log_length, struct view_package **out, struct fault *flt);
void view_package_unref(struct view_package *package);

#endif
