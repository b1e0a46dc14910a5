/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A registry on this machine that is reached through a socket in the file system, in place of the network. Its URL has
 * a host below HTTP_LOCAL_DOMAIN, a name that leads nowhere else (RFC 6761 section 6.3: *.localhost is loopback).
 */
#ifndef WARG_CLIENT_HTTP_LOCAL_H
#define WARG_CLIENT_HTTP_LOCAL_H

#define HTTP_LOCAL_DOMAIN ".wargfs.localhost"

/**
 * Have a host reached through a socket. A program has one such host at most, and says so before it starts threads.
 * @param host  lower case, below HTTP_LOCAL_DOMAIN; both are kept as they are: literals, or what lives as long
 * @param path  of the socket, short enough for one
 * @param name  what people call the registry there: "local:DIR"
 */
void http_local_set(const char *host, const char *path, const char *name);

/** What the registry at a host is called; NULL: that is no such host. Borrowed. */
const char *http_local_name(const char *host);

/** The path of the socket of a host; NULL: it is reached over the network, or not at all. */
const char *http_local_find(const char *host);

#endif
