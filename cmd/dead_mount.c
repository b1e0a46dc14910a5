/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Who asks a mount anything may wait for its daemon for ever, be it only stopped. So another process asks, and not for
 * long.
 */
#include "dead_mount.h"
#include "fs/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONGEST 2 /* seconds for a daemon to answer */
#define MOST 16 /* mounts on top of each other */

/* Whether a process ends with 0. */
static bool succeeds(pid_t process)
{
	int status;

	while (waitpid(process, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool dead_mount_is_dead(const char *folder)
{
	struct statfs seen;
	pid_t other = fork();

	if (other == 0) {
		alarm(LONGEST);
		_exit(statfs(folder, &seen) && errno == ENOTCONN ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	return other > 0 && succeeds(other);
}

/* @param how  an option more: "-z" lets programs go on that use it, "-q" does not */
/* What a program printed, on one line. */
static void read_words(int from, char *out, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while (length + 1 < size && (got = read(from, out + length, size - 1 - length)) > 0)
		length += (size_t)got;
	out[length] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

/* Run fusermount3(1), with what it says in `said`. @return its status; -1: it could not be run, see errno */
static int run_fusermount(const char *folder, bool lazy, char *said, size_t size)
{
	char *words[] = {(char[]){"fusermount3"}, lazy ? (char[]){"-uz"} : (char[]){"-u"}, (char[]){"--"},
			 strdup(folder), NULL};
	posix_spawn_file_actions_t actions;
	int pipe_ends[2], status = -1, error;
	pid_t child;

	if (!words[3] || pipe2(pipe_ends, O_CLOEXEC)) {
		free(words[3]);
		return -1;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDERR_FILENO);
	error = posix_spawnp(&child, words[0], &actions, NULL, words, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(pipe_ends[1]);
	if (!error) {
		read_words(pipe_ends[0], said, size);
		while (waitpid(child, &status, 0) < 0 && errno == EINTR)
			;
		status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	}
	close(pipe_ends[0]);
	free(words[3]);
	errno = error;
	return status;
}

static int tell_busy(const char *folder, struct fault *flt)
{
	return fault_system(flt, EBUSY,
			    "%.100s is in use ('fuser -vm %.100s' says by whom; 'wargfs umount --lazy' "
			    "takes it away all the same)",
			    folder, folder);
}

int dead_mount_unmount(const char *folder, bool lazy, struct fault *flt)
{
	char said[256] = "";

	if (geteuid() == 0) {
		if (!umount2(folder, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)))
			return 0;
		if (errno == EBUSY)
			return tell_busy(folder, flt);
	}
	switch (run_fusermount(folder, lazy, said, sizeof(said))) {
	case 0:
		return 0;
	case -1:
		return fault_system(flt, errno, "fusermount3 cannot be run (in Debian it is in the package fuse3)");
	default:
		return strstr(said, "busy") ? tell_busy(folder, flt) :
					      fault_undecided(flt, FAULT_SYSTEM, "%.150s: %.200s", folder, said);
	}
}

void dead_mount_clear(const char *folder)
{
	for (int i = 0; i < MOST && mount_is_ours(folder) && dead_mount_is_dead(folder); i++)
		if (dead_mount_unmount(folder, true, NULL))
			return;
}
