/*
 * A registry that answers: its database, contents, policies and the thread that commits. What listens for requests
 * (listener.h) is put in front of it.
 */
#ifndef WARG_SERVER_SERVICE_H
#define WARG_SERVER_SERVICE_H

#include "authorized_keys.h"
#include "operator_records.h"

struct service;

/** How to open one. Borrowed but for the database; texts are copied. */
struct service_options {
	struct database *database;                   /* for writing; taken, whatever comes of it */
	const char *data_dir;                        /* that it is in */
	const char *content_dir;
	const struct ecdsa_private_key *key;         /* the operator's; has to outlive the service */
	const struct operator_wish *namespaces;      /* that it is to have */
	size_t namespace_count;
	const struct authorized_keys *authorized;    /* who may publish what; NULL: whoever the package's log lets */
	struct span token;                           /* that one has to have for publishing; empty: none */
	const char *base_url;                        /* how it is reached, with '/' at its end; NULL: as each asks */
	uint64_t content_limit;                      /* bytes of one content */

	/** Told what went wrong here, and was no client's fault. From any thread. */
	void (*failed)(void *user, const struct fault *flt);
	void *user;
};

/**
 * Open, or begin, a registry.
 * @return 0; as content_files_open(), commit_load() and operator_records_ensure()
 */
int service_open(const struct service_options *options, struct service **out, struct fault *flt);
/** Commits what was accepted, and ends. Nobody may use it any more. NULL is fine. */
void service_close(struct service *service);

/** How many records it has. */
uint64_t service_length(struct service *service);

#endif
