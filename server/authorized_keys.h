/*
 * Who may publish what, from an authorised-keys file as the reference server reads it (interop.md section B 13):
 *
 *   [namespace.example]
 *   keys = ["sha256:…"]
 *   delegation = true
 *
 *   [package."example:hello"]
 *   keys = ["sha256:…"]
 *
 * A key of the list may sign any entry; with delegation any key may sign what is not an init, since the package's own
 * log says who may release. Whatever is named in neither way may be published by nobody.
 *
 * Of TOML this reads what such a file is made of: tables, and in them lists of strings and booleans, with comments,
 * over as many lines as one likes. Anything else is refused, and named by its line.
 */
#ifndef WARG_SERVER_AUTHORIZED_KEYS_H
#define WARG_SERVER_AUTHORIZED_KEYS_H

#include "verify/name.h"
#include "verify/record.h"

struct authorized_keys;

/** Parse such a file. @return 0; WARG_INVALID; FAULT_LIMIT */
int authorized_keys_parse(struct span text, struct authorized_keys **out, struct fault *flt);
/** NULL is fine. */
void authorized_keys_free(struct authorized_keys *keys);

/** Read such a file. */
int authorized_keys_read(const char *path, struct authorized_keys **out, struct fault *flt);

/**
 * Whether a record of a package may be signed by this key.
 * @return 0; FAULT_DENIED, in the reference's words
 */
int authorized_keys_check(const struct authorized_keys *keys, const struct name *name, const struct digest *key_id,
			  const struct record *record, struct fault *flt);

#endif
