/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reading and replacing files: file.h.
 */
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_END ".wargfs" /* of the names of temporary files */

int file_open(int folder, const char *name, int *fd, uint64_t *size, struct fault *flt)
{
	/* O_NONBLOCK: opening a pipe that has this name must not block. The flag has no effect on regular files. */
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

int file_new_name(const char *prefix, char *out, size_t size, struct fault *flt)
{
	uint64_t random;

	/* Reads of up to 256 bytes come whole once the pool is there. */
	if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return fault_system(flt, errno, "taking random numbers");
	snprintf(out, size, "%s%016llx", prefix, (unsigned long long)random);
	return 0;
}
