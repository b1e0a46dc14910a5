/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Imports a registry's records and contents from another server, and verifies them as a client does: the operator's log
 * and each package's by their rules, the log's root by the ledger, the map's root by the rebuilt map, the checkpoint by
 * the operator's signature.
 *
 * The origin may have published a record that breaks a rule or exceeds a bound. From such a record on the package's
 * records are copied as bytes, with their indices, and are covered by the same proofs (refused.h).
 *
 * An import is one transaction, up to the origin's newest checkpoint, so the result is a state that the origin signed.
 * Running it again imports what is new. An origin that rolled back or forked is refused.
 */
#ifndef WARG_SERVER_IMPORT_H
#define WARG_SERVER_IMPORT_H

#include "client/net/api.h"
#include "append.h"
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
	/** Called once at the end if packages are refused: with one of them, and the number of the others. */
	void (*refused)(void *user, const struct fault *flt);
	void *refused_user;
};

/**
 * Bring what is new.
 * @param state     where the registry here stands; on success as it is then
 * @param operator  its operator's log; the same
 * @return 0; WARG_INVALID if the origin lies, or is another registry than the one here; nothing is changed then, but
 *         for contents, which are what their names say
 */
int import_update(const struct import *import, struct append_state *state, struct operator_log **operator,
		  struct fault *flt);

#endif
