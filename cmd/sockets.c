/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Status sockets (see sockets.h).
 *
 * Their names are reached through /proc/self/fd, so that no runtime folder is too long for a socket's address.
 */
#include "sockets.h"

#include "fs/asking.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define FOLDER "wargfs"
#define SUFFIX ".sock"
#define BACKLOG 16
#define REFRESH_SECONDS 5 /* for which a command waits for mounts to show what is new */
#define MOST_ALIKE 100 /* daemons with the same pid that share a folder (containers) */

static bool is_own_folder(const char *path)
{
	struct stat seen;

	return stat(path, &seen) == 0 && S_ISDIR(seen.st_mode) && seen.st_uid == geteuid();
}

void sockets_path(const struct config_environment *environment, char *path, size_t size)
{
	char run[64];

	snprintf(run, sizeof(run), "/run/user/%ju", (uintmax_t)geteuid());
	if (environment->xdg_runtime_dir)
		snprintf(path, size, "%s/" FOLDER, environment->xdg_runtime_dir);
	else if (is_own_folder(run))
		snprintf(path, size, "%s/" FOLDER, run);
	else
		snprintf(path, size, "/tmp/" FOLDER "-%ju", (uintmax_t)geteuid());
}

int sockets_open_folder(const struct config_environment *environment, int *out, struct fault *flt)
{
	char path[4096];
	struct stat seen;
	int fd;

	sockets_path(environment, path, sizeof(path));
	if (mkdir(path, 0700) && errno != EEXIST)
		return fault_system(flt, errno, "%.150s cannot be made", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &seen)) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		return fault_system(flt, error, "%.150s cannot be opened", path);
	}
	if (seen.st_uid != geteuid() || (seen.st_mode & 077)) {
		close(fd);
		return fault_system(flt, EACCES, "%.150s has to belong to you alone (mode 0700)", path);
	}
	*out = fd;
	return 0;
}

static struct sockaddr_un address_of(int folder, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", folder, name);
	return address;
}

/* Non-blocking: a stopped daemon's backlog may be full. @param there  as sockets_ask() */
static int dial(int folder, const char *name, int *out, bool *there, struct fault *flt)
{
	struct sockaddr_un address = address_of(folder, name);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error;

	*there = true;
	if (fd < 0)
		return fault_system(flt, errno, "creating a socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
		*out = fd;
		return 0;
	}
	error = errno;
	close(fd);
	*there = error != ECONNREFUSED && error != ENOENT;
	if (!*there)
		unlinkat(folder, name, 0);
	return fault_system(flt, error, "it does not answer");
}

/*
 * Name the socket after this process's pid. Remove a dead socket with this name: the pid was used before. A live one
 * belongs to a process with the same pid in another container that shares the folder: take another name.
 */
static void choose_name(int folder, char name[static SOCKETS_NAME_SIZE])
{
	bool there = true;
	int fd;

	snprintf(name, SOCKETS_NAME_SIZE, "%jd" SUFFIX, (intmax_t)getpid());
	for (unsigned i = 1; i < MOST_ALIKE && there; i++) {
		if (!dial(folder, name, &fd, &there, NULL))
			close(fd);
		if (there)
			snprintf(name, SOCKETS_NAME_SIZE, "%jd-%u" SUFFIX, (intmax_t)getpid(), i);
	}
}

int sockets_listen(int folder, int *out, char name[static SOCKETS_NAME_SIZE], struct fault *flt)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	choose_name(folder, name);
	address = address_of(folder, name);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, BACKLOG)) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		return fault_system(flt, error, "the socket that status asks at cannot be made, by its name in /proc");
	}
	*out = fd;
	return 0;
}

void sockets_remove(int folder, const char *name)
{
	unlinkat(folder, name, 0);
}

static bool is_name(const char *name)
{
	size_t digits = strspn(name, "0123456789");

	if (digits && name[digits] == '-' && strspn(name + digits + 1, "0123456789"))
		digits += 1 + strspn(name + digits + 1, "0123456789");
	return digits && strlen(name) < SOCKETS_NAME_SIZE && strcmp(name + digits, SUFFIX) == 0;
}

int sockets_list(int folder, char (**out)[SOCKETS_NAME_SIZE], size_t *count, struct fault *flt)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	char (*names)[SOCKETS_NAME_SIZE] = NULL, (*grown)[SOCKETS_NAME_SIZE];
	const struct dirent *entry;
	size_t found = 0;
	int verdict = 0;

	if (!entries) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		return fault_system(flt, error, "the folder of sockets cannot be read");
	}
	while (!verdict && (entry = readdir(entries))) {
		if (!is_name(entry->d_name))
			continue;
		grown = reallocarray(names, found + 1, sizeof(*names));
		if (grown) {
			names = grown;
			snprintf(names[found++], SOCKETS_NAME_SIZE, "%.31s", entry->d_name);
		} else {
			verdict = fault_no_memory(flt);
		}
	}
	closedir(entries);
	if (verdict) {
		free(names);
		return verdict;
	}
	*out = names;
	*count = found;
	return 0;
}

/* Read until the end comes, or the deadline. */
static int receive(int from, clock_ms deadline, struct buf *answer, struct fault *flt)
{
	struct pollfd watched = { .fd = from, .events = POLLIN };
	unsigned char piece[4096];

	for (;;) {
		int ready = poll(&watched, 1, clock_left(deadline));
		ssize_t got;

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return fault_undecided(flt, FAULT_TIMEOUT, "it does not answer");
		got = recv(from, piece, sizeof(piece), 0);
		if (got < 0)
			return fault_system(flt, errno, "its answer cannot be read");
		if (!got)
			return 0;
		if (buf_append(answer, (struct span){ piece, (size_t)got }, flt))
			return flt ? flt->verdict : WARG_UNDECIDED;
	}
}

/* A line is shorter than what a new socket takes at once. */
static int say(int to, const char *line, struct fault *flt)
{
	if (send(to, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
		return fault_system(flt, errno, "it does not listen");
	return 0;
}

/* Tell all, then wait for the end of each connection. @param fds  room for `count` */
static void refresh_all(int folder, char (*names)[SOCKETS_NAME_SIZE], size_t count, const char *line, int *fds)
{
	clock_ms deadline = clock_in_seconds(REFRESH_SECONDS);
	struct buf nothing;
	bool there;

	for (size_t i = 0; i < count; i++) {
		if (dial(folder, names[i], &fds[i], &there, NULL))
			fds[i] = -1;
		else
			say(fds[i], line, NULL);
	}
	buf_init(&nothing, 0);
	for (size_t i = 0; i < count; i++) {
		if (fds[i] < 0)
			continue;
		receive(fds[i], deadline, &nothing, NULL);
		close(fds[i]);
	}
	buf_release(&nothing);
}

void sockets_refresh(const struct config_environment *environment, const char *url)
{
	char (*names)[SOCKETS_NAME_SIZE] = NULL;
	char line[ASKING_LINE_SIZE];
	size_t count = 0;
	int folder, *fds;

	if (sockets_open_folder(environment, &folder, NULL))
		return;
	snprintf(line, sizeof(line), ASKING_REFRESH "%s\n", url);
	if (sockets_list(folder, &names, &count, NULL) == 0) {
		fds = calloc(count + 1, sizeof(*fds));
		if (fds)
			refresh_all(folder, names, count, line, fds);
		free(fds);
	}
	free(names);
	close(folder);
}

int sockets_ask(int folder, const char *name, clock_ms deadline, struct buf *answer, bool *there, struct fault *flt)
{
	struct fault own = {0};
	int fd, verdict = dial(folder, name, &fd, there, &own);

	if (!*there)
		return 0;
	if (!verdict) {
		verdict = say(fd, ASKING_STATUS "\n", &own);
		if (!verdict)
			verdict = receive(fd, deadline, answer, &own);
		close(fd);
	}
	if (verdict && flt && !flt->verdict)
		*flt = own;
	return verdict;
}
