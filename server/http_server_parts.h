/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What http_server.c and request.c share. Not for other files.
 */
#ifndef WARG_SERVER_HTTP_SERVER_PARTS_H
#define WARG_SERVER_HTTP_SERVER_PARTS_H

#include <microhttpd.h>
#include <pthread.h>

#include "http_server.h"
#include "peer.h"

struct http_server {
	struct service *service;
	struct MHD_Daemon *daemon;
	struct clients *clients;
	struct connections *connections;
	struct lanes *lanes;
	char address[HTTP_SERVER_ADDRESS_SIZE];
	const char *const *origins; /* allowed web origins */
	size_t origin_count;
	bool is_secure;
	enum http_server_reach reach;
	void (*answered)(void *user, const char *method, const char *path, unsigned status); /* NULL: nobody asked */
	void *user;
	struct retired {
		struct MHD_Daemon *daemon;
		int socket;
	} retired[HTTP_SERVER_RETIRED]; /* daemons with an old certificate, which accept no connections any more */
	unsigned retired_count;
	bool is_inherited; /* the socket was passed to us */
	struct http_server_place place;
	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t changed;
	unsigned under_way; /* requests without an answer yet */
	unsigned waiting; /* those of them that are suspended */
	unsigned resuming; /* running calls that resume a request */
	bool stopping; /* new requests are refused */
	bool ending; /* no request is suspended any more */
};

/**
 * The library's callback for a request: called after its header, with each piece of its body, at its end, and after
 * each resume.
 * @param user   the listener
 * @param place  the library's pointer for this request
 */
enum MHD_Result request_handle(void *user, struct MHD_Connection *connection, const char *path, const char *method,
			       const char *version, const char *piece, size_t *size, void **place);
/** The library's callback at the end of a request, for whatever reason. */
void request_completed(void *user, struct MHD_Connection *connection, void **place,
		       enum MHD_RequestTerminationCode how);

#endif
