/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
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
 * The file is TOML 1.0 (toml.h). As there, tables and members that are not known are refused, and any text is taken for
 * the id of a key or the name of a namespace; one that cannot be any is worth a warning.
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

/** What the file says that matches nothing, and so is perhaps a mistake: the first of it. @return NULL: nothing */
const char *authorized_keys_warning(const struct authorized_keys *keys);

/** Read such a file. */
int authorized_keys_read(const char *path, struct authorized_keys **out, struct fault *flt);

/**
 * Whether a record of a package may be signed by this key.
 * @return 0; FAULT_DENIED, in the reference's words
 */
int authorized_keys_check(const struct authorized_keys *keys, const struct name *name, const struct digest *key_id,
			  const struct record *record, struct fault *flt);

#endif
