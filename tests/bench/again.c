/*
 * again read|absent PATH COUNT: how long it takes, in seconds, to do the same with a file so often, for one time.
 *
 * read: open it, read it to its end, close it. absent: look for it, where it is not.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	unsigned long count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	bool (*once)(const char *path);
	double start;

	if (!count || (strcmp(argv[1], "read") && strcmp(argv[1], "absent"))) {
		fprintf(stderr, "usage: again read|absent PATH COUNT\n");
		return 2;
	}
	once = strcmp(argv[1], "read") ? is_absent : read_through;
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
