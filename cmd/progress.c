/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The progress bar (see progress.h).
 */
#include "progress.h"
#include "client/base/thread.h"
#include "output.h"
#include "verify/printable.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds between two looks, and before the line appears. */
#define STEP 100
#define PATIENCE 1000
#define BAR 30         /* as wide as it gets, without the brackets */
#define LEAST_BAR 5    /* a narrower one says nothing */
#define USUAL_WIDTH 80 /* of a terminal that does not tell */
#define LINE 512

static const char clean[] = "\r\033[K";

/* Whether a line stands at the terminal, for the handler. */
static atomic_bool is_drawn;

static size_t width(void)
{
	struct winsize size;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : USUAL_WIDTH;
}

/* "3 s", "4 min 10 s", "2 h 5 min". */
static void put_time(uint64_t seconds, char out[static 32])
{
	if (seconds >= 3600)
		snprintf(out, 32, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds / 60 % 60);
	else if (seconds >= 60)
		snprintf(out, 32, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
	else
		snprintf(out, 32, "%" PRIu64 " s", seconds);
}

/* Bytes a second since the last look at which none of this work had come, or gone. */
static uint64_t measure_rate(struct progress *progress, clock_ms now)
{
	const struct progress_state *state = &progress->state;

	if (state->done < progress->flow.done)
		progress->flow.since = progress->flow.looked;
	progress->flow.done = state->done;
	progress->flow.looked = now;
	if (state->done)
		return state->done * 1000 / (uint64_t)(now - progress->flow.since + 1);
	progress->flow.since = now;
	return 0;
}

static void put_bytes(const struct progress_state *state, uint64_t rate, char *out, size_t size)
{
	char done[32], whole[32], each[32], left[32];

	output_size(state->done, done);
	output_size(state->whole, whole);
	output_size(rate, each);
	if (!state->whole) {
		snprintf(out, size, "%s, %s/s", done, each);
	} else if (!rate || state->done >= state->whole) {
		snprintf(out, size, "%s of %s, %s/s", done, whole, each);
	} else {
		put_time((state->whole - state->done) / rate, left);
		snprintf(out, size, "%s of %s, %s/s, %s left", done, whole, each, left);
	}
}

/* What stands beside the bar. */
static void put_numbers(const struct progress_state *state, uint64_t rate, clock_ms elapsed, char *out, size_t size)
{

	if (state->unit && state->whole) {
		snprintf(out, size, "%" PRIu64 " of %" PRIu64 " %s", state->done, state->whole, state->unit);
	} else if (state->unit && state->done) {
		snprintf(out, size, "%" PRIu64 " %s", state->done, state->unit);
	} else if (state->done) {
		put_bytes(state, rate, out, size);
	} else {
		snprintf(out, size, "%" PRIu64 " s", (uint64_t)elapsed / 1000);
	}
}

/* "[####....] " in what is left of the line; "" where that is too little, or the whole is not known. */
static void put_bar(const struct progress_state *state, size_t left, char out[static BAR + 4])
{
	size_t bar = left > BAR + 3 ? BAR : left > 3 ? left - 3 : 0, full;

	*out = '\0';
	if (!state->whole || bar < LEAST_BAR)
		return;
	full = (size_t)((double)state->done / (double)state->whole * (double)bar);
	full = full < bar ? full : bar;
	*out = '[';
	memset(out + 1, '#', full);
	memset(out + 1 + full, '.', bar - full);
	strcpy(out + 1 + bar, "] ");
}

/* @return the rate of what is counted in bytes */
static uint64_t look(struct progress *progress, clock_ms now)
{
	if (progress->measure)
		progress->measure(progress->user, &progress->state);
	return measure_rate(progress, now);
}

static void draw(struct progress *progress, clock_ms now, uint64_t rate)
{
	const struct progress_state *state = &progress->state;
	char line[LINE], numbers[160], bar[BAR + 4];
	size_t room = width() - 1, used;

	put_numbers(state, rate, now - progress->since, numbers, sizeof(numbers));
	used = strlen(state->what) + 2 + strlen(numbers);
	put_bar(state, used < room ? room - used : 0, bar);
	snprintf(line, sizeof(line), "%s: %s%s", state->what, bar, numbers);
	is_drawn = true;
	dprintf(STDERR_FILENO, "\r%.*s\033[K", (int)(room < LINE ? room : LINE), line);
}

/* @return whether the work is over */
static bool wait_until(struct progress *progress, clock_ms when)
{
	const struct timespec at = { .tv_sec = when / 1000, .tv_nsec = when % 1000 * 1000000 };
	bool over;

	pthread_mutex_lock(&progress->mutex);
	while (!progress->over && clock_now() < when)
		pthread_cond_timedwait(&progress->ends, &progress->mutex, &at);
	over = progress->over;
	pthread_mutex_unlock(&progress->mutex);
	return over;
}

static void *run(void *argument)
{
	struct progress *progress = argument;
	clock_ms now = progress->since;

	while (!wait_until(progress, now + STEP)) {
		uint64_t rate;

		now = clock_now();
		rate = look(progress, now);
		if (now - progress->since >= PATIENCE)
			draw(progress, now, rate);
	}
	return NULL;
}

void progress_wipe(void)
{
	/* Nothing is left to do about a terminal that does not take it. */
	if (is_drawn && write(STDERR_FILENO, clean, sizeof(clean) - 1) < 0)
		is_drawn = false;
}

static void die_clean(int number)
{
	progress_wipe();
	signal(number, SIG_DFL);
	raise(number);
}

/* Only where the signal would end us: somebody who ignores or catches it has reasons. */
static void catch(int number, struct sigaction *before)
{
	const struct sigaction action = { .sa_handler = die_clean };

	sigaction(number, NULL, before);
	if (before->sa_handler == SIG_DFL)
		sigaction(number, &action, NULL);
}

static bool is_forbidden;

void progress_forbid(void)
{
	is_forbidden = true;
}

static bool has_terminal(void)
{
	const char *kind = getenv("TERM");

	return !is_forbidden && isatty(STDERR_FILENO) && kind && *kind && strcmp(kind, "dumb");
}

static void release(struct progress *progress)
{
	pthread_cond_destroy(&progress->ends);
	pthread_mutex_destroy(&progress->mutex);
}

void progress_begin(struct progress *progress, const char *what,
		    void (*measure)(void *user, struct progress_state *state), void *user)
{
	*progress = (struct progress){ .measure = measure, .user = user };
	if (!has_terminal())
		return;
	printable_write(span_of_text(output_shown(what).text), progress->state.what, sizeof(progress->state.what));
	progress->since = progress->flow.since = progress->flow.looked = clock_now();
	pthread_mutex_init(&progress->mutex, NULL);
	thread_condition_init(&progress->ends);
	is_drawn = false;
	progress->running = !thread_start(&progress->thread, run, progress);
	if (!progress->running) {
		release(progress);
		return;
	}
	catch(SIGINT, &progress->interrupted);
	catch(SIGTERM, &progress->terminated);
}

void progress_end(struct progress *progress)
{
	if (!progress->running)
		return;
	pthread_mutex_lock(&progress->mutex);
	progress->over = true;
	pthread_cond_signal(&progress->ends);
	pthread_mutex_unlock(&progress->mutex);
	pthread_join(progress->thread, NULL);
	if (is_drawn)
		dprintf(STDERR_FILENO, "%s", clean);
	is_drawn = false;
	sigaction(SIGINT, &progress->interrupted, NULL);
	sigaction(SIGTERM, &progress->terminated, NULL);
	release(progress);
	progress->running = false;
}
