/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The files that configure a server: token, authorized keys, certificate. Read at the start, and again on SIGHUP.
 */
#ifndef WARGFS_CMD_SERVE_FILES_H
#define WARGFS_CMD_SERVE_FILES_H

#include "embedded_registry.h"

/** Names of files are borrowed; NULL: not given. */
struct serve_files {
	const char *operator_key, *authorized_keys, *auth_token, *certificate, *tls_key;
	struct buf token, certificate_pem, tls_key_pem; /* PEM ends with a NUL */
	struct authorized_keys *authorized;             /* NULL: not given */
	bool is_key_shared, is_token_shared; /* others may read it, and its mode is not ours to change */
};

/** Set the file names; reads nothing. */
void serve_files_init(struct serve_files *files, const struct serve_files *names);

/** Read all files except the operator's key, once. @return 0; WARG_UNDECIDED, which names the file */
int serve_files_read(struct serve_files *files, struct fault *flt);

/** Set the options of a server that is not open yet. Borrows. */
void serve_files_apply(const struct serve_files *files, struct embedded_registry *server);

/**
 * Read all files again, and apply them to the running server. All or nothing: if one cannot be read or is invalid,
 * nothing changes. The operator's key must be unchanged.
 */
int serve_files_reload(struct serve_files *files, struct embedded_registry *server, struct fault *flt);

/** Wipe and free. */
void serve_files_release(struct serve_files *files);

#endif
