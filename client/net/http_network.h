/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * How requests reach other machines: which certificates are trusted, and through which proxy they go. Curl would read
 * proxies from the environment by itself; here the program reads them, and hands them over.
 */
#ifndef WARG_CLIENT_HTTP_NETWORK_H
#define WARG_CLIENT_HTTP_NETWORK_H

#include <stdbool.h>

#include "verify/fault.h"

/** All borrowed, and must live as long as the program. NULL: curl's built-in value, or none. */
struct http_network {
	const char *ca_file;   /* absolute path of certificates in PEM that are trusted */
	const char *ca_folder; /* folder of such files, named by openssl-rehash(1) */
	bool only_ca_file;     /* `ca_file` replaces curl's built-in folder, too */
	const char *proxy;     /* for https, in any form that curl takes; NULL: none */
	const char *no_proxy;  /* hosts that are reached without it, as CURLOPT_NOPROXY has them */
};

/**
 * Set it for all requests of the program. Before it starts threads. Without a call: curl's built-in certificates, and
 * no proxy. Requests to a loopback address never go through a proxy.
 */
void http_network_set(const struct http_network *network);

/** What was set. */
const struct http_network *http_network_get(void);

/**
 * The proxy, if curl can use it: curl quotes one that it cannot, with the password in it, and takes none for one whose
 * user name cannot be decoded.
 * @param out  NULL: there is none
 * @return 0; FAULT_UNREACHABLE, blamed on the user
 */
int http_network_proxy(const char **out, struct fault *flt);

#endif
