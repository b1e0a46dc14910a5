/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reading, replacing and locking files: file.h.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define FILE_LOCK_PATIENCE 2000 /* milliseconds: longer than anybody needs to write a small file */
#define FILE_CLAIM_MODE 0600
#define FOLDER_MODE 0777 /* less the umask */
#define TEMP_END ".wargfs" /* of the names of temporary files */
#define FILE_CLAIM_TRIES 16 /* at a file that others take away under us */
#define FILE_SYNCED 256 /* folders; more than a process usually publishes to */
#define FILE_LOCK_POLL 5 /* milliseconds between two tries: flock() has no time-out of its own */

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
 * and folders stay. One that was made by somebody else may not be synced yet.
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

int file_open_folder(int parent, const char *name, bool make, int *fd, struct fault *flt)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int opened = openat(parent, name, flags);
	int r;

	if (opened < 0 && errno == ENOENT && make) {
		r = file_make_folder(parent, name, FOLDER_MODE, flt);
		if (r)
			return r;
		opened = openat(parent, name, flags);
	}
	if (opened < 0 && (make || (errno != ENOENT && errno != ENOTDIR && errno != ELOOP)))
		return fault_system(flt, errno, "opening the folder %s", name);
	*fd = opened < 0 ? -1 : opened;
	return 0;
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
	r = file_open_folder(top, name, make, fd, flt);
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

int file_open(int folder, const char *name, int *fd, uint64_t *size, struct fault *flt)
{
	/* O_NONBLOCK: a pipe that somebody put there must not hold us up. It means nothing for regular files. */
	int opened = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat status;
	int error;

	if (opened < 0) {
		if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != ENXIO)
			return fault_system(flt, errno, "opening %s", name);
		*fd = -1;
		return 0;
	}
	if (fstat(opened, &status)) {
		error = errno;
		close(opened);
		return fault_system(flt, error, "looking at %s", name);
	}
	if (!S_ISREG(status.st_mode)) {
		close(opened);
		*fd = -1;
		return 0;
	}
	*fd = opened;
	if (size)
		*size = (uint64_t)status.st_size;
	return 0;
}

int file_read_all(int fd, struct buf *out, struct fault *flt)
{
	unsigned char chunk[16384];
	ssize_t count;
	int r;

	for (;;) {
		count = read(fd, chunk, sizeof(chunk));
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fault_system(flt, errno, "reading");
		if (count == 0)
			return 0;
		r = buf_append(out, (struct span){chunk, (size_t)count}, flt);
		if (r)
			return r;
	}
}

/* Hash what lies behind the position of `fd`, at most `cap` bytes, and write it to `to` unless that is -1. */
static int hash_and_copy(int fd, int to, uint64_t cap, struct digest *out, uint64_t *size, struct fault *flt)
{
	unsigned char chunk[64 << 10];
	struct digest_stream stream;
	uint64_t sum = 0;
	ssize_t count;
	int r;

	digest_stream_init(&stream);
	for (;;) {
		count = read(fd, chunk, sizeof(chunk));
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fault_system(flt, errno, "reading");
		if (count == 0)
			break;
		if ((uint64_t)count > cap - sum)
			return fault_undecided(flt, FAULT_LIMIT, "it is longer than %llu bytes",
					       (unsigned long long)cap);
		sum += (uint64_t)count;
		digest_stream_update(&stream, (struct span){chunk, (size_t)count});
		r = to < 0 ? 0 : file_write_all(to, (struct span){chunk, (size_t)count}, flt);
		if (r)
			return r;
	}
	*out = digest_stream_final(&stream);
	*size = sum;
	return 0;
}

int file_hash(int fd, struct digest *out, struct fault *flt)
{
	uint64_t size;

	return hash_and_copy(fd, -1, UINT64_MAX, out, &size, flt);
}

int file_copy(int from, int to, uint64_t cap, struct digest *out, uint64_t *size, struct fault *flt)
{
	/* A clone is of the whole file. Its bytes are hashed only then: they are the ones that will not change. */
	bool cloned = lseek(from, 0, SEEK_CUR) == 0 && !ioctl(to, FICLONE, from);

	return hash_and_copy(cloned ? to : from, cloned ? -1 : to, cap, out, size, flt);
}

int file_read(int folder, const char *name, struct buf *out, bool *found, struct fault *flt)
{
	int fd = -1;
	int r;

	r = file_open(folder, name, &fd, NULL, flt);
	if (r)
		return r;
	*found = fd >= 0;
	if (fd < 0)
		return 0;
	r = file_read_all(fd, out, flt);
	if (r)
		fault_at(flt, "file %s", name);
	close(fd);
	return r;
}

int file_read_path(const char *path, struct buf *out, struct fault *flt)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return fault_system(flt, errno, "%.150s", path);
	r = file_read_all(fd, out, flt);
	if (r)
		fault_at(flt, "%.150s", path);
	close(fd);
	return r;
}

int file_write_all(int fd, struct span bytes, struct fault *flt)
{
	ssize_t count;

	while (bytes.length) {
		count = write(fd, bytes.data, bytes.length);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fault_system(flt, errno, "writing");
		bytes.data += count;
		bytes.length -= (size_t)count;
	}
	return 0;
}

int file_write_at(int fd, uint64_t offset, struct span bytes, struct fault *flt)
{
	ssize_t count;

	while (bytes.length) {
		count = pwrite(fd, bytes.data, bytes.length, (off_t)offset);
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return fault_system(flt, errno, "writing");
		bytes.data += count;
		bytes.length -= (size_t)count;
		offset += (uint64_t)count;
	}
	return 0;
}

void file_begin_sync(int fd, uint64_t offset, uint64_t length)
{
	sync_file_range(fd, (off_t)offset, (off_t)length, SYNC_FILE_RANGE_WRITE);
}

void file_forget(int fd, uint64_t offset, uint64_t length)
{
	posix_fadvise(fd, (off_t)offset, (off_t)length, POSIX_FADV_DONTNEED);
}

int file_reopen_take(int fd)
{
	char path[64];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return fd;
	close(fd);
	return again;
}

int file_sync(int fd, struct fault *flt)
{
	/* EINVAL: a file system that has nothing to sync there. */
	if (fsync(fd) && errno != EINVAL)
		return fault_system(flt, errno, "syncing");
	return 0;
}

/* What a file is written as before it has its name. @return false if that is too long */
static bool temp_name(const char *name, char out[static NAME_MAX + 1])
{
	int length = snprintf(out, NAME_MAX + 1, ".%s" TEMP_END, name);

	return length > 0 && length <= NAME_MAX;
}

void file_remove_temp(int folder, const char *name)
{
	char temp[NAME_MAX + 1];

	if (temp_name(name, temp))
		unlinkat(folder, temp, 0);
}

static bool is_temp_name(const char *name)
{
	size_t length = strlen(name), end = strlen(TEMP_END);

	return name[0] == '.' && length > end && !strcmp(name + length - end, TEMP_END);
}

void file_sweep_temps(int folder)
{
	/* A new descriptor: readdir() moves the offset of the one it reads. */
	int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;

	if (!listing) {
		if (again >= 0)
			close(again);
		return;
	}
	while ((entry = readdir(listing)))
		if (is_temp_name(entry->d_name))
			unlinkat(folder, entry->d_name, 0);
	closedir(listing);
}

static int replace(int folder, const char *name, mode_t mode, struct span bytes, bool sync, struct fault *flt)
{
	char temp[NAME_MAX + 1];
	int fd, r;

	if (!temp_name(name, temp))
		return fault_system(flt, ENAMETOOLONG, "writing %s", name);
	unlinkat(folder, temp, 0);
	fd = openat(folder, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		return fault_system(flt, errno, "making %s", temp);
	r = file_write_all(fd, bytes, flt);
	if (!r && sync)
		r = file_sync(fd, flt);
	/* Some file systems say only here that the disk is full. */
	if (close(fd) && !r)
		r = fault_system(flt, errno, "writing");
	if (!r && renameat(folder, temp, folder, name))
		r = fault_system(flt, errno, "renaming");
	if (r) {
		unlinkat(folder, temp, 0);
		fault_at(flt, "file %s", name);
	}
	return r;
}

int file_replace(int folder, const char *name, mode_t mode, struct span bytes, struct fault *flt)
{
	return replace(folder, name, mode, bytes, true, flt);
}

int file_replace_unsynced(int folder, const char *name, mode_t mode, struct span bytes, struct fault *flt)
{
	return replace(folder, name, mode, bytes, false, flt);
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
	/* O_NONBLOCK: a pipe that somebody put there must not hold us up. */
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

int file_new_name(const char *prefix, char *out, size_t size, struct fault *flt)
{
	uint64_t random;

	/* Reads of up to 256 bytes come whole once the pool is there. */
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return fault_system(flt, errno, "taking random numbers");
	snprintf(out, size, "%s%016llx", prefix, (unsigned long long)random);
	return 0;
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

int file_lock_surely(int folder, struct fault *flt)
{
	bool had = false;
	int r = file_lock(folder, FILE_LOCK_PATIENCE, &had, flt);

	return r || had ? r : fault_system(flt, EAGAIN, "another program holds the folder's lock");
}

int file_replace_locked(int folder, const char *name, mode_t mode, struct span bytes, struct fault *flt)
{
	struct stat status;
	int r;

	/* Who narrowed the file's mode meant it. */
	if (!fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) && S_ISREG(status.st_mode))
		mode = status.st_mode & 0777;
	r = file_replace(folder, name, mode, bytes, flt);
	return r ? r : file_sync(folder, flt);
}

/* ---- Walking and sweeping ---- */

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
