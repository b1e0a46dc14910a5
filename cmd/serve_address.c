/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A server's URL (see serve_address.h).
 */
#include "serve_address.h"

#include <stdio.h>
#include <string.h>

void serve_address_url(const struct embedded_registry *server, char out[static CAP_URL + 2])
{
	const char *address = http_server_address(server->listener), *port = strrchr(address, ':');
	const size_t size = CAP_URL + 2;
	const bool is_secure = server->listen.certificate;

	*out = '\0';
	if (server->public_url) {
		snprintf(out, size, "%s", server->public_url);
		return;
	}
	switch (http_server_reach(server->listener)) {
	case LISTENER_FILE:
		snprintf(out, size, "unix:%s", address);
		break;
	case LISTENER_LOOPBACK:
		snprintf(out, size, "%s://%s/", is_secure ? "https" : "http", address);
		break;
	case LISTENER_NETWORK:
		if (is_secure)
			snprintf(out, size, "https://%s/", address);
		break;
	case LISTENER_ANY:
		/* With TLS only the certificate's names will do, of which nothing is known here. */
		if (!is_secure && port)
			snprintf(out, size, "http://127.0.0.1%s/", port);
		break;
	}
}

void serve_address_warn(const struct embedded_registry *server)
{
	const enum http_server_reach reach = http_server_reach(server->listener);
	const char *address = http_server_address(server->listener), *port = strrchr(address, ':');

	if (reach == LISTENER_FILE || reach == LISTENER_LOOPBACK)
		return;
	if (server->public_url && !strncmp(server->public_url, "https://", strlen("https://")))
		return;
	if (!server->listen.certificate)
		fprintf(stderr, "wargfs serve: warning: other machines reach %s, and clients there refuse http: give "
			"--tls-certificate and --tls-key, or have a proxy with TLS in front and say --public-url "
			"https://...; see TLS in wargfs-serve(1)\n", address);
	else if (reach == LISTENER_ANY && !server->public_url)
		fprintf(stderr, "wargfs serve: clients need a name of the certificate: https://NAME%s/; --public-url "
			"tells them\n", port ? port : "");
}
