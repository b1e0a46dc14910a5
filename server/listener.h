/*
 * What listens for requests and has them answered, over HTTP/1.1. The only door to libmicrohttpd.
 *
 * A few threads, each with many connections; none of them waits for the disk's sync, or for the committer: a request
 * that does is put aside until what it waits for is there. Connections, header lines, bodies and silence are bounded
 * (caps.h).
 */
#ifndef WARG_SERVER_LISTENER_H
#define WARG_SERVER_LISTENER_H

#include "service.h"

struct listener;

/** Where to listen. */
struct listener_options {
	int socket;              /* one that listens already, taken; -1: none */
	const char *address;     /* else: ADDRESS:PORT, [ADDRESS]:PORT, or unix:PATH, whose mode will be 0600 */
	const char *certificate; /* PEM, with the chain; NULL: no TLS */
	const char *key;         /* PEM */
};

/**
 * Listen, and answer from then on.
 * @param service  borrowed
 * @return 0; WARG_UNDECIDED: FAULT_MISUSE if the address is none, or the certificate; EADDRINUSE …
 */
int listener_start(struct service *service, const struct listener_options *options, struct listener **out,
		   struct fault *flt);

/** Where it listens, as ADDRESS:PORT or a path. Lives as long as it does. */
const char *listener_address(const struct listener *listener);

/** Take no more requests, answer those that were accepted, within a few seconds, and end. NULL is fine. */
void listener_stop(struct listener *listener);

#endif
