/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A connection: its client (clients.h) and its deadline (connections.h).
 */
#ifndef WARG_SERVER_PEER_H
#define WARG_SERVER_PEER_H

#include <microhttpd.h>

#include "clients.h"
#include "connections.h"

struct peer {
	struct client *client;
	struct connection *connection;
};

/** Register a new connection; its first header must arrive within CAP_SERVED_HEAD seconds. @return NULL: no memory */
struct peer *peer_new(struct clients *clients, struct connections *connections, struct MHD_Connection *connection);
/** Called before the connection is closed. NULL is fine. */
void peer_free(struct peer *peer);

/** The peer of a connection; NULL if peer_new() had no memory. */
struct peer *peer_of(struct MHD_Connection *connection);

#endif
