/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Saving (see write_file.h).
 */
#include "write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (1 << 20)

char *write_file_target(const char *path, const char *name)
{
	size_t length = strlen(path);
	struct stat seen;
	char *target;

	if (strcmp(path, "-") == 0 ||
	    ((length == 0 || path[length - 1] != '/') && (stat(path, &seen) || !S_ISDIR(seen.st_mode))))
		return strdup(path);
	if (asprintf(&target, "%s%s%s", path, length && path[length - 1] == '/' ? "" : "/", name) < 0)
		return NULL;
	return target;
}

/* Have the kernel copy, which may share the blocks. @return bytes copied; what is left goes the other way */
static uint64_t copy_in_kernel(int from, uint64_t size, int to)
{
	loff_t offset = 0;

	while ((uint64_t)offset < size) {
		if (copy_file_range(from, &offset, to, NULL, size - (uint64_t)offset, 0) <= 0)
			break;
	}
	return (uint64_t)offset;
}

static int write_all(int to, const char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(to, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

static int copy(int from, uint64_t size, int to, const char *path, struct fault *flt)
{
	uint64_t done = copy_in_kernel(from, size, to);
	char *piece = malloc(PIECE);
	int verdict = 0;

	if (!piece)
		return fault_no_memory(flt);
	while (done < size) {
		ssize_t got = pread(from, piece, PIECE, (off_t)done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			verdict = fault_system(flt, got ? errno : EIO, "the cached content cannot be read");
			break;
		}
		if (write_all(to, piece, (size_t)got)) {
			verdict = fault_system(flt, errno, "%.150s cannot be written", path);
			break;
		}
		done += (uint64_t)got;
	}
	free(piece);
	return verdict;
}

static int copy_to_open(int from, uint64_t size, int to, const char *path, struct fault *flt)
{
	int verdict = copy(from, size, to, path, flt);

	if (close(to) && !verdict)
		verdict = fault_system(flt, errno, "%.150s cannot be written", path);
	return verdict;
}

/* Beside the place where the file is to be, so that the rename stays in one file system. */
static int copy_and_rename(int from, uint64_t size, const char *path, mode_t mode, struct fault *flt)
{
	char *temp;
	int fd, verdict;

	if (asprintf(&temp, "%s.XXXXXX", path) < 0)
		return fault_no_memory(flt);
	fd = mkstemp(temp);
	if (fd < 0) {
		verdict = fault_system(flt, errno, "%.150s cannot be written", path);
		free(temp);
		return verdict;
	}
	verdict = copy(from, size, fd, path, flt);
	if (!verdict && (fchmod(fd, mode) || fsync(fd)))
		verdict = fault_system(flt, errno, "%.150s cannot be written", path);
	if (close(fd) && !verdict)
		verdict = fault_system(flt, errno, "%.150s cannot be written", path);
	if (!verdict && rename(temp, path))
		verdict = fault_system(flt, errno, "%.150s cannot be written", path);
	if (verdict)
		unlink(temp);
	free(temp);
	return verdict;
}

int write_file_copy(int fd, uint64_t size, const char *path, struct fault *flt)
{
	mode_t mask = umask(0);
	struct stat seen;
	int to;

	umask(mask);
	if (strcmp(path, "-") == 0) {
		to = dup(STDOUT_FILENO);
		return to < 0 ? fault_system(flt, errno, "standard output") : copy_to_open(fd, size, to, path, flt);
	}
	/* A symbolic link's target is replaced, not the link. */
	if (stat(path, &seen) == 0) {
		char *real;
		int verdict;

		if (!S_ISREG(seen.st_mode)) {
			to = open(path, O_WRONLY | O_CLOEXEC);
			if (to < 0)
				return fault_system(flt, errno, "%.150s cannot be written", path);
			return copy_to_open(fd, size, to, path, flt);
		}
		real = realpath(path, NULL);
		if (!real)
			return fault_system(flt, errno, "%.150s cannot be written", path);
		verdict = copy_and_rename(fd, size, real, seen.st_mode & 0777, flt);
		free(real);
		return verdict;
	}
	return copy_and_rename(fd, size, path, 0666 & ~mask, flt);
}
