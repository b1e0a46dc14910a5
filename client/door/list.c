/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Walks over namespaces, packages and releases (see warg.h).
 */
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify/array.h"

static const struct door_watch listing_watch = {.what = "listing"};

int warg_refresh(struct warg *warg, uint64_t *log_length)
{
	struct fault flt = {0};
	struct view *view;
	int r = door_need(warg, "a handle", &flt);

	if (!r)
		r = door_refresh(warg, warg->home, &flt);
	if (r)
		return door_return(r, &flt);
	view = registry_view(warg->home);
	if (log_length)
		*log_length = view->checkpoint.contents.log_length;
	view_unref(view);
	return 0;
}

/* ---- Names ---- */

/* Texts, borrowed. Those of a listing are many: doubles next to each other are left out at once. */
struct names {
	struct span *items; /* owned */
	size_t count, capacity;
};

static int compare(const void *left, const void *right)
{
	const struct span *a = left, *b = right;
	int order = memcmp(a->data, b->data, a->length < b->length ? a->length : b->length);

	return order ? order : (a->length > b->length) - (a->length < b->length);
}

static int add(struct names *names, struct span text, struct fault *flt)
{
	int r;

	if (names->count && span_equals(names->items[names->count - 1], text))
		return 0;
	r = array_reserve(&names->items, names->count, &names->capacity, sizeof(*names->items), flt);
	if (r)
		return r;
	names->items[names->count++] = text;
	return 0;
}

/* A namespace or a package's whole name. */
#define NAME_SIZE (CAP_NAME_PART * 2 + 2)

/* Call `each` for each of them, once, in their order. */
static void walk(struct names *names, int (*each)(void *user, const char *name), void *user)
{
	char text[NAME_SIZE];

	if (names->count)
		qsort(names->items, names->count, sizeof(*names->items), compare);
	for (size_t i = 0; i < names->count; i++) {
		if (i && span_equals(names->items[i], names->items[i - 1]))
			continue;
		snprintf(text, sizeof(text), "%.*s", (int)names->items[i].length, (const char *)names->items[i].data);
		if (each(user, text))
			return;
	}
}

/* What view_trie_each() visits with. */
struct gathering {
	struct names *names;
	struct span namespace; /* whose packages are wanted */
	struct fault *flt;
};

/* ---- The listing ---- */

/* Offline, what the cache proves will do, and be it nothing. */
static int bring_listing(const struct warg *warg, struct registry *registry, struct view **view, struct fault *flt)
{
	struct fault own = {0};
	struct door_wait wait;
	int r = door_ask(warg, &listing_watch, flt);

	if (r)
		return r;
	door_wait_init(&wait, registry_deadline(registry));
	if (warg->is_offline)
		registry_want_spare(registry, NULL, 0, &wait.waiter);
	else
		registry_want_listing(registry, &wait.waiter);
	r = door_wait_end(warg, &wait, &listing_watch, &own);
	if (r && !(warg->is_offline && own.kind == FAULT_UNREACHABLE)) {
		fault_pass(&own, flt);
		return r;
	}
	*view = registry_view(registry);
	return 0;
}

static int is_complete(const struct warg *warg, const struct view *view)
{
	return !warg->is_offline && view->listing && view->listing->complete;
}

/* ---- Namespaces ---- */

static int gather_namespace_of(void *user, const struct view_package *package)
{
	struct gathering *gathering = user;

	return add(gathering->names, package_log_name_namespace(package->log), gathering->flt);
}

static int gather_namespaces(const struct view *view, struct names *names, struct fault *flt)
{
	struct gathering gathering = {.names = names, .flt = flt};
	size_t count = 0;
	const struct operator_namespace *defined =
		view->operator ? operator_log_namespaces(view->operator, &count) : NULL;
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		if (!defined[i].registry)
			r = add(names, span_of_text(defined[i].name), flt);
	for (size_t i = 0; !r && view->listing && i < view->listing->names.count; i++)
		r = add(names, name_list_namespace(&view->listing->names, i), flt);
	return r ? r : view_trie_each(&view->packages, gather_namespace_of, &gathering);
}

static int each_namespace(struct warg *warg, int (*each)(void *user, const char *name), void *user, int *complete,
			  struct fault *flt)
{
	struct namespaces_listed *elsewhere = NULL;
	struct names names = {0};
	struct view *view = NULL;
	size_t count = 0;
	int r = door_refresh(warg, warg->home, flt);

	if (!r)
		r = bring_listing(warg, warg->home, &view, flt);
	if (r)
		return r;
	r = gather_namespaces(view, &names, flt);
	if (!r)
		r = federation_list(warg->federation, &elsewhere, &count, flt);
	for (size_t i = 0; !r && i < count; i++)
		if (!elsewhere[i].overruled && elsewhere[i].entry.domain[0])
			r = add(&names, span_of_text(elsewhere[i].entry.namespace), flt);
	if (!r && complete)
		*complete = is_complete(warg, view);
	if (!r)
		walk(&names, each, user);
	free(elsewhere);
	free(names.items);
	view_unref(view);
	return r;
}

int warg_each_namespace(struct warg *warg, int (*each)(void *user, const char *name), void *user, int *complete)
{
	struct fault flt = {0};
	int r = door_need(warg && each, "a handle, and a function to call,", &flt);

	if (!r)
		r = each_namespace(warg, each, user, complete, &flt);
	return door_return(r, &flt);
}

/* ---- Packages ---- */

static int gather_package(void *user, const struct view_package *package)
{
	struct gathering *gathering = user;

	if (!span_equals(package_log_name_namespace(package->log), gathering->namespace))
		return 0;
	return add(gathering->names, span_of_text(view_package_name_text(package)), gathering->flt);
}

static int gather_packages(const struct view *view, struct span namespace, struct names *names, struct fault *flt)
{
	struct gathering gathering = {.names = names, .namespace = namespace, .flt = flt};
	const struct listing *listing = view->listing;
	int r = 0;

	for (size_t i = listing ? listing_first_in(listing, namespace) : 0;
	     !r && listing && i < listing->names.count &&
	     span_equals(name_list_namespace(&listing->names, i), namespace);
	     i++)
		r = add(names, span_of_text(name_list_text(&listing->names, i)), flt);
	return r ? r : view_trie_each(&view->packages, gather_package, &gathering);
}

static bool defines(const struct view *view, struct span namespace)
{
	const struct operator_namespace *found = view->operator ? operator_log_find(view->operator, namespace) : NULL;

	return found && !found->registry;
}

static int each_package(struct warg *warg, const char *namespace, int (*each)(void *user, const char *package),
			void *user, int *complete, struct fault *flt)
{
	struct span text = span_of_text(namespace);
	struct registry *registry = NULL;
	struct names names = {0};
	struct view *view = NULL;
	int r = door_find_registry(warg, text, true, &registry, flt);

	if (!r)
		r = bring_listing(warg, registry, &view, flt);
	if (r)
		return r;
	r = gather_packages(view, text, &names, flt);
	if (!r && !names.count && !defines(view, text) && is_complete(warg, view)) {
		r = fault_undecided(flt, FAULT_ABSENT, "has no namespace %.100s", namespace);
		fault_subject(flt, "%s", registry_name(registry));
	}
	if (!r && complete)
		*complete = is_complete(warg, view);
	if (!r)
		walk(&names, each, user);
	free(names.items);
	view_unref(view);
	return r;
}

int warg_each_package(struct warg *warg, const char *name_space, int (*each)(void *user, const char *package),
		      void *user, int *complete)
{
	struct fault flt = {0};
	int r = door_need(warg && each, "a handle, and a function to call,", &flt);

	if (!r)
		r = door_need(name_space && name_is_part(span_of_text(name_space)), "a namespace's name", &flt);
	if (!r)
		r = each_package(warg, name_space, each, user, complete, &flt);
	return door_return(r, &flt);
}

/* ---- Releases ---- */

static int each_release(struct warg *warg, const struct name *name,
			int (*each)(void *user, const struct warg_release *release), void *user, struct fault *flt)
{
	const struct view_package *package;
	const struct package_release *releases;
	struct door_release shown;
	struct registry *registry;
	struct view *view;
	size_t count;
	int r = door_bring_package(warg, name, &registry, &view, &package, flt);

	if (r)
		return r;
	releases = package_log_releases(package->log, &count);
	for (size_t i = 0; i < count; i++) {
		door_fill_release(name, &releases[i], federation_name_of(warg->federation, registry), &shown);
		if (each(user, &shown.release))
			break;
	}
	view_unref(view);
	return 0;
}

int warg_each_release(struct warg *warg, const char *package,
		      int (*each)(void *user, const struct warg_release *release), void *user)
{
	struct fault flt = {0};
	struct name name;
	int r = door_need(warg && each, "a handle, and a function to call,", &flt);

	if (!r)
		r = door_read_name(package, &name, &flt);
	if (!r)
		r = each_release(warg, &name, each, user, &flt);
	return door_return(r, &flt);
}
