/*
 * Who asks a mount anything may wait for its daemon for ever, be it only stopped. So another process asks, and not for
 * long.
 */
#include "leftover.h"
#include "fs/mount.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST 2 /* seconds for a daemon to answer */
#define MOST 16   /* mounts on top of each other */

/* Whether a process ends with 0. */
static bool succeeds(pid_t process)
{
	int status;

	while (waitpid(process, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool is_dead(const char *folder)
{
	struct statfs seen;
	pid_t other = fork();

	if (other == 0) {
		alarm(LONGEST);
		_exit(statfs(folder, &seen) && errno == ENOTCONN ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	return other > 0 && succeeds(other);
}

static bool take_away(const char *folder)
{
	char *words[] = { (char[]){"fusermount3"}, (char[]){"-u"}, (char[]){"-q"}, (char[]){"-z"}, (char[]){"--"},
			  strdup(folder), NULL };
	pid_t other;
	bool taken = words[5] && posix_spawnp(&other, words[0], NULL, NULL, words, environ) == 0 && succeeds(other);

	free(words[5]);
	return taken;
}

void leftover_clear(const char *folder)
{
	for (int i = 0; i < MOST && mount_is_ours(folder) && is_dead(folder); i++)
		if (!take_away(folder))
			return;
}
