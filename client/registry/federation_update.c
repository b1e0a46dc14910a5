/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Updates over several registries, for those who may wait (see federation.h).
 */
#include "federation_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Opening ---- */

/* @param domain  "": the home registry */
static int open_and_wait(struct federation *federation, const char *domain, struct registry **out, struct fault *flt)
{
	struct blocking_waiter blocking;
	int r;

	blocking_waiter_init(&blocking, registry_deadline(federation->home));
	federation_want_registry(federation, domain, &blocking.waiter);
	r = blocking_waiter_wait(&blocking, flt);
	if (!r)
		*out = federation_registry(federation, domain);
	return r;
}

static bool is_verified(struct federation *federation)
{
	struct view *view = registry_view(federation->home);
	bool is = view->operator != NULL;

	view_unref(view);
	return is;
}

int federation_registry_of(struct federation *federation, struct span namespace, struct registry **out,
			   struct fault *flt)
{
	struct namespaces_place place;
	struct fault refresh = {0};
	int r;

	if (!is_verified(federation))
		registry_refresh(federation->home, &refresh);
	r = federation_find(federation, namespace, &place, flt);
	if (r)
		return r;
	/* The map's word is as good without the home registry. */
	if (refresh.verdict && !place.domain[0]) {
		fault_pass(&refresh, flt);
		return refresh.verdict;
	}
	return open_and_wait(federation, place.domain, out, flt);
}

/* ---- An update ---- */

/* One package of those that are to be updated. */
struct member {
	const struct name *name;
	struct namespaces_place place;
	bool is_looked_for; /* in the registry at its place */
	struct registry *registry;
	struct fault fault;
};

struct update {
	struct federation *federation;
	struct member *members;
	size_t count;
	/* For the part of the members that lives in one registry. */
	size_t *part;
	struct name *names;
	struct fault *faults;
	size_t part_count;
};

static void update_release(struct update *update)
{
	free(update->members);
	free(update->part);
	free(update->names);
	free(update->faults);
}

static int update_init(struct update *update, struct federation *federation, const struct name *names, size_t count,
		       struct fault *flt)
{
	*update = (struct update){
		.federation = federation,
		.members = calloc(count + 1, sizeof(*update->members)),
		.count = count,
		.part = calloc(count + 1, sizeof(*update->part)),
		.names = calloc(count + 1, sizeof(*update->names)),
		.faults = calloc(count + 1, sizeof(*update->faults)),
	};
	if (!update->members || !update->part || !update->names || !update->faults)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++)
		update->members[i] = (struct member){.name = &names[i], .place.source = NAMESPACES_NOBODY};
	return 0;
}

/* Gather those that are yet to be looked for at the domain. */
static void gather(struct update *update, const char *domain)
{
	update->part_count = 0;
	for (size_t i = 0; i < update->count; i++) {
		struct member *member = &update->members[i];

		if (member->is_looked_for || strcmp(member->place.domain, domain))
			continue;
		update->part[update->part_count] = i;
		update->names[update->part_count] = *member->name;
		update->faults[update->part_count++] = (struct fault){0};
	}
}

/* What came of the part. Of a registry other than home it has to be said which one it is. */
static void scatter(struct update *update, struct registry *registry)
{
	for (size_t i = 0; i < update->part_count; i++) {
		struct member *member = &update->members[update->part[i]];

		member->is_looked_for = true;
		member->registry = registry;
		member->fault = update->faults[i];
		if (registry && registry != update->federation->home)
			fault_at(&member->fault, "registry %.100s",
				 federation_name_of(update->federation, registry));
	}
}

/* Bring the part to the registry's newest checkpoint. */
static int update_part(struct update *update, struct registry *registry, struct fault *flt)
{
	struct fault own = {0};
	int r = registry_update(registry, update->names, update->part_count, update->faults, &own);

	for (size_t i = 0; r && i < update->part_count; i++)
		if (!update->faults[i].verdict)
			update->faults[i] = own;
	scatter(update, registry);
	fault_pass(&own, flt);
	return r;
}

static void fail_part(struct update *update, const struct fault *flt)
{
	for (size_t i = 0; i < update->part_count; i++)
		update->faults[i] = *flt;
	scatter(update, NULL);
}

/* ---- Where packages live ---- */

static bool is_at_home(const struct member *member)
{
	return !member->place.domain[0];
}

static bool is_home(struct federation *federation, const char *domain)
{
	const struct http_url *home = registry_url(federation->home);
	struct http_url url;

	return !domain_url(domain, home, &url, NULL) && !strcmp(url.text, home->text);
}

/*
 * A hint came for a package that the home registry has not, and of whose namespace nobody else tells.
 * @return whether it is followed: then it is in the map
 */
static bool follow_hint(struct federation *federation, struct member *member, const char *domain)
{
	const struct federation_options *options = &federation->options;
	struct span namespace = name_namespace(member->name);
	char text[CAP_NAME_PART + 1];
	struct fault own = {0};

	if (is_home(federation, domain))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)namespace.length, (const char *)namespace.data);
	if (options->hints == FEDERATION_HINTS_TOLD || !options->map ||
	    (options->hints == FEDERATION_HINTS_ASKED &&
	     !(options->accept && options->accept(options->user, text, domain)))) {
		fault_add(&member->fault, "it hints at the registry %.100s for namespace %.60s", domain, text);
		return false;
	}
	if (!namespaces_add(options->map, namespace, domain, &own))
		return true;
	member->fault = own;
	return false;
}

/* Where it lives, now that the home registry was asked, as far as it could be. */
static void place(struct federation *federation, struct member *member)
{
	struct span namespace = name_namespace(member->name);
	char domain[CAP_DOMAIN + 1];
	struct fault own = {0};

	if (federation_find(federation, namespace, &member->place, &own)) {
		*member = (struct member){.name = member->name, .is_looked_for = true, .fault = own};
		fault_at(&member->fault, "package %s", member->name->text);
		return;
	}
	if (!is_at_home(member)) {
		member->is_looked_for = false;
		return;
	}
	if (member->place.source != NAMESPACES_NOBODY || member->fault.kind != FAULT_ABSENT ||
	    !federation_take_hint(federation, namespace, domain) || !follow_hint(federation, member, domain))
		return;
	member->place.source = NAMESPACES_MAP;
	memcpy(member->place.domain, domain, sizeof(domain));
	member->is_looked_for = false;
}

/* Look for all that live elsewhere, one registry after the other. */
static void update_others(struct update *update)
{
	for (size_t i = 0; i < update->count; i++) {
		struct member *member = &update->members[i];
		struct registry *registry;
		struct fault own = {0};

		if (member->is_looked_for)
			continue;
		gather(update, member->place.domain);
		if (open_and_wait(update->federation, member->place.domain, &registry, &own))
			fail_part(update, &own);
		else
			update_part(update, registry, NULL);
	}
}

int federation_update(struct federation *federation, const struct name *names, size_t count,
		      struct registry **registries, struct fault *faults, struct fault *flt)
{
	struct update update;
	struct fault own = {0};
	bool is_ready = !update_init(&update, federation, names, count, &own);
	int r = own.verdict;

	if (is_ready) {
		/* What the map says may turn out to be overruled; to begin with it spares questions. */
		for (size_t i = 0; i < count; i++)
			federation_find(federation, name_namespace(&names[i]), &update.members[i].place, NULL);
		gather(&update, "");
		r = update_part(&update, federation->home, &own);
		for (size_t i = 0; i < count; i++)
			place(federation, &update.members[i]);
		update_others(&update);
	}
	for (size_t i = 0; i < count; i++) {
		registries[i] = is_ready ? update.members[i].registry : NULL;
		faults[i] = is_ready ? update.members[i].fault : own;
	}
	update_release(&update);
	if (r && flt && !flt->verdict)
		*flt = own;
	return r;
}
