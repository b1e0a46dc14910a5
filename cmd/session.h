/*
 * From the options of a command to the registry that it talks to.
 */
#ifndef WARGFS_CMD_SESSION_H
#define WARGFS_CMD_SESSION_H

#include "client/config.h"
#include "client/registry.h"
#include "options.h"

/** Seconds that a command waits for an answer, unless told otherwise. */
#define SESSION_TIMEOUT 30

/** Zero it; release it whatever became of it. */
struct session {
	struct config_environment environment;
	bool has_environment;
	struct config config;
	bool has_config;
	struct http_url url;       /* as typed or configured, then as discovered */
	struct registry *registry; /* NULL before session_open() */
};

/** Read the environment and the configuration. */
int session_load(struct session *session, const struct options *options, struct fault *flt);

/**
 * Choose the registry's URL: `typed`, else --registry, else the configured home.
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE if there is none, or it is no URL that we talk to
 */
int session_choose(struct session *session, const char *typed, const struct options *options, struct fault *flt);

/** How to open: what is zero gets its usual value. */
struct session_open {
	unsigned timeout, refresh;
	void (*changed)(void *user, const struct view *before, const struct view *after);
	void (*failed)(void *user, const struct fault *flt);
	void *user;
};

/** Ask the URL which registry it stands for, and open that. Starts threads: nothing may fork afterwards. */
int session_open(struct session *session, const struct session_open *how, struct fault *flt);

/** Load, choose and open for a command that works on one registry. */
int session_start(struct session *session, const struct options *options, struct fault *flt);

/** Close the registry and give everything back; the session is as zeroed then. */
void session_release(struct session *session);

/** Where a content lies in the cache, or would. */
void session_content_path(const struct session *session, const struct digest *digest, char *out, size_t size);

/** Parse a package name from the command line. @return 0; WARG_UNDECIDED with FAULT_MISUSE */
int session_read_name(const char *text, struct name *out, struct fault *flt);

#endif
