/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opening another registry: the home registry is asked whether it speaks for it, then the registry itself which URL it
 * is at (see federation.h). All on the event loop, but for what touches the disk.
 */
#include "client/store/discovery.h"
#include "federation_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct federation_other *other_of_job(struct job *job)
{
	return (struct federation_other *)(void *)((char *)job - offsetof(struct federation_other, job));
}

/* It is open, or why it is not. Whoever comes later has it tried anew. */
static void complete_opening(struct federation_other *other, int verdict, struct fault *flt)
{
	struct federation *federation = other->federation;
	struct completion *completion;

	if (verdict && other->refused.verdict)
		fault_add(flt, "the home registry does not speak for it: %.80s", other->refused.what);
	fault_at(flt, "registry %.100s", other->domain);
	pthread_mutex_lock(&federation->mutex);
	while (other->joining)
		pthread_cond_wait(&federation->joined, &federation->mutex);
	completion = other->completion;
	other->completion = NULL;
	pthread_mutex_unlock(&federation->mutex);
	completion_finish(federation->deadlines, completion, verdict, flt);
	free(completion);
}

/* ---- On a worker ---- */

/* What is remembered of a registry that the home registry speaks for. No URL's label has '@' before '_'. */
static int name_trust(const struct federation_other *other, struct buf *out, struct fault *flt)
{
	const struct http_url *home = registry_url(other->federation->home);

	return buf_append_format(out, flt, "%s@%s%c", other->url.label, home->label, 0);
}

/* @param key  storage for the key that options->operator_key points to */
static int demand_key(const struct federation_other *other, struct digest *key, struct registry_options *options,
		      struct fault *flt)
{
	const struct federation_options *federation = &other->federation->options;
	bool found = false;
	int r = 0;

	if (federation->find_operator_key)
		r = federation->find_operator_key(federation->user, &other->url, key, &found, flt);
	options->operator_key = found ? key : NULL;
	return r;
}

static int open_there(struct federation_other *other, struct registry **out, struct fault *flt)
{
	const struct federation_options *federation = &other->federation->options;
	struct registry_options options = federation->home;
	struct credential *own = NULL;
	struct digest key;
	struct buf trust;
	int r;

	buf_init(&trust, 2 * CAP_URL);
	options.folder = other->domain;
	options.hinted = NULL;
	options.deadlines = other->federation->deadlines;
	options.found_by = NULL;
	r = demand_key(other, &key, &options, flt);
	if (r) {
		/* An unreadable demand must not open the registry without one. */
	} else if (other->is_spoken_for) {
		r = name_trust(other, &trust, flt);
		options.domain = other->domain;
		options.trusted_as = (const char *)trust.data;
	} else {
		/* Send another registry only its own token: it is looked up when that registry answers 401. */
		options.url = other->found;
		options.found_by = &other->url;
		r = credential_new(&other->found, (struct span){0}, &federation->tokens, &own, flt);
		options.credential = own;
	}
	if (!r && federation->configure_registry)
		r = federation->configure_registry(federation->host, other->domain, &options, flt);
	if (!r)
		r = registry_open(&options, out, flt);
	credential_unref(own);
	buf_release(&trust);
	return r;
}

/* Check discovery's result against the pin. If discovery failed, use the pin, so that the cache can be read offline. */
static int settle_url(struct federation_other *other, struct fault *flt)
{
	const char *state_dir = other->federation->options.home.state_dir;

	if (!state_dir && other->unreached.verdict)
		other->found = other->url;
	if (!state_dir)
		return 0;
	return other->unreached.verdict ? discovery_recall(state_dir, &other->url, &other->found, flt) :
					  discovery_check(state_dir, &other->url, &other->found, flt);
}

/* Without the network it is as good as open only if the cache proves something of it. */
static int check_cache(const struct federation_other *other, struct registry *registry, struct fault *flt)
{
	struct fault start = {0};

	if (!other->unreached.verdict)
		return 0;
	registry_start_fault(registry, &start);
	if (!start.verdict)
		return 0;
	registry_close(registry);
	fault_pass(&other->unreached, flt);
	return other->unreached.verdict;
}

static bool is_closing(struct federation *federation)
{
	bool closing;

	pthread_mutex_lock(&federation->mutex);
	closing = federation->closing;
	pthread_mutex_unlock(&federation->mutex);
	return closing;
}

static void open_folder(struct job *job)
{
	struct federation_other *other = other_of_job(job);
	struct federation *federation = other->federation;
	struct registry *registry = NULL;
	struct fault flt = {0};
	int r = 0;

	if (!other->is_spoken_for)
		r = settle_url(other, &flt);
	if (r)
		registry = NULL;
	else if (is_closing(federation))
		r = fault_undecided(&flt, FAULT_CANCELLED, "the registry is being closed");
	else if (!other->is_spoken_for && !strcmp(other->found.text, registry_url(federation->home)->text))
		registry = federation->home;
	else
		r = open_there(other, &registry, &flt);
	if (!r && registry != federation->home)
		r = check_cache(other, registry, &flt);
	if (!r) {
		pthread_mutex_lock(&federation->mutex);
		other->registry = registry;
		pthread_mutex_unlock(&federation->mutex);
	}
	complete_opening(other, r, &flt);
}

static void have_folder_opened(struct federation_other *other)
{
	other->job.run = open_folder;
	workers_run(other->federation->workers, &other->job);
}

/* ---- On the event loop ---- */

static void start(struct federation_other *other, void (*done)(struct http_exchange *exchange))
{
	other->call.exchange.done = done;
	other->call.exchange.user = other;
	http_start(other->federation->http, &other->call.exchange);
}

static clock_ms deadline_of(const struct federation_other *other)
{
	return registry_deadline(other->federation->home);
}

/* A home registry that says nothing to it leaves as much time for the other one. */
static clock_ms deadline_of_home(const struct federation_other *other)
{
	return clock_now() + clock_left(deadline_of(other)) / 2;
}

static void discovered(struct http_exchange *exchange)
{
	struct federation_other *other = exchange->user;
	struct fault flt = {0};
	int r = api_decode_discovery(&other->url, exchange, &other->found, &flt);

	api_call_release(&other->call);
	if (r && other->federation->options.home.starts_from_cache &&
	    (flt.kind == FAULT_UNREACHABLE || flt.kind == FAULT_TIMEOUT))
		other->unreached = flt;
	if (r && !other->unreached.verdict)
		complete_opening(other, r, &flt);
	else
		have_folder_opened(other);
}

static void discover(struct federation_other *other)
{
	struct fault flt = {0};

	if (!api_begin_discovery(&other->call, &other->url, deadline_of(other), &flt)) {
		start(other, discovered);
		return;
	}
	api_call_release(&other->call);
	complete_opening(other, flt.verdict, &flt);
}

/* Whether the home registry's operator knows the key: then Warg-Registry was passed over. */
static bool is_of_home(struct federation *federation, const struct digest *key_id)
{
	struct view *view = registry_view(federation->home);
	bool is = log_keys_find(operator_log_keys(view->operator), key_id);

	view_unref(view);
	return is;
}

static void home_answered(struct http_exchange *exchange)
{
	struct federation_other *other = exchange->user;
	struct federation *federation = other->federation;
	struct signed_checkpoint checkpoint;
	bool is_silent = exchange->status == 501 || exchange->fault.kind == FAULT_TIMEOUT;

	if (!api_decode_checkpoint(exchange, &checkpoint, &other->refused) &&
	    is_of_home(federation, &checkpoint.key_id)) {
		fault_undecided(&other->refused, FAULT_REFUSED, "it answers for itself");
		is_silent = true;
	}
	api_call_release(&other->call);
	if (is_silent) {
		pthread_mutex_lock(&federation->mutex);
		federation->is_silent = true;
		pthread_mutex_unlock(&federation->mutex);
	}
	other->is_spoken_for = !other->refused.verdict;
	if (other->is_spoken_for)
		have_folder_opened(other);
	else if (other->refused.kind == FAULT_CANCELLED)
		complete_opening(other, other->refused.verdict, &other->refused);
	else
		discover(other);
}

/* Whether to ask: an answer can only be told from the home registry's own by who knows that one's keys. */
static bool may_speak(struct federation *federation)
{
	struct view *view = registry_view(federation->home);
	bool may;

	pthread_mutex_lock(&federation->mutex);
	may = !federation->is_silent && view->operator;
	pthread_mutex_unlock(&federation->mutex);
	view_unref(view);
	return may;
}

void federation_begin(struct federation_other *other)
{
	struct federation *federation = other->federation;
	const struct api api = {
		.url = registry_url(federation->home),
		.registry = other->domain,
		.credential = federation->options.home.credential,
	};
	struct fault flt = {0};

	other->unreached = other->refused = (struct fault){0};
	other->is_spoken_for = false;
	if (!may_speak(federation)) {
		discover(other);
	} else if (!api_begin_checkpoint(&other->call, &api, deadline_of_home(other), &flt)) {
		start(other, home_answered);
	} else {
		api_call_release(&other->call);
		complete_opening(other, flt.verdict, &flt);
	}
}
