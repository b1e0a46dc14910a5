/*
 * The progress bar (see progress.h).
 */
#include "progress.h"
#include "output.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Milliseconds between two looks, and before the first. */
#define STEP 100
#define PATIENCE 1000
#define BAR 30

static volatile sig_atomic_t caught;

static void catch_signal(int number)
{
	caught = number;
}

static void draw(const struct progress *progress, clock_ms since)
{
	struct content *content = registry_content(progress->registry);
	struct content_counters counters;
	char done[32], rate[32], whole[32];
	char bar[BAR + 1] = "";
	uint64_t size;

	content_count(content, &counters);
	output_size(counters.bytes_received, done);
	output_size(counters.bytes_received * 1000 / (uint64_t)(clock_now() - since + 1), rate);
	if (!content_find_size(content, progress->content, &size) || size < counters.bytes_received) {
		fprintf(stderr, "\r%s: %s, %s/s\033[K", progress->what, done, rate);
		return;
	}
	output_size(size, whole);
	memset(bar, '.', BAR);
	memset(bar, '#', size ? (size_t)((double)counters.bytes_received / (double)size * BAR) : BAR);
	fprintf(stderr, "\r%s [%s] %s of %s, %s/s\033[K", progress->what, bar, done, whole, rate);
}

/* Wait for a step. @return whether the work is over */
static bool wait_step(struct blocking_waiter *blocking)
{
	struct timespec until;
	bool is_done;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += STEP * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&blocking->mutex);
	if (!blocking->is_done)
		pthread_cond_timedwait(&blocking->landed, &blocking->mutex, &until);
	is_done = blocking->is_done;
	pthread_mutex_unlock(&blocking->mutex);
	return is_done;
}

/* Step out of the wait, unless it is over this very moment. */
static void give_up(const struct progress *progress, struct blocking_waiter *blocking)
{
	struct fault flt = {0};

	if (!registry_leave(progress->registry, &blocking->waiter))
		return;
	fault_undecided(&flt, FAULT_CANCELLED, "interrupted");
	blocking->waiter.done(&blocking->waiter, flt.verdict, &flt);
}

int progress_wait(const struct progress *progress, struct blocking_waiter *blocking, struct fault *flt)
{
	struct sigaction action = { .sa_handler = catch_signal }, old_int, old_term;
	clock_ms since = clock_now();
	bool drawn = false;

	sigaction(SIGINT, &action, &old_int);
	sigaction(SIGTERM, &action, &old_term);
	while (!caught && !wait_step(blocking)) {
		if (clock_now() - since < PATIENCE || !isatty(STDERR_FILENO))
			continue;
		draw(progress, since);
		drawn = true;
	}
	if (caught)
		give_up(progress, blocking);
	sigaction(SIGINT, &old_int, NULL);
	sigaction(SIGTERM, &old_term, NULL);
	if (drawn)
		fprintf(stderr, "\r\033[K");
	return blocking_waiter_wait(blocking, flt);
}

void progress_die_of_signal(void)
{
	if (!caught)
		return;
	signal(caught, SIG_DFL);
	raise(caught);
}
