/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The loop that collects and rests (see collector.h).
 */
#include "collector.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/base/clock.h"
#include "client/base/thread.h"
#include "garbage.h"
#include "statement.h"

#define REST 50          /* times as long as it worked */
#define REST_LEAST 200   /* milliseconds */
#define LOOK 3600        /* seconds between checks for records that have waited too long */
#define WAITING_KEPT 86400 /* seconds for which a record waits for its contents */
#define EXPIRED_MOST 1000  /* at a time */

struct collector {
	struct collector_options options;
	struct database *reading, *writing;
	pthread_t thread;
	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t told;
	bool is_woken;
	atomic_bool is_stopping;
};

/* ---- Working ---- */

struct expired {
	struct digest log_id, record_id;
};

struct expired_list {
	struct expired rows[EXPIRED_MOST];
	size_t count;
};

static int take_expired(void *user, struct statement *row, struct fault *flt)
{
	struct expired_list *list = user;
	struct expired *expired = &list->rows[list->count];
	int r = statement_digest(row, 0, &expired->log_id, flt);

	if (!r)
		r = statement_digest(row, 1, &expired->record_id, flt);
	if (!r)
		list->count++;
	return r;
}

/* Records set aside, which cannot be judged, keep waiting. */
static int list_expired(struct collector *collector, struct expired_list *out, struct fault *flt)
{
	static const char text[] = "SELECT log_id, record_id FROM submitted WHERE reason IS NULL AND lacking > 0"
				   " AND since < ? ORDER BY since LIMIT ?";
	struct statement *statement;
	int r = statement_use(collector->reading, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, (uint64_t)(time(NULL) - WAITING_KEPT));
	statement_put_number(statement, 2, EXPIRED_MOST);
	return statement_each(statement, take_expired, out, flt);
}

static int expire(struct collector *collector, struct fault *flt)
{
	const struct collector_options *options = &collector->options;
	struct expired_list *list = calloc(1, sizeof(*list));
	int r = list ? list_expired(collector, list, flt) : fault_no_memory(flt);

	for (size_t i = 0; !r && i < list->count; i++)
		options->expire(options->user, &list->rows[i].log_id, &list->rows[i].record_id);
	free(list);
	return r;
}

static void work(struct collector *collector)
{
	const struct garbage garbage = {
		.reading = collector->reading, .writing = collector->writing, .folder = collector->options.folder,
		.scope = GARBAGE_RECEIVED, .is_stopping = &collector->is_stopping,
	};
	struct garbage_counts counts;
	struct fault flt = {0};
	int r = expire(collector, &flt);

	if (!r)
		r = garbage_collect(&garbage, &counts, &flt);
	if (!r || flt.kind == FAULT_CANCELLED)
		return;
	fault_at(&flt, "removing unnamed contents");
	fault_blame(&flt, FAULT_BY_SYSTEM);
	collector->options.failed(collector->options.user, &flt);
}

/* ---- Resting ---- */

static struct timespec after(clock_ms milliseconds)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += milliseconds / 1000;
	until.tv_nsec += milliseconds % 1000 * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return until;
}

/* @return false: it is time to end */
static bool rest(struct collector *collector, clock_ms milliseconds, bool until_woken)
{
	const struct timespec until = after(milliseconds);
	bool go_on;

	pthread_mutex_lock(&collector->mutex);
	while (!collector->is_stopping && !(until_woken && collector->is_woken) &&
	       !pthread_cond_timedwait(&collector->told, &collector->mutex, &until))
		;
	if (until_woken)
		collector->is_woken = false;
	go_on = !collector->is_stopping;
	pthread_mutex_unlock(&collector->mutex);
	return go_on;
}

static void *run(void *argument)
{
	struct collector *collector = argument;
	clock_ms worked;

	do {
		const clock_ms begun = clock_now();

		work(collector);
		worked = clock_now() - begun;
	} while (rest(collector, REST_LEAST + REST * worked, false) && rest(collector, 1000LL * LOOK, true));
	return NULL;
}

/* ---- Beginning and end ---- */

void collector_free(struct collector *collector)
{
	if (!collector)
		return;
	database_close(collector->reading);
	database_close(collector->writing);
	pthread_cond_destroy(&collector->told);
	pthread_mutex_destroy(&collector->mutex);
	free(collector);
}

int collector_start(const struct collector_options *options, struct collector **out, struct fault *flt)
{
	struct collector *collector = calloc(1, sizeof(*collector));
	int error, r;

	if (!collector)
		return fault_no_memory(flt);
	collector->options = *options;
	pthread_mutex_init(&collector->mutex, NULL);
	thread_condition_init(&collector->told);
	r = database_reopen_reading(options->database, &collector->reading, flt);
	if (!r)
		r = database_reopen_writing(options->database, &collector->writing, flt);
	if (r) {
		collector_free(collector);
		return r;
	}
	/* Set it before the thread starts: the thread rejects records, which wakes the collector. */
	*out = collector;
	error = thread_start(&collector->thread, run, collector);
	if (error) {
		*out = NULL;
		collector_free(collector);
		r = fault_system(flt, error, "the thread that removes unnamed contents cannot be started");
	}
	return r;
}

void collector_wake(struct collector *collector)
{
	if (!collector)
		return;
	pthread_mutex_lock(&collector->mutex);
	collector->is_woken = true;
	pthread_cond_signal(&collector->told);
	pthread_mutex_unlock(&collector->mutex);
}

void collector_stop(struct collector *collector)
{
	if (!collector)
		return;
	pthread_mutex_lock(&collector->mutex);
	collector->is_stopping = true;
	pthread_cond_signal(&collector->told);
	pthread_mutex_unlock(&collector->mutex);
	pthread_join(collector->thread, NULL);
}
