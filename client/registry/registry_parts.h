/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What registry.c and the files of its name share. Not for others.
 */
#ifndef WARG_CLIENT_REGISTRY_PARTS_H
#define WARG_CLIENT_REGISTRY_PARTS_H

#include "client/sync/sync.h"
#include "registry.h"

/** Something that is wanted, with all its waiters. Freed when it is completed. */
struct want {
	struct completion completion;
	unsigned joining; /* threads between finding it and joining its completion: it must not be completed before */
	bool is_needed;   /* an unreachable registry is not asked for a listing that was never wanted */
	bool is_awaited;  /* a package that nobody waits for is fetched along, unless its log is long */
	struct name name; /* of a package */
};

/** What was asked for since the updater last looked. */
struct wants {
	struct want *refresh, *listing; /* NULL: nobody wants that */
	struct want **packages;         /* sorted by name */
	size_t count, capacity;
};

/** A proof that is wanted. Freed when it is completed. */
struct proof_want {
	struct job job; /* first, so that one is found from the other */
	struct registry *registry;
	struct completion completion;
	unsigned joining; /* as in a want */
	struct name name;
	char version[CAP_VERSION + 1];
	clock_ms deadline; /* of the work; CLOCK_NEVER: not begun */
	struct proof_want *next;
};

/** Who writes what was learned, for the next start and for the reference. */
struct saver {
	pthread_t thread;
	/* Guarded by the registry's mutex. */
	pthread_cond_t wake;
	bool ends, is_busy;
	clock_ms due;           /* CLOCK_NEVER: there is nothing to write */
	clock_ms unsaved_since; /* when the first change was made that is to be saved */

	/* The saver's own. */
	struct view *saved;     /* what the store has, as far as we know */
	struct checkpoint kept; /* what the ledger's file has a checkpoint for, likewise */
	bool has_more;          /* the store lacks packages that are to be saved next */
};

struct registry {
	struct registry_options options; /* only this text and the credential are owned by us */
	char *domain;
	struct http_url found_by; /* a copy of the options' member */
	bool is_pinned;           /* the URL that led here is pinned. Used by the updater only */
	struct api api;
	struct http *http;
	struct store *store;
	struct trust *trust; /* NULL: nothing is remembered */
	struct ledger *ledger;
	struct audit *audit; /* NULL: there is none */
	struct archive *archive;
	struct deadlines *deadlines;
	struct workers *workers;
	struct content *content;
	pthread_t updater;
	struct saver saver;

	pthread_mutex_t mutex;
	pthread_cond_t wake;   /* for the updater: something is wanted, or it is time to end */
	pthread_cond_t joined; /* for the updater: nobody is about to join any more */
	struct wants wants;
	bool closing;
	bool refresh_soon;     /* somebody wants a refresh, and waits for none */
	bool expects_growth;   /* a record was sent since the last refresh */
	clock_ms round;        /* when the last refresh began; 0: it failed, or there was none */
	struct proof_want *proof_wants;
	struct workers *provers;       /* who makes proofs; NULL: none was wanted yet */
	struct registry_proof *proofs; /* the last ones, the newest first */
	struct fault last_fault;
	struct freshness freshness;
	struct view *view; /* set by the updater alone */
	struct fault start_fault; /* set before the updater starts */

	/* The updater's own. */
	struct view *start;      /* what lay on disk, and was remembered, until the registry sent a checkpoint */
	bool ledger_is_loaded;   /* what lay on disk was looked at */
	struct listing *listing; /* the last one, from which the next one grows; NULL: nobody wanted one yet */
	struct fault forked;     /* it forked, and the evidence could not be written */
	clock_ms next_refresh;   /* CLOCK_NEVER: no need */
	clock_ms next_sweep;     /* when packages are let go next; CLOCK_NEVER: they are few */
	unsigned vain_sweeps;    /* how many of the last ones found none to be let go */
	/* the round follows a record that was sent, or is of many packages: others are likely to come after it */
	bool is_series;
	bool is_away;            /* the last look for a checkpoint found no registry, or there was none yet */
	unsigned patience;       /* seconds until the next try, once it is away */
	struct digest left[16];  /* log ids of packages that were left, as their logs are long and nobody waited */
	unsigned next_left;      /* whose place the next one takes */
	bool needs_trim; /* memory lies about that is to be given back */
};

/** A verdict for one waiter, as if there had been a want for it. */
void registry_refuse(struct registry *registry, struct waiter *waiter, const struct fault *flt);

/** Let the provers end, and forget the proofs. Nobody asks any more. */
void registry_release_proofs(struct registry *registry);

/** The updater's thread. */
void *registry_run_updater(void *registry);

/** Start the audit. */
int registry_start_audit(struct registry *registry, struct fault *flt);

/** Read what lies in the archive and the store: `start`, and the saver's `saved`. */
int registry_load(struct registry *registry, struct fault *flt);

/**
 * Set the view to what is proven without the network: by the archived operator's log, the ledger, and the checkpoint
 * that it was proven to lead to. Before the updater runs.
 * @return 0; else why there is no such thing
 */
int registry_start(struct registry *registry, struct fault *flt);

/** The package's log in the archive, for an update to start from; its `stored` stays NULL where there is none. */
void registry_load_package(struct registry *registry, struct sync_wanted *wanted);

/** Whether the view was proven, here or by an earlier process. */
bool registry_is_verified(const struct registry *registry);

/**
 * Fetch the newest checkpoint and build the next view, with the wanted packages in the same round trips: verified, and
 * checked against the trust anchor. Does not install the view. Stores evidence if the checkpoint contradicts the
 * anchor.
 * @param wanted, out  as sync_refresh()
 */
int registry_next_view(struct registry *registry, struct sync_wanted *wanted, size_t count, clock_ms deadline,
		       struct view **out, struct fault *flt);

/** Start the saver: with registry_plan_save() it writes the view, or will do so soon, beside what else is done. */
int registry_start_saver(struct registry *registry, struct fault *flt);
/** Have what is planned written, and end the saver. The updater has ended. */
void registry_end_saver(struct registry *registry);
/** The view, or the archive, has something new: have it written. */
void registry_plan_save(struct registry *registry);

/** Whether all that was planned to be written was, and nothing is being written. */
bool registry_is_saved(struct registry *registry);

/** Wait for `condition`, until that time at most. The mutex is held. @param when  CLOCK_NEVER: without end */
void registry_wait_until(struct registry *registry, pthread_cond_t *condition, clock_ms when);

/** Let packages go if it is time, and there are many. */
void registry_keep_few(struct registry *registry);

/** The package's log was read or written: one of many versions leaves much free memory behind, to be given back. */
void registry_note_litter(struct registry *registry, const struct view_package *package);

/** Tell `failed` of a fault that no waiter hears of. */
void registry_report(const struct registry *registry, const struct fault *flt);

#endif
