/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The process behind a request (see caller.h).
 *
 * Only procfs is read, never the files that it names: a stat() of one in this mount would be a request to ourselves.
 */
#include "caller.h"

#include "verify/caps.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

pid_t caller_process(pid_t thread)
{
	char path[40], line[128];
	FILE *status;
	int group = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)thread);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status) && sscanf(line, "Tgid: %d", &group) != 1)
		continue;
	if (status)
		fclose(status);
	return group;
}

bool caller_is_same_process(pid_t one, pid_t other)
{
	pid_t process = one == other || !one || !other ? 0 : caller_process(other);

	return !process || process == caller_process(one);
}

/* Whether a descriptor refers to the file with that inode number. @param folder  the process's fdinfo */
static bool is_of_file(int folder, const char *descriptor, uint64_t number)
{
	int fd = openat(folder, descriptor, O_RDONLY | O_CLOEXEC);
	FILE *info = fd >= 0 ? fdopen(fd, "r") : NULL;
	uint64_t found = 0;
	bool is = false;
	char line[128];

	while (!is && info && fgets(line, sizeof(line), info))
		is = sscanf(line, "ino: %" SCNu64, &found) == 1 && found == number;
	if (info)
		fclose(info);
	else if (fd >= 0)
		close(fd);
	return is;
}

bool caller_has_open(pid_t thread, uint64_t number)
{
	unsigned looked = 0;
	struct dirent *entry;
	bool has = false;
	char path[40];
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)thread);
	folder = opendir(path);
	while (!has && folder && looked++ < CAP_CALLER_DESCRIPTORS && (entry = readdir(folder)))
		has = entry->d_name[0] != '.' && is_of_file(dirfd(folder), entry->d_name, number);
	if (folder)
		closedir(folder);
	return has;
}
