/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The publisher: opening, closing, waiting, and what others call (see publish.h).
 */
#include "client/base/text.h"
#include "client/base/thread.h"
#include "publish_parts.h"

#include <stdlib.h>
#include <string.h>

/* ---- Opening and closing ---- */

static void init_locks(struct publisher *publisher)
{
	pthread_mutex_init(&publisher->mutex, NULL);
	thread_condition_init(&publisher->changed);
}

/* In the order in which nobody needs it any more. No call is under way. */
static void destroy(struct publisher *publisher)
{
	http_free(publisher->http);
	receipts_close(publisher->receipts);
	staging_close(publisher->staging);
	journal_close(publisher->journal);
	pthread_cond_destroy(&publisher->changed);
	pthread_mutex_destroy(&publisher->mutex);
	free(publisher->state_dir);
	free(publisher->label);
	free(publisher);
}

static int open_parts(struct publisher *publisher, struct fault *flt)
{
	struct store *store = registry_store(publisher->options.registry);
	int r = text_copy(publisher->options.state_dir, &publisher->state_dir, flt);

	if (!r)
		r = text_copy(publisher->options.label, &publisher->label, flt);
	if (!r)
		r = journal_open(publisher->state_dir, publisher->label, &publisher->journal, flt);
	if (!r)
		r = staging_open(publisher->state_dir, publisher->label, store, &publisher->staging, flt);
	if (!r)
		r = receipts_open(publisher->state_dir, publisher->label, &publisher->receipts, flt);
	if (!r)
		r = http_new(&publisher->http, flt);
	return r;
}

int publisher_open(const struct publisher_options *options, struct publisher **out, struct fault *flt)
{
	struct publisher *publisher = calloc(1, sizeof(*publisher));
	int r;

	if (!publisher)
		return fault_no_memory(flt);
	init_locks(publisher);
	publisher->options = *options;
	if (!publisher->options.home)
		publisher->options.home = registry_store(options->registry);
	r = open_parts(publisher, flt);
	if (r) {
		destroy(publisher);
		return r;
	}
	publisher->api = *registry_api(options->registry);
	publisher->api.http = publisher->http;
	*out = publisher;
	return 0;
}

void publisher_stop(struct publisher *publisher)
{
	if (!publisher)
		return;
	pthread_mutex_lock(&publisher->mutex);
	publisher->closing = true;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->mutex);
	http_stop(publisher->http);
}

void publisher_close(struct publisher *publisher)
{
	if (!publisher)
		return;
	publisher_stop(publisher);
	pthread_mutex_lock(&publisher->mutex);
	while (publisher->calls)
		pthread_cond_wait(&publisher->changed, &publisher->mutex);
	pthread_mutex_unlock(&publisher->mutex);
	/* What can be swept later is swept later. */
	staging_sweep(publisher->staging, publisher->options.home, NULL);
	destroy(publisher);
}

static int cancelled(struct fault *flt)
{
	return fault_undecided(flt, FAULT_CANCELLED, "publishing is being ended here");
}

/* ---- Calls ---- */

static int begin_call(struct publisher *publisher, struct fault *flt)
{
	bool closing;

	pthread_mutex_lock(&publisher->mutex);
	closing = publisher->closing;
	if (!closing)
		publisher->calls++;
	pthread_mutex_unlock(&publisher->mutex);
	return closing ? cancelled(flt) : 0;
}

static void end_call(struct publisher *publisher)
{
	pthread_mutex_lock(&publisher->mutex);
	publisher->calls--;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->mutex);
}

int publish_submit_while(struct publisher *publisher, const struct pending *what, enum publish_until until,
			 bool (*is_wanted)(void *user), void *user, struct publish_result *out, struct fault *flt)
{
	struct publication publication;
	int r;

	*out = (struct publish_result){0};
	r = begin_call(publisher, flt);
	if (r)
		return r;
	publication_init(&publication, publisher, &what->name);
	publication.until = until;
	publication.what = what;
	publication.is_wanted = is_wanted;
	publication.user = user;
	r = publication_run(&publication, flt);
	*out = publication.result;
	publication_release(&publication);
	if (r)
		fault_at(flt, "publishing %s", what->name.text);
	end_call(publisher);
	return r;
}

int publish_submit(struct publisher *publisher, const struct pending *what, enum publish_until until,
		   struct publish_result *out, struct fault *flt)
{
	return publish_submit_while(publisher, what, until, NULL, NULL, out, flt);
}

int publish_wait(struct publisher *publisher, const struct name *name, const struct digest *record_id,
		 struct publish_result *out, struct fault *flt)
{
	const struct digest id = *record_id; /* which may be in `out` */
	struct publication publication;
	bool had;
	int r;

	*out = (struct publish_result){0};
	r = begin_call(publisher, flt);
	if (r)
		return r;
	publication_init(&publication, publisher, name);
	publication.result.record_id = id;
	r = publication_claim(&publication, &id, &had, flt);
	if (!r && had && strcmp(publication.name.text, name->text))
		r = fault_undecided(flt, FAULT_MISUSE, "the record is one of %s", publication.name.text);
	if (!r && had)
		r = publication_run(&publication, flt);
	else if (!r)
		r = publication_await(&publication, flt);
	if (!r && !had)
		r = publication_prove(&publication, flt);
	*out = publication.result;
	publication_release(&publication);
	if (r)
		fault_at(flt, "publishing %s", name->text);
	end_call(publisher);
	return r;
}

/* Go on with one. @return its verdict; 0 also if somebody else has it */
static int resume_one(struct publisher *publisher, const struct dead_mount *leftover, publish_resumed *told, void *user,
		      struct fault *flt)
{
	struct publication publication;
	bool had = false;
	int r;

	publication_init(&publication, publisher, &leftover->name);
	publication.result.record_id = leftover->record_id;
	r = publication_claim(&publication, &leftover->record_id, &had, flt);
	if (!r && had)
		r = publication_run(&publication, flt);
	if (r)
		fault_at(flt, "publishing %s", publication.name.text);
	if (told && (r || had))
		told(user, publication.what, &publication.result, r, flt);
	publication_release(&publication);
	return r;
}

int publish_resume(struct publisher *publisher, publish_resumed *told, void *user, struct fault *flt)
{
	struct dead_mount *leftovers = NULL;
	size_t count = 0;
	int worst = begin_call(publisher, flt);

	if (worst)
		return worst;
	worst = leftovers_list(publisher, NULL, &leftovers, &count, flt);
	for (size_t i = 0; i < count; i++) {
		struct fault own = {0};
		int r = resume_one(publisher, &leftovers[i], told, user, &own);

		if (r && worst != WARG_INVALID)
			worst = r;
		if (r && flt && !flt->verdict)
			*flt = own;
	}
	free(leftovers);
	end_call(publisher);
	return worst;
}

/* ---- Waiting ---- */

clock_ms publisher_deadline(const struct publisher *publisher)
{
	return clock_in_seconds(publisher->options.timeout);
}

struct retry_delay retry_delay_new(clock_ms deadline, int first, int longest)
{
	return (struct retry_delay){deadline, first, longest};
}

bool retry_delay_has(const struct retry_delay *patience, unsigned seconds)
{
	return patience->deadline - clock_now() > (clock_ms)seconds * 1000;
}

bool retry_delay_helps(const struct fault *flt)
{
	return flt->kind == FAULT_UNREACHABLE || flt->kind == FAULT_TIMEOUT;
}

/* @return false when the publisher is closed */
static bool sleep_until(struct publisher *publisher, clock_ms when)
{
	struct timespec at = {.tv_sec = when / 1000, .tv_nsec = when % 1000 * 1000000};
	bool closing;

	pthread_mutex_lock(&publisher->mutex);
	while (!publisher->closing && clock_now() < when)
		pthread_cond_timedwait(&publisher->changed, &publisher->mutex, &at);
	closing = publisher->closing;
	pthread_mutex_unlock(&publisher->mutex);
	return !closing;
}

int retry_delay_wait(struct publisher *publisher, struct retry_delay *patience, unsigned seconds, struct fault *flt)
{
	clock_ms now = clock_now(), pause = patience->pause;

	if (patience->deadline <= now || !retry_delay_has(patience, seconds))
		return fault_undecided(flt, FAULT_TIMEOUT, "the registry is not through with it after %u seconds",
				       publisher->options.timeout);
	if (pause < (clock_ms)seconds * 1000)
		pause = (clock_ms)seconds * 1000;
	if (pause > patience->deadline - now)
		pause = patience->deadline - now;
	patience->pause += patience->pause / 2 + 1;
	if (patience->pause > patience->longest)
		patience->pause = patience->longest;
	return sleep_until(publisher, now + pause) ? 0 : cancelled(flt);
}

/* A waiter whose wait ends when the publisher is closed. */
struct wait {
	struct waiter waiter; /* first, so that one is found from the other */
	struct publisher *publisher;
	bool is_done;
	int verdict;
	struct fault fault;
};

static void done(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct wait *wait = (struct wait *)waiter;
	struct publisher *publisher = wait->publisher;

	pthread_mutex_lock(&publisher->mutex);
	wait->verdict = verdict;
	if (verdict)
		wait->fault = *flt;
	wait->is_done = true;
	pthread_cond_broadcast(&publisher->changed);
	pthread_mutex_unlock(&publisher->mutex);
}

static void await(struct wait *wait)
{
	struct publisher *publisher = wait->publisher;
	bool is_done;

	pthread_mutex_lock(&publisher->mutex);
	while (!wait->is_done && !publisher->closing)
		pthread_cond_wait(&publisher->changed, &publisher->mutex);
	is_done = wait->is_done;
	pthread_mutex_unlock(&publisher->mutex);
	if (is_done)
		return;
	if (registry_leave(publisher->options.registry, &wait->waiter)) {
		wait->verdict = cancelled(&wait->fault);
		return;
	}
	pthread_mutex_lock(&publisher->mutex);
	while (!wait->is_done)
		pthread_cond_wait(&publisher->changed, &publisher->mutex);
	pthread_mutex_unlock(&publisher->mutex);
}

/* One whose log failed is shown as it was proven before: nothing is to be signed on top of that, nor waited for. */
static int check_package(const struct publisher *publisher, const struct name *name, struct fault *flt)
{
	struct view *view = registry_view(publisher->options.registry);
	const struct view_package *package = view_find(view, name);
	int r = package ? view_package_fault(package)->verdict : 0;

	if (r && flt && !flt->verdict)
		*flt = *package->fault;
	view_unref(view);
	return r;
}

static bool is_listed_whole(const struct view *view)
{
	return view->listing && view->listing->complete &&
	       view->listing->length == view->checkpoint.contents.log_length;
}

bool publisher_recall(const struct publisher *publisher, const struct name *name, bool *absent)
{
	struct registry *registry = publisher->options.registry;
	clock_ms round = registry_round(registry);
	const struct view_package *package;
	struct view *view;
	bool is_known;

	if (!round || clock_now() - round >= publisher->options.recent)
		return false;
	view = registry_view(registry);
	package = view_find(view, name);
	*absent = !package;
	is_known = package ? view_package_is_current(package) :
			     is_listed_whole(view) && !listing_has(view->listing, name);
	view_unref(view);
	return is_known;
}

static struct wait wait_new(struct publisher *publisher)
{
	return (struct wait){
		.waiter = {.done = done, .deadline = publisher_deadline(publisher)}, .publisher = publisher,
	};
}

static int end_of(const struct wait *wait, struct fault *flt)
{
	if (wait->verdict && flt && !flt->verdict)
		*flt = wait->fault;
	return wait->verdict;
}

int publisher_refresh(struct publisher *publisher, struct fault *flt)
{
	struct wait wait = wait_new(publisher);

	registry_want_refresh(publisher->options.registry, &wait.waiter);
	await(&wait);
	return end_of(&wait, flt);
}

int publisher_update(struct publisher *publisher, const struct name *name, bool *absent, struct fault *flt)
{
	struct wait waits[2] = {wait_new(publisher), wait_new(publisher)};
	int r;

	registry_want_update(publisher->options.registry, name, &waits[0].waiter, &waits[1].waiter);
	await(&waits[0]);
	await(&waits[1]);
	*absent = !waits[0].verdict && waits[1].verdict && waits[1].fault.kind == FAULT_ABSENT;
	r = end_of(&waits[0], flt);
	if (!r && !*absent)
		r = end_of(&waits[1], flt);
	return r ? r : check_package(publisher, name, flt);
}
