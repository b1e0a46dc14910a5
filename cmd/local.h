/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Local registries, kept in a folder: "local:DIR". The first process that opens one starts a server process for it, at
 * a socket in the folder that only the user can reach; later processes use the same server, which ends with the last of
 * them, and is started again if it is killed before (local_server.h).
 *
 *   DIR/registry.db, contents/, operator.key    as `serve` keeps them
 *   DIR/signing.key                             the user's, made at the first use; mode 0600
 *   DIR/users                                   each process that uses the server holds a shared lock
 *   DIR/socket, DIR/server.log                  the server's; renamed to server.log.1 at CAP_FILE_LOG bytes
 */
#ifndef WARGFS_CMD_LOCAL_H
#define WARGFS_CMD_LOCAL_H

#include "client/net/http_url.h"
#include "server/operator_records.h"

/** The folder of a registry that is written like this; NULL: it is none of them. Borrowed. */
const char *local_folder_of(const char *text);

/** A registry that was joined. Lives until the program ends. */
struct local;

/**
 * Join the registry in a folder, or start it. Forks: no thread may have been started. A program joins one at most.
 *
 * @param make       begin a registry where there is none, with `namespaces`, or if there are none, with "local"
 * @param url        its URL: requests to it go to the socket from now on
 * @return 0; FAULT_ABSENT if there is none and `make` is false; else what the server says, or FAULT_TIMEOUT
 */
int local_join(const char *dir, bool make, const struct operator_wish *namespaces, size_t count, struct local **out,
	       struct http_url *url, struct fault *flt);

/** The descriptors that it holds, for process_close_others(); both -1 for NULL. */
void local_descriptors(const struct local *local, int out[static 2]);

/** The user's key of this registry, made where missing. */
int local_find_signing_key(const struct local *local, struct ecdsa_private_key **out, struct fault *flt);

/** Use it no more; the server ends if nobody else does. NULL is fine. */
void local_leave(struct local *local);

#endif
