/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The domain by which a registry is named in operator logs, hints and the namespace map (protocol.md sections 6 and 8):
 * a host, with a port unless it is 443. A text with a scheme or a path is not a domain.
 */
#ifndef WARG_CLIENT_DOMAIN_H
#define WARG_CLIENT_DOMAIN_H

#include "http_url.h"

/**
 * Read a domain and bring it into normal form: lower case, punycode.
 * @return 0; WARG_INVALID if it is not a domain
 */
int domain_read(struct span text, char out[static CAP_DOMAIN + 1], struct fault *flt);

/**
 * The URL of the registry at a domain: https. If the home registry is at a loopback address and spoken to in plain
 * http, so are other registries at loopback addresses.
 */
int domain_url(const char *domain, const struct http_url *home, struct http_url *out, struct fault *flt);

/**
 * Read a registry's hint about a namespace, `namespace=domain`. A hint about a namespace other than the one that was
 * asked about does not count.
 * @return false, and `out` unchanged, if it does not count
 */
bool domain_read_hint(const char *hint, struct span namespace, char out[static CAP_DOMAIN + 1]);

#endif
