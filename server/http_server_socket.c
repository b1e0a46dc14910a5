/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Addresses (see http_server_socket.h). Names other than localhost are not looked up: who listens knows the numbers.
 */
#include "http_server_socket.h"
#include "client/base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024
#define LOOPBACK "127.0.0.1"
#define EVERYWHERE "0.0.0.0"

static int bad_address(const char *address, struct fault *flt)
{
	return fault_undecided(flt, FAULT_MISUSE,
			       "'%.100s' is no address to listen on: PORT, ADDRESS:PORT, "
			       "[ADDRESS]:PORT or unix:PATH",
			       address);
}

static int listen_at(const struct sockaddr *address, socklen_t size, const char *text, int *out, struct fault *flt)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, r;

	if (fd < 0)
		return fault_system(flt, errno, "cannot listen at %.100s", text);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address, size) || listen(fd, BACKLOG)) {
		r = fault_system(flt, errno, "cannot listen at %.100s", text);
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}

static bool has_socket(const struct http_server_place *place)
{
	struct stat status;

	return !fstatat(place->folder, place->name, &status, AT_SYMLINK_NOFOLLOW) && S_ISSOCK(status.st_mode);
}

/* The process that holds the data folder's lock also owns the socket in it. */
static int remove_any(const struct sockaddr_un *address, const struct http_server_place *place, struct fault *flt)
{
	if (!has_socket(place) || !unlinkat(place->folder, place->name, 0))
		return 0;
	return fault_system(flt, errno, "cannot listen at %.100s", address->sun_path);
}

/* Remove the socket of a dead server. */
static int remove_dead(const struct sockaddr_un *address, const struct http_server_place *place, struct fault *flt)
{
	int fd, error = 0;

	if (!has_socket(place))
		return 0;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fault_system(flt, errno, "cannot listen at %.100s", address->sun_path);
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		error = errno;
	close(fd);
	/* EAGAIN: alive, its backlog is full. */
	if (!error || error == EAGAIN)
		return fault_system(flt, EADDRINUSE, "a server listens at %.100s already", address->sun_path);
	if (error != ECONNREFUSED)
		return fault_system(flt, error, "cannot listen at %.100s", address->sun_path);
	return remove_any(address, place, flt);
}

/*
 * Open and lock the folder, and split off the name: other processes do not remove dead sockets there until it is
 * closed.
 */
static int lock_place(const char *path, struct http_server_place *place, struct fault *flt)
{
	const char *slash = strrchr(path, '/');
	char folder[sizeof(place->name)];
	int fd, r;

	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
	snprintf(place->name, sizeof(place->name), "%s", slash ? slash + 1 : path);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fault_system(flt, errno, "cannot listen at %.100s", path);
	r = file_lock_or_fail(fd, flt);
	if (r)
		close(fd);
	else
		place->folder = fd;
	return r;
}

/* @param place  its folder is locked */
static int bind_unix(const struct sockaddr_un *address, int *out, struct http_server_place *place, struct fault *flt)
{
	mode_t before = umask(S_IXUSR | S_IRWXG | S_IRWXO);
	struct stat status;
	int fd = -1, r = listen_at((const struct sockaddr *)address, sizeof(*address), address->sun_path, &fd, flt);

	umask(before);
	if (r)
		return r;
	if (fstatat(place->folder, place->name, &status, AT_SYMLINK_NOFOLLOW)) {
		r = fault_system(flt, errno, "cannot listen at %.100s", address->sun_path);
		close(fd);
		return r;
	}
	place->device = status.st_dev;
	place->inode = status.st_ino;
	*out = fd;
	return 0;
}

static int open_unix(const char *path, bool is_ours, int *out, struct http_server_place *place, struct fault *flt)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is too long for a socket's path, or empty", path);
	memcpy(address.sun_path, path, strlen(path));
	r = lock_place(path, place, flt);
	if (r)
		return r;
	r = is_ours ? remove_any(&address, place, flt) : remove_dead(&address, place, flt);
	if (!r)
		r = bind_unix(&address, out, place, flt);
	flock(place->folder, LOCK_UN);
	if (r) {
		close(place->folder);
		place->folder = -1;
	}
	return r;
}

void http_server_socket_remove(struct http_server_place *place)
{
	struct stat status;

	if (place->folder < 0)
		return;
	/* Without the lock leave the socket: the next server finds it dead, and removes it. */
	if (!file_lock_or_fail(place->folder, NULL) &&
	    !fstatat(place->folder, place->name, &status, AT_SYMLINK_NOFOLLOW) && status.st_dev == place->device &&
	    status.st_ino == place->inode)
		unlinkat(place->folder, place->name, 0);
	close(place->folder);
	place->folder = -1;
}

/* Check the port here: getaddrinfo() truncates numbers to 16 bits. */
static bool is_port(const char *text)
{
	const size_t length = strlen(text);

	return length <= 5 && strspn(text, "0123456789") == length && strtoul(text, NULL, 10) <= UINT16_MAX;
}

static int open_inet(const char *text, const char *host, const char *port, int *out, struct fault *flt)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *found;
	int r;

	if (!is_port(port) || getaddrinfo(host, port, &hints, &found))
		return bad_address(text, flt);
	r = listen_at(found->ai_addr, found->ai_addrlen, text, out, flt);
	freeaddrinfo(found);
	return r;
}

int http_server_socket_open(const char *address, bool is_ours, int *out, struct http_server_place *place,
			    struct fault *flt)
{
	const char *colon = strrchr(address, ':'), *port = colon ? colon + 1 : address;
	const char *given = address;
	size_t length = colon ? (size_t)(colon - address) : 0;
	char host[64] = LOOPBACK;

	if (!strncmp(address, "unix:", 5))
		return open_unix(address + 5, is_ours, out, place, flt);
	if (length > 2 && address[0] == '[' && address[length - 1] == ']') {
		address++;
		length -= 2;
	}
	if (length >= sizeof(host) || !*port)
		return bad_address(given, flt);
	if (colon && !length) {
		snprintf(host, sizeof(host), "%s", EVERYWHERE);
	} else if (colon && (length != strlen("localhost") || strncasecmp(address, "localhost", length))) {
		memcpy(host, address, length);
		host[length] = 0;
	}
	return open_inet(given, host, port, out, flt);
}

/* @param address  of the network, in its own byte order */
static enum http_server_reach reach_of_ipv4(in_addr_t address)
{
	if (ntohl(address) >> 24 == 127)
		return LISTENER_LOOPBACK;
	return address == htonl(INADDR_ANY) ? LISTENER_ANY : LISTENER_NETWORK;
}

enum http_server_reach http_server_socket_reach(int socket)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_storage room;
	} address = {0};
	socklen_t size = sizeof(address);
	in_addr_t mapped;

	if (getsockname(socket, &address.any, &size))
		return LISTENER_ANY;
	if (address.any.sa_family == AF_UNIX)
		return LISTENER_FILE;
	if (address.any.sa_family == AF_INET)
		return reach_of_ipv4(address.in.sin_addr.s_addr);
	if (IN6_IS_ADDR_V4MAPPED(&address.in6.sin6_addr)) {
		memcpy(&mapped, &address.in6.sin6_addr.s6_addr[12], sizeof(mapped));
		return reach_of_ipv4(mapped);
	}
	if (IN6_IS_ADDR_LOOPBACK(&address.in6.sin6_addr))
		return LISTENER_LOOPBACK;
	return IN6_IS_ADDR_UNSPECIFIED(&address.in6.sin6_addr) ? LISTENER_ANY : LISTENER_NETWORK;
}

void http_server_socket_name(int socket, char out[static HTTP_SERVER_ADDRESS_SIZE])
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
		snprintf(out, HTTP_SERVER_ADDRESS_SIZE, "%.*s", (int)sizeof(address.local.sun_path),
			 address.local.sun_path);
		return;
	}
	if (!getnameinfo(&address.any, size, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(out, HTTP_SERVER_ADDRESS_SIZE, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
