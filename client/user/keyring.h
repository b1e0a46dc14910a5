/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The user's keys and tokens, where the reference client keeps them, so that either program finds, replaces and
 * deletes what the other made (interop.md section C 10). The only door to libsecret.
 *
 * Four places, by the configuration's `keyringBackend`: "secret-service" (the default: the desktop's keyring, by
 * D-Bus), "flat-file" (`config->keyring_dir`), "linux-keyutils" (the kernel's session and persistent keyrings) and
 * "mock" (which forgets at once). None is opened before it is needed, and none is waited for without a bound: a keyring
 * that is locked may ask a person for its password, who has KEYRING_PATIENCE seconds.
 *
 * All may be called from any thread, several at once. Faults, beside memory and I/O: FAULT_MISUSE for a backend that
 * does not exist; FAULT_NO_KEY where the keyring cannot be had at all, as without D-Bus, with what to do about it;
 * FAULT_TIMEOUT; WARG_INVALID if what is kept is no key or no token, or is there more than once: to set it or to delete
 * it repairs that.
 */
#ifndef WARG_CLIENT_KEYRING_H
#define WARG_CLIENT_KEYRING_H

#include "client/net/http_url.h"
#include "config.h"
#include "verify/ecdsa.h"

/** Seconds that the desktop's keyring has for all that one call asks of it. */
#define KEYRING_PATIENCE 60

/**
 * Give up what is asked of the desktop's keyring, now and later: each call ends soon with FAULT_CANCELLED. For a daemon
 * that ends while a person is asked for a password. From any thread; does not wait.
 */
void keyring_stop(void);

/** The backends' names, for a sentence. */
#define KEYRING_BACKENDS "secret-service, flat-file, linux-keyutils and mock"

/** What a backend is called in a configuration. @return false if none is called so */
bool keyring_is_known(const char *backend);
/** What the configuration's backend is called: "secret-service" where it names none. */
const char *keyring_backend_of(const struct config *config);

/**
 * The key to sign with for a registry.
 *
 * @param registry  as typed with --registry; NULL: not given, so the home registry is meant
 * @param out       ecdsa_private_key_free() it
 * @return 0; WARG_UNDECIDED with FAULT_NO_KEY if there is none, and a sentence that says how to get one
 */
int keyring_find_signing_key(const struct config *config, const char *registry, struct ecdsa_private_key **out,
			     struct fault *flt);

/**
 * Keep a key, in the place of one that may be there, where the reference would look for it, and wherever else we would.
 * The configuration's `keys` must name the registry then: config_add_key() it before, config_save() afterwards.
 */
int keyring_set_signing_key(const struct config *config, const char *registry, const struct ecdsa_private_key *key,
			    struct fault *flt);

/** Delete the key, wherever it would be looked for. @return 0; WARG_UNDECIDED with FAULT_NO_KEY if there is none */
int keyring_delete_signing_key(const struct config *config, const char *registry, struct fault *flt);

/**
 * The name in the configuration's `keys` that stands for the key of a registry: `registry` if it is given and in there,
 * else the home registry's URL if that is in there, else "default".
 */
const char *keyring_key_name(const struct config *config, const char *registry);

/**
 * The bearer token for a registry, if the configuration wants one to be sent at all (`keyring_auth`).
 *
 * @param url    what the registry's URL was resolved to: the token is kept under its label
 * @param out    the token is appended; buf_wipe() it
 * @param found  false if there is none
 */
int keyring_find_token(const struct config *config, const struct http_url *url, struct buf *out, bool *found,
		       struct fault *flt);

/** Whether a text can be sent as a token: not empty, printable ASCII, at most CAP_SECRET bytes. */
int keyring_check_token(struct span token, struct fault *flt);

/** Keep a token, in the place of one that may be there. */
int keyring_set_token(const struct config *config, const struct http_url *url, struct span token, struct fault *flt);

/** Delete the token. @param found  false if there was none */
int keyring_delete_token(const struct config *config, const struct http_url *url, bool *found, struct fault *flt);

/**
 * Find a secret of the keyring in files that other users of this machine may read.
 * @param out  its path, NUL-terminated; room for PATH_MAX bytes
 * @return false: there is none, or secrets are kept elsewhere
 */
bool keyring_find_exposed(const struct config *config, char *out);

#endif
