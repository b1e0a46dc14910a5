/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files behind warg.h share: the handle, waits that a callback can end, and the fault of the last call.
 */
#ifndef WARG_CLIENT_DOOR_DOOR_H
#define WARG_CLIENT_DOOR_DOOR_H

#include <stdatomic.h>

#include "client/registry/federation.h"
#include "client/user/config.h"
#include "client/warg.h"

/** Copies of the options' texts. Owned; NULL: not set. */
struct door_texts {
	char *url, *registries_dir, *content_dir, *cache_dir, *state_dir, *namespace_map;
	char *token, *signing_key;
};

/** What warg_options_from_environment() read. Immutable, counted by references. */
struct warg_environment {
	atomic_uint references;
	struct config_environment environment;
	struct config config;
	char *file;    /* the configuration as it was named; NULL: it is looked for */
	char *ca_file; /* of the settings; NULL: none */
};

/** An open registry. */
struct warg {
	struct door_texts texts;
	struct warg_environment *environment; /* NULL: none */
	bool is_home;          /* the URL is the configuration's home registry: keys go by that */
	bool is_offline;
	unsigned timeout;      /* seconds */
	int (*progress)(void *user, const struct warg_progress *progress);
	void *user;
	struct http_url typed; /* as in the options */
	struct http_url url;   /* as discovered */
	struct digest demanded; /* operator key, if has_demand */
	bool has_demand;
	struct federation *federation;
	struct registry *home; /* the federation's */
};

/* ---- Faults ---- */

/** End a call: keep its fault for warg_error_text() of this thread. @return the verdict */
int door_return(int verdict, const struct fault *flt);

/** @return 0; WARG_UNDECIDED with FAULT_MISUSE unless `is_given` */
int door_need(bool is_given, const char *what, struct fault *flt);

/** Parse a package's name. @return 0; WARG_UNDECIDED with FAULT_MISUSE */
int door_read_name(const char *text, struct name *out, struct fault *flt);

/** Parse a digest. @param what  for the fault @return 0; WARG_UNDECIDED with FAULT_MISUSE */
int door_read_digest(const char *text, const char *what, struct digest *out, struct fault *flt);

/* ---- The environment ---- */

/** One more reference. @return the environment; NULL is fine, here and below */
struct warg_environment *door_environment_ref(struct warg_environment *environment);
void door_environment_unref(struct warg_environment *environment);

/**
 * Read the configuration again, as another program may have changed it, by the environment that was read before.
 * @param out  config_release() it
 */
int door_environment_load(const struct warg_environment *environment, struct config *out, struct fault *flt);

/** Choose certificates and proxy for the process, or see that they are those that were chosen. */
int door_choose_network(const struct warg_options *options, struct fault *flt);

/* ---- Waits ---- */

/** How a wait is told of, and ended. */
struct door_watch {
	const char *what;  /* as in struct warg_progress */
	/** Fill in `done` and `whole`. NULL: they are 0. */
	void (*measure)(void *user, struct warg_progress *out);
	/** Have the work end soon, which is then waited for. NULL: the wait is for a waiter, which leaves. */
	void (*stop)(void *user);
	void *user;
};

/** A wait for a waiter or a thread. Zero it. */
struct door_wait {
	struct waiter waiter; /* for what takes one, after door_wait_init() */
	pthread_mutex_t mutex;
	pthread_cond_t over;
	bool is_over; /* under the mutex, as the two below */
	int verdict;
	struct fault fault;
};

/** Ask the callback whether to go on. @return 0; WARG_UNDECIDED with FAULT_CANCELLED */
int door_ask(const struct warg *warg, const struct door_watch *watch, struct fault *flt);

/** Prepare a wait; the deadline is the registry's. */
void door_wait_init(struct door_wait *wait, clock_ms deadline);
/** Wait for `done`, asking the callback meanwhile; destroy what init made. @return the waiter's verdict */
int door_wait_end(const struct warg *warg, struct door_wait *wait, const struct door_watch *watch, struct fault *flt);

/** Run what blocks on a thread, and wait for it in the same way. @param watch  with `stop` */
int door_run(const struct warg *warg, const struct door_watch *watch, int (*work)(void *user, struct fault *flt),
	     void *user, struct fault *flt);

/* ---- Registries, packages, releases ---- */

/**
 * The registry that a namespace lives in, open.
 * @param refresh  bring it, and the home registry, to its newest checkpoint, unless the handle is offline
 */
int door_find_registry(struct warg *warg, struct span namespace, bool refresh, struct registry **out,
		       struct fault *flt);

/**
 * Bring a package to the newest checkpoint of the registry that it lives in; offline, to what the cache proves.
 * @param view  a new reference, which has the package
 */
int door_bring_package(struct warg *warg, const struct name *name, struct registry **registry, struct view **view,
		       const struct view_package **out, struct fault *flt);

/** Bring a registry to its newest checkpoint, unless the handle is offline. */
int door_refresh(const struct warg *warg, struct registry *registry, struct fault *flt);

/** A release with the texts that it points to. */
struct door_release {
	struct warg_release release; /* first */
	char package[CAP_NAME_PART * 2 + 2];
	char version[CAP_VERSION + 1];
	char digest[DIGEST_TEXT_SIZE], record[DIGEST_TEXT_SIZE], released_by[DIGEST_TEXT_SIZE];
	char yanked_by[DIGEST_TEXT_SIZE], operator_key[DIGEST_TEXT_SIZE];
	char registry[CAP_URL + 1];
};

/** Fill in a release of a package that a registry has. */
void door_fill_release(const struct name *name, const struct package_release *release, const char *registry,
		       struct door_release *out);

#endif
