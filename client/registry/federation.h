/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A home registry, and those others that it, or the user, has namespaces live in (protocol.md section 6, interop.md A
 * 10 and 11; who tells which namespace lives where: namespaces.h).
 *
 * Others are opened when they are first needed, at most CAP_REGISTRIES of them. As in the reference, the home registry
 * is asked to speak for them, by Warg-Registry. One that does not (the reference's server answers 501; or the
 * checkpoint is signed with its own operator's key) or cannot is left out, and the registry at the domain is spoken to,
 * after discovery there.
 *
 * Each registry is verified for itself: it has its operator's log, its checkpoint and its trust, and what it stores
 * lies under its domain, where the reference keeps it. Trust in a registry that another one spoke for is stored
 * separately: a registry cannot make a client pin a key for another's domain. The home registry's token goes to the
 * home registry alone, also for what it speaks for; another registry gets its own stored token, once it answers 401.
 */
#ifndef WARG_CLIENT_FEDERATION_H
#define WARG_CLIENT_FEDERATION_H

#include "namespaces.h"
#include "registry.h"

struct federation;

/** What becomes of a registry's hint. */
enum federation_hints {
	FEDERATION_HINTS_TAKEN,   /* it is followed, and kept in the map */
	FEDERATION_HINTS_ASKED,   /* the same, if `accept` says so */
	FEDERATION_HINTS_TOLD,    /* it is told of in the fault, and no more */
	FEDERATION_HINTS_IGNORED, /* it is as if there were none */
};

struct federation_options {
	/**
	 * The home registry. Its folders, times and callbacks serve the others as well; `hinted` is not looked at. All
	 * texts are borrowed for as long as the federation lives.
	 */
	struct registry_options home;
	const char *map; /* path of the namespace map; NULL: there is none */
	enum federation_hints hints;
	/** Asks a person; from the thread that called federation_update(). */
	bool (*accept)(void *user, const char *namespace, const char *domain);
	void *user; /* for accept */
	struct credential_source tokens; /* of other registries */
	/**
	 * Find the operator key that another registry must have, by the URL of its domain. Called on a worker thread,
	 * with `user`. NULL: any key is accepted.
	 */
	int (*find_operator_key)(void *user, const struct http_url *url, struct digest *out, bool *found,
				 struct fault *flt);
	/**
	 * Called from a worker before another registry is opened: may change its callbacks, which are the home
	 * registry's otherwise. NULL: nobody wants to. @return 0; else it is not opened
	 */
	int (*configure_registry)(void *host, const char *domain, struct registry_options *options, struct fault *flt);
	void *host; /* for configure_registry */
};

/** Open the home registry. No network. */
int federation_open(const struct federation_options *options, struct federation **out, struct fault *flt);
/** Closes all registries; whoever waits is told FAULT_CANCELLED. NULL is fine. */
void federation_close(struct federation *federation);

/** The home registry. Borrowed, here and below: registries live as long as the federation. */
struct registry *federation_home(struct federation *federation);

/** Where all waits of all registries are left, for whoever has others wait for more than a registry. Borrowed. */
struct deadlines *federation_deadlines(struct federation *federation);

/** Path of the namespace map, or NULL. Borrowed. */
const char *federation_map(const struct federation *federation);

/** What a registry is called: the home registry's URL, another one's domain. Borrowed. */
const char *federation_name_of(struct federation *federation, const struct registry *registry);

/** Where a namespace lives, as far as is known now: namespaces_find(). No network. */
int federation_find(struct federation *federation, struct span namespace, struct namespaces_place *out,
		    struct fault *flt);

/** What is said of namespaces that live elsewhere, as far as is known now. As namespaces_list(). No network. */
int federation_list(struct federation *federation, struct namespaces_listed **out, size_t *count, struct fault *flt);

/** The registry at a domain, if it is open; else NULL. "" is the home registry. */
struct registry *federation_registry(struct federation *federation, const char *domain);

/** Have the registry at a domain open. `done` is told why it cannot be; it is tried anew for who asks after that. */
void federation_want_registry(struct federation *federation, const char *domain, struct waiter *waiter);
/** Wait no more, for this or for anything at the federation's deadlines. As completion_leave(). */
bool federation_leave(struct federation *federation, struct waiter *waiter);

/** All registries that are open now, the home registry first. @return how many */
size_t federation_registries(struct federation *federation, struct registry *out[static CAP_REGISTRIES + 1]);

/* For commands: these wait. */

/**
 * The registry that a namespace lives in, open; the home registry is refreshed if it was not yet, for what its operator
 * says. Hints are not looked at.
 */
int federation_registry_of(struct federation *federation, struct span namespace, struct registry **out,
			   struct fault *flt);

/**
 * registry_update() over all registries: the home registry is brought to its newest checkpoint, and so is each registry
 * that a package lives in, with the packages. A hint is dealt with as the options say.
 *
 * @param registries  for each package the registry that it was looked for in last; NULL: that could not be told
 * @param faults      as for registry_update(), also when the refresh of a registry failed
 * @return the verdict on the home registry's refresh
 */
int federation_update(struct federation *federation, const struct name *names, size_t count,
		      struct registry **registries, struct fault *faults, struct fault *flt);

#endif
