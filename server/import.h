/*
 * Moving in: a registry's records and contents are brought here from where it is served, verified as a client verifies
 * them: the operator's log and each package's by their rules, the log's root by the ledger, the map's root by what was
 * rebuilt, the checkpoint by the operator's signature.
 *
 * All of it is one transaction, at the origin's newest checkpoint: what is here is the registry as the origin signed
 * it. Done again it brings what is new. An origin that went back, or took another way, is refused.
 */
#ifndef WARG_SERVER_IMPORT_H
#define WARG_SERVER_IMPORT_H

#include "client/api.h"
#include "commit.h"
#include "content_files.h"

/** Where it comes from, and where it goes. All borrowed. */
struct import {
	struct api api;
	clock_ms timeout;               /* milliseconds for each answer; for contents, without a byte */
	struct database *database;      /* for writing */
	struct content_files *contents;
	/** Told how far it is: so many of `of`, and of what. NULL: nobody wants to know. */
	void (*progress)(void *user, const char *what, uint64_t done, uint64_t of);
	void *user;
};

/**
 * Bring what is new.
 * @param state     where the registry here stands; on success as it is then
 * @param operator  its operator's log; the same
 * @return 0; WARG_INVALID if the origin lies, or is another registry than the one here; nothing is changed then, but
 *         for contents, which are what their names say
 */
int import_update(const struct import *import, struct commit_state *state, struct operator_log **operator,
		  struct fault *flt);

#endif
