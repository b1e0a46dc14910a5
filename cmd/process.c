/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Descriptors and signals (see process.h).
 */
#include "process.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Open stdin for writing and stdout for reading: I/O on a descriptor that was closed keeps failing, instead of losing
 * data silently.
 */
static void open_standard(void)
{
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		/* open() returns this number: it is the lowest free one. */
		if (open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
			_exit(EXIT_FAILURE);
	}
}

void process_begin(void)
{
	/* Not SIGHUP, SIGINT and SIGQUIT: nohup(1) and a shell's background jobs ignore those on purpose. */
	static const int usual[] = {SIGCHLD, SIGALRM, SIGTERM};
	sigset_t none;

	open_standard();
	for (unsigned i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		signal(usual[i], SIG_DFL);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int compare(const void *a, const void *b)
{
	int one = *(const int *)a, other = *(const int *)b;

	return (one > other) - (one < other);
}

static void close_range_of(int from, int to)
{
	if (from > to || !close_range((unsigned)from, (unsigned)to, 0))
		return;
	/* Kernels before 5.9 have no close_range(). */
	for (int fd = from, most = (int)sysconf(_SC_OPEN_MAX); fd <= to && fd < most; fd++)
		close(fd);
}

void process_close_others(const int *kept, unsigned count)
{
	int sorted[PROCESS_KEPT], from = 3;

	for (unsigned i = 0; i < count; i++)
		sorted[i] = kept[i];
	qsort(sorted, count, sizeof(*sorted), compare);
	for (unsigned i = 0; i < count; i++) {
		if (sorted[i] < from)
			continue;
		close_range_of(from, sorted[i] - 1);
		from = sorted[i] + 1;
	}
	close_range_of(from, INT_MAX);
}
