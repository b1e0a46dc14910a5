/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Namespaces that live in other registries (see federated.h).
 */
#include "federated.h"

#include "mount.h"
#include "invalidation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

int federated_find(const struct mount *mount, const struct path *path, struct namespaces_place *out, struct fault *flt)
{
	if (!path_has_namespace(path->kind) || !atomic_load(&mount->has_elsewhere)) {
		*out = (struct namespaces_place){.source = NAMESPACES_NOBODY};
		return 0;
	}
	return federation_find(mount->federation, path_namespace(path), out, flt);
}

struct registry *mount_registry(const struct mount *mount, const struct path *path)
{
	struct namespaces_place place;

	if (!path)
		return mount->registry;
	return federated_find(mount, path, &place, NULL) ? NULL : federation_registry(mount->federation, place.domain);
}

/* ---- Listing ---- */

static bool is_listed(const struct tree_entries *entries, const char *namespace)
{
	for (size_t i = 0; i < entries->count; i++)
		if (span_is(entries->entries[i].stem, namespace))
			return true;
	return false;
}

/* What counts, and names a registry. */
static bool counts(const struct namespaces_listed *listed)
{
	return !listed->overruled && listed->entry.domain[0];
}

static int add_all(struct tree_entries *entries, enum path_kind kind, const struct namespaces_listed *listed,
		   size_t count, struct fault *flt)
{
	struct tree_entry *grown = reallocarray(entries->entries, entries->count + count + 1, sizeof(*grown));

	if (!grown)
		return fault_no_memory(flt);
	entries->entries = grown;
	for (size_t i = 0; i < count; i++)
		if (counts(&listed[i]) && !is_listed(entries, listed[i].entry.namespace))
			grown[entries->count++] =
				(struct tree_entry){.kind = kind, .stem = span_of_text(listed[i].entry.namespace)};
	return 0;
}

int federated_list(const struct mount *mount, const struct path *folder, struct tree_entries *entries,
		   struct namespaces_listed **out, struct fault *flt)
{
	enum path_kind kind = path_parts_in(folder->kind);
	struct namespaces_listed *listed;
	size_t count;
	int verdict;

	*out = NULL;
	if (kind == PATH_KINDS || !path_is_called_namespace(kind))
		return 0;
	verdict = federation_list(mount->federation, &listed, &count, flt);
	if (verdict)
		return verdict;
	verdict = add_all(entries, kind, listed, count, flt);
	if (verdict)
		free(listed);
	else
		*out = listed;
	return verdict;
}

/* ---- Other registries ---- */

/* What the callbacks of one get. */
struct channel {
	struct channel *next;
	struct mount *mount;
	struct invalidation *invalidation;
	char domain[CAP_DOMAIN + 1];
};

static void changed(void *user, const struct view *before, const struct view *after)
{
	struct channel *channel = user;

	invalidation_changed(channel->invalidation, before, after);
}

static bool is_needed(void *user, const struct name *package)
{
	const struct channel *channel = user;

	return mount_needs(channel->mount, package);
}

static void failed(void *user, const struct fault *flt)
{
	struct channel *channel = user;
	struct fault own = *flt;

	fault_at(&own, "registry %.100s", channel->domain);
	mount_failed(channel->mount, &own);
}

static void channel_free(struct channel *channel)
{
	invalidation_free(channel->invalidation);
	free(channel);
}

/* One that was made for an attempt to open the registry that failed. The mutex is held. */
static struct channel *find_channel(struct mount *mount, const char *domain)
{
	struct channel *channel = mount->channels;

	while (channel && strcmp(channel->domain, domain))
		channel = channel->next;
	return channel;
}

/* @return NULL, and the fault, if there can be none */
static struct channel *channel_new(struct mount *mount, const char *domain, struct fault *flt)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel) {
		fault_no_memory(flt);
		return NULL;
	}
	channel->mount = mount;
	snprintf(channel->domain, sizeof(channel->domain), "%s", domain);
	if (invalidation_new(mount, &channel->invalidation, flt) || invalidation_start(channel->invalidation, flt)) {
		channel_free(channel);
		return NULL;
	}
	return channel;
}

/* The mutex is held. */
static int configure_registry(struct mount *mount, const char *domain, struct registry_options *options,
			      struct fault *flt)
{
	struct channel *channel;

	if (mount->elsewhere_stopped)
		return fault_undecided(flt, FAULT_CANCELLED, "the mount is at its end");
	channel = find_channel(mount, domain);
	if (!channel) {
		channel = channel_new(mount, domain, flt);
		if (!channel)
			return flt->verdict;
		channel->next = mount->channels;
		mount->channels = channel;
	}
	options->changed = changed;
	options->is_needed = is_needed;
	options->failed = failed;
	options->user = channel;
	return 0;
}

int federated_configure_registry(void *host, const char *domain, struct registry_options *options, struct fault *flt)
{
	struct mount *mount = host;
	int verdict;

	pthread_mutex_lock(&mount->elsewhere_mutex);
	verdict = configure_registry(mount, domain, options, flt);
	pthread_mutex_unlock(&mount->elsewhere_mutex);
	return verdict;
}

void federated_stop(struct mount *mount)
{
	pthread_mutex_lock(&mount->elsewhere_mutex);
	mount->elsewhere_stopped = true;
	pthread_mutex_unlock(&mount->elsewhere_mutex);
	for (struct channel *channel = mount->channels; channel; channel = channel->next)
		invalidation_stop(channel->invalidation);
}

void federated_release(struct mount *mount)
{
	for (struct channel *channel = mount->channels, *next; channel; channel = next) {
		next = channel->next;
		channel_free(channel);
	}
	free(mount->elsewhere);
	if (mount->watch >= 0)
		close(mount->watch);
}

/* ---- The map ---- */

static const struct namespaces_listed *find(const struct namespaces_listed *listed, size_t count, const char *namespace)
{
	for (size_t i = 0; i < count; i++)
		if (counts(&listed[i]) && !strcmp(listed[i].entry.namespace, namespace))
			return &listed[i];
	return NULL;
}

/* Those of one list that the other does not have, or has elsewhere. */
static void tell_differences(struct mount *mount, const struct namespaces_listed *some, size_t count,
			     const struct namespaces_listed *others, size_t other_count)
{
	for (size_t i = 0; i < count; i++) {
		const struct namespaces_entry *entry = &some[i].entry;
		const struct namespaces_listed *same;

		if (!counts(&some[i]))
			continue;
		same = find(others, other_count, entry->namespace);
		if (!same || strcmp(same->entry.domain, entry->domain))
			invalidation_namespace_changed(mount->invalidation, entry->namespace);
	}
}

/*
 * Nothing lives elsewhere, as this operator's log has it: so nobody needs to look until that changes. Without a watch
 * nobody would tell when the map does.
 */
static void rest(struct mount *mount, const struct operator_log *operator)
{
	struct view *view;

	if (mount->watch < 0)
		return;
	atomic_store(&mount->has_elsewhere, false);
	/* What changed before this was told before this, and would be forgotten. */
	view = registry_view(mount->registry);
	if (view->operator != operator)
		atomic_store(&mount->has_elsewhere, true);
	view_unref(view);
}

static void look(struct mount *mount)
{
	struct view *view = registry_view(mount->registry);
	struct namespaces_listed *listed = NULL;
	struct fault flt = {0};
	size_t count = 0;

	atomic_store(&mount->has_elsewhere, true);
	if (federation_list(mount->federation, &listed, &count, &flt)) {
		mount_failed(mount, &flt);
		view_unref(view);
		return;
	}
	if (!count)
		rest(mount, view->operator);
	tell_differences(mount, listed, count, mount->elsewhere, mount->elsewhere_count);
	tell_differences(mount, mount->elsewhere, mount->elsewhere_count, listed, count);
	free(mount->elsewhere);
	mount->elsewhere = listed;
	mount->elsewhere_count = count;
	view_unref(view);
}

int federated_watch(struct mount *mount)
{
	const char *path = federation_map(mount->federation);
	const char *slash = path ? strrchr(path, '/') : NULL;
	char *folder = slash ? strndup(path, slash == path ? 1 : (size_t)(slash - path)) : NULL;

	if (folder)
		mount->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	/* Without a watch a namespace appears when the kernel asks again. */
	if (mount->watch >= 0 &&
	    inotify_add_watch(mount->watch, folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE) < 0) {
		close(mount->watch);
		mount->watch = -1;
	}
	free(folder);
	look(mount);
	return mount->watch;
}

void federated_operator_changed(struct mount *mount)
{
	atomic_store(&mount->has_elsewhere, true);
}

void federated_look(struct mount *mount)
{
	char events[4096];

	while (read(mount->watch, events, sizeof(events)) > 0)
		continue;
	look(mount);
}
