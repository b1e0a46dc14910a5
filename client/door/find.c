/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Bringing registries, packages and listings to the newest checkpoint, with waits that a callback can end (see door.h).
 */
#include "door.h"

#include <stdio.h>
#include <string.h>

static const struct door_watch registry_watch = {.what = "registry"};
static const struct door_watch package_watch = {.what = "package"};

int door_refresh(const struct warg *warg, struct registry *registry, struct fault *flt)
{
	struct door_wait wait;
	int r = warg->is_offline ? 0 : door_ask(warg, &registry_watch, flt);

	if (r || warg->is_offline)
		return r;
	door_wait_init(&wait, registry_deadline(registry));
	registry_want_refresh(registry, &wait.waiter);
	return door_wait_end(warg, &wait, &registry_watch, flt);
}

/* @param domain  "": the home registry */
static int open_at(struct warg *warg, const char *domain, struct registry **out, struct fault *flt)
{
	struct registry *registry = federation_registry(warg->federation, domain);
	struct door_wait wait;
	int r = registry ? 0 : door_ask(warg, &registry_watch, flt);

	if (!r && !registry) {
		door_wait_init(&wait, registry_deadline(warg->home));
		federation_want_registry(warg->federation, domain, &wait.waiter);
		r = door_wait_end(warg, &wait, &registry_watch, flt);
		registry = r ? NULL : federation_registry(warg->federation, domain);
	}
	if (!r && !registry)
		r = fault_undecided(flt, FAULT_CANCELLED, "the registry was closed");
	if (!r)
		*out = registry;
	return r;
}

static bool is_verified(struct registry *registry)
{
	struct view *view = registry_view(registry);
	bool is = view->operator != NULL;

	view_unref(view);
	return is;
}

/* Say which registry it was, where that is not the home registry. */
static int tell_of(const struct warg *warg, const struct registry *registry, int r, struct fault *flt)
{
	if (r && registry != warg->home)
		fault_at(flt, "registry %.100s", federation_name_of(warg->federation, registry));
	return r;
}

int door_find_registry(struct warg *warg, struct span namespace, bool refresh, struct registry **out,
		       struct fault *flt)
{
	struct namespaces_place place;
	struct fault away = {0};
	int r;

	if (refresh || !is_verified(warg->home))
		door_refresh(warg, warg->home, &away);
	r = federation_find(warg->federation, namespace, &place, flt);
	if (r)
		return r;
	/* The map's word counts as much without the home registry. */
	if (away.verdict && (!place.domain[0] || away.kind == FAULT_CANCELLED)) {
		fault_pass(&away, flt);
		return away.verdict;
	}
	r = open_at(warg, place.domain, out, flt);
	if (!r && refresh && *out != warg->home)
		r = tell_of(warg, *out, door_refresh(warg, *out, flt), flt);
	return r;
}

/* ---- Packages ---- */

/* Offline, the package as the cache proves it. */
static int update(const struct warg *warg, struct registry *registry, const struct name *name, struct fault *flt)
{
	struct door_wait refreshed, package;
	struct fault own = {0};
	int r = door_ask(warg, &package_watch, flt), r_refresh = 0;

	if (r)
		return r;
	door_wait_init(&package, registry_deadline(registry));
	if (warg->is_offline) {
		registry_want_package(registry, name, &package.waiter);
	} else {
		door_wait_init(&refreshed, registry_deadline(registry));
		registry_want_update(registry, name, &refreshed.waiter, &package.waiter);
		r_refresh = door_wait_end(warg, &refreshed, &package_watch, flt);
	}
	r = door_wait_end(warg, &package, &package_watch, &own);
	if (r_refresh)
		return tell_of(warg, registry, r_refresh, flt);
	fault_pass(&own, flt);
	return tell_of(warg, registry, r, flt);
}

/*
 * The home registry's hint, where the options take one: federation_update() asks again, and follows it. The callback
 * cannot end that: its end is the timeout.
 */
static int follow_hint(struct warg *warg, const struct name *name, struct registry **registry, struct fault *flt)
{
	struct fault own = {0};

	federation_update(warg->federation, name, 1, registry, &own, NULL);
	fault_pass(&own, flt);
	return own.verdict;
}

static int bring(struct warg *warg, const struct name *name, struct registry **registry, struct fault *flt)
{
	struct namespaces_place place;
	struct fault own = {0};
	int r = federation_find(warg->federation, name_namespace(name), &place, flt);

	if (r)
		return r;
	*registry = warg->home;
	if (!place.domain[0]) {
		r = update(warg, warg->home, name, &own);
		/* The update may have brought the operator's word that the namespace lives elsewhere. */
		if (!federation_find(warg->federation, name_namespace(name), &place, NULL) && !place.domain[0]) {
			if (own.kind == FAULT_ABSENT && place.source == NAMESPACES_NOBODY && !warg->is_offline)
				return follow_hint(warg, name, registry, flt);
			fault_pass(&own, flt);
			return r;
		}
		if (own.kind == FAULT_CANCELLED) {
			fault_pass(&own, flt);
			return r;
		}
	}
	r = door_find_registry(warg, name_namespace(name), false, registry, flt);
	return r ? r : update(warg, *registry, name, flt);
}

int door_bring_package(struct warg *warg, const struct name *name, struct registry **registry, struct view **view,
		       const struct view_package **out, struct fault *flt)
{
	struct registry *its = NULL;
	struct view *seen;
	int r = bring(warg, name, &its, flt);

	if (r)
		return r;
	seen = registry_view(its);
	*out = view_find(seen, name);
	if (!*out) {
		view_unref(seen);
		fault_undecided(flt, FAULT_ABSENT, "has no package %.200s", name->text);
		fault_subject(flt, "%s", registry_name(its));
		return WARG_UNDECIDED;
	}
	*registry = its;
	*view = seen;
	return 0;
}
