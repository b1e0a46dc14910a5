/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The Host of a request (RFC 9110 section 7.2), where it tells whether a web page may be behind it: a page can give its
 * own name the address 127.0.0.1 (DNS rebinding), and then reads what listens there as if it were its own server.
 */
#ifndef WARG_SERVER_HOST_H
#define WARG_SERVER_HOST_H

#include <stdbool.h>

/**
 * Whether a stranger can have given a Host, with a port or without, any address: a name with a dot in it, other than
 * those below localhost. An address is what it is, and a name without a dot is given by this network.
 */
bool host_is_in_dns(const char *host);

/** Whether a Host is that of a URL, whatever the ports. @param url  absolute; NULL: none */
bool host_is_of_url(const char *host, const char *url);

#endif
