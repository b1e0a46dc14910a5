/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry as seen from here: the view and how it grows, the contents, and what went wrong last.
 *
 * One thread, the updater, builds every next view beside the current one and swaps it in whole. What is asked for while
 * it works is taken together in its next round, so that a crowd of wants costs as many round trips as one.
 */
#ifndef WARG_CLIENT_REGISTRY_H
#define WARG_CLIENT_REGISTRY_H

#include "client/store/trust.h"
#include "client/sync/audit.h"
#include "client/sync/freshness.h"
#include "client/sync/view.h"
#include "content.h"

struct registry_options {
	struct http_url url;         /* of the registry itself; discovery is done */
	/* the URL whose discovery led to `url`: pinned to `url` once the registry is verified; copied; may be NULL */
	const struct http_url *found_by;
	/* domain for Warg-Registry: of the registry that is meant, which the one at `url` speaks for; or NULL */
	const char *domain;
	const char *folder;          /* of what is stored, as store_open(); NULL: the URL's label */
	const char *trusted_as;      /* of what is remembered, as trust_open(); NULL: the URL's label */
	const char *registries_dir, *content_dir, *own_dir; /* as store_open() */
	const char *state_dir;       /* as trust_open(); NULL: nothing is remembered beyond the cache */
	const struct digest *operator_key; /* as trust_demand(); only read by registry_open(); NULL: any key */
	struct credential *credential; /* its token; registry_open() takes a reference; may be NULL */
	struct deadlines *deadlines; /* borrowed: waits are left there as well; NULL: one of its own */
	unsigned timeout;            /* seconds; deadline of every wait */
	/** Whether to show what is proven without the network, from the start; see registry_start_fault(). */
	bool starts_from_cache;
	bool offline;                /* nothing is ever sent */
	/* seconds between looks for a new checkpoint, fewer after one that failed; 0: only when asked */
	unsigned refresh;
	bool audit;                  /* audit the map of every checkpoint whose ledger is listed */
	/** Called from the updater after each swap that changed something; must not block. NULL: nobody. */
	void (*changed)(void *user, const struct view *before, const struct view *after);
	/**
	 * Called from the updater: whether somebody may count on the view to have the package, or on `changed` to tell
	 * of it. Packages beyond `known` that nobody needs, and that were not looked at for `rest` milliseconds, are
	 * let go, and come back from the archive when they are wanted. NULL: none is let go.
	 */
	bool (*is_needed)(void *user, const struct name *package);
	size_t known;  /* 0: CAP_KNOWN */
	clock_ms rest; /* 0: a minute */
	/**
	 * Called from any thread with each fault that no waiter hears of, e.g. of a refresh in the background. NULL:
	 * nobody.
	 */
	void (*failed)(void *user, const struct fault *flt);
	/**
	 * Called from the updater, before who waits is told FAULT_ABSENT: the registry hints that the package's
	 * namespace lives in the registry at `domain`. A claim, of the right form. NULL: nobody wants to know.
	 */
	void (*hinted)(void *user, const struct name *package, const char *domain);
	void *user, *hint_user; /* for the first three, and for `hinted` */
	/**
	 * Called on the updater thread after the operator's key was pinned at the first contact. May be NULL.
	 * @param name  the registry's URL, or the domain of one that the registry at `url` speaks for
	 */
	void (*met)(void *user, const char *name, const struct digest *operator_key);
	void *met_user;
};

struct registry;

/** Open the store, load what lies there, start the threads. No network. */
int registry_open(const struct registry_options *options, struct registry **out, struct fault *flt);
/** Everybody who waits is told FAULT_CANCELLED; threads end. NULL is fine. */
void registry_close(struct registry *registry);

/** Why nothing was proven without the network at the start; verdict 0 if something was, or nobody wanted that. */
void registry_start_fault(const struct registry *registry, struct fault *out);

/** The current view: a new reference, never NULL; with log_length 0 before the first checkpoint was proven. */
struct view *registry_view(struct registry *registry);

/** Have a new checkpoint looked for now. */
void registry_want_refresh(struct registry *registry, struct waiter *waiter);
/** The same, waited for by nobody: what fails is told to `failed`. */
void registry_refresh_soon(struct registry *registry);
/**
 * Tell that the next checkpoint is likely to be of more records, as one was sent: the next refresh looks for them in
 * the same round trip.
 */
void registry_expect_growth(struct registry *registry);
/** When the last round began, by clock_now(); 0: it failed, or there was none yet. */
clock_ms registry_round(struct registry *registry);
/** Have the listing in the view. */
void registry_want_listing(struct registry *registry, struct waiter *waiter);
/** Have a package in the view; `done` gets the package's own fault: FAULT_ABSENT if the registry has none. */
void registry_want_package(struct registry *registry, const struct name *name, struct waiter *waiter);
/** Both at once, so that one round answers them: the package as it is at the newest checkpoint. */
void registry_want_update(struct registry *registry, const struct name *name, struct waiter *refreshed,
			  struct waiter *package);
/**
 * Want optional data: packages, the first of which is waited for, or the listing if `count` is 0. While the registry is
 * unreachable the want succeeds at once if the cache proves the data, and else fails at once with the last fault.
 * Packages that nobody waits for are left where their logs have more than CAP_AHEAD bytes.
 */
void registry_want_spare(struct registry *registry, const struct name *names, size_t count, struct waiter *waiter);
/**
 * Have a proof document of a release made, at the view's checkpoint; registry_find_proof() finds it then. It is made on
 * threads of its own: neither the updater nor contents wait for it.
 * @param version  one that the view has, at most CAP_VERSION bytes; another is FAULT_ABSENT
 */
void registry_want_proof(struct registry *registry, const struct name *name, const char *version,
			 struct waiter *waiter);
/** Wait no more, for any of these or for one of the registry's contents. As completion_leave(). */
bool registry_leave(struct registry *registry, struct waiter *waiter);

/** A proof document that was made (proof.h). Immutable, counted by references. */
struct registry_proof {
	atomic_uint references;
	struct name name;
	char version[CAP_VERSION + 1];
	uint64_t log_length;         /* of its checkpoint */
	struct buf text;
	struct registry_proof *next; /* the registry's own */
};
/**
 * The document of a release, if it was made lately; else NULL. A new reference.
 * @param least  the log length that its checkpoint must have
 */
struct registry_proof *registry_find_proof(struct registry *registry, const struct name *name, const char *version,
					   uint64_t least);
/** NULL is fine. */
void registry_proof_unref(struct registry_proof *proof);

/** The same, blocking, for commands. */
int registry_refresh(struct registry *registry, struct fault *flt);
int registry_list(struct registry *registry, struct fault *flt);
/**
 * registry_refresh() and registry_add() in the same round trips.
 * @param faults  as for registry_add(), when the refresh itself went well
 * @return the verdict on the refresh
 */
int registry_update(struct registry *registry, const struct name *names, size_t count, struct fault *faults,
		    struct fault *flt);
/** @param faults  `count` of them, zeroed by the caller; each package's own */
int registry_add(struct registry *registry, const struct name *names, size_t count, struct fault *faults);

/** The parts, borrowed. */
struct content *registry_content(struct registry *registry);
struct store *registry_store(struct registry *registry);
/** What was archived of it, opened once more, for reading: archive_close() it. NULL if there is none. */
struct archive *registry_open_archive(const struct registry *registry);
const struct api *registry_api(const struct registry *registry);
const struct http_url *registry_url(const struct registry *registry);
/** What it is called in texts: its domain where a namespace led to it, else http_url_name(). Borrowed. */
const char *registry_name(const struct registry *registry);
/** The deadline of a wait that begins now. */
clock_ms registry_deadline(const struct registry *registry);

/** As it was opened with; NULL: none. Borrowed, as the options were. */
const char *registry_state_dir(const struct registry *registry);
/** What is remembered of the registry; NULL without `state_dir`. Borrowed. */
const struct trust *registry_trust(const struct registry *registry);

/** How old the newest checkpoint is. */
void registry_freshness(struct registry *registry, struct freshness *out);

/** How far the audit of the map came. @return false if there is none */
bool registry_audit(struct registry *registry, struct audit_progress *out);

/** The last fault of a refresh or a listing, verdict 0 after a success. */
void registry_last_fault(struct registry *registry, struct fault *out);

#endif
