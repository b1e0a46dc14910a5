/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Registries that were begun (see begun.h).
 */
#include "begun.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "client/base/file.h"
#include "content_files.h"
#include "database.h"

static bool has_file(int folder, const char *name)
{
	return !faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

/* Whether a server has kept contents in the usual place. */
static bool has_contents(int folder)
{
	int fd = openat(folder, "contents/files", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct digest digest;
	bool has = false;

	if (!list) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while (!has && (entry = readdir(list)))
		has = content_file_parse(entry->d_name, &digest);
	closedir(list);
	return has;
}

int begun_check(const char *data_dir, struct fault *flt)
{
	int folder = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	const char *sign = NULL;

	/* Other errors are told by whoever opens it. */
	if (folder < 0)
		return 0;
	if (!has_file(folder, DATABASE_FILE))
		sign = has_file(folder, BEGUN_FILE) ? BEGUN_FILE : has_contents(folder) ? "contents" : NULL;
	close(folder);
	if (sign)
		r = fault_undecided(flt, FAULT_ABSENT, "%.100s had a registry, and lacks its " DATABASE_FILE ": "
				    "restore that. To begin another one, which clients of this one refuse, remove "
				    "'%s' there", data_dir, sign);
	return r;
}

int begun_mark(int folder, struct fault *flt)
{
	int r;

	if (has_file(folder, BEGUN_FILE))
		return 0;
	r = file_replace(folder, BEGUN_FILE, 0600, span_of_text("A registry was begun in this folder, in " DATABASE_FILE
			 ".\nWhile this file is here, none is begun anew if that is lost.\n"), flt);
	return r ? r : file_sync(folder, flt);
}
