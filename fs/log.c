/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The daemon's log (see log.h).
 */
#include "log.h"

#include "client/base/clock.h"
#include "verify/digest.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#define PERIOD 60000 /* ms: within it a sentence is not repeated */
#define REMEMBERED 32

/* A line as it is logged: where, and the sentence. */
#define LINE_SIZE (FAULT_SENTENCE_SIZE + 800)

struct log {
	pthread_mutex_t mutex;
	const char *who;
	bool syslog;
	struct {
		struct digest line;
		clock_ms at; /* when it was logged; 0: the place is free */
	} said[REMEMBERED]; /* a ring */
	size_t oldest;
	clock_ms period; /* when the present one began */
	unsigned in_period, left_out;
	char last[FAULT_SENTENCE_SIZE];
	int64_t last_at;
};

int log_new(const char *who, struct log **out, struct fault *flt)
{
	struct log *log = calloc(1, sizeof(*log));

	if (!log)
		return fault_no_memory(flt);
	pthread_mutex_init(&log->mutex, NULL);
	log->who = who;
	*out = log;
	return 0;
}

void log_free(struct log *log)
{
	if (!log)
		return;
	pthread_mutex_destroy(&log->mutex);
	free(log);
}

void log_to_syslog(struct log *log)
{
	pthread_mutex_lock(&log->mutex);
	openlog("wargfs", LOG_PID, LOG_DAEMON);
	log->syslog = true;
	pthread_mutex_unlock(&log->mutex);
}

static void put(struct log *log, const char *line)
{
	if (log->syslog)
		syslog(LOG_WARNING, "%s", line);
	else
		fprintf(stderr, "%s: %s\n", log->who, line);
}

static bool was_said(const struct log *log, const struct digest *line, clock_ms now)
{
	for (size_t i = 0; i < REMEMBERED; i++) {
		if (log->said[i].at && now - log->said[i].at < PERIOD && digest_equals(&log->said[i].line, line))
			return true;
	}
	return false;
}

static void begin_period(struct log *log, clock_ms now)
{
	if (log->left_out) {
		char line[80];

		snprintf(line, sizeof(line), "%u more errors were not logged", log->left_out);
		put(log, line);
	}
	log->period = now;
	log->in_period = log->left_out = 0;
}

static void say(struct log *log, const char *line, clock_ms now)
{
	struct digest hash = digest_of(span_of_text(line));

	if (now - log->period >= PERIOD)
		begin_period(log, now);
	if (was_said(log, &hash, now) || log->in_period >= LOG_BURST) {
		log->left_out++;
		return;
	}
	log->in_period++;
	log->said[log->oldest].line = hash;
	log->said[log->oldest].at = now;
	log->oldest = (log->oldest + 1) % REMEMBERED;
	put(log, line);
}

void log_fault(struct log *log, const char *where, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE], line[LINE_SIZE];

	fault_sentence(flt, sentence);
	snprintf(line, sizeof(line), "%s%s%s", where, *where ? ": " : "", sentence);
	pthread_mutex_lock(&log->mutex);
	snprintf(log->last, sizeof(log->last), "%s", sentence);
	log->last_at = (int64_t)time(NULL);
	say(log, line, clock_now());
	pthread_mutex_unlock(&log->mutex);
}

void log_note(struct log *log, const char *sentence)
{
	pthread_mutex_lock(&log->mutex);
	say(log, sentence, clock_now());
	pthread_mutex_unlock(&log->mutex);
}

bool log_last(struct log *log, char out[static FAULT_SENTENCE_SIZE], int64_t *when)
{
	bool has;

	pthread_mutex_lock(&log->mutex);
	has = *log->last;
	if (has) {
		snprintf(out, FAULT_SENTENCE_SIZE, "%s", log->last);
		*when = log->last_at;
	}
	pthread_mutex_unlock(&log->mutex);
	return has;
}
