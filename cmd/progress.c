/*
 * The progress bar (see progress.h).
 */
#include "progress.h"
#include "client/thread.h"
#include "output.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds between two looks, and before the first. */
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

/* What stands beside the bar. */
static void put_numbers(const struct progress_state *state, clock_ms elapsed, char *out, size_t size)
{
	uint64_t seconds = (uint64_t)elapsed / 1000;
	char done[32], whole[32], rate[32];

	if (state->unit && state->whole) {
		snprintf(out, size, "%" PRIu64 " of %" PRIu64 " %s", state->done, state->whole, state->unit);
	} else if (state->unit && state->done) {
		snprintf(out, size, "%" PRIu64 " %s", state->done, state->unit);
	} else if (state->done) {
		output_size(state->done, done);
		output_size(state->whole, whole);
		output_size(state->done * 1000 / (uint64_t)(elapsed + 1), rate);
		snprintf(out, size, "%s%s%s, %s/s", done, state->whole ? " of " : "", state->whole ? whole : "", rate);
	} else {
		snprintf(out, size, "%" PRIu64 " s", seconds);
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

static void draw(struct progress *progress)
{
	struct progress_state *state = &progress->state;
	char line[LINE], numbers[160], bar[BAR + 4];
	size_t room = width() - 1, used;

	if (progress->measure)
		progress->measure(progress->user, state);
	put_numbers(state, clock_now() - progress->since, numbers, sizeof(numbers));
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
	clock_ms when = progress->since + PATIENCE;

	while (!wait_until(progress, when)) {
		draw(progress);
		when = clock_now() + STEP;
	}
	return NULL;
}

static void die_clean(int number)
{
	/* Nothing is left to do about a terminal that does not take it. */
	if (is_drawn && write(STDERR_FILENO, clean, sizeof(clean) - 1) < 0)
		is_drawn = false;
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

static bool has_terminal(void)
{
	const char *kind = getenv("TERM");

	return isatty(STDERR_FILENO) && kind && *kind && strcmp(kind, "dumb");
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
	snprintf(progress->state.what, sizeof(progress->state.what), "%s", what);
	progress->since = clock_now();
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
