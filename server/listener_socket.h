/*
 * Sockets to listen on, by what a person writes.
 */
#ifndef WARG_SERVER_LISTENER_SOCKET_H
#define WARG_SERVER_LISTENER_SOCKET_H

#include "verify/fault.h"

/** Room for an address as text: a path of a socket, or a host and a port. */
#define LISTENER_ADDRESS_SIZE 160

/** Listen at ADDRESS:PORT, [ADDRESS]:PORT, or unix:PATH. @param out  close() it */
int listener_socket_open(const char *address, int *out, struct fault *flt);

/** Where a socket listens. */
void listener_socket_name(int socket, char out[static LISTENER_ADDRESS_SIZE]);

#endif
