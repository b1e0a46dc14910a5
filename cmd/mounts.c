/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Mounts and their daemons (see mounts.h).
 */
#include "mounts.h"
#include "fs/asking.h"
#include "fs/mount.h"
#include "dead_mount.h"
#include "sockets.h"
#include "status_mounts.h"
#include "verify/printable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Daemons answer from memory: one that takes longer hangs. */
#define PATIENCE 5

static int add(struct mounts *mounts, struct json *answer, struct fault *flt)
{
	struct json **grown = reallocarray(mounts->answers, mounts->count + 1, sizeof(struct json *));

	if (!grown) {
		json_free(answer);
		return fault_no_memory(flt);
	}
	mounts->answers = grown;
	grown[mounts->count++] = answer;
	return 0;
}

/* @param folder  as in a daemon's JSON: json_put_shown() */
static bool is_wanted(const struct json *answer, const char *folder)
{
	char shown[4 * 4096 + 1];
	struct span mountpoint;

	if (!folder)
		return true;
	printable_write(span_of_text(folder), shown, sizeof(shown));
	return json_read_text(answer, "mountpoint", &mountpoint, NULL) == 0 &&
	       (span_is(mountpoint, folder) || span_is(mountpoint, shown));
}

/* One that does not answer hides no other. */
static int ask(int sockets, const char *name, const char *folder, struct mounts *mounts, struct fault *flt)
{
	struct json *answer = NULL;
	struct fault own = {0};
	struct buf text;
	bool there;
	int verdict;

	buf_init(&text, ASKING_MOST);
	verdict = sockets_ask(sockets, name, clock_in_seconds(PATIENCE), &text, &there, &own);
	if (!verdict && there)
		verdict = json_parse(buf_span(&text), &answer, &own);
	buf_release(&text);
	if (verdict) {
		/* Blame the user: the answer is from a daemon of the user, not from a registry. */
		fault_blame(&own, FAULT_BY_SYSTEM);
		fault_at(&own, "the mount of process %d", atoi(name));
		if (!mounts->silent.verdict)
			mounts->silent = own;
		return 0;
	}
	if (answer && is_wanted(answer, folder))
		return add(mounts, answer, flt);
	json_free(answer);
	return 0;
}

static int ask_all(const struct config_environment *environment, const char *folder, struct mounts *mounts,
		   struct fault *flt)
{
	char (*names)[SOCKETS_NAME_SIZE] = NULL;
	size_t count = 0;
	int sockets, verdict = sockets_open_folder(environment, &sockets, flt);

	if (verdict)
		return verdict;
	verdict = sockets_list(sockets, &names, &count, flt);
	for (size_t i = 0; !verdict && i < count; i++)
		verdict = ask(sockets, names[i], folder, mounts, flt);
	free(names);
	close(sockets);
	return verdict;
}

/* ---- Mounts without a socket: their daemon is gone, or the runtime folder was emptied while they stand ---- */

struct search {
	struct mounts *mounts;
	const char *folder; /* NULL: all are wanted */
	struct fault *flt;
};

static void add_dead(struct mounts *mounts, const char *folder, struct fault *flt)
{
	char **grown = reallocarray(mounts->dead, mounts->dead_count + 1, sizeof(char *));

	if (!grown) {
		fault_no_memory(flt);
		return;
	}
	mounts->dead = grown;
	grown[mounts->dead_count] = strdup(folder);
	if (grown[mounts->dead_count])
		mounts->dead_count++;
	else
		fault_no_memory(flt);
}

static void ask_mount(void *user, const char *folder)
{
	struct search *search = user;
	struct mounts *mounts = search->mounts;
	struct json *answer = NULL;
	struct fault own = {0};

	if (search->flt->verdict || (search->folder && strcmp(search->folder, folder)))
		return;
	for (size_t i = 0; i < mounts->count; i++)
		if (is_wanted(mounts->answers[i], folder))
			return;
	if (dead_mount_is_dead(folder)) {
		add_dead(mounts, folder, search->flt);
	} else if (!status_mounts_read(folder, PATIENCE, &answer, &own)) {
		add(mounts, answer, search->flt);
	} else if (!mounts->silent.verdict) {
		fault_blame(&own, FAULT_BY_SYSTEM);
		mounts->silent = own;
	}
}

/* Without the folder of sockets, the mounts themselves are all that there is to ask. */
int mounts_ask(const struct config_environment *environment, const char *folder, struct mounts *mounts,
	       struct fault *flt)
{
	struct fault own = {0}, added = {0};
	struct search search = {mounts, folder, &added};
	int verdict = ask_all(environment, folder, mounts, &own);

	mount_list(geteuid(), ask_mount, &search);
	if (added.verdict)
		fault_pass(&added, flt);
	else if (verdict && !mounts->count && !mounts->dead_count && !mounts->silent.verdict)
		fault_pass(&own, flt);
	else
		return 0;
	return added.verdict ? added.verdict : own.verdict;
}

void mounts_release(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->count; i++)
		json_free(mounts->answers[i]);
	for (size_t i = 0; i < mounts->dead_count; i++)
		free(mounts->dead[i]);
	free(mounts->answers);
	free(mounts->dead);
	*mounts = (struct mounts){0};
}

/* The kernel does not ask the daemon for the way to its mount: one that hangs does not hang this. */
int mounts_resolve(const char *typed, char **out, struct fault *flt)
{
	*out = realpath(typed, NULL);
	if (!*out && errno == ENOENT)
		return fault_undecided(flt, FAULT_ABSENT, "%.150s does not exist", typed);
	return *out ? 0 : fault_system(flt, errno, "%.150s", typed);
}

int mounts_none(const char *typed, struct fault *flt)
{
	return fault_undecided(flt, FAULT_ABSENT, "you have nothing mounted at %.200s", typed);
}
