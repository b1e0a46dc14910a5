/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The bearer token of one registry: the current token, and where to read a newer one after the registry refused it.
 *
 * All requests to the registry share one credential. Its URL is the registry that the token is for. Reading a token
 * again may block, as a keyring may ask the user to unlock it: http.c does so on a thread of its own.
 */
#ifndef WARG_CLIENT_CREDENTIAL_H
#define WARG_CLIENT_CREDENTIAL_H

#include "http_url.h"
#include "verify/buf.h"

struct credential;

/** Where tokens are read from. */
struct credential_source {
	/**
	 * Read the token of the registry at `url` now. Called from any thread, one call at a time for each credential.
	 * @param token  the token is appended, without NUL; nothing is appended if there is none
	 */
	int (*find)(void *user, const struct http_url *url, struct buf *token, struct fault *flt);
	void *user;
};

/**
 * @param token   the first token, copied; empty: none
 * @param source  copied; if its `find` is NULL, the token never changes
 */
int credential_new(const struct http_url *url, struct span token, const struct credential_source *source,
		   struct credential **out, struct fault *flt);
struct credential *credential_ref(struct credential *credential);
/** Drop a reference. The last one wipes the token. NULL is fine. */
void credential_unref(struct credential *credential);

/**
 * Append the token and a NUL to `out`, or nothing if there is no token.
 * @param generation  number of the token, for credential_is_newer()
 */
int credential_copy(struct credential *credential, struct buf *out, unsigned *generation, struct fault *flt);

/** Whether the token has changed since that generation. */
bool credential_is_newer(struct credential *credential, unsigned generation);

/** Whether credential_renew() would call `find` now. */
bool credential_can_renew(struct credential *credential);

/**
 * Read the token again. May block as long as `find` does. On failure the old token stays, and `find` is not called for
 * CREDENTIAL_PAUSE, so that a user who dismissed the keyring's dialogue does not get it again at once.
 */
#define CREDENTIAL_PAUSE 60 /* seconds */
void credential_renew(struct credential *credential);

#endif
