/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Folders: opening, making, walking and removing them: file.h.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FOLDER_MODE 0777 /* less the umask */
#define FILE_SYNCED 256  /* folders; more than a process usually publishes to */

/*
 * fsync the folder that holds `path`, relative to `base`. A folder without read permission cannot be synced: skipped.
 */
static int sync_parent(int base, const char *path, struct fault *flt)
{
	const char *slash = strrchr(path, '/');
	char above[PATH_MAX] = ".";
	int fd, r;

	if (slash)
		snprintf(above, sizeof(above), "%.*s", slash == path ? 1 : (int)(slash - path), path);
	fd = openat(base, above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == EACCES ? 0 : fault_system(flt, errno, "opening the folder above %s", path);
	r = file_sync(fd, flt);
	close(fd);
	return r;
}

/* ---- Folders whose names are on the disk ---- */

/*
 * Folders whose parents this process has synced since they were made, found by their number: a sync takes milliseconds,
 * and folders stay. A folder that another process made may not be synced yet.
 */
static pthread_mutex_t synced_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct synced {
	dev_t device;
	ino_t number;
	struct timespec born; /* of its parent's entry for it: the numbers of removed folders are used again */
} synced[FILE_SYNCED];

static bool identify(int parent, const char *name, struct synced *out)
{
	struct statx status;

	if (statx(parent, name, AT_SYMLINK_NOFOLLOW, STATX_INO | STATX_BTIME, &status) ||
	    !(status.stx_mask & STATX_BTIME))
		return false;
	*out = (struct synced){
		.device = makedev(status.stx_dev_major, status.stx_dev_minor), .number = status.stx_ino,
		.born = {status.stx_btime.tv_sec, status.stx_btime.tv_nsec},
	};
	return true;
}

static bool is_same(const struct synced *one, const struct synced *other)
{
	return one->device == other->device && one->number == other->number &&
	       one->born.tv_sec == other->born.tv_sec && one->born.tv_nsec == other->born.tv_nsec;
}

static bool was_synced(const struct synced *folder)
{
	bool was;

	pthread_mutex_lock(&synced_mutex);
	was = is_same(&synced[folder->number % FILE_SYNCED], folder);
	pthread_mutex_unlock(&synced_mutex);
	return was;
}

static void note_synced(const struct synced *folder)
{
	pthread_mutex_lock(&synced_mutex);
	synced[folder->number % FILE_SYNCED] = *folder;
	pthread_mutex_unlock(&synced_mutex);
}

static int sync_name(int parent, const char *name, bool is_new, struct fault *flt)
{
	struct synced folder;
	bool is_known = identify(parent, name, &folder);
	int r;

	if (is_known && !is_new && was_synced(&folder))
		return 0;
	r = sync_parent(parent, name, flt);
	if (!r && is_known)
		note_synced(&folder);
	return r;
}

int file_sync_name(int parent, const char *name, struct fault *flt)
{
	return sync_name(parent, name, false, flt);
}

int file_make_folder(int parent, const char *name, mode_t mode, struct fault *flt)
{
	bool is_new = !mkdirat(parent, name, mode);

	if (!is_new && errno != EEXIST)
		return fault_system(flt, errno, "making the folder %s", name);
	return sync_name(parent, name, is_new, flt);
}

/* ---- Folders that are kept open ---- */

static pthread_mutex_t tops_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct top {
	char *path;
	int fd;
} tops[FILE_TOPS];
static size_t top_count;

/* A kept folder that was removed no longer counts: use the one at its path. */
static bool is_removed(int fd)
{
	struct stat status;

	return fstat(fd, &status) || !status.st_nlink;
}

/* The folder descriptor and the relative path to reach a file by. */
struct start {
	int base;         /* a kept folder; AT_FDCWD: no kept folder is above the path */
	const char *rest; /* the path relative to `fd` */
};

/* Whether `path` is `top`, or below it. @param rest  from there; "." if there is none */
static bool is_below(const char *path, const char *top, const char **rest)
{
	size_t length = strlen(top);

	if (strncmp(path, top, length) || (path[length] && path[length] != '/'))
		return false;
	*rest = path + length + strspn(path + length, "/");
	if (!**rest)
		*rest = ".";
	return true;
}

/* @param start  end_way() it */
static struct start begin_way(const char *path)
{
	struct start start = {AT_FDCWD, path};
	const char *rest;

	pthread_mutex_lock(&tops_mutex);
	for (size_t i = 0; i < top_count && start.base == AT_FDCWD; i++) {
		int fd = is_below(path, tops[i].path, &rest) && !is_removed(tops[i].fd) ?
				 fcntl(tops[i].fd, F_DUPFD_CLOEXEC, 0) : -1;

		if (fd >= 0)
			start = (struct start){fd, rest};
	}
	pthread_mutex_unlock(&tops_mutex);
	return start;
}

static void end_way(struct start start)
{
	if (start.base >= 0)
		close(start.base);
}

static int open_from(struct start start)
{
	return openat(start.base, start.rest, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int open_folder(const char *path)
{
	struct start start = begin_way(path);
	int fd = open_from(start), error = errno;

	end_way(start);
	errno = error;
	return fd;
}

/* Make the missing folders of a path, one after the other. */
static int make_way(struct start start, struct fault *flt)
{
	const char *path = start.rest;
	char part[PATH_MAX];
	size_t length = strlen(path);
	int r;

	if (length >= sizeof(part))
		return fault_system(flt, ENAMETOOLONG, "making the folder %s", path);
	for (size_t i = 1; i <= length; i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		/* A parent that is there may be one that we must not write to: only what is missing is made. */
		if (faccessat(start.base, part, F_OK, 0) == 0)
			continue;
		r = file_make_folder(start.base, part, FOLDER_MODE, flt);
		if (r)
			return r;
	}
	return 0;
}

void file_hold_top(const char *path)
{
	char *copy = strdup(path);
	int fd = -1;

	if (copy && !file_open_top(path, &fd, NULL)) {
		pthread_mutex_lock(&tops_mutex);
		if (top_count < FILE_TOPS) {
			tops[top_count++] = (struct top){copy, fd};
			copy = NULL;
			fd = -1;
		}
		pthread_mutex_unlock(&tops_mutex);
	}
	free(copy);
	if (fd >= 0)
		close(fd);
}

/* ---- Folders ---- */

int file_open_top(const char *path, int *fd, struct fault *flt)
{
	struct start start = begin_way(path);
	int opened = open_from(start), r = 0;

	if (opened < 0 && errno == ENOENT) {
		r = make_way(start, flt);
		if (!r)
			opened = open_from(start);
	}
	if (!r && opened < 0)
		r = fault_system(flt, errno, "opening the folder %s", path);
	end_way(start);
	if (!r)
		*fd = opened;
	return r;
}

static int make_unsynced(int parent, const char *name, mode_t mode, struct fault *flt)
{
	if (mkdirat(parent, name, mode) && errno != EEXIST)
		return fault_system(flt, errno, "making the folder %s", name);
	return 0;
}

/* @param make  makes the folder where it is missing; NULL: it is not made */
static int open_inner(int parent, const char *name,
		      int (*make)(int parent, const char *name, mode_t mode, struct fault *flt), int *fd,
		      struct fault *flt)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int opened = openat(parent, name, flags);
	int r;

	if (opened < 0 && errno == ENOENT && make) {
		r = make(parent, name, FOLDER_MODE, flt);
		if (r)
			return r;
		opened = openat(parent, name, flags);
	}
	if (opened < 0 && (make || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)))
		return fault_system(flt, errno, "opening the folder %s", name);
	*fd = opened < 0 ? -1 : opened;
	return 0;
}

int file_open_folder(int parent, const char *name, bool make, int *fd, struct fault *flt)
{
	return open_inner(parent, name, make ? file_make_folder : NULL, fd, flt);
}

int file_open_inside(const char *path, const char *name, bool make, int *fd, struct fault *flt)
{
	int top = open_folder(path);
	int r;

	if (top < 0 && errno == ENOENT && !make) {
		*fd = -1;
		return 0;
	}
	r = top < 0 ? file_open_top(path, &top, flt) : 0;
	if (r)
		return r;
	r = open_inner(top, name, make ? make_unsynced : NULL, fd, flt);
	close(top);
	return r;
}

/* A folder of ours below another, so that only what we put there is there. */
static int open_own(int parent, const char *name, int *fd, struct fault *flt)
{
	struct stat status;
	int opened = -1;
	int r;

	/* Also syncs a folder that existed: another process may have made it and not synced it yet. */
	r = file_make_folder(parent, name, 0700, flt);
	if (!r)
		r = file_open_folder(parent, name, true, &opened, flt);
	if (r)
		return r;
	if (fstat(opened, &status))
		r = fault_system(flt, errno, "looking at the folder %s", name);
	else if (status.st_uid != geteuid())
		r = fault_system(flt, EPERM, "the folder %s is another user's", name);
	if (r)
		close(opened);
	else
		*fd = opened;
	return r;
}

int file_open_private(const char *state_dir, const char *label, const char *name, int *fd, struct fault *flt)
{
	int top = -1, middle = -1;
	int r;

	if (!label[0] || label[0] == '.' || strchr(label, '/'))
		return fault_undecided(flt, FAULT_MISUSE, "\"%s\" cannot be a registry's folder", label);
	r = file_open_top(state_dir, &top, flt);
	if (r)
		return r;
	r = open_own(top, label, &middle, flt);
	close(top);
	if (r)
		return r;
	r = open_own(middle, name, fd, flt);
	close(middle);
	return r;
}
int file_open_parent(const char *path, int *fd, const char **name, struct fault *flt)
{
	const char *slash = strrchr(path, '/');
	char *folder = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int r = folder ? file_open_top(folder, fd, flt) : fault_no_memory(flt);

	free(folder);
	if (!r)
		*name = slash + 1;
	return r;
}
/* ---- What is in a folder ---- */

int file_walk(const char *top, const char *inner, void (*visit)(int folder, const char *name, void *context),
	       void *context, struct fault *flt)
{
	struct dirent *entry;
	int folder = -1;
	DIR *listing;
	int r;

	r = file_open_inside(top, inner, false, &folder, flt);
	if (r || folder < 0)
		return r;
	listing = fdopendir(folder);
	if (!listing) {
		r = fault_system(flt, errno, "listing %s", inner);
		close(folder);
		return r;
	}
	while ((entry = readdir(listing)))
		if (entry->d_name[0] != '.')
			visit(dirfd(listing), entry->d_name, context);
	closedir(listing);
	return 0;
}
static int remove_contents(int folder, struct fault *flt)
{
	DIR *listing = fdopendir(folder);
	struct dirent *entry;
	int r = 0;

	if (!listing) {
		r = fault_system(flt, errno, "listing a folder");
		close(folder);
		return r;
	}
	while (!r && (entry = readdir(listing)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			r = file_remove_tree(dirfd(listing), entry->d_name, flt);
	closedir(listing);
	return r;
}

int file_remove_tree(int parent, const char *name, struct fault *flt)
{
	int folder, r;

	if (!unlinkat(parent, name, 0) || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return fault_system(flt, errno, "removing %s", name);
	folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return fault_system(flt, errno, "removing %s", name);
	r = remove_contents(folder, flt);
	if (!r && unlinkat(parent, name, AT_REMOVEDIR) && errno != ENOENT)
		r = fault_system(flt, errno, "removing %s", name);
	return r;
}
