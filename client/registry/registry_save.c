/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The saver: a thread that writes what the updater has learned, for the next start and for the reference (see
 * registry.h).
 *
 * Nobody waits for it. What it writes can be fetched again, and what is shown was proven before: what has to be on disk
 * first, the trust anchor, the updater itself put there. So it may be slow, or lose what it had not written yet.
 *
 * The store that is shared with the reference is written for the reference. Only what changed is written. While another
 * program has the store's lock, nothing is, and it is tried again later.
 */
#include "client/base/thread.h"
#include "registry_parts.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

/* Milliseconds until the store is tried again. */
#define SAVE_AGAIN 2000
/*
 * Milliseconds for which a series of records that are published, or of packages that are looked at, puts the writing
 * off, behind each of them and at most: a state of the store is written as a whole.
 */
#define SERIES_DELAY 1000
#define SERIES_LONGEST 3000

/* ---- When ---- */

/* The mutex is held. */
static void plan(struct saver *saver, clock_ms when)
{
	saver->due = when;
	pthread_cond_signal(&saver->wake);
}

/* The mutex is held. */
static clock_ms when_to_save(const struct registry *registry, clock_ms now)
{
	clock_ms latest = registry->saver.unsaved_since + SERIES_LONGEST;

	if (!registry->is_series)
		return now;
	return now + SERIES_DELAY < latest ? now + SERIES_DELAY : latest;
}

void registry_plan_save(struct registry *registry)
{
	struct saver *saver = &registry->saver;
	clock_ms now = clock_now();

	pthread_mutex_lock(&registry->mutex);
	if (saver->due == CLOCK_NEVER)
		saver->unsaved_since = now;
	plan(saver, when_to_save(registry, now));
	pthread_mutex_unlock(&registry->mutex);
}

/* Unless it is planned for sooner by now. */
static void plan_again(struct registry *registry, clock_ms when)
{
	struct saver *saver = &registry->saver;

	pthread_mutex_lock(&registry->mutex);
	if (saver->due == CLOCK_NEVER)
		saver->unsaved_since = when;
	if (when < saver->due)
		plan(saver, when);
	pthread_mutex_unlock(&registry->mutex);
}

/*
 * Wait until it is time, and begin.
 * @param is_due  whether there is anything to save
 * @return false at the end
 */
static bool wait_until_due(struct registry *registry, bool *is_due)
{
	struct saver *saver = &registry->saver;
	bool ends;

	pthread_mutex_lock(&registry->mutex);
	saver->is_busy = false;
	while (!saver->ends && saver->due > clock_now())
		registry_wait_until(registry, &saver->wake, saver->due);
	*is_due = saver->due != CLOCK_NEVER;
	saver->due = CLOCK_NEVER;
	saver->is_busy = true;
	ends = saver->ends;
	pthread_mutex_unlock(&registry->mutex);
	return !ends;
}

bool registry_is_saved(struct registry *registry)
{
	bool is_saved;

	pthread_mutex_lock(&registry->mutex);
	is_saved = registry->saver.due == CLOCK_NEVER && !registry->saver.is_busy;
	pthread_mutex_unlock(&registry->mutex);
	return is_saved;
}

/* ---- The ledger ---- */

/* @param is_last  keep also a checkpoint that was only signed anew */
static void keep_ledger(struct registry *registry, const struct view *view, bool is_last)
{
	const struct checkpoint *contents = &view->checkpoint.contents;
	struct checkpoint *kept = &registry->saver.kept;

	if (!view->listing || !view->listing->length || !contents->log_length ||
	    (checkpoint_same_state(kept, contents) && !(is_last && kept->timestamp < contents->timestamp)))
		return;
	if (ledger_keep(registry->ledger, &view->checkpoint))
		*kept = *contents;
}

/* ---- The store ---- */

/* The store has the package as it is in the view. Without memory for that, the package is written again later. */
static int note_saved(struct saver *saver, const struct view_package *package, struct fault *flt)
{
	const struct store_position position = view_package_position(package);
	struct view_package *same;
	int verdict = view_package_new(package->log, &position, package->log_length, NULL, &same, flt);

	return verdict ? verdict : view_put_take(saver->saved, same, flt);
}

/* @return whether the store lacks the package's log, to end a walk at the first such package */
static int is_unsaved(void *user, const struct view_package *saved, const struct view_package *package)
{
	(void)user;
	return !saved || saved->log != package->log;
}

/* Whether the view has anything that the store has not. */
static bool has_changes(struct saver *saver, const struct view *view)
{
	struct view *saved = saver->saved;

	if (view->operator != saved->operator ||
	    !checkpoint_same_state(&view->checkpoint.contents, &saved->checkpoint.contents) ||
	    view_trie_each_changed(&saved->packages, &view->packages, is_unsaved, NULL))
		return true;
	/* The store has all of them: share the view's nodes, so that the next comparison passes over these. */
	view_trie_release(&saved->packages);
	saved->packages = view_trie_copy(&view->packages);
	return false;
}

/* Packages that are saved at a time: who else wants the store's lock waits for no more than that. */
#define SAVED_AT_ONCE 256

/** Packages that the store lacks. */
struct unsaved {
	const struct view_package *known[SAVED_AT_ONCE];
	struct store_package packages[SAVED_AT_ONCE];
	size_t count;
	bool is_part; /* there are more */
};

static int gather_package(void *user, const struct view_package *saved, const struct view_package *package)
{
	struct unsaved *unsaved = user;

	if (!is_unsaved(NULL, saved, package))
		return 0;
	unsaved->is_part = unsaved->count == SAVED_AT_ONCE;
	if (unsaved->is_part)
		return 1;
	unsaved->known[unsaved->count] = package;
	unsaved->packages[unsaved->count++] = (struct store_package){package->log, view_package_position(package)};
	return 0;
}

static int write_gathered(struct registry *registry, const struct view *view, const struct unsaved *unsaved,
			  bool *written, struct fault *flt)
{
	const struct store_update update = {
		.checkpoint = &view->checkpoint,
		.signer = view->operator,
		.operator = view->operator == registry->saver.saved->operator ? NULL : view->operator,
		.operator_position = view->operator_position,
		.packages = unsaved->packages,
		.package_count = unsaved->count,
		.is_part = unsaved->is_part,
	};

	return store_save(registry->store, &update, written, flt);
}

/* Those that were gathered are in the store; all of the view, if there were no more. */
static int note_written(struct saver *saver, const struct view *view, const struct unsaved *unsaved, struct fault *flt)
{
	struct view *saved;
	int verdict = 0;

	for (size_t i = 0; !verdict && unsaved->is_part && i < unsaved->count; i++)
		verdict = note_saved(saver, unsaved->known[i], flt);
	if (verdict || unsaved->is_part)
		return verdict;
	if (view_copy(view, &saved, flt))
		return WARG_UNDECIDED;
	view_unref(saver->saved);
	saver->saved = saved;
	return 0;
}

/* @param written  not set where another program has the store's lock */
static int write_changes(struct registry *registry, const struct view *view, bool *written, struct fault *flt)
{
	struct saver *saver = &registry->saver;
	struct unsaved *unsaved = calloc(1, sizeof(*unsaved));
	int verdict;

	if (!unsaved)
		return fault_no_memory(flt);
	view_trie_each_changed(&saver->saved->packages, &view->packages, gather_package, unsaved);
	verdict = write_gathered(registry, view, unsaved, written, flt);
	if (!verdict && *written)
		verdict = note_written(saver, view, unsaved, flt);
	saver->has_more = !verdict && *written && unsaved->is_part;
	free(unsaved);
	return verdict;
}

/* ---- The saver ---- */

static void save(struct registry *registry)
{
	struct view *view = registry_view(registry);
	struct fault shared = {0}, own = {0};
	bool written = false, archived = false;

	keep_ledger(registry, view, false);
	/* The archive first: the reference may keep the store's lock for as long as it lives. */
	if (archive_save(registry->archive, &archived, &own))
		registry_report(registry, &own);
	registry->saver.has_more = false;
	if (!has_changes(&registry->saver, view))
		written = true;
	else if (write_changes(registry, view, &written, &shared))
		registry_report(registry, &shared);
	view_unref(view);
	if (registry->saver.has_more)
		plan_again(registry, clock_now());
	else if (!written || !archived)
		plan_again(registry, clock_now() + SAVE_AGAIN);
	/* State files are read and made as a whole: many times the memory that they are known by. */
	malloc_trim(0);
}

static void *run_saver(void *argument)
{
	struct registry *registry = argument;
	struct view *view;
	bool is_due;

	while (wait_until_due(registry, &is_due))
		save(registry);
	if (is_due)
		save(registry);
	while (registry->saver.has_more)
		save(registry);
	view = registry_view(registry);
	keep_ledger(registry, view, true);
	view_unref(view);
	return NULL;
}

int registry_start_saver(struct registry *registry, struct fault *flt)
{
	int error = thread_start(&registry->saver.thread, run_saver, registry);

	return error ? fault_system(flt, error, "the saver's thread cannot be started") : 0;
}

void registry_end_saver(struct registry *registry)
{
	pthread_mutex_lock(&registry->mutex);
	registry->saver.ends = true;
	pthread_cond_signal(&registry->saver.wake);
	pthread_mutex_unlock(&registry->mutex);
	pthread_join(registry->saver.thread, NULL);
}
