/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Locks of files and folders, and claims: file.h.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define FILE_LOCK_PATIENCE 2000 /* milliseconds: longer than a program needs to write a small file */
#define FILE_LOCK_POLL 5        /* milliseconds between two tries: flock() has no time-out of its own */
#define FILE_CLAIM_MODE 0600
#define FILE_CLAIM_TRIES 16     /* if other programs remove the file meanwhile */

/* Some network file systems have no locks: say which folder has to lie elsewhere. */
static int tell_unlockable(int fd, int error, struct fault *flt)
{
	char link[64], path[PATH_MAX] = "a file";
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	if (length > 0)
		path[length] = '\0';
	if (error == ENOLCK || error == ENOSYS || error == EOPNOTSUPP)
		return fault_system(flt, error, "%.200s cannot be locked: its file system has no locks, so keep it on "
				    "another (a registry's folder; XDG_CACHE_HOME, XDG_STATE_HOME)", path);
	return fault_system(flt, error, "%.200s cannot be locked", path);
}

static int lock(int fd, int how, int wait, bool *had, struct fault *flt)
{
	const struct timespec pause = {.tv_nsec = FILE_LOCK_POLL * 1000000};
	clock_ms deadline = clock_now() + wait;

	while (flock(fd, how | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return tell_unlockable(fd, errno, flt);
		if (!clock_left(deadline)) {
			*had = false;
			return 0;
		}
		nanosleep(&pause, NULL);
	}
	*had = true;
	return 0;
}

int file_lock(int fd, int wait, bool *had, struct fault *flt)
{
	return lock(fd, LOCK_EX, wait, had, flt);
}

int file_lock_shared(int fd, int wait, bool *had, struct fault *flt)
{
	return lock(fd, LOCK_SH, wait, had, flt);
}

/* One try. @param gone  the file lost its name before the lock was had: try once more */
static int try_claim(int folder, const char *name, int *fd, uint64_t *size, bool *gone, struct fault *flt)
{
	/* O_NONBLOCK: opening a pipe that has this name must not block. */
	int opened = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, FILE_CLAIM_MODE);
	struct stat status;
	bool had = false;
	int r = 0;

	if (opened < 0)
		return fault_system(flt, errno, "opening %s", name);
	if (fstat(opened, &status) || !S_ISREG(status.st_mode))
		r = fault_system(flt, EINVAL, "%s is no regular file", name);
	if (!r)
		r = file_lock(opened, 0, &had, flt);
	*gone = !r && had && (fstat(opened, &status) || !status.st_nlink);
	if (!r && !had && size)
		*size = (uint64_t)status.st_size;
	if (r || !had || *gone) {
		close(opened);
		opened = -1;
	}
	if (!r)
		*fd = opened;
	return r;
}

int file_claim(int folder, const char *name, int *fd, uint64_t *size, struct fault *flt)
{
	bool gone = true;
	int claimed = -1;
	int r = 0;

	for (int tries = 0; !r && gone && tries < FILE_CLAIM_TRIES; tries++)
		r = try_claim(folder, name, &claimed, size, &gone, flt);
	if (!r && gone)
		r = fault_system(flt, EAGAIN, "claiming %s", name);
	if (!r)
		*fd = claimed;
	return r;
}

void file_end_claim(int folder, const char *name, int fd)
{
	unlinkat(folder, name, 0);
	close(fd);
}

int file_lock_or_fail(int folder, struct fault *flt)
{
	bool had = false;
	int r = file_lock(folder, FILE_LOCK_PATIENCE, &had, flt);

	return r || had ? r : fault_system(flt, EAGAIN, "another program holds the folder's lock");
}

/* Whether the name still leads to the open file: another process may have replaced it. */
static bool has_name(int folder, const char *name, int fd)
{
	struct stat ours, theirs;

	return !fstat(fd, &ours) && !fstatat(folder, name, &theirs, AT_SYMLINK_NOFOLLOW) &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

void file_remove_unlocked(int folder, const char *name)
{
	int fd = -1;

	if (file_open(folder, name, &fd, NULL, NULL) || fd < 0)
		return;
	if (!flock(fd, LOCK_EX | LOCK_NB) && has_name(folder, name, fd))
		unlinkat(folder, name, 0);
	close(fd);
}
