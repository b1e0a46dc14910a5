/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opening, closing, and asking a registry (see registry.h). What is asked for is answered in registry_update.c.
 */
#include "client/base/text.h"
#include "client/base/thread.h"
#include "registry_parts.h"

#include <stdlib.h>
#include <string.h>

#include "verify/array.h"

/* Threads that hash and write contents: as many as have something to do on a small machine. */
#define WORKERS 2

/* So many packages are more than one request for logs asks for. */
#define MANY_PACKAGES 64

/* ---- Opening and closing ---- */

static void init_locks(struct registry *registry)
{
	pthread_mutex_init(&registry->mutex, NULL);
	thread_condition_init(&registry->wake);
	thread_condition_init(&registry->saver.wake);
	pthread_cond_init(&registry->joined, NULL);
}

/* Everything that was made, in the order in which nobody needs it any more. Updater and saver have ended. */
static void destroy(struct registry *registry)
{
	audit_free(registry->audit);
	registry_release_proofs(registry);
	content_free(registry->content);
	workers_free(registry->workers);
	http_free(registry->http);
	if (!registry->options.deadlines)
		deadlines_free(registry->deadlines);
	store_close(registry->store);
	trust_close(registry->trust);
	ledger_close(registry->ledger);
	archive_close(registry->archive);
	view_unref(registry->view);
	view_unref(registry->start);
	view_unref(registry->saver.saved);
	listing_unref(registry->listing);
	free(registry->wants.packages);
	credential_unref(registry->options.credential);
	free(registry->domain);
	pthread_cond_destroy(&registry->joined);
	pthread_cond_destroy(&registry->saver.wake);
	pthread_cond_destroy(&registry->wake);
	pthread_mutex_destroy(&registry->mutex);
	free(registry);
}

static int open_content(struct registry *registry, struct fault *flt)
{
	const struct content_options options = {
		.api = registry->api,
		.store = registry->store,
		.deadlines = registry->deadlines,
		.workers = registry->workers,
		.timeout = (clock_ms)registry->options.timeout * 1000,
	};

	return content_new(&options, &registry->content, flt);
}

static int open_parts(struct registry *registry, struct fault *flt)
{
	const struct registry_options *options = &registry->options;
	const char *label = options->url.label, *folder = options->folder ? options->folder : label;
	int verdict;

	verdict = store_open(options->registries_dir, options->content_dir, options->own_dir, folder, &registry->store,
			     flt);
	if (!verdict)
		verdict = ledger_open(options->own_dir, folder, &registry->ledger, flt);
	if (!verdict)
		verdict = archive_open(options->own_dir, folder, &registry->archive, flt);
	if (!verdict && options->state_dir)
		verdict = trust_open(options->state_dir, options->trusted_as ? options->trusted_as : label,
				     &registry->trust, flt);
	if (!verdict && options->operator_key && registry->trust)
		trust_demand(registry->trust, options->operator_key);
	registry->options.operator_key = NULL; /* the caller's */
	if (!verdict)
		verdict = registry_load(registry, flt);
	registry->deadlines = options->deadlines;
	if (!verdict && !registry->deadlines)
		verdict = deadlines_new(&registry->deadlines, flt);
	if (!verdict)
		verdict = workers_new(WORKERS, &registry->workers, flt);
	if (!verdict)
		verdict = http_new(&registry->http, flt);
	registry->api.http = registry->http;
	if (!verdict && options->offline)
		http_go_offline(registry->http);
	/* A cache that was tampered with is told of; that there is none yet is no news. */
	if (!verdict && options->starts_from_cache &&
	    registry_start(registry, &registry->start_fault) == WARG_INVALID && !options->offline)
		registry_report(registry, &registry->start_fault);
	if (!verdict)
		verdict = open_content(registry, flt);
	if (!verdict && options->audit)
		verdict = registry_start_audit(registry, flt);
	return verdict;
}

static int start_threads(struct registry *registry, struct fault *flt)
{
	int verdict = registry_start_saver(registry, flt);
	int error;

	if (verdict)
		return verdict;
	error = thread_start(&registry->updater, registry_run_updater, registry);
	if (!error)
		return 0;
	registry_end_saver(registry);
	return fault_system(flt, error, "the updater's thread cannot be started");
}

int registry_open(const struct registry_options *options, struct registry **out, struct fault *flt)
{
	struct registry *registry = calloc(1, sizeof(*registry));
	int verdict;

	if (!registry)
		return fault_no_memory(flt);
	init_locks(registry);
	registry->options = *options;
	registry->next_refresh = CLOCK_NEVER;
	registry->next_sweep = CLOCK_NEVER;
	if (options->refresh && !options->offline)
		registry->next_refresh = clock_in_seconds(options->refresh);
	registry->saver.due = CLOCK_NEVER;
	registry->patience = 1;
	freshness_init(&registry->freshness, freshness_now());
	registry->options.credential = credential_ref(options->credential);
	registry->is_pinned = !options->found_by || !options->state_dir;
	if (options->found_by)
		registry->found_by = *options->found_by;
	registry->options.found_by = NULL; /* the caller's */
	verdict = text_copy(options->domain, &registry->domain, flt);
	registry->api.url = &registry->options.url;
	registry->api.registry = registry->domain;
	registry->api.credential = registry->options.credential;
	if (!verdict)
		verdict = view_copy(NULL, &registry->view, flt);
	if (!verdict)
		verdict = open_parts(registry, flt);
	if (!verdict)
		verdict = start_threads(registry, flt);
	if (verdict)
		destroy(registry);
	else
		*out = registry;
	return verdict;
}

void registry_close(struct registry *registry)
{
	if (!registry)
		return;
	pthread_mutex_lock(&registry->mutex);
	registry->closing = true;
	pthread_cond_signal(&registry->wake);
	pthread_mutex_unlock(&registry->mutex);
	http_stop(registry->http);
	pthread_join(registry->updater, NULL);
	registry_end_saver(registry);
	destroy(registry);
}

/* ---- Asking ---- */

/** One who asks. */
struct ask {
	struct waiter *waiter;
	const struct name *name; /* of a package */
	bool is_spare;           /* optional: see registry_want_spare() */
	/* The want, made if need be; NULL without memory. The mutex is held. */
	struct want *(*find)(struct registry *registry, const struct ask *ask);
	struct want *want;
};

static struct want *find_or_make(struct want **kept)
{
	if (!*kept)
		*kept = calloc(1, sizeof(**kept));
	return *kept;
}

static struct want *find_refresh(struct registry *registry, const struct ask *ask)
{
	(void)ask;
	return find_or_make(&registry->wants.refresh);
}

static struct want *find_listing(struct registry *registry, const struct ask *ask)
{
	(void)ask;
	return find_or_make(&registry->wants.listing);
}

static bool make_room(struct wants *wants)
{
	return !array_reserve(&wants->packages, wants->count, &wants->capacity, sizeof(struct want *), NULL);
}

static struct want *find_package(struct registry *registry, const struct ask *ask)
{
	struct wants *wants = &registry->wants;
	size_t low = 0, high = wants->count;
	struct want *want;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(wants->packages[middle]->name.text, ask->name->text);

		if (!order)
			return wants->packages[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	want = make_room(wants) ? calloc(1, sizeof(*want)) : NULL;
	if (!want)
		return NULL;
	want->name = *ask->name;
	memmove(wants->packages + low + 1, wants->packages + low, (wants->count - low) * sizeof(struct want *));
	wants->packages[low] = want;
	wants->count++;
	return want;
}

void registry_refuse(struct registry *registry, struct waiter *waiter, const struct fault *flt)
{
	struct completion completion = {0};

	completion_join(registry->deadlines, &completion, waiter);
	completion_finish(registry->deadlines, &completion, flt->verdict, flt);
}

/*
 * Ask for everything at once, so that one round answers it. Joining a completion may call `done`, so it is done without
 * the lock; the updater waits for those who are about to.
 */
static void ask_all(struct registry *registry, struct ask *asks, size_t count)
{
	struct fault flt = {0};

	pthread_mutex_lock(&registry->mutex);
	if (registry->closing)
		fault_undecided(&flt, FAULT_CANCELLED, "the registry is being closed");
	else
		fault_no_memory(&flt);
	for (size_t i = 0; i < count; i++) {
		asks[i].want = registry->closing ? NULL : asks[i].find(registry, &asks[i]);
		if (asks[i].want) {
			asks[i].want->joining++;
			asks[i].want->is_needed |= !asks[i].is_spare;
			asks[i].want->is_awaited |= asks[i].waiter != NULL;
		}
	}
	pthread_cond_signal(&registry->wake);
	pthread_mutex_unlock(&registry->mutex);

	for (size_t i = 0; i < count; i++) {
		if (!asks[i].waiter)
			continue;
		if (asks[i].want)
			completion_join(registry->deadlines, &asks[i].want->completion, asks[i].waiter);
		else
			registry_refuse(registry, asks[i].waiter, &flt);
	}

	pthread_mutex_lock(&registry->mutex);
	for (size_t i = 0; i < count; i++)
		if (asks[i].want)
			asks[i].want->joining--;
	pthread_cond_broadcast(&registry->joined);
	pthread_mutex_unlock(&registry->mutex);
}

void registry_want_refresh(struct registry *registry, struct waiter *waiter)
{
	ask_all(registry, &(struct ask){.waiter = waiter, .find = find_refresh}, 1);
}

void registry_refresh_soon(struct registry *registry)
{
	pthread_mutex_lock(&registry->mutex);
	registry->refresh_soon = true;
	pthread_cond_signal(&registry->wake);
	pthread_mutex_unlock(&registry->mutex);
}

void registry_expect_growth(struct registry *registry)
{
	pthread_mutex_lock(&registry->mutex);
	registry->expects_growth = true;
	pthread_mutex_unlock(&registry->mutex);
}

clock_ms registry_round(struct registry *registry)
{
	clock_ms round;

	pthread_mutex_lock(&registry->mutex);
	round = registry->round;
	pthread_mutex_unlock(&registry->mutex);
	return round;
}

void registry_want_listing(struct registry *registry, struct waiter *waiter)
{
	ask_all(registry, &(struct ask){.waiter = waiter, .find = find_listing}, 1);
}

void registry_want_package(struct registry *registry, const struct name *name, struct waiter *waiter)
{
	ask_all(registry, &(struct ask){.waiter = waiter, .name = name, .find = find_package}, 1);
}

void registry_want_update(struct registry *registry, const struct name *name, struct waiter *refreshed,
			  struct waiter *package)
{
	struct ask asks[2] = {
		{.waiter = refreshed, .find = find_refresh},
		{.waiter = package, .name = name, .find = find_package},
	};

	ask_all(registry, asks, 2);
}

void registry_want_spare(struct registry *registry, const struct name *names, size_t count, struct waiter *waiter)
{
	struct ask *asks = calloc(count + 1, sizeof(*asks));
	struct fault flt = {0};

	if (!asks) {
		fault_no_memory(&flt);
		registry_refuse(registry, waiter, &flt);
		return;
	}
	asks[0] = (struct ask){.waiter = waiter, .is_spare = true, .find = find_listing};
	for (size_t i = 0; i < count; i++)
		asks[i] = (struct ask){.waiter = i ? NULL : waiter, .name = &names[i], .is_spare = true,
				       .find = find_package};
	ask_all(registry, asks, count ? count : 1);
	free(asks);
}

bool registry_leave(struct registry *registry, struct waiter *waiter)
{
	return completion_leave(registry->deadlines, waiter);
}

/* ---- Asking and waiting ---- */

static int wait_for(struct registry *registry, void (*want)(struct registry *, struct waiter *), struct fault *flt)
{
	struct blocking_waiter blocking;

	blocking_waiter_init(&blocking, registry_deadline(registry));
	want(registry, &blocking.waiter);
	return blocking_waiter_wait(&blocking, flt);
}

int registry_refresh(struct registry *registry, struct fault *flt)
{
	return wait_for(registry, registry_want_refresh, flt);
}

int registry_list(struct registry *registry, struct fault *flt)
{
	return wait_for(registry, registry_want_listing, flt);
}

/*
 * Ask for packages, and for a refresh before them if it is wanted, in one round, and wait.
 * @param refreshed  the verdict on the refresh is put here; NULL: none is wanted
 * @return the worst verdict on a package
 */
static int ask_and_wait(struct registry *registry, const struct name *names, size_t count, struct fault *faults,
			int *refreshed, struct fault *flt)
{
	struct blocking_waiter *waiters = calloc(count + 1, sizeof(*waiters));
	struct ask *asks = calloc(count + 1, sizeof(*asks));
	int worst = 0;

	if (!waiters || !asks) {
		for (size_t i = 0; i < count; i++)
			fault_no_memory(&faults[i]);
		worst = fault_no_memory(flt);
		if (refreshed)
			*refreshed = worst;
		goto out;
	}
	for (size_t i = 0; i < count; i++) {
		blocking_waiter_init(&waiters[i], registry_deadline(registry));
		asks[i] = (struct ask){.waiter = &waiters[i].waiter, .name = &names[i], .find = find_package};
	}
	if (refreshed) {
		blocking_waiter_init(&waiters[count], registry_deadline(registry));
		asks[count] = (struct ask){.waiter = &waiters[count].waiter, .find = find_refresh};
	}
	ask_all(registry, asks, count + (refreshed ? 1 : 0));
	for (size_t i = 0; i < count; i++) {
		int verdict = blocking_waiter_wait(&waiters[i], &faults[i]);

		/* A lie weighs more than what could not be found out. */
		if (verdict && worst != WARG_INVALID)
			worst = verdict;
	}
	if (refreshed)
		*refreshed = blocking_waiter_wait(&waiters[count], flt);
out:
	free(asks);
	free(waiters);
	return worst;
}

int registry_add(struct registry *registry, const struct name *names, size_t count, struct fault *faults)
{
	return ask_and_wait(registry, names, count, faults, NULL, NULL);
}

/*
 * The stored ledger, once it has grown to the newest checkpoint, tells which of many packages have changed: the others
 * are loaded from the archive, and nothing is asked about them. If it does not come, all are asked for.
 */
static int update_by_ledger(struct registry *registry, const struct name *names, size_t count, struct fault *faults,
			    struct fault *flt)
{
	struct fault ignored = {0};
	int verdict = registry_refresh(registry, flt);

	if (verdict)
		return verdict;
	registry_list(registry, &ignored);
	registry_add(registry, names, count, faults);
	return 0;
}

int registry_update(struct registry *registry, const struct name *names, size_t count, struct fault *faults,
		    struct fault *flt)
{
	int verdict;

	if (count >= MANY_PACKAGES && ledger_is_stored(registry->ledger))
		return update_by_ledger(registry, names, count, faults, flt);
	ask_and_wait(registry, names, count, faults, &verdict, flt);
	return verdict;
}

/* ---- What is known ---- */

struct view *registry_view(struct registry *registry)
{
	struct view *view;

	pthread_mutex_lock(&registry->mutex);
	view = view_ref(registry->view);
	pthread_mutex_unlock(&registry->mutex);
	return view;
}

void registry_start_fault(const struct registry *registry, struct fault *out)
{
	*out = registry->start_fault;
}

void registry_last_fault(struct registry *registry, struct fault *out)
{
	pthread_mutex_lock(&registry->mutex);
	*out = registry->last_fault;
	pthread_mutex_unlock(&registry->mutex);
}

void registry_freshness(struct registry *registry, struct freshness *out)
{
	pthread_mutex_lock(&registry->mutex);
	*out = registry->freshness;
	pthread_mutex_unlock(&registry->mutex);
}

bool registry_audit(struct registry *registry, struct audit_progress *out)
{
	if (!registry->audit)
		return false;
	audit_look(registry->audit, out);
	return true;
}

struct content *registry_content(struct registry *registry)
{
	return registry->content;
}

const struct api *registry_api(const struct registry *registry)
{
	return &registry->api;
}

struct store *registry_store(struct registry *registry)
{
	return registry->store;
}

const char *registry_state_dir(const struct registry *registry)
{
	return registry->options.state_dir;
}

const struct trust *registry_trust(const struct registry *registry)
{
	return registry->trust;
}

const struct http_url *registry_url(const struct registry *registry)
{
	return &registry->options.url;
}

clock_ms registry_deadline(const struct registry *registry)
{
	return clock_in_seconds(registry->options.timeout);
}

void registry_report(const struct registry *registry, const struct fault *flt)
{
	if (registry->options.failed && flt->verdict && flt->kind != FAULT_CANCELLED)
		registry->options.failed(registry->options.user, flt);
}
