/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * From the options of a command to the registry that it talks to.
 */
#ifndef WARGFS_CMD_SESSION_H
#define WARGFS_CMD_SESSION_H

#include "client/registry/federation.h"
#include "client/user/config.h"
#include "local.h"
#include "options.h"
#include "progress.h"

/** Seconds that a command waits for an answer, unless told otherwise. */
#define SESSION_TIMEOUT 30

/** Zero it; release it whatever became of it. */
struct session {
	struct config_environment environment;
	bool has_environment;
	struct config config;
	bool has_config;
	bool has_network;          /* session_choose_network() was called */
	struct http_url url;       /* as typed or configured, then as discovered */
	struct local *local;       /* the registry's, if it lives in a folder; else NULL */
	const struct options *options;
	struct progress progress;      /* of the work on the registry: questions take it away */
	struct federation *federation; /* NULL before session_open() */
	struct registry *registry;     /* the home registry; the federation's */
	struct http_url typed;     /* as typed or configured, from session_open() on */
	struct digest demanded;    /* operator key demanded, if has_demand */
	bool has_demand;
	pthread_mutex_t mutex;     /* guards the members below */
	struct session_meeting {
		char name[CAP_URL + 1];
		struct digest operator_key;
	} *meetings;               /* registries at their first contact, to be reported */
	size_t meeting_count;
	/* Why nobody could be asked which registry the URL stands for; verdict 0: somebody was, or nobody was to be. */
	struct fault unreached;
};

/** Read the environment and the configuration. */
int session_load(struct session *session, const struct options *options, struct fault *flt);

/**
 * Choose the registry's URL: `typed`, else --registry, else the configured home. One that is "local:DIR" is joined, for
 * which no thread may have been started.
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE if there is none, or it is no URL that we talk to
 */
int session_choose(struct session *session, const char *typed, const struct options *options, struct fault *flt);

/**
 * Choose certificates and proxy (network.h), once: session_open() and session_discover() do, and others may before.
 * @return as network_choose()
 */
int session_choose_network(struct session *session, struct fault *flt);

/**
 * Run discovery at the chosen URL, and set `url` to the registry found.
 * @return also as discovery_check()
 */
int session_discover(struct session *session, unsigned timeout, struct fault *flt);

/** How to open: what is zero gets its usual value. */
struct session_open {
	unsigned timeout, refresh;
	bool ignores_hints; /* whatever the configuration says */
	bool starts_from_cache, offline; /* as registry_options; the URL then stands for what it did last, if need be */
	bool audit;         /* as registry_options */
	void (*changed)(void *user, const struct view *before, const struct view *after);
	bool (*is_needed)(void *user, const struct name *package); /* as registry_options */
	void (*failed)(void *user, const struct fault *flt);
	void *user;
	int (*configure_registry)(void *host, const char *domain, struct registry_options *options, struct fault *flt);
	void *host; /* both as in federation_options */
	/* operator key to demand instead of --operator-key and the settings; may be NULL */
	const struct digest *operator_key;
	/* As registry_options. NULL: session_release() prints the first contacts. */
	void (*met)(void *user, const char *name, const struct digest *operator_key);
	void *met_user;
};

/**
 * Ask the URL which registry it stands for, find the token for that one, if tokens are in use, and open it. Starts
 * threads: nothing may fork afterwards.
 */
int session_open(struct session *session, const struct session_open *how, struct fault *flt);

/** Format the message about a first contact. */
#define SESSION_MEETING_SIZE (CAP_URL + DIGEST_TEXT_SIZE + 100)
void session_meeting_sentence(const char *name, const struct digest *operator_key,
			      char out[static SESSION_MEETING_SIZE]);

/** Whether a fault says that nobody answered, and nothing else. */
bool session_is_unreached(const struct fault *flt);

/** Load, choose and open for a command that works on one registry. */
int session_start(struct session *session, const struct options *options, struct fault *flt);

/** Close the registry, and those of other namespaces; of those that never proved anything no folder stays. */
void session_close(struct session *session);

/** Remember where a registry in a folder is, once it is proven: lists of what is stored here do not open it. */
void session_remember_local(const struct session *session);

/** Close the registry, print first contacts, and release everything; the session is zeroed afterwards. */
void session_release(struct session *session);

/**
 * The key to sign with: a local registry's own, or the keyring's for the registry that was typed. Reads the
 * configuration again: 'wargfs key new' and 'wargfs config' may change it while a mount runs. From any thread.
 * @param typed  as it was typed: keys go by that; NULL: the configured home
 * @return as keyring_find_signing_key()
 */
int session_find_signing_key(const struct session *session, const char *typed, struct ecdsa_private_key **out,
			     struct fault *flt);

/** Where a content lies in the cache, or would. */
void session_content_path(const struct session *session, const struct digest *digest, char *out, size_t size);

/**
 * Bring a package to the newest checkpoint of the registry that it lives in, which may be another one than the home
 * registry; hints are dealt with as the configuration says. For many at once: federation_update().
 */
int session_update_package(struct session *session, const struct name *name, struct registry **out,
			   struct fault *flt);

/** The registry that a namespace lives in, as federation_registry_of(). */
int session_registry_of(struct session *session, struct span namespace, struct registry **out, struct fault *flt);

/** What is known of namespaces without the network. Zero it; release it whatever became of it. */
struct session_namespaces {
	struct operator_log *operator; /* the home registry's, as it is stored; NULL: none, or none is chosen */
	struct namespaces map;
};
int session_read_namespaces(const struct session *session, struct session_namespaces *out, struct fault *flt);
void session_namespaces_release(struct session_namespaces *namespaces);

/**
 * Parse a package name from the command line, with ":" or, as in a mount, "/" in it.
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE
 */
int session_read_name(const char *text, struct name *out, struct fault *flt);

#endif
