/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Names of drafts that have a version's name (see alias.h).
 */
#include "alias.h"

#include "path.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static bool is_version(const char *name)
{
	const struct path package = { .kind = PATH_PACKAGE };
	struct path path;

	return path_child(&package, name, &path) && path.kind == PATH_RELEASE;
}

static bool has(int folder, const char *name)
{
	struct stat status;

	return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

bool alias_of(int folder, const char *name, char out[static NAME_MAX + 1])
{
	size_t length = strlen(name);

	if (!is_version(name) || !has(folder, name))
		return false;
	memcpy(out, name, length + 1);
	do {
		if (length >= NAME_MAX)
			return false;
		out[length++] = '~';
		out[length] = 0;
	} while (has(folder, out));
	return true;
}

bool alias_resolve(int folder, const char *alias, char out[static NAME_MAX + 1])
{
	size_t length = strlen(alias);
	char own[NAME_MAX + 1];

	if (!length || length > NAME_MAX || alias[length - 1] != '~')
		return false;
	while (length && alias[length - 1] == '~')
		length--;
	snprintf(out, NAME_MAX + 1, "%.*s", (int)length, alias);
	return alias_of(folder, out, own) && strcmp(own, alias) == 0;
}
