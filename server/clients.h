/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Connected clients by address, and the resources of each: connections, bytes held for it, and its place in the lanes
 * for long work.
 *
 * An IPv4 address is one client; so are all addresses of one IPv6 /64, which is what one subscriber has, and all
 * connections over a Unix socket. Clients behind a proxy are one.
 */
#ifndef WARG_SERVER_CLIENTS_H
#define WARG_SERVER_CLIENTS_H

#include <sys/socket.h>

#include "lanes.h"

struct clients;
struct client;

/**
 * @param connections  connections that one client may have; those over a Unix socket are not limited
 * @param lanes        borrowed
 */
int clients_new(unsigned connections, struct lanes *lanes, struct clients **out, struct fault *flt);
/** Call it with no connection left. NULL is fine. */
void clients_free(struct clients *clients);

/** Whether one more connection from this address may be accepted. */
bool clients_admit(struct clients *clients, const struct sockaddr *address);
/** Add a connection. @return its client; NULL: no memory */
struct client *clients_enter(struct clients *clients, const struct sockaddr *address);
/** Remove a connection. NULL is fine. */
void client_leave(struct client *client);

/** Its place in the lanes. */
struct lane_place *client_place(struct client *client);

/**
 * Count bytes held for a client: a body being received, or an answer that it has not read yet.
 * @return false: more than CAP_CLIENT_MEMORY for the client, or CAP_SERVED_MEMORY for all; nothing changed
 */
bool client_hold(struct client *client, size_t bytes);
/** Whether client_hold() would succeed. Counts nothing: a claimed length takes no memory yet. */
bool client_has_room(struct client *client, size_t bytes);
/** Count that many bytes less. */
void client_let_go(struct client *client, size_t bytes);
/**
 * Count bytes of an answer as being sent, or as sent. While more than half of CAP_CLIENT_MEMORY is being sent, the
 * client's next job in the lanes waits. So a client that requests much at once over a slow line gets every answer in
 * time instead of a refusal.
 */
void client_answers(struct client *client, size_t bytes);
void client_has_answer(struct client *client, size_t bytes);

#endif
