/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs umount: ends a mount, and waits for its daemon to end.
 */
#include "client/base/clock.h"
#include "commands.h"
#include "fs/mount.h"
#include "dead_mount.h"
#include "mounts.h"
#include "output.h"
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define PATIENCE 60 /* seconds for a daemon to end */

static const struct options_entry entries[] = {
	{'l', "lazy", NULL, "take it away though it is in use; do not wait"},
	{0}
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	bool *lazy = user;

	(void)key;
	(void)value;
	(void)flt;
	*lazy = true;
	return 0;
}

/* ---- The daemon ---- */

/* @return a descriptor that is readable once the daemon has ended; -1: there is none, or it does not say who it is */
static int watch_daemon(const struct mounts *mounts, uint64_t *pid)
{
	*pid = 0;
	if (!mounts->count || json_read_uint(mounts->answers[0], "pid", pid, NULL) || *pid > INT32_MAX)
		return -1;
	return pidfd_open((pid_t)*pid, 0);
}

static int wait_for_end(int daemon, uint64_t pid, const char *folder, struct fault *flt)
{
	struct pollfd watched = {.fd = daemon, .events = POLLIN};
	clock_ms deadline = clock_in_seconds(PATIENCE);
	int ready;

	do
		ready = poll(&watched, 1, clock_left(deadline));
	while (ready < 0 && errno == EINTR);
	if (ready > 0)
		return 0;
	return fault_undecided(flt, FAULT_TIMEOUT, "%.150s is unmounted, but its process %d has not ended after %d s",
			       folder, (int)pid, PATIENCE);
}

/* ---- All of it ---- */

/* @param pid  of the daemon; 0: there is none any more, or it does not answer */
static int end(const struct config_environment *environment, const char *typed, bool lazy, char **folder, uint64_t *pid,
	       struct fault *flt)
{
	struct mounts mounts = {0};
	int daemon = -1, verdict = mounts_resolve(typed, folder, flt);

	if (!verdict && !mount_is_ours(*folder))
		verdict = mounts_none(typed, flt);
	/* Who does not answer can be unmounted no less. */
	if (!verdict && !lazy && !mounts_ask(environment, *folder, &mounts, NULL))
		daemon = watch_daemon(&mounts, pid);
	if (!verdict)
		verdict = dead_mount_unmount(*folder, lazy, flt);
	if (!verdict && daemon >= 0)
		verdict = wait_for_end(daemon, *pid, *folder, flt);
	if (daemon >= 0)
		close(daemon);
	mounts_release(&mounts);
	return verdict;
}

static int report(const struct command *command, const struct options *options, const char *folder, uint64_t pid)
{
	struct json *json;

	if (!options->json)
		return STATUS_DONE;
	json = json_new_object();
	json_put_shown(json, "mountpoint", folder);
	if (pid)
		json_put_uint(json, "pid", pid);
	else
		json_put_null(json, "pid");
	return output_json(command, json);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct config_environment environment;
	struct options options;
	struct fault flt = {0};
	char *folder = NULL;
	bool lazy = false;
	uint64_t pid = 0;
	int status;

	if (!options_parse(command, argc, argv, take, &lazy, &options, &status))
		return status;
	if (config_environment_read(&environment, &flt))
		return options_fail(command, &flt);
	if (end(&environment, options.arguments[0], lazy, &folder, &pid, &flt))
		status = options_fail(command, &flt);
	else
		status = report(command, &options, folder, pid);
	free(folder);
	config_environment_release(&environment);
	return status;
}

const struct command umount_command = {
	.name = "umount",
	.arguments = "MOUNTPOINT",
	.summary = "Unmount a registry",
	.text = "\nEnds the mount at MOUNTPOINT, as 'fusermount3 -u' does, and waits until its daemon\n"
		"has ended. A mount whose daemon was killed is taken away, too.\n",
	.least = 1,
	.most = 1,
	.is_server = true,
	.is_deed = true,
	.options = entries,
	.run = run,
};
