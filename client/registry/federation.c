/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The home registry and the others: who is open, and what is known of where namespaces live (see federation.h).
 */
#include "federation_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Threads that open registries' folders: disk work, of a moment. */
#define OPENERS 1

/* ---- Hints ---- */

/* Called by the home registry's updater. Which hints are good for anything is judged when somebody wants one. */
static void note_hint(void *user, const struct name *package, const char *domain)
{
	struct federation *federation = user;
	struct span namespace = name_namespace(package);
	size_t at = 0;

	pthread_mutex_lock(&federation->mutex);
	while (at < federation->hint_count && !span_is(namespace, federation->hints[at].namespace))
		at++;
	if (at < CAP_HINTS) {
		struct federation_hint *hint = &federation->hints[at];

		snprintf(hint->namespace, sizeof(hint->namespace), "%.*s", (int)namespace.length,
			 (const char *)namespace.data);
		snprintf(hint->domain, sizeof(hint->domain), "%s", domain);
		if (at == federation->hint_count)
			federation->hint_count++;
	}
	pthread_mutex_unlock(&federation->mutex);
}

bool federation_take_hint(struct federation *federation, struct span namespace, char domain[static CAP_DOMAIN + 1])
{
	bool found = false;

	pthread_mutex_lock(&federation->mutex);
	for (size_t i = 0; i < federation->hint_count && !found; i++) {
		struct federation_hint *hint = &federation->hints[i];

		found = span_is(namespace, hint->namespace);
		if (!found)
			continue;
		memcpy(domain, hint->domain, sizeof(hint->domain));
		*hint = federation->hints[--federation->hint_count];
	}
	pthread_mutex_unlock(&federation->mutex);
	return found;
}

/* ---- Opening and closing ---- */

int federation_open(const struct federation_options *options, struct federation **out, struct fault *flt)
{
	struct federation *federation = calloc(1, sizeof(*federation));
	struct registry_options home = options->home;
	int r;

	if (!federation)
		return fault_no_memory(flt);
	federation->options = *options;
	federation->options.home.operator_key = NULL; /* the home registry's alone */
	federation->options.home.credential = credential_ref(options->home.credential);
	pthread_mutex_init(&federation->mutex, NULL);
	pthread_cond_init(&federation->joined, NULL);
	home.hinted = options->hints == FEDERATION_HINTS_IGNORED ? NULL : note_hint;
	home.hint_user = federation;
	r = deadlines_new(&federation->deadlines, flt);
	home.deadlines = federation->deadlines;
	if (!r)
		r = registry_open(&home, &federation->home, flt);
	if (r)
		federation_close(federation);
	else
		*out = federation;
	return r;
}

void federation_close(struct federation *federation)
{
	if (!federation)
		return;
	pthread_mutex_lock(&federation->mutex);
	federation->closing = true;
	pthread_mutex_unlock(&federation->mutex);
	http_free(federation->http);
	workers_free(federation->workers);
	for (size_t i = 0; i < federation->count; i++) {
		struct federation_other *other = federation->others[i];

		if (other->registry != federation->home)
			registry_close(other->registry);
		free(other);
	}
	registry_close(federation->home);
	credential_unref(federation->options.home.credential);
	deadlines_free(federation->deadlines);
	namespaces_release(&federation->map);
	pthread_cond_destroy(&federation->joined);
	pthread_mutex_destroy(&federation->mutex);
	free(federation);
}

struct registry *federation_home(struct federation *federation)
{
	return federation->home;
}

struct deadlines *federation_deadlines(struct federation *federation)
{
	return federation->deadlines;
}

const char *federation_map(const struct federation *federation)
{
	return federation->options.map;
}

/* ---- What is known ---- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Read the map where its file is another one than before: other programs write it, too. The mutex is held. */
static int read_map(struct federation *federation, struct fault *flt)
{
	struct namespaces map;
	struct stat seen;
	int r;

	if (!federation->options.map)
		return 0;
	if (stat(federation->options.map, &seen))
		seen = (struct stat){0};
	if (is_same_file(&seen, &federation->map_seen))
		return 0;
	r = namespaces_load(federation->options.map, &map, flt);
	if (r)
		return r;
	namespaces_release(&federation->map);
	federation->map = map;
	federation->map_seen = seen;
	return 0;
}

int federation_find(struct federation *federation, struct span namespace, struct namespaces_place *out,
		    struct fault *flt)
{
	struct view *view = registry_view(federation->home);
	bool is_told = view->operator && operator_log_find(view->operator, namespace);
	int r;

	pthread_mutex_lock(&federation->mutex);
	r = is_told ? 0 : read_map(federation, flt);
	if (!r)
		r = namespaces_find(view->operator, &federation->map, namespace, out, flt);
	pthread_mutex_unlock(&federation->mutex);
	view_unref(view);
	return r;
}

int federation_list(struct federation *federation, struct namespaces_listed **out, size_t *count, struct fault *flt)
{
	struct view *view = registry_view(federation->home);
	int r;

	pthread_mutex_lock(&federation->mutex);
	r = read_map(federation, flt);
	if (!r)
		r = namespaces_list(view->operator, &federation->map, out, count, flt);
	pthread_mutex_unlock(&federation->mutex);
	view_unref(view);
	return r;
}

static struct federation_other *find_other(struct federation *federation, const char *domain)
{
	for (size_t i = 0; i < federation->count; i++)
		if (!strcmp(federation->others[i]->domain, domain))
			return federation->others[i];
	return NULL;
}

struct registry *federation_registry(struct federation *federation, const char *domain)
{
	struct federation_other *other;
	struct registry *registry;

	if (!domain[0])
		return federation->home;
	pthread_mutex_lock(&federation->mutex);
	other = find_other(federation, domain);
	registry = other ? other->registry : NULL;
	pthread_mutex_unlock(&federation->mutex);
	return registry;
}

const char *federation_name_of(struct federation *federation, const struct registry *registry)
{
	const char *name = http_url_name(registry_url(registry));

	pthread_mutex_lock(&federation->mutex);
	for (size_t i = 0; registry != federation->home && i < federation->count; i++)
		if (federation->others[i]->registry == registry)
			name = federation->others[i]->domain;
	pthread_mutex_unlock(&federation->mutex);
	return name;
}

size_t federation_registries(struct federation *federation, struct registry *out[static CAP_REGISTRIES + 1])
{
	size_t count = 0;

	out[count++] = federation->home;
	pthread_mutex_lock(&federation->mutex);
	for (size_t i = 0; i < federation->count; i++) {
		struct registry *registry = federation->others[i]->registry;

		if (registry && registry != federation->home)
			out[count++] = registry;
	}
	pthread_mutex_unlock(&federation->mutex);
	return count;
}

/* ---- Wants ---- */

static int make_openers(struct federation *federation, struct fault *flt)
{
	int r = federation->workers ? 0 : workers_new(OPENERS, &federation->workers, flt);

	if (r || federation->http)
		return r;
	r = http_new(&federation->http, flt);
	if (!r && federation->options.home.offline)
		http_go_offline(federation->http);
	return r;
}

static int add_other(struct federation *federation, const char *domain, struct federation_other **out,
		     struct fault *flt)
{
	const struct http_url *home = registry_url(federation->home);
	struct federation_other *other;
	int r;

	if (federation->count == CAP_REGISTRIES)
		return fault_undecided(flt, FAULT_LIMIT, "more than %d other registries", CAP_REGISTRIES);
	other = calloc(1, sizeof(*other));
	if (!other)
		return fault_no_memory(flt);
	other->federation = federation;
	snprintf(other->domain, sizeof(other->domain), "%s", domain);
	r = domain_url(domain, home, &other->url, flt);
	if (r) {
		free(other);
		return r;
	}
	if (!strcmp(other->url.text, home->text))
		other->registry = federation->home;
	federation->others[federation->count++] = other;
	*out = other;
	return 0;
}

/* The registry, made if need be. The mutex is held. */
static int find_or_add(struct federation *federation, const char *domain, struct federation_other **out,
		       struct fault *flt)
{
	if (federation->closing)
		return fault_undecided(flt, FAULT_CANCELLED, "the registry is being closed");
	*out = find_other(federation, domain);
	if (*out)
		return 0;
	if (make_openers(federation, flt))
		return WARG_UNDECIDED;
	return add_other(federation, domain, out, flt);
}

/* A verdict for one waiter, as if it had been waited for. */
static void tell(struct federation *federation, struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct completion completion = {0};

	completion_join(federation->deadlines, &completion, waiter);
	completion_finish(federation->deadlines, &completion, verdict, flt);
}

void federation_want_registry(struct federation *federation, const char *domain, struct waiter *waiter)
{
	struct federation_other *other = NULL;
	struct completion *completion = NULL;
	struct fault flt = {0};
	bool begins = false;
	int r = 0;

	pthread_mutex_lock(&federation->mutex);
	if (domain[0])
		r = find_or_add(federation, domain, &other, &flt);
	if (!r && other && other->registry)
		other = NULL;
	if (!r && other) {
		begins = !other->completion;
		/* A new completion each time: a waiter that arrives while the last one is finished joins the next. */
		if (begins)
			other->completion = calloc(1, sizeof(*other->completion));
		completion = other->completion;
		if (!completion)
			r = fault_no_memory(&flt);
		else
			other->joining++;
	}
	pthread_mutex_unlock(&federation->mutex);
	if (r || !other) {
		tell(federation, waiter, r, &flt);
		return;
	}
	completion_join(federation->deadlines, completion, waiter);
	pthread_mutex_lock(&federation->mutex);
	other->joining--;
	pthread_cond_broadcast(&federation->joined);
	pthread_mutex_unlock(&federation->mutex);
	if (begins)
		federation_begin(other);
}

bool federation_leave(struct federation *federation, struct waiter *waiter)
{
	return completion_leave(federation->deadlines, waiter);
}
