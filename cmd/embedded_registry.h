/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry in this process: what `serve` and `--local` have in common.
 */
#ifndef WARGFS_CMD_EMBEDDED_REGISTRY_H
#define WARGFS_CMD_EMBEDDED_REGISTRY_H

#include "server/http_server.h"

/** What is wanted, and what then runs. Zero it, fill in the first half. All borrowed. */
struct embedded_registry {
	const char *data_dir;
	const char *content_dir; /* NULL: "contents" in the data folder */
	const char *key_file; /* the operator's; NULL: `key_text`, or the one that is kept */
	const char *key_text; /* NULL: the one that is kept, made where missing */
	const struct http_url *origin; /* as service_options; NULL: none */
	const char *state_dir; /* as service_options */
	unsigned refresh; /* seconds between looks at it, of a mirror; 0: as usual */
	const struct operator_wish *namespaces;
	size_t namespace_count;
	const char *usual_namespace; /* of a registry that begins without any of these; NULL: none */
	const struct authorized_keys *authorized; /* NULL: anybody whom a package's log lets */
	struct span token; /* empty: none */
	const char *public_url, *content_url; /* as service_options */
	uint64_t content_limit;
	struct http_server_options listen;
	void (*failed)(void *user, const struct fault *flt);
	void (*imported)(void *user, const char *what, uint64_t done, uint64_t of); /* as service_options */
	void *user;

	struct operator_wish usual;
	struct ecdsa_private_key *key;
	struct service *service;
	struct http_server *listener;
};

/**
 * Open or begin the registry; with an origin, bring it here first. Starts threads, which take no signals. Whatever
 * comes of it: embedded_registry_stop().
 */
int embedded_registry_open(struct embedded_registry *server, struct fault *flt);
/** Listen. The threads that this starts take the signals that the caller's takes. */
int embedded_registry_listen(struct embedded_registry *server, struct fault *flt);
/** Answer what was accepted, and end. */
void embedded_registry_stop(struct embedded_registry *server);

#endif
