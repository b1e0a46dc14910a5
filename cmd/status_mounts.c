/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Status by files (see status_mounts.h).
 */
#include "status_mounts.h"
#include "client/base/clock.h"
#include "fs/asking.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a process of its own, which a signal ends also while the kernel waits for the daemon. Never returns. */
static void copy_status(const char *folder, unsigned seconds, int to)
{
	char path[4096 + 32], bytes[4096];
	ssize_t got;
	int from;

	signal(SIGALRM, SIG_DFL);
	alarm(seconds);
	snprintf(path, sizeof(path), "%s/.warg/status", folder);
	from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0)
		_exit(errno);
	while ((got = read(from, bytes, sizeof(bytes))) > 0)
		if (write(to, bytes, (size_t)got) != got)
			_exit(EIO);
	_exit(got < 0 ? errno : 0);
}

/* Take what comes until its end. @return 0, or an errno */
static int gather(int from, unsigned seconds, struct buf *out)
{
	clock_ms deadline = clock_in_seconds(seconds);
	struct pollfd ready = {.fd = from, .events = POLLIN};
	unsigned char bytes[4096];

	for (;;) {
		clock_ms left = deadline - clock_now();
		ssize_t got;

		if (left <= 0 || poll(&ready, 1, (int)left) == 0)
			return ETIMEDOUT;
		got = read(from, bytes, sizeof(bytes));
		if (got == 0)
			return 0;
		if (got < 0 && errno != EINTR)
			return errno;
		if (got > 0 && buf_append(out, (struct span){bytes, (size_t)got}, NULL))
			return EFBIG;
	}
}

/* @return 0, or the errno that it ended with */
static int end_process(pid_t process, bool hangs)
{
	int status = 0;

	if (hangs)
		kill(process, SIGKILL);
	while (waitpid(process, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : ETIMEDOUT;
}

/* @return 0, or an errno */
static int read_there(const char *folder, unsigned seconds, struct buf *out)
{
	int ends[2], gathered, ended;
	pid_t other;

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	other = fork();
	if (other == 0)
		copy_status(folder, seconds, ends[1]);
	gathered = other < 0 ? errno : 0;
	close(ends[1]);
	if (!gathered)
		gathered = gather(ends[0], seconds, out);
	close(ends[0]);
	ended = other < 0 ? 0 : end_process(other, gathered);
	return gathered ? gathered : ended;
}

int status_mounts_read(const char *folder, unsigned seconds, struct json **out, struct fault *flt)
{
	struct buf text;
	int error, verdict;

	buf_init(&text, ASKING_MOST);
	error = read_there(folder, seconds, &text);
	verdict = error ? fault_system(flt, error, "%.150s does not answer", folder) :
			  json_parse(buf_span(&text), out, flt);
	buf_release(&text);
	return verdict;
}
