/*
 * The registry: its parts, the wants, and the updater's thread (see registry.h).
 *
 * A want is a flight of its own, joined by its one waiter before the updater can see it: so it cannot land too early.
 * What arrives while a round is under way waits for the next one, which finds most of it done.
 */
#include "registry_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WORKERS 2 /* hashing and syncing files: as many as have something to do on a small machine */

/* ---- The view ---- */

struct view *registry_view(struct registry *registry)
{
	struct view *view;

	pthread_mutex_lock(&registry->mutex);
	view = view_ref(registry->view);
	pthread_mutex_unlock(&registry->mutex);
	return view;
}

void registry_swap_take(struct registry *registry, struct view *next)
{
	struct view *before;

	pthread_mutex_lock(&registry->mutex);
	before = registry->view;
	registry->view = view_ref(next);
	pthread_mutex_unlock(&registry->mutex);
	if (registry->options.changed)
		registry->options.changed(registry->options.user, before, next);
	view_unref(before);
	view_unref(next);
}

void registry_note(struct registry *registry, const struct fault *flt)
{
	pthread_mutex_lock(&registry->mutex);
	registry->last_fault = *flt;
	pthread_mutex_unlock(&registry->mutex);
}

void registry_last_fault(struct registry *registry, struct fault *out)
{
	pthread_mutex_lock(&registry->mutex);
	*out = registry->last_fault;
	pthread_mutex_unlock(&registry->mutex);
}

/* ---- Wants ---- */

static void land(struct registry *registry, struct want *wants)
{
	while (wants) {
		struct want *want = wants;

		wants = wants->next;
		flight_land(registry->airport, &want->flight, want->fault.verdict, &want->fault);
		free(want);
	}
}

static void cancel(struct registry *registry, struct want *wants)
{
	for (struct want *want = wants; want; want = want->next)
		fault_undecided(&want->fault, FAULT_CANCELLED, "the registry was closed");
	land(registry, wants);
}

/** Put a chain of wants into the queue, or cancel them if there is no updater any more. */
static void queue(struct registry *registry, struct want *first, struct want **last)
{
	bool closing;

	pthread_mutex_lock(&registry->mutex);
	closing = registry->closing;
	if (!closing) {
		*registry->last_want = first;
		registry->last_want = last;
		pthread_cond_signal(&registry->stirred);
	}
	pthread_mutex_unlock(&registry->mutex);
	if (closing)
		cancel(registry, first);
}

/** A want with its waiter; NULL if memory ran out, which the waiter was told then. */
static struct want *want_new(struct registry *registry, enum want_kind kind, const struct name *name,
			     struct waiter *waiter)
{
	struct want *want = calloc(1, sizeof(*want));
	struct fault flt = { 0 };

	if (!want) {
		fault_no_memory(&flt);
		waiter->done(waiter, flt.verdict, &flt);
		return NULL;
	}
	want->kind = kind;
	if (name)
		want->name = *name;
	flight_join(registry->airport, &want->flight, waiter);
	return want;
}

static void want_one(struct registry *registry, enum want_kind kind, const struct name *name, struct waiter *waiter)
{
	struct want *want = want_new(registry, kind, name, waiter);

	if (want)
		queue(registry, want, &want->next);
}

void registry_want_refresh(struct registry *registry, struct waiter *waiter)
{
	want_one(registry, WANT_REFRESH, NULL, waiter);
}

void registry_want_listing(struct registry *registry, struct waiter *waiter)
{
	want_one(registry, WANT_LISTING, NULL, waiter);
}

void registry_want_package(struct registry *registry, const struct name *name, struct waiter *waiter)
{
	want_one(registry, WANT_PACKAGE, name, waiter);
}

bool registry_leave(struct registry *registry, struct waiter *waiter)
{
	return flight_leave(registry->airport, waiter);
}

/* ---- The same, blocking ---- */

static int want_and_wait(struct registry *registry, enum want_kind kind, struct fault *flt)
{
	struct blocking_waiter blocking;

	blocking_waiter_init(&blocking, registry_deadline(registry));
	want_one(registry, kind, NULL, &blocking.waiter);
	return blocking_waiter_wait(&blocking, flt);
}

int registry_refresh(struct registry *registry, struct fault *flt)
{
	return want_and_wait(registry, WANT_REFRESH, flt);
}

int registry_list(struct registry *registry, struct fault *flt)
{
	return want_and_wait(registry, WANT_LISTING, flt);
}

int registry_add(struct registry *registry, const struct name *names, size_t count, struct fault *faults)
{
	struct blocking_waiter *waiters = calloc(count + 1, sizeof(*waiters));
	struct want *first = NULL, **last = &first;
	int worst = 0;

	if (!waiters) {
		for (size_t i = 0; i < count; i++)
			fault_no_memory(&faults[i]);
		return WARG_UNDECIDED;
	}
	/* All in one chain, so that they are of one round. */
	for (size_t i = 0; i < count; i++) {
		blocking_waiter_init(&waiters[i], registry_deadline(registry));
		*last = want_new(registry, WANT_PACKAGE, &names[i], &waiters[i].waiter);
		if (*last)
			last = &(*last)->next;
	}
	if (first)
		queue(registry, first, last);
	for (size_t i = 0; i < count; i++) {
		int verdict = blocking_waiter_wait(&waiters[i], &faults[i]);

		if (verdict && worst != WARG_INVALID)
			worst = verdict;
	}
	free(waiters);
	return worst;
}

/* ---- The updater ---- */

/** Sleep until there is something to do. @return false at the end */
static bool sleep_until_stirred(struct registry *registry, struct want **wants)
{
	struct timespec at = { .tv_sec = registry->refresh_at / 1000,
			       .tv_nsec = registry->refresh_at % 1000 * 1000000 };
	bool closing;

	pthread_mutex_lock(&registry->mutex);
	while (!registry->closing && !registry->wants && clock_left(registry->refresh_at)) {
		if (registry->refresh_at == CLOCK_NEVER)
			pthread_cond_wait(&registry->stirred, &registry->mutex);
		else
			pthread_cond_timedwait(&registry->stirred, &registry->mutex, &at);
	}
	*wants = registry->wants;
	registry->wants = NULL;
	registry->last_want = &registry->wants;
	closing = registry->closing;
	pthread_mutex_unlock(&registry->mutex);
	return !closing;
}

static void *run_updater(void *argument)
{
	struct registry *registry = argument;
	struct want *wants;

	while (sleep_until_stirred(registry, &wants)) {
		registry_round(registry, wants);
		land(registry, wants);
	}
	cancel(registry, wants);
	return NULL;
}

/* ---- Opening and closing ---- */

static void init_locks(struct registry *registry)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&registry->mutex, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&registry->stirred, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

/**
 * What lies in the store, to grow from at first contact, if its checkpoint was signed by the operator that lies beside
 * it. Anything else there is as good as nothing: it would only accuse the registry of what the disk did.
 */
static int load_start(struct registry *registry, struct fault *flt)
{
	struct view *start;
	struct fault local = { 0 };
	bool found = false;
	int r;

	r = view_copy(NULL, &start, flt);
	if (r)
		return r;
	r = store_load_checkpoint(registry->store, &start->checkpoint, &found, &local);
	if (!r && found)
		r = store_load_operator(registry->store, &start->operator, &start->operator_position, &local);
	if (!r && found && start->operator && !checkpoint_verify(&start->checkpoint, start->operator, &local)) {
		registry->start = start;
		return 0;
	}
	view_unref(start);
	if (local.kind == FAULT_SYSTEM && local.errnum == ENOMEM) {
		if (flt)
			*flt = local;
		return WARG_UNDECIDED;
	}
	return 0;
}

static int open_parts(struct registry *registry, struct fault *flt)
{
	const struct registry_options *options = &registry->options;
	struct content_options content;
	int r;

	r = store_open(options->registries_dir, options->content_dir, options->own_dir, options->url.label,
		       &registry->store, flt);
	if (!r)
		r = load_start(registry, flt);
	if (!r)
		r = view_copy(NULL, &registry->view, flt);
	if (!r)
		r = http_new(&registry->http, flt);
	if (!r)
		r = airport_new(&registry->airport, flt);
	if (!r)
		r = workers_new(WORKERS, &registry->workers, flt);
	if (r)
		return r;
	registry->api = (struct api){ .http = registry->http, .url = &options->url, .token = registry->token };
	content = (struct content_options){ .api = registry->api,
					    .store = registry->store,
					    .airport = registry->airport,
					    .workers = registry->workers,
					    .timeout = (clock_ms)options->timeout * 1000 };
	return content_new(&content, &registry->content, flt);
}

static int start_updater(struct registry *registry, struct fault *flt)
{
	int error = pthread_create(&registry->updater, NULL, run_updater, registry);

	if (error)
		return fault_system(flt, error, "the updater's thread cannot be started");
	registry->is_running = true;
	return 0;
}

int registry_open(const struct registry_options *options, struct registry **out, struct fault *flt)
{
	struct registry *registry = calloc(1, sizeof(*registry));
	int r = 0;

	if (!registry)
		return fault_no_memory(flt);
	registry->options = *options;
	registry->last_want = &registry->wants;
	registry->refresh_at = options->refresh ? clock_in_seconds(options->refresh) : CLOCK_NEVER;
	init_locks(registry);
	if (options->token) {
		registry->token = strdup(options->token);
		if (!registry->token)
			r = fault_no_memory(flt);
	}
	if (!r)
		r = open_parts(registry, flt);
	if (!r)
		r = start_updater(registry, flt);
	if (r) {
		registry_close(registry);
		return r;
	}
	*out = registry;
	return 0;
}

static void end_updater(struct registry *registry)
{
	pthread_mutex_lock(&registry->mutex);
	registry->closing = true;
	pthread_cond_signal(&registry->stirred);
	pthread_mutex_unlock(&registry->mutex);
	if (registry->http)
		http_stop(registry->http);
	if (registry->is_running)
		pthread_join(registry->updater, NULL);
}

void registry_close(struct registry *registry)
{
	if (!registry)
		return;
	end_updater(registry);
	content_free(registry->content);
	workers_free(registry->workers);
	airport_free(registry->airport);
	http_free(registry->http);
	view_unref(registry->view);
	view_unref(registry->start);
	view_unref(registry->saved);
	if (registry->store)
		store_close(registry->store);
	pthread_cond_destroy(&registry->stirred);
	pthread_mutex_destroy(&registry->mutex);
	free(registry->token);
	free(registry);
}

/* ---- Looking at it ---- */

struct content *registry_content(struct registry *registry)
{
	return registry->content;
}

struct store *registry_store(struct registry *registry)
{
	return registry->store;
}

const struct http_url *registry_url(const struct registry *registry)
{
	return &registry->options.url;
}

clock_ms registry_deadline(const struct registry *registry)
{
	return clock_in_seconds(registry->options.timeout);
}
