/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The HTTP/1.1 server. Only this, framing.h and peer.h use libmicrohttpd.
 *
 * A few threads serve many connections each. None of them blocks on an fsync or on the write thread: such a request is
 * suspended until the result is there, and a long one runs on a lane, one of each client at a time (lanes.h).
 * Connections, headers, bodies, unread answers, and the time for each are bounded, per client and in total (caps.h).
 */
#ifndef WARG_SERVER_HTTP_SERVER_H
#define WARG_SERVER_HTTP_SERVER_H

#include "http_server_socket.h"
#include "service.h"

struct http_server;

/** Where to listen. */
struct http_server_options {
	int socket; /* one that listens already, taken; -1: none */
	const char *address; /* else: as http_server_socket_open(); a socket at unix:PATH gets the mode 0600 */
	bool is_ours; /* unix:PATH is in the data folder, whose lock we hold: its old server is ending */
	const char *certificate; /* PEM, with the chain; NULL: no TLS */
	const char *key; /* PEM */
	/* Web origins whose pages may send requests (CORS, https://fetch.spec.whatwg.org); "*" for any. Borrowed. */
	const char *const *origins;
	size_t origin_count;
	/** Told of each request that is answered, from any thread; `path` lacks its first slash. NULL: nobody is. */
	void (*answered)(void *user, const char *method, const char *path, unsigned status);
	void *user;
	unsigned client_connections; /* connections of one client; 0: CAP_CLIENT_CONNECTIONS */
};

/**
 * Listen, and answer from then on.
 * @param service  borrowed
 * @return 0; WARG_UNDECIDED: FAULT_MISUSE if the address is none, or the certificate; EADDRINUSE …
 */
int http_server_start(struct service *service, const struct http_server_options *options, struct http_server **out,
		      struct fault *flt);

/**
 * Replace the certificate of a TLS listener; open connections keep the old one. Call it from one thread at a time, and
 * not during http_server_stop().
 * @return 0; WARG_UNDECIDED, and nothing changed: FAULT_MISUSE if it cannot be used; FAULT_LIMIT while connections of
 *         HTTP_SERVER_RETIRED certificates before it are open
 */
int http_server_renew(struct http_server *listener, const char *certificate, const char *key, struct fault *flt);
#define HTTP_SERVER_RETIRED 8

/** Where it listens, as ADDRESS:PORT or a path. Lives as long as it does. */
const char *http_server_address(const struct http_server *listener);

/** Who can reach it. */
enum http_server_reach http_server_reach(const struct http_server *listener);

/** Take no more requests, answer those that were accepted, within a few seconds, and end. NULL is fine. */
void http_server_stop(struct http_server *listener);

#endif
