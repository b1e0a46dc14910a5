/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The server of a local registry (local.h), and its keeper: a process that starts it again when it was killed, or when
 * its socket was removed, while somebody uses it.
 */
#ifndef WARGFS_CMD_LOCAL_SERVER_H
#define WARGFS_CMD_LOCAL_SERVER_H

#include "server/operator_records.h"

/* Files in the folder. */
#define LOCAL_USERS "users"
#define LOCAL_SOCKET "socket"
#define LOCAL_LOG "server.log"
#define LOCAL_LOG_BEFORE "server.log.1"

/** Where a registry lies. */
struct local_place {
	char *folder;    /* its path when it was opened */
	int dir;
	char socket[64]; /* the path of its socket, which is short wherever the folder is */
};

/**
 * Start keeper and server, and wait until the server listens. Forks: no thread may have been started. The caller has to
 * hold a shared lock of LOCAL_USERS: the server ends when nobody does.
 * @return what the server says; FAULT_EXISTS: there is another one, and it may be just beginning
 */
int local_server_start(const struct local_place *place, const struct operator_wish *namespaces, size_t count,
		       struct fault *flt);

#endif
