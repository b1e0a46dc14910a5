/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * How clients reach a server that listens, and what is missing if they do not.
 */
#ifndef WARGFS_CMD_SERVE_ADDRESS_H
#define WARGFS_CMD_SERVE_ADDRESS_H

#include "embedded_registry.h"

/**
 * The URL that clients can use: the public one, else the address. Clients take http from loopback only, and no client
 * takes 0.0.0.0.
 * @param out  unix:PATH of a socket in the file system; "" if the address is no URL for any client
 */
void serve_address_url(const struct embedded_registry *server, char out[static CAP_URL + 2]);

/** Say on stderr if other machines reach the address and clients there cannot use it. */
void serve_address_warn(const struct embedded_registry *server);

#endif
