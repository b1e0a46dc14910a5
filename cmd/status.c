/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs status: what mounts believe, asked on their sockets.
 */
#include "commands.h"
#include "fs/asking.h"
#include "fs/mount.h"
#include "mounts.h"
#include "output.h"
#include "session.h"
#include "verify/printable.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A copy, since what was answered goes when the answers go. */
static struct json *copy_of(const struct json *answer)
{
	struct json *copy = NULL;
	struct buf text;

	buf_init(&text, ASKING_MOST);
	if (json_render(answer, JSON_COMPACT, &text, NULL) == 0)
		json_parse(buf_span(&text), &copy, NULL);
	buf_release(&text);
	return copy;
}

static int print_json(const struct command *command, const struct mounts *mounts, const char *folder)
{
	struct json *list;

	if (folder)
		return output_json(command, copy_of(mounts->answers[0]));
	list = json_new_list();
	for (size_t i = 0; i < mounts->count; i++)
		json_add(list, copy_of(mounts->answers[i]));
	return output_json(command, list);
}

static uint64_t number(const struct json *object, const char *name)
{
	uint64_t value = 0;

	json_read_uint(object, name, &value, NULL);
	return value;
}

static void print_text(const char *label, const struct json *object, const char *name)
{
	char shown[4096 * 4 + 1];
	struct span text;

	if (json_read_text(object, name, &text, NULL))
		return;
	printable_write(text, shown, sizeof(shown));
	printf("%-12s %s\n", label, output_shown(shown).text);
}

static void print_seconds(uint64_t seconds)
{
	if (seconds >= 86400)
		printf("%" PRIu64 " d %" PRIu64 " h", seconds / 86400, seconds / 3600 % 24);
	else if (seconds >= 3600)
		printf("%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds / 60 % 60);
	else if (seconds >= 60)
		printf("%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
	else
		printf("%" PRIu64 " s", seconds);
}

/* What is not known is null there, and not said here. */
static void print_age(const char *before, const struct json *checkpoint, const char *name, const char *after)
{
	uint64_t seconds;

	if (json_read_uint(checkpoint, name, &seconds, NULL))
		return;
	fputs(before, stdout);
	print_seconds(seconds);
	fputs(after, stdout);
}

static void print_stale(const struct json *checkpoint)
{
	bool is_stale = false;

	if (json_read_bool(checkpoint, "stale", &is_stale, NULL) == 0 && is_stale) {
		printf("%-12s older than max_age, ", "STALE");
		print_seconds(number(checkpoint, "maxAge"));
		putchar('\n');
	}
	print_text("CLOCK WRONG", checkpoint, "clock");
}

static void print_checkpoint(const struct json *checkpoint)
{
	char text[64];

	output_time((int64_t)number(checkpoint, "timestamp"), text);
	printf("%-12s length %" PRIu64 ", signed %s", "checkpoint", number(checkpoint, "logLength"), text);
	print_age(", ", checkpoint, "age", " old");
	print_age(", verified ", checkpoint, "verifiedAgo", " ago");
	putchar('\n');
	print_stale(checkpoint);
	print_text("root", checkpoint, "logRoot");
	print_text("operator", checkpoint, "keyId");
}

static void print_trust(const struct json *trust)
{
	if (!trust)
		return;
	print_text("pinned", trust, "operatorKey");
	print_text("FORK SEEN", trust, "fork");
	print_text("MAP LIES", trust, "map");
	print_text("evidence in", trust, "evidence");
}

static void print_audit(const struct json *audit)
{
	uint64_t judged = number(audit, "logLength"), wanted = number(audit, "wanted");
	bool agrees = false;

	json_read_bool(audit, "agrees", &agrees, NULL);
	if (judged)
		printf("%-12s at length %" PRIu64 ": it %s\n", "map audited", judged,
		       agrees ? "agrees with the log" : "CONTRADICTS THE LOG");
	if (wanted)
		printf("%-12s %" PRIu64 " records of %" PRIu64 "\n", "map audit", number(audit, "rebuilt"), wanted);
}

/* Those that the home registry, or the user, has namespaces in, as far as somebody looked into them. */
static void print_others(const struct json *others)
{
	for (size_t i = 0; i < json_count(others); i++) {
		const struct json *other = json_at(others, i);

		print_text("other", other, "registry");
		print_checkpoint(json_member(other, "checkpoint"));
		print_trust(json_member(other, "trust"));
		print_audit(json_member(other, "audit"));
		printf("%-12s %" PRIu64 " known\n", "packages", number(other, "packagesKnown"));
		print_text("last error", other, "lastError");
	}
}

static void print(const struct json *answer)
{
	const struct json *cache = json_member(answer, "cache"), *downloads = json_member(answer, "downloads");
	char size[32], received[32];

	print_text("mountpoint", answer, "mountpoint");
	print_text("registry", answer, "registry");
	print_checkpoint(json_member(answer, "checkpoint"));
	print_trust(json_member(answer, "trust"));
	print_audit(json_member(answer, "audit"));
	printf("%-12s %" PRIu64 " known\n", "packages", number(answer, "packagesKnown"));
	output_size(number(cache, "bytes"), size);
	printf("%-12s %s in %" PRIu64 " contents\n", "cache", size, number(cache, "files"));
	output_size(number(downloads, "bytesReceived"), received);
	printf("%-12s %" PRIu64 " running, %" PRIu64 " done, %" PRIu64 " failed, %s received\n", "downloads",
	       number(downloads, "running"), number(downloads, "done"), number(downloads, "failed"), received);
	print_text("last error", answer, "lastError");
	print_others(json_member(answer, "otherRegistries"));
	printf("%-12s process %" PRIu64 ", up ", "daemon", number(answer, "pid"));
	print_seconds(number(answer, "uptime"));
	putchar('\n');
}

/* What the folder has, where no daemon of it answered. */
static int tell_none(const struct command *command, const char *folder)
{
	struct fault flt = {0};

	if (mount_is_ours(folder))
		fault_undecided(&flt, FAULT_TIMEOUT, "the mount at %.200s does not answer", folder);
	else
		mounts_none(folder, &flt);
	return options_fail(command, &flt);
}

static int tell_dead(const struct command *command, const char *folder)
{
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_SYSTEM, "the daemon of the mount at %.100s is gone: it was killed, or it crashed. "
			"'wargfs umount %.100s' takes the mount away, and 'wargfs mount' mounts it anew", folder,
			folder);
	return options_fail(command, &flt);
}

/* What does not answer, on stderr. */
static int tell_silent(const struct command *command, const struct mounts *mounts, const char *folder)
{
	int status = STATUS_DONE;

	if (mounts->silent.verdict && (!folder || !mounts->count))
		status = options_fail(command, &mounts->silent);
	for (size_t i = 0; i < mounts->dead_count; i++)
		status = failure_join(status, tell_dead(command, mounts->dead[i]));
	if (folder && !mounts->count && !mounts->dead_count)
		status = failure_join(status, tell_none(command, folder));
	return status;
}

static int print_all(const struct command *command, const struct options *options, const struct mounts *mounts,
		     const char *folder)
{
	int status = tell_silent(command, mounts, folder);

	if (folder && !mounts->count)
		return status;
	if (options->json)
		return failure_join(status, print_json(command, mounts, folder));
	for (size_t i = 0; i < mounts->count; i++) {
		if (i)
			putchar('\n');
		print(mounts->answers[i]);
	}
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct config_environment environment;
	struct mounts mounts = {0};
	struct options options;
	struct fault flt = {0};
	char *folder = NULL;
	int status, verdict;

	if (!options_parse(command, argc, argv, NULL, NULL, &options, &status))
		return status;
	verdict = config_environment_read(&environment, &flt);
	if (verdict)
		return options_fail(command, &flt);
	if (options.argument_count)
		verdict = mounts_resolve(options.arguments[0], &folder, &flt);
	if (!verdict)
		verdict = mounts_ask(&environment, folder, &mounts, &flt);
	status = verdict ? options_fail(command, &flt) : print_all(command, &options, &mounts, folder);
	mounts_release(&mounts);
	free(folder);
	config_environment_release(&environment);
	return status;
}

const struct command status_command = {
	.name = "status",
	.arguments = "[MOUNTPOINT]",
	.summary = "Show what mounts believe",
	.text = "\nOf the mount at MOUNTPOINT, or of all mounts of this user. Answers while the registry is gone\n"
		"or the mount hangs.\n",
	.most = 1,
	.run = run,
};
