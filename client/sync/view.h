/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A view: what was proven at one checkpoint. Immutable, counted by references, swapped in whole.
 */
#ifndef WARG_CLIENT_VIEW_H
#define WARG_CLIENT_VIEW_H

#include "client/store/store.h"
#include "listing.h"
#include "view_trie.h"

/** A package at a checkpoint. Immutable, counted by references. */
struct view_package {
	atomic_uint references;
	/* of its position, as the next ones: see view_package_position() */
	bool is_placed, is_kept;
	atomic_bool is_looked_at; /* since view_package_forget_look() */
	bool has_head_token; /* its token is the text of its head's record id, as the reference's are: it is not kept */
	struct digest log_id;
	struct package_log *log; /* proven; never NULL */
	/* of the checkpoint at which its log was last brought forward; of one that has a fault, last proven */
	uint32_t log_length;
	uint32_t registry_index;
	uint64_t archived;
	struct fault *fault; /* owned; NULL: none. See view_package_fault() */
	char token[];        /* at its own length, unless `has_head_token` */
};

/**
 * The proof of inclusion of two heads, of the operator's log and of a package's, that an update has checked: for a
 * document of it (proof.h). Immutable, counted by references.
 */
struct view_proof {
	atomic_uint references;
	uint64_t heads[2]; /* registry indices */
	struct buf log_bundle, map_bundle; /* encoded */
};

struct view {
	atomic_uint references;
	struct signed_checkpoint checkpoint;
	struct signed_checkpoint held[2]; /* more checkpoints to be consistent with; length 0: none */
	struct operator_log *operator;
	struct store_position operator_position;
	struct view_trie packages;
	struct listing *listing; /* at the same checkpoint; NULL: not fetched */
	struct view_proof *proof; /* at the same checkpoint; NULL: none was kept */
	int64_t verified_at;     /* seconds since 1970, of the clock here */
};

/** One more reference. @return the view */
struct view *view_ref(struct view *view);
/** NULL is fine. */
void view_unref(struct view *view);

/**
 * A view with the same contents that may be changed until somebody else sees it. It shares the packages with `view`.
 * NULL as `view`: an empty one.
 */
int view_copy(const struct view *view, struct view **out, struct fault *flt);

/** Whether the package's log is proven to be the one at the checkpoint of the view that it is in. */
bool view_package_is_current(const struct view_package *package);

/** Where its log is in the registry's. */
struct store_position view_package_position(const struct view_package *package);

/** Its name; and its text, borrowed. */
struct name view_package_name(const struct view_package *package);
const char *view_package_name_text(const struct view_package *package);

/**
 * What went wrong when it was brought to a later checkpoint. Borrowed, never NULL; verdict 0: nothing, and the log is
 * the one at the view's checkpoint. Else it is the one at `log_length`.
 */
const struct fault *view_package_fault(const struct view_package *package);

/** The package, or NULL. Borrowed from the view. Notes that it was looked at. */
const struct view_package *view_find(const struct view *view, const struct name *name);

/** Whether the package was looked at since the last time, or is new. */
bool view_package_forget_look(const struct view_package *package);

/**
 * The packages, sorted by name.
 * @param out  view->packages.count of them, borrowed from the view; free() it
 */
int view_sort(const struct view *view, const struct view_package ***out, struct fault *flt);

/** Put a package in, or in the place of the one with its name: view_trie_put_take(). */
int view_put_take(struct view *view, struct view_package *package, struct fault *flt);

/**
 * The package of a log, with one reference. Steals nothing: takes a reference to `log`.
 * @param fault  what view_package_fault() is to say, copied; NULL: nothing
 */
int view_package_new(struct package_log *log, const struct store_position *position, uint64_t log_length,
		     const struct fault *fault, struct view_package **out, struct fault *flt);
/** A proof with one reference. */
int view_proof_new(const uint64_t heads[2], const struct merkle_log_bundle *log, const struct merkle_map_bundle *map,
		   struct view_proof **out, struct fault *flt);
/** One more reference. @return the proof; NULL is fine, here and below */
struct view_proof *view_proof_ref(struct view_proof *proof);
void view_proof_unref(struct view_proof *proof);

/** One more reference. @return the package */
struct view_package *view_package_ref(struct view_package *package);
/** NULL is fine. */
void view_package_unref(struct view_package *package);

#endif
