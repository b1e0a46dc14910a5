/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The locks that are shared with the reference: of a registry's folder, and of the contents' (interop.md section C 1).
 */
#include "store_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/file.h"

/* Whether the lock file that the folder's path leads to now is the one that is open. */
static int still_there(const struct store *store, store_opener *open_folder, int lock, bool *same, struct fault *flt)
{
	struct stat ours, theirs;
	int folder = -1;
	int r;

	*same = false;
	r = open_folder(store, false, &folder, flt);
	if (r || folder < 0)
		return r;
	if (fstat(lock, &ours))
		r = fault_system(flt, errno, "looking at %s", STORE_LOCK_FILE);
	else if (!fstatat(folder, STORE_LOCK_FILE, &theirs, AT_SYMLINK_NOFOLLOW))
		*same = ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
	close(folder);
	return r;
}

/* Often a file that root made in a user's cache. */
static int tell_unopened(int folder, int error, struct fault *flt)
{
	char link[64], path[PATH_MAX];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", folder);
	length = readlink(link, path, sizeof(path) - 1);
	if (length <= 0)
		return fault_system(flt, error, "opening %s", STORE_LOCK_FILE);
	path[length] = '\0';
	return fault_system(flt, error, "opening %.200s/%s%s", path, STORE_LOCK_FILE,
			    error == EACCES ? " (whose is it? 'ls -la' tells)" : "");
}

/* One try: open the folder and its lock file, and lock that. */
static int try_lock(const struct store *store, store_opener *open_folder, int wait, int *folder, int *lock, bool *had,
		    struct fault *flt)
{
	int r;

	r = open_folder(store, true, folder, flt);
	if (r)
		return r;
	*lock = openat(*folder, STORE_LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, STORE_STATE_MODE);
	if (*lock < 0 && errno == ENOENT)
		return 0; /* the folder was removed just now */
	if (*lock < 0)
		return tell_unopened(*folder, errno, flt);
	r = file_lock(*lock, wait, had, flt);
	if (!r && *had)
		r = still_there(store, open_folder, *lock, had, flt);
	return r;
}

static void drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

int store_lock(const struct store *store, store_opener *open_folder, int *folder, int *lock, bool *had,
	       struct fault *flt)
{
	clock_ms deadline = clock_now() + STORE_LOCK_WAIT;
	int r;

	*folder = *lock = -1;
	do {
		drop(folder);
		drop(lock);
		*had = false;
		r = try_lock(store, open_folder, clock_left(deadline), folder, lock, had, flt);
	} while (!r && !*had && clock_left(deadline));
	if (r || !*had) {
		drop(folder);
		drop(lock);
	}
	return r;
}

int store_lock_registry(const struct store *store, int *registry, int *lock, bool *had, struct fault *flt)
{
	return store_lock(store, store_open_registry, registry, lock, had, flt);
}
