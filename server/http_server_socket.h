/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opens listening sockets by their configured address.
 *
 * A socket in the file system belongs to a server as long as connect() to it succeeds. A socket that refuses
 * connections was left by a dead server, and is replaced; other sockets and other files stay. If several servers start
 * at once, one gets the socket. A server removes its socket at its end, if it is still its own.
 */
#ifndef WARG_SERVER_HTTP_SERVER_SOCKET_H
#define WARG_SERVER_HTTP_SERVER_SOCKET_H

#include "verify/fault.h"

#include <stdbool.h>
#include <sys/types.h>

/** Room for an address as text: a path of a socket, or a host and a port. */
#define HTTP_SERVER_ADDRESS_SIZE 160

/**
 * The place of our Unix socket, to remove it. Initialise as {.folder = -1}, which is also the place of other sockets.
 */
struct http_server_place {
	int folder; /* -1: it is in no folder */
	char name[HTTP_SERVER_ADDRESS_SIZE];
	dev_t device;
	ino_t inode;
};

/**
 * Listen at ADDRESS:PORT, [ADDRESS]:PORT, localhost:PORT, :PORT (every IPv4 address), PORT (127.0.0.1), or unix:PATH.
 * @param is_ours  as http_server_options
 * @param out      close() it
 * @param place    http_server_socket_remove() it
 * @return 0; WARG_UNDECIDED: FAULT_MISUSE if it is no address; EADDRINUSE if another server listens there; EAGAIN if
 *         another starting server holds the folder's lock for too long
 */
int http_server_socket_open(const char *address, bool is_ours, int *out, struct http_server_place *place,
			    struct fault *flt);

/** Remove the socket, if it is still ours. May be called again. */
void http_server_socket_remove(struct http_server_place *place);

/** Who can reach a socket. */
enum http_server_reach {
	LISTENER_FILE, /* processes of this machine that may open its path */
	LISTENER_LOOPBACK, /* processes of this machine */
	LISTENER_NETWORK, /* other machines, by one address */
	LISTENER_ANY, /* other machines, by any address of this one */
};
enum http_server_reach http_server_socket_reach(int socket);

/** Where a socket listens. */
void http_server_socket_name(int socket, char out[static HTTP_SERVER_ADDRESS_SIZE]);

#endif
