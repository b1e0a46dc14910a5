/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the backends of the keyring have in common (keyring.h).
 */
#ifndef WARG_CLIENT_KEYRING_PARTS_H
#define WARG_CLIENT_KEYRING_PARTS_H

#include "config.h"

/** What a secret is kept under: two texts, neither empty. */
struct keyring_entry {
	const char *service, *user;
};

/** A place for secrets. Faults as keyring.h tells. */
struct keyring_backend {
	const char *name;
	const char *place; /* what a person calls it: "the desktop's keyring"; NULL: `config->keyring_dir` */
	/** Append the secret to `out`. @param found  false if there is none; `out` is as it was then */
	int (*find)(const struct config *config, const struct keyring_entry *entry, struct buf *out, bool *found,
		    struct fault *flt);
	/** Keep a secret, in the place of all that may be there. */
	int (*set)(const struct config *config, const struct keyring_entry *entry, struct span secret,
		   struct fault *flt);
	/** Delete all that is there. @param found  false if there was none */
	int (*remove)(const struct config *config, const struct keyring_entry *entry, bool *found, struct fault *flt);
};

extern const struct keyring_backend keyring_file, keyring_kernel, keyring_service;

/** As keyring_find_exposed(), of the keyring in files. */
bool keyring_file_find_exposed(const struct config *config, char *out);

/** As keyring_stop(), of the desktop's keyring. */
void keyring_service_stop(void);

/** KEYRING_PATIENCE, where nobody tests what becomes of it. Seconds. */
extern unsigned keyring_service_patience;

/**
 * The fault of a keyring that cannot be used, as a clause: "cannot be used in this session: " and `why`.
 * @return WARG_UNDECIDED
 */
int keyring_unavailable(struct fault *flt, const char *why);

#endif
