/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Environment variables and a datagram (see service_manager.h).
 */
#include "service_manager.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST_SOCKET 3

static int option_of(int socket, int option)
{
	int value = -1;
	socklen_t size = sizeof(value);

	return getsockopt(socket, SOL_SOCKET, option, &value, &size) ? -1 : value;
}

int service_manager_socket(int *out, struct fault *flt)
{
	const char *process = secure_getenv("LISTEN_PID"), *count = secure_getenv("LISTEN_FDS");

	*out = -1;
	if (!process || !count || strtol(process, NULL, 10) != getpid() || strtol(count, NULL, 10) < 1)
		return 0;
	if (strtol(count, NULL, 10) > 1)
		return fault_undecided(flt, FAULT_MISUSE, "the service manager hands over %.10s sockets, and one is "
				       "wanted", count);
	if (option_of(FIRST_SOCKET, SO_TYPE) != SOCK_STREAM || option_of(FIRST_SOCKET, SO_ACCEPTCONN) != 1)
		return fault_undecided(flt, FAULT_MISUSE, "the service manager hands over no socket that listens: its "
				       "unit needs ListenStream= and Accept=no");
	fcntl(FIRST_SOCKET, F_SETFD, FD_CLOEXEC);
	*out = FIRST_SOCKET;
	return 0;
}

bool service_manager_is_there(void)
{
	const char *path = secure_getenv("NOTIFY_SOCKET");

	return path && *path;
}

void service_manager_tell(const char *state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = secure_getenv("NOTIFY_SOCKET");
	size_t length = path ? strlen(path) : 0;
	int fd;

	if (!length || length >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, length);
	/* An abstract one is written with '@'. */
	if (*path == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
	       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	close(fd);
}
