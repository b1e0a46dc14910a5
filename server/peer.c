/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The library's notifications about connections (see peer.h).
 */
#include "peer.h"

#include <stdlib.h>

#include "verify/caps.h"

struct peer *peer_new(struct clients *clients, struct connections *connections, struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info;
	struct peer *peer = calloc(1, sizeof(*peer));
	int fd;

	if (!peer)
		return NULL;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	fd = info ? info->connect_fd : -1;
	info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	peer->client = clients_enter(clients, info ? info->client_addr : NULL);
	if (peer->client)
		peer->connection = connections_add(connections, fd, clock_in_seconds(CAP_SERVED_HEAD));
	if (peer->connection)
		return peer;
	client_leave(peer->client);
	free(peer);
	return NULL;
}

void peer_free(struct peer *peer)
{
	if (!peer)
		return;
	connection_remove(peer->connection);
	client_leave(peer->client);
	free(peer);
}

struct peer *peer_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}
