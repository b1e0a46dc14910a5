/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opening a server's folders (see folder.h).
 */
#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"

static int open_at(int parent, const char *name)
{
	return openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Make the folder `path` and sync its parent, so that it survives a power cut. */
static int make_in(const char *parent_path, const char *name, const char *path, int *fd, struct fault *flt)
{
	int parent = -1, r = file_open_top(parent_path, &parent, flt);

	if (r)
		return r;
	if (mkdirat(parent, name, 0700) && errno != EEXIST)
		r = fault_system(flt, errno, "%.150s cannot be made", path);
	if (!r)
		r = file_sync(parent, flt);
	if (!r) {
		*fd = open_at(parent, name);
		if (*fd < 0)
			r = fault_system(flt, errno, "%.150s cannot be opened", path);
	}
	close(parent);
	return r;
}

static int make_folder(const char *path, int *fd, struct fault *flt)
{
	size_t length = strlen(path);
	char copy[PATH_MAX], *slash;

	if (length >= sizeof(copy))
		return fault_system(flt, ENAMETOOLONG, "%.150s", path);
	memcpy(copy, path, length + 1);
	while (length > 1 && copy[length - 1] == '/')
		copy[--length] = 0;
	slash = strrchr(copy, '/');
	if (!slash)
		return make_in(".", copy, path, fd, flt);
	*slash = 0;
	return make_in(*copy ? copy : "/", slash + 1, path, fd, flt);
}

int folder_open(const char *path, bool make, int *fd, struct fault *flt)
{
	int opened = open_at(AT_FDCWD, path);

	if (opened < 0 && errno == ENOENT && make && *path)
		return make_folder(path, fd, flt);
	if (opened < 0 && errno == ENOENT)
		return fault_undecided(flt, FAULT_ABSENT, "%.150s does not exist", path);
	if (opened < 0)
		return fault_system(flt, errno, "%.150s", path);
	*fd = opened;
	return 0;
}

int folder_path(int fd, char out[static PATH_MAX], struct fault *flt)
{
	struct stat there, here;
	char link[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, out, PATH_MAX);
	if (length < 0)
		return fault_system(flt, errno, "/proc, which has to be mounted, does not tell the path of a folder");
	if (length == PATH_MAX)
		return fault_system(flt, ENAMETOOLONG, "the folder's path");
	out[length] = 0;
	if (fstat(fd, &here) || lstat(out, &there) || here.st_dev != there.st_dev || here.st_ino != there.st_ino)
		return fault_system(flt, ENOENT, "the folder that was at %.150s is gone", out);
	return 0;
}

/* From the kernel's list of locks. @return 0: it cannot be told */
static int find_holder(int folder, const char *name)
{
	FILE *locks = fopen("/proc/locks", "re");
	unsigned long inode;
	struct stat status;
	char line[256];
	int found = 0, pid;

	if (!locks)
		return 0;
	while (!found && !fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) && fgets(line, sizeof(line), locks))
		if (sscanf(line, "%*s FLOCK %*s WRITE %d %*x:%*x:%lu", &pid, &inode) == 2 && inode == status.st_ino &&
		    pid > 0)
			found = pid;
	fclose(locks);
	return found;
}

int folder_taken(int fd, const char *lock, const char *path, struct fault *flt)
{
	int holder = find_holder(fd, lock);

	if (holder)
		return fault_undecided(flt, FAULT_EXISTS, "another server (process %d) is already using the folder "
				       "%.150s", holder, path);
	return fault_undecided(flt, FAULT_EXISTS, "another server is already using the folder %.150s", path);
}
