/*
 * Addresses (see listener_socket.h). Names are not looked up: who listens knows the numbers.
 */
#include "listener_socket.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024

static int bad_address(const char *address, struct fault *flt)
{
	return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is no address to listen on: ADDRESS:PORT, [ADDRESS]:PORT "
			       "or unix:PATH", address);
}

static int listen_at(const struct sockaddr *address, socklen_t size, const char *text, int *out, struct fault *flt)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, r;

	if (fd < 0)
		return fault_system(flt, errno, "%.100s", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address, size) || listen(fd, BACKLOG)) {
		r = fault_system(flt, errno, "%.100s", text);
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}

/* Whoever has the data folder has the socket: one that lies there is of a server that is no more. */
static void remove_socket(const char *path)
{
	struct stat status;

	if (!lstat(path, &status) && S_ISSOCK(status.st_mode))
		unlink(path);
}

static int open_unix(const char *path, int *out, struct fault *flt)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t before;
	int r;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is too long for a socket's path, or empty", path);
	memcpy(address.sun_path, path, strlen(path));
	remove_socket(path);
	before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
	r = listen_at((const struct sockaddr *)&address, sizeof(address), path, out, flt);
	umask(before);
	return r;
}

static int open_inet(const char *text, const char *host, const char *port, int *out, struct fault *flt)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE, .ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *found;
	int r;

	if (getaddrinfo(host, port, &hints, &found))
		return bad_address(text, flt);
	r = listen_at(found->ai_addr, found->ai_addrlen, text, out, flt);
	freeaddrinfo(found);
	return r;
}

int listener_socket_open(const char *address, int *out, struct fault *flt)
{
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : 0;
	char host[64];

	if (!strncmp(address, "unix:", 5))
		return open_unix(address + 5, out, flt);
	if (length >= 2 && address[0] == '[' && address[length - 1] == ']') {
		address++;
		length -= 2;
	}
	if (!length || length >= sizeof(host) || !colon[1])
		return bad_address(address, flt);
	memcpy(host, address, length);
	host[length] = 0;
	return open_inet(address, host, colon + 1, out, flt);
}

void listener_socket_name(int socket, char out[static LISTENER_ADDRESS_SIZE])
{
	union {
		struct sockaddr any;
		struct sockaddr_un local;
		struct sockaddr_storage room;
	} address = {0};
	socklen_t size = sizeof(address);
	char host[64], port[8];

	*out = 0;
	if (getsockname(socket, &address.any, &size))
		return;
	if (address.any.sa_family == AF_UNIX) {
		snprintf(out, LISTENER_ADDRESS_SIZE, "%.*s", (int)sizeof(address.local.sun_path),
			 address.local.sun_path);
		return;
	}
	if (!getnameinfo(&address.any, size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(out, LISTENER_ADDRESS_SIZE, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
