/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Joining and starting (see local.h).
 */
#include "local.h"

#include "client/base/clock.h"
#include "client/base/file.h"
#include "client/net/http_local.h"
#include "local_server.h"
#include "server/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFIX "local:"
#define PATIENCE 20    /* seconds for a server to end */
#define BEGINNING 5    /* seconds for one that another program starts to begin */
#define ANSWER 2       /* seconds for one that runs to answer */
#define AGAIN 50000    /* microseconds between looks at it */

struct local {
	struct local_place place;
	int users;
	char host[64];
	char *name; /* "local:DIR" */
};

const char *local_folder_of(const char *text)
{
	return text && !strncmp(text, PREFIX, strlen(PREFIX)) ? text + strlen(PREFIX) : NULL;
}

void local_descriptors(const struct local *local, int out[static 2])
{
	out[0] = local ? local->place.dir : -1;
	out[1] = local ? local->users : -1;
}

int local_find_signing_key(const struct local *local, struct ecdsa_private_key **out, struct fault *flt)
{
	int folder = openat(local->place.dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (folder < 0)
		return fault_system(flt, errno, "%.150s", local->place.folder);
	r = file_lock_or_fail(folder, flt);
	if (!r)
		r = key_file_keep(local->place.dir, "signing.key", true, out, flt);
	close(folder);
	return r;
}

void local_leave(struct local *local)
{
	if (!local)
		return;
	if (local->users >= 0)
		close(local->users);
	if (local->place.dir >= 0)
		close(local->place.dir);
	free(local->place.folder);
	free(local->name);
	free(local);
}

/* ---- Joining ---- */

/*
 * A process that is about to be gone lets one in, too: a server has to say something. Asked by hand, as the client
 * starts a thread, and we fork.
 */
static bool is_answering(const struct local *local)
{
	static const char request[] = "GET /healthz HTTP/1.0\r\n\r\n";
	const struct timeval patience = {.tv_sec = ANSWER};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;
	bool is;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", local->place.socket);
	is = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) &&
	     !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) &&
	     !connect(fd, (const struct sockaddr *)&address, sizeof(address)) &&
	     send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0 && recv(fd, &byte, 1, 0) > 0;
	if (fd >= 0)
		close(fd);
	return is;
}

static int reach(struct local *local, const struct operator_wish *namespaces, size_t count, struct fault *flt)
{
	clock_ms deadline = clock_in_seconds(BEGINNING);

	while (!is_answering(local)) {
		struct fault own = {0};

		if (!local_server_start(&local->place, namespaces, count, &own))
			return 0;
		/* Two started one at once, and the other one has the folder. */
		if (own.kind != FAULT_EXISTS || !clock_left(deadline)) {
			*flt = own;
			return own.verdict;
		}
		usleep(AGAIN);
	}
	return 0;
}

/* Sync the parent of a new folder, so that it survives a power cut. */
static int sync_above(int folder, struct fault *flt)
{
	int above = openat(folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (above < 0)
		return fault_system(flt, errno, "the folder above the registry's");
	r = file_sync(above, flt);
	close(above);
	return r;
}

static int no_registry(const char *dir, struct fault *flt)
{
	return fault_undecided(flt, FAULT_ABSENT, "there is no registry in %.100s: 'wargfs mount --local %.100s "
			       "MOUNTPOINT' begins one", dir, dir);
}

/* The folder is ours alone: who else could write there could be the server. */
static int check_owner(const struct stat *status, const char *dir, struct fault *flt)
{
	if (status->st_uid != geteuid())
		return fault_system(flt, EPERM, "%.150s belongs to another user, whose registry it would be", dir);
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		return fault_system(flt, EPERM, "%.100s may be written to by others; 'chmod go-w %.100s' lets only "
				    "you", dir,
				    dir);
	return 0;
}

static int open_folder(struct local *local, const char *dir, bool make, struct fault *flt)
{
	const bool is_made = make && !mkdir(dir, 0700);
	struct stat status;

	if (make && !is_made && errno != EEXIST)
		return fault_system(flt, errno, "%.150s cannot be made", dir);
	local->place.folder = realpath(dir, NULL);
	if (!local->place.folder)
		return errno == ENOENT ? no_registry(dir, flt) : fault_system(flt, errno, "%.150s", dir);
	local->place.dir = open(local->place.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (local->place.dir < 0 || fstat(local->place.dir, &status))
		return fault_system(flt, errno, "%.150s", dir);
	if (is_made && sync_above(local->place.dir, flt))
		return flt->verdict;
	if (check_owner(&status, dir, flt))
		return flt->verdict;
	if (!make && faccessat(local->place.dir, KEY_FILE_OPERATOR, F_OK, 0))
		return no_registry(dir, flt);
	snprintf(local->place.socket, sizeof(local->place.socket), "/proc/self/fd/%d/" LOCAL_SOCKET, local->place.dir);
	return 0;
}

static int take_part(struct local *local, struct fault *flt)
{
	bool had = false;
	int r;

	local->users = openat(local->place.dir, LOCAL_USERS, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (local->users < 0)
		return fault_system(flt, errno, "%.150s/" LOCAL_USERS, local->place.folder);
	r = file_lock_shared(local->users, PATIENCE * 1000, &had, flt);
	if (!r && !had)
		r = fault_undecided(flt, FAULT_TIMEOUT, "the server of %.150s does not end", local->place.folder);
	return r;
}

/* It is known by its operator's key: a registry that is moved stays the same, and one that is begun anew is another. */
static int name_it(struct local *local, struct http_url *url, struct fault *flt)
{
	struct ecdsa_private_key *key;
	char id[DIGEST_TEXT_SIZE], text[128];
	int r = key_file_keep(local->place.dir, KEY_FILE_OPERATOR, false, &key, flt);

	if (r)
		return r;
	if (asprintf(&local->name, PREFIX "%s", local->place.folder) < 0) {
		local->name = NULL;
		ecdsa_private_key_free(key);
		return fault_no_memory(flt);
	}
	digest_format(ecdsa_public_key_id(ecdsa_private_key_public(key)), id);
	ecdsa_private_key_free(key);
	snprintf(local->host, sizeof(local->host), "%.16s" HTTP_LOCAL_DOMAIN, strchr(id, ':') + 1);
	http_local_set(local->host, local->place.socket, local->name);
	snprintf(text, sizeof(text), "http://%s/", local->host);
	return http_url_parse(text, url, flt);
}

/* No shell expands a tilde behind a colon: local:~/registry. */
static const char *expand_home(const char *dir, char out[static PATH_MAX])
{
	const char *home = getenv("HOME");

	if (strncmp(dir, "~/", 2) || !home || snprintf(out, PATH_MAX, "%s/%s", home, dir + 2) >= PATH_MAX)
		return dir;
	return out;
}

int local_join(const char *dir, bool make, const struct operator_wish *namespaces, size_t count, struct local **out,
	       struct http_url *url, struct fault *flt)
{
	struct local *local = calloc(1, sizeof(*local));
	char path[PATH_MAX];
	int r;

	if (!local)
		return fault_no_memory(flt);
	local->place.dir = local->users = -1;
	r = open_folder(local, expand_home(dir, path), make, flt);
	if (!r)
		r = take_part(local, flt);
	if (!r)
		r = reach(local, namespaces, count, flt);
	if (!r)
		r = name_it(local, url, flt);
	if (r)
		local_leave(local);
	else
		*out = local;
	return r;
}
