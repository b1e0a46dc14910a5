/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Detects requests whose end is ambiguous (request smuggling).
 */
#ifndef WARG_SERVER_FRAMING_H
#define WARG_SERVER_FRAMING_H

#include <microhttpd.h>
#include <stdbool.h>

/**
 * Whether the header gives the request's length in exactly one way. With two lengths, or a length and an encoding, a
 * proxy before us and this server may disagree where the next request begins (RFC 9112 section 6.3). False also for two
 * hosts, malformed lines, and a method that needs a body without a length. If false, the caller has to end the
 * connection.
 * @param has_body  whether the request has a body
 */
bool framing_is_clear(struct MHD_Connection *connection, bool has_body);

#endif
