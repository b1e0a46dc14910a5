/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A server on 127.0.0.1 for tests: what it answers is scripted, to the byte, so it can lie, dribble, hang and hang up.
 *
 * Each connection has a thread of its own. An answer stands for one request, after which the connection is closed,
 * unless the answer keeps it. Nothing sleeps: what hangs, hangs until the server is stopped or told to go on.
 */
#ifndef WARG_TESTS_SERVER_H
#define WARG_TESTS_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "verify/buf.h"

struct embedded_registry;

/** A request as it came. */
struct server_request {
	char method[8];
	char target[1024];   /* path and query */
	const char *head;    /* request line and headers, NUL-terminated */
	struct span body;
	unsigned number;     /* 0 for the server's first one */
};

/** A connection on which a request waits for its answer. */
struct server_connection;

/** Write bytes as they are. @return false once the other side has closed */
bool server_write(struct server_connection *connection, struct span bytes);
/** The same for a C string. */
bool server_write_text(struct server_connection *connection, const char *text);
/** A whole answer: status line, content-type application/json, its length, the body. */
bool server_answer(struct server_connection *connection, int status, struct span body);
/** Read what the other side sends behind what the handler was given. @return how much came; 0 once nothing comes */
size_t server_read(struct server_connection *connection, void *out, size_t size);
/** Wait until server_release() or the server's end, or until the other side closes. */
void server_hang(struct server_connection *connection);
/** Take another request on this connection when the handler is through. */
void server_keep(struct server_connection *connection);

/** Answers a request; on the connection's thread. Paths without a handler get 404 and an empty body. */
typedef void server_handler(struct server_connection *connection, const struct server_request *request, void *user);

/** Writes an answer in place of the one that was about to be given. */
typedef void server_tamperer(struct server_connection *connection, const struct server_request *request, int status,
			     struct span body, void *user);

/** Start one on a port that the kernel chooses. Fails the test if it cannot. */
struct embedded_registry *server_new(void);
/** Ends every connection and thread. NULL is fine. */
void server_free(struct embedded_registry *server);
/** "http://127.0.0.1:PORT/", as long as the server lives. */
const char *server_url(const struct embedded_registry *server);

/** Have requests for `path` (without its query) answered by `handler`; "*" stands for all that have none. */
void server_on(struct embedded_registry *server, const char *path, server_handler *handler, void *user);
/**
 * The same, as soon as the head has come: the request's body is what came with it, be it all or nothing. The connection
 * is closed behind the answer.
 */
void server_on_head(struct embedded_registry *server, const char *path, server_handler *handler, void *user);
/** Have requests for `path` answered by exactly these bytes, and the connection closed. Borrows them until
		server_free(). */
void server_on_bytes(struct embedded_registry *server, const char *path, struct span bytes);
/** Have requests for `path` answered as by server_answer(). Borrows the body until server_free(). */
void server_on_answer(struct embedded_registry *server, const char *path, int status, struct span body);

/** Have all that goes through server_answer() go through `tamperer`; before the first request. */
void server_on_answering(struct embedded_registry *server, server_tamperer *tamperer, void *user);

/** How many requests came so far. */
unsigned server_requests(struct embedded_registry *server);
/** How many connections came so far. */
unsigned server_connections(struct embedded_registry *server);
/** Wait until that many requests came. Their handlers may still have to begin. */
void server_wait_for(struct embedded_registry *server, unsigned requests);
/** Wait until that many requests were answered: their handlers have returned. */
void server_wait_answered(struct embedded_registry *server, unsigned requests);
/** Let all go on that hang, now and later. */
void server_release(struct embedded_registry *server);

#endif
