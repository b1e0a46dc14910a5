/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * again read|absent|pages PATH COUNT: how long it takes, in seconds, to do the same with a file so often, for one time.
 *
 * read: open it, read it to its end, close it. absent: look for it, where it is not. pages: read 4 KiB of it somewhere;
 * it is opened once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static bool read_through(const char *path)
{
	static char bytes[1 << 20];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;

	if (fd < 0)
		return false;
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		continue;
	return !close(fd) && !got;
}

static bool is_absent(const char *path)
{
	struct stat status;

	return stat(path, &status) && errno == ENOENT;
}

/* Of the file that was opened first. */
static bool read_page(const char *path)
{
	static uint64_t random = 1;
	static uint64_t pages;
	static int fd = -1;
	char page[PAGE];
	off_t at;

	if (fd < 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		pages = fd < 0 ? 0 : (uint64_t)lseek(fd, 0, SEEK_END) / PAGE;
	}
	if (!pages)
		return false;
	random = random * 6364136223846793005u + 1442695040888963407u;
	at = (off_t)((random >> 20) % pages * PAGE);
	return pread(fd, page, sizeof(page), at) == sizeof(page);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static const struct {
	const char *name;
	bool (*once)(const char *path);
} actions[] = { { "read", read_through }, { "absent", is_absent }, { "pages", read_page } };

int main(int argc, char **argv)
{
	unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	bool (*once)(const char *path) = NULL;
	double start;

	for (size_t i = 0; count && i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (!strcmp(argv[1], actions[i].name))
			once = actions[i].once;
	}
	if (!once) {
		fprintf(stderr, "usage: again read|absent|pages PATH COUNT\n");
		return 2;
	}
	start = now();
	for (unsigned long i = 0; i < count; i++) {
		if (!once(argv[2])) {
			perror(argv[2]);
			return 1;
		}
	}
	printf("%.9f\n", (now() - start) / (double)count);
	return 0;
}
