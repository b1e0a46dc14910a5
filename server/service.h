/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry that answers: its database, contents, policies and the thread that commits. What listens for requests
 * (http_server.h) is put in front of it.
 */
#ifndef WARG_SERVER_SERVICE_H
#define WARG_SERVER_SERVICE_H

#include "authorized_keys.h"
#include "client/net/http_url.h"
#include "operator_records.h"

struct service;

/** How to open one. Borrowed but for the database; texts are copied. */
struct service_options {
	struct database *database;                   /* for writing; taken, whatever comes of it */
	const char *content_dir;
	const struct ecdsa_private_key *key;         /* the operator's; has to outlive the service; NULL: a mirror */
	const struct http_url *origin;               /* leads to the registry that is brought here; NULL: none */
	const char *state_dir;                       /* where that URL is pinned (discovery.h); NULL: nowhere */
	unsigned refresh;                            /* seconds between looks at it, of a mirror */
	const struct operator_wish *namespaces;      /* that it is to have */
	size_t namespace_count;
	const struct authorized_keys *authorized;    /* who may publish what; NULL: whoever the package's log lets */
	struct span token;                           /* that one has to have for publishing; empty: none */
	const char *public_url;                      /* how it is reached, with '/' at its end; NULL: as each asks */
	const char *content_url;                     /* where content/ is, with '/' at its end; NULL: at public_url */
	uint64_t content_limit;                      /* bytes of one content */

	/** Told what went wrong here, and was no client's fault. From any thread. */
	void (*failed)(void *user, const struct fault *flt);
	/** Told how far the import is, while it opens: so many of `of`, and of what. NULL: nobody wants to know. */
	void (*imported)(void *user, const char *what, uint64_t done, uint64_t of);
	void *user;
};

/**
 * Open, or begin, a registry. With an origin its records and contents are brought first: by who has the operator's key
 * once, to sign on from there; without it again and again, and the origin's own checkpoints are served. A mirror that
 * is not empty stands also where its origin cannot be reached, and says so.
 * @return 0; as content_files_open(), append_load() and operator_records_ensure()
 */
int service_open(const struct service_options *options, struct service **out, struct fault *flt);

/**
 * Replace the keys and tokens that may publish, as in service_options. No request uses the old ones after the return.
 * @param authorized  borrowed
 */
void service_set_access(struct service *service, const struct authorized_keys *authorized, struct span token);
/** Commits what was accepted, and ends. Nobody may use it any more. NULL is fine. */
void service_close(struct service *service);

/** Its operator's log as it is now: a new reference. */
struct operator_log *service_operator(struct service *service);

/** How many records it has. */
uint64_t service_length(struct service *service);

#endif
