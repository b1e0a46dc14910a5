/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Settings that only wargfs has. The reference rewrites config.json and drops members it does not know (interop.md
 * section C 2), so these are in a file of their own, `$XDG_CONFIG_HOME/wargfs/settings.json`.
 */
#ifndef WARG_CLIENT_SETTINGS_H
#define WARG_CLIENT_SETTINGS_H

#include "verify/digest.h"

/**
 * Read the operator key id demanded for the registry with this label.
 * @param file   absolute path of the settings; NULL: no settings
 * @param found  whether one is set; then it is in `out`
 * @return 0; WARG_INVALID, blamed on this machine's files, if the file is malformed: a demand is never ignored
 */
int settings_find_operator_key(const char *file, const char *label, struct digest *out, bool *found,
			       struct fault *flt);

/**
 * List the demanded keys, one call each.
 * @return as settings_find_operator_key()
 */
int settings_list_operator_keys(const char *file,
				void (*found)(void *user, const char *label, const struct digest *key), void *user,
				struct fault *flt);

/** Set the key id, or remove it with NULL. Makes the file's folder, and holds its lock from reading to writing. */
int settings_set_operator_key(const char *file, const char *label, const struct digest *key, struct fault *flt);

/**
 * Read which file of certificates is trusted, in PEM.
 * @param out  free() it; NULL: none is set
 * @return as settings_find_operator_key()
 */
int settings_read_ca_file(const char *file, char **out, struct fault *flt);

/** Set that file, by its absolute path, or remove it with NULL. As settings_set_operator_key(). */
int settings_set_ca_file(const char *file, const char *path, struct fault *flt);

#endif
