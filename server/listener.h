/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The HTTP/1.1 server. Only this, framing.h and peer.h use libmicrohttpd.
 *
 * A few threads serve many connections each. None of them blocks on an fsync or on the committer: such a request is
 * suspended until the result is there, and a long one runs on a lane, one of each client at a time (lanes.h).
 * Connections, headers, bodies, unread answers, and the time for each are bounded, per client and in total (caps.h).
 */
#ifndef WARG_SERVER_LISTENER_H
#define WARG_SERVER_LISTENER_H

#include "listener_socket.h"
#include "service.h"

struct listener;

/** Where to listen. */
struct listener_options {
	int socket;              /* one that listens already, taken; -1: none */
	const char *address;     /* else: as listener_socket_open(); a socket at unix:PATH gets the mode 0600 */
	bool is_ours;            /* unix:PATH is in the data folder, whose lock we hold: its old server is ending */
	const char *certificate; /* PEM, with the chain; NULL: no TLS */
	const char *key;         /* PEM */
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
int listener_start(struct service *service, const struct listener_options *options, struct listener **out,
		   struct fault *flt);

/**
 * Replace the certificate of a TLS listener; open connections keep the old one. Call it from one thread at a time, and
 * not during listener_stop().
 * @return 0; WARG_UNDECIDED, and nothing changed: FAULT_MISUSE if it cannot be used; FAULT_LIMIT while connections of
 *         LISTENER_RETIRED certificates before it are open
 */
int listener_renew(struct listener *listener, const char *certificate, const char *key, struct fault *flt);
#define LISTENER_RETIRED 8

/** Where it listens, as ADDRESS:PORT or a path. Lives as long as it does. */
const char *listener_address(const struct listener *listener);

/** Who can reach it. */
enum listener_reach listener_reach(const struct listener *listener);

/** Take no more requests, answer those that were accepted, within a few seconds, and end. NULL is fine. */
void listener_stop(struct listener *listener);

#endif
