/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Registries that never proved anything (see unproven.h).
 */
#include "unproven.h"
#include "client/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEEPEST 6 /* folders of ours below that of a registry are at most three deep */

/* What is done with a folder in a folder. @return whether to go on */
typedef bool visit(int parent, const char *name, int depth);

/* @return whether all of it was visited, and nothing but folders was seen */
static bool walk(int folder, int depth, visit *each)
{
	DIR *entries = fdopendir(folder);
	const struct dirent *entry;
	bool goes_on = entries;

	if (!entries)
		close(folder);
	while (goes_on && (entry = readdir(entries))) {
		struct stat seen;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		goes_on = !fstatat(dirfd(entries), entry->d_name, &seen, AT_SYMLINK_NOFOLLOW) &&
			  S_ISDIR(seen.st_mode) && each(dirfd(entries), entry->d_name, depth);
	}
	if (entries)
		closedir(entries);
	return goes_on;
}

/* @return whether there are only folders in it, or it is not there */
static bool has_only_folders(int parent, const char *name, int depth)
{
	int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (folder < 0)
		return errno == ENOENT;
	if (depth == DEEPEST) {
		close(folder);
		return false;
	}
	return walk(folder, depth + 1, has_only_folders);
}

/* rmdir(2) alone: a file that came meanwhile stays, and so do the folders above it. */
static bool remove_folders(int parent, const char *name, int depth)
{
	int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return folder >= 0 && depth < DEEPEST && walk(folder, depth + 1, remove_folders) &&
	       unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

/* Whoever meets the registry now writes its trust under this lock, and begins anew if the folder has gone by then. */
static void remove_locked(const char *const *paths, size_t count)
{
	bool had = false;
	int state = open(paths[count - 1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (state >= 0)
		file_lock(state, 0, &had, NULL);
	for (size_t i = 0; (state < 0 || had) && i < count; i++)
		remove_folders(AT_FDCWD, paths[i], 0);
	if (state >= 0)
		close(state);
}

void unproven_remove(const struct config *config, const char *label)
{
	/* The one with the trust is last. */
	const char *const tops[] = {config->registries_dir, config->cache_dir, config->state_dir};
	char texts[3][4096];
	const char *paths[3];

	if (!*label || *label == '.' || strchr(label, '/'))
		return;
	for (size_t i = 0; i < 3; i++) {
		size_t length = tops[i] ? (size_t)snprintf(texts[i], sizeof(texts[i]), "%s/%s", tops[i], label) : 0;

		if (!length || length >= sizeof(texts[i]) || !has_only_folders(AT_FDCWD, texts[i], 0))
			return;
		paths[i] = texts[i];
	}
	remove_locked(paths, 3);
}

bool unproven_is(const char *registries_dir, const char *label)
{
	static const char *const proven[] = {"checkpoint", "operator.log"};
	char path[4096];

	for (size_t i = 0; i < sizeof(proven) / sizeof(proven[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", registries_dir, label, proven[i]);
		if (access(path, F_OK) == 0)
			return false;
	}
	snprintf(path, sizeof(path), "%s/%s/package-logs", registries_dir, label);
	return has_only_folders(AT_FDCWD, path, 0);
}
