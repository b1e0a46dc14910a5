/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Whether a path leads through a folder (see covering.h).
 */
#include "covering.h"
#include "client/base/file.h"
#include "client/net/http_network.h"
#include "sockets.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST_LINKS 40 /* the kernel's limit of symbolic links */

/* State of resolving a path as the kernel does. */
struct way {
	const char *folder;
	char reached[PATH_MAX]; /* resolved so far, without links; "" is the root */
	char rest[PATH_MAX];    /* still to go */
	unsigned links;
};

static bool is_through(const struct way *way)
{
	size_t length = strlen(way->folder);

	/* Every path is below the root. */
	if (length == 1)
		return true;
	return !strncmp(way->reached, way->folder, length) && (!way->reached[length] || way->reached[length] == '/');
}

/* Replace the symbolic link that was reached by its target. */
static void follow(struct way *way, const char *target, size_t length)
{
	char rest[PATH_MAX];

	snprintf(rest, sizeof(rest), "%s", way->rest);
	if (snprintf(way->rest, sizeof(way->rest), "%.*s/%s", (int)length, target, rest) >= (int)sizeof(way->rest))
		way->rest[0] = '\0';
	if (*target == '/')
		way->reached[0] = '\0';
	else
		*strrchr(way->reached, '/') = '\0';
}

/* @return false at the end, or where the kernel would fail */
static bool take_step(struct way *way)
{
	char name[NAME_MAX + 1], target[PATH_MAX];
	size_t skipped = strspn(way->rest, "/"), length = strcspn(way->rest + skipped, "/");
	size_t end = strlen(way->reached);
	ssize_t got;

	if (!length || length > NAME_MAX || end + length + 2 > sizeof(way->reached))
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)length, way->rest + skipped);
	memmove(way->rest, way->rest + skipped + length, strlen(way->rest + skipped + length) + 1);
	if (!strcmp(name, "."))
		return true;
	if (!strcmp(name, "..")) {
		if (end)
			*strrchr(way->reached, '/') = '\0';
		return true;
	}
	snprintf(way->reached + end, sizeof(way->reached) - end, "/%s", name);
	got = readlink(way->reached, target, sizeof(target) - 1);
	if (got > 0 && way->links++ < MOST_LINKS)
		follow(way, target, (size_t)got);
	return true;
}

bool covering_is(const char *folder, const char *path)
{
	struct way way = {.folder = folder};

	snprintf(way.rest, sizeof(way.rest), "%s", path);
	if (*path != '/' && !getcwd(way.reached, sizeof(way.reached)))
		return false;
	while (take_step(&way) && !is_through(&way))
		;
	return is_through(&way);
}

int covering_check(const char *mountpoint, const struct config_environment *environment, const struct config *config,
		   const char *local, struct fault *flt)
{
	char sockets[PATH_MAX];
	const struct {
		const char *path, *what;
	} ours[] = {
		{local, "the registry"},
		{config->cache_dir, "the cache"},
		{config->content_dir, "the cached contents"},
		{config->registries_dir, "the stored logs"},
		{config->state_dir, "trust, and publishes under way"},
		{config->keyring_dir, "the keys"},
		{config->namespace_map_path, "the namespace map"},
		{config->found ? config->file : NULL, "the configuration"},
		{http_network_get()->ca_file, "the trusted certificates"},
		{http_network_get()->ca_folder, "the trusted certificates"},
		{sockets, "the sockets of mounts"},
	};

	sockets_path(environment, sockets, sizeof(sockets));
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (ours[i].path && covering_is(mountpoint, ours[i].path))
			return fault_undecided(flt, FAULT_MISUSE, "%.80s cannot be mounted on: the mount would hide %s "
					       "at %.80s; choose another "
					       "folder", mountpoint, ours[i].what, ours[i].path);
	return 0;
}

void covering_hold(const struct config *config)
{
	file_hold_top(config->registries_dir);
	file_hold_top(config->content_dir);
	file_hold_top(config->cache_dir);
	file_hold_top(config->state_dir);
}
