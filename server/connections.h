/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Open connections and their deadlines: a connection is cut off at its deadline even if the client still sends or
 * reads.
 */
#ifndef WARG_SERVER_CONNECTIONS_H
#define WARG_SERVER_CONNECTIONS_H

#include "client/base/clock.h"
#include "verify/fault.h"

struct connections;
struct connection;

/** Start the watching thread. */
int connections_new(struct connections **out, struct fault *flt);
/** Call it with no connection left. NULL is fine. */
void connections_free(struct connections *connections);

/**
 * Add a connection.
 * @param fd   borrowed, until connection_remove()
 * @param due  when it is cut off
 * @return NULL: no memory
 */
struct connection *connections_add(struct connections *connections, int fd, clock_ms due);
/** Remove a connection, before its descriptor is closed. NULL is fine. */
void connection_remove(struct connection *connection);

/** Cut off all connections that have a deadline, now. */
void connections_cut_off(struct connections *connections);

/**
 * Let the watching thread call malloc_trim() within a second. It blocks all threads that allocate, so it must not be
 * called for each of many requests.
 */
void connections_trim(struct connections *connections);

/** Set another deadline; CLOCK_NEVER while the server works on the request. From any thread. */
void connection_set_due(struct connection *connection, clock_ms due);

#endif
