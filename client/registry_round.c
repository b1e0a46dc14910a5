/*
 * A round of the updater: refresh, packages, listing, each step from one view to the next, and what changed to disk.
 */
#include "registry_parts.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- To disk ---- */

/** Whether a package's log is on disk as it is in the view. */
static bool is_saved(const struct view *saved, const struct view_package *package)
{
	const struct view_package *there = saved ? view_find(saved, &package->name) : NULL;

	return there && there->log == package->log;
}

/** Write what changed since the last time. Somebody else may have the lock: then the next round tries again. */
static void save(struct registry *registry)
{
	struct view *view = registry_view(registry);
	struct store_package *packages = calloc(view->package_count + 1, sizeof(*packages));
	struct store_update update = { .checkpoint = &view->checkpoint,
				       .operator = view->operator,
				       .operator_position = view->operator_position,
				       .packages = packages };
	struct fault flt = { 0 };
	bool written = false;

	if (!packages)
		fault_no_memory(&flt);
	for (size_t i = 0; packages && i < view->package_count; i++)
		if (!is_saved(registry->saved, view->packages[i]))
			packages[update.package_count++] = (struct store_package){ view->packages[i]->log,
										   view->packages[i]->position };
	if (packages)
		store_save(registry->store, &update, &written, &flt);
	free(packages);
	if (written) {
		view_unref(registry->saved);
		registry->saved = view;
		return;
	}
	view_unref(view);
	if (flt.verdict && registry->options.failed)
		registry->options.failed(registry->options.user, &flt);
}

/* ---- Refresh ---- */

static void tell_new_faults(struct registry *registry, const struct view *before, const struct view *after)
{
	for (size_t i = 0; registry->options.failed && i < after->package_count; i++) {
		const struct view_package *package = after->packages[i];
		const struct view_package *old = view_find(before, &package->name);

		if (package->fault.verdict && !(old && old->fault.verdict))
			registry->options.failed(registry->options.user, &package->fault);
	}
}

/** Names that are proven otherwise than by a listing: those of the view's packages. @param out  free() it */
static int known_names(const struct view *view, struct name **out, struct fault *flt)
{
	struct name *names = calloc(view->package_count + 1, sizeof(*names));

	if (!names)
		return fault_no_memory(flt);
	for (size_t i = 0; i < view->package_count; i++)
		names[i] = view->packages[i]->name;
	*out = names;
	return 0;
}

/** Give a view that nobody else sees yet the listing of its checkpoint. On failure it has none. */
static int list(struct registry *registry, struct view *view, struct fault *flt)
{
	struct listing *listing = NULL;
	struct name *known = NULL;
	int r;

	r = known_names(view, &known, flt);
	if (!r)
		r = listing_update(&registry->api, view->listing, &view->checkpoint.contents, known,
				   view->package_count, registry_deadline(registry), &listing, flt);
	free(known);
	listing_unref(view->listing);
	view->listing = r ? NULL : listing;
	return r;
}

/** A copy of the base with the newest checkpoint, alone in our hands. */
static int refreshed(struct registry *registry, struct view *base, struct view **out, struct fault *flt)
{
	struct view *synced, *next;
	int r;

	r = sync_refresh(&registry->api, base, registry_deadline(registry), &synced, flt);
	if (r)
		return r;
	r = view_copy(synced, &next, flt);
	view_unref(synced);
	if (r)
		return r;
	next->verified_at = time(NULL);
	*out = next;
	return 0;
}

static int refresh(struct registry *registry, struct fault *flt)
{
	struct view *before = registry_view(registry);
	struct view *base = before->checkpoint.contents.log_length || !registry->start ? before : registry->start;
	struct fault listing_fault = { 0 };
	struct view *next;
	int r;

	if (registry->options.refresh)
		registry->refresh_at = clock_in_seconds(registry->options.refresh);
	r = refreshed(registry, base, &next, flt);
	if (r)
		goto out;
	/* A listing is of its checkpoint: whoever listed once wants to see what came since. */
	if (next->listing && !checkpoint_same_state(&base->checkpoint.contents, &next->checkpoint.contents))
		list(registry, next, &listing_fault);
	view_unref(registry->start);
	registry->start = NULL;
	view_ref(next);
	registry_swap_take(registry, next);
	tell_new_faults(registry, before, next);
	if (listing_fault.verdict && registry->options.failed)
		registry->options.failed(registry->options.user, &listing_fault);
	view_unref(next);
out:
	view_unref(before);
	registry_note(registry, r && flt ? flt : &listing_fault);
	return r;
}

/* ---- Packages ---- */

static int compare_wanted(const void *a, const void *b)
{
	return strcmp(((const struct sync_wanted *)a)->name.text, ((const struct sync_wanted *)b)->name.text);
}

/** The packages that are wanted and that the view lacks, sorted, each once. @param out  free() it */
static int gather(const struct want *wants, const struct view *view, struct sync_wanted **out, size_t *count,
		  struct fault *flt)
{
	struct sync_wanted *wanted;
	size_t total = 0, n = 0, unique = 0;

	for (const struct want *want = wants; want; want = want->next)
		total += want->kind == WANT_PACKAGE;
	wanted = calloc(total + 1, sizeof(*wanted));
	if (!wanted)
		return fault_no_memory(flt);
	for (const struct want *want = wants; want; want = want->next)
		if (want->kind == WANT_PACKAGE && !view_find(view, &want->name))
			wanted[n++].name = want->name;
	qsort(wanted, n, sizeof(*wanted), compare_wanted);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || compare_wanted(&wanted[unique - 1], &wanted[i]))
			wanted[unique++].name = wanted[i].name;
	*out = wanted;
	*count = unique;
	return 0;
}

/** What lies in the store of them. A file that does not hold up is as good as none: the log is fetched anew. */
static void load_stored(struct registry *registry, struct sync_wanted *wanted, size_t count)
{
	for (size_t i = 0; i < count; i++)
		store_load_package(registry->store, &wanted[i].name, &wanted[i].stored, &wanted[i].stored_position,
				   NULL);
}

/** Tell the wants how their packages fared. @param all  the fault that concerns each; its verdict may be 0 */
static void pass_on(struct want *wants, const struct sync_wanted *wanted, size_t count, const struct fault *all)
{
	for (struct want *want = wants; want; want = want->next) {
		struct sync_wanted key = { .name = want->name };
		const struct sync_wanted *found;

		if (want->kind != WANT_PACKAGE)
			continue;
		found = count ? bsearch(&key, wanted, count, sizeof(*wanted), compare_wanted) : NULL;
		if (found && found->fault.verdict)
			want->fault = found->fault;
		else if (found && all->verdict)
			want->fault = *all;
	}
}

static void add_packages(struct registry *registry, struct want *wants)
{
	struct view *base = registry_view(registry), *next;
	struct sync_wanted *wanted = NULL;
	struct fault flt = { 0 };
	size_t count = 0;
	int r;

	r = gather(wants, base, &wanted, &count, &flt);
	if (!r && count) {
		load_stored(registry, wanted, count);
		r = sync_add(&registry->api, base, wanted, count, registry_deadline(registry), &next, &flt);
		if (!r)
			registry_swap_take(registry, next);
	}
	if (wanted)
		pass_on(wants, wanted, count, &flt);
	for (struct want *want = wants; want && !wanted; want = want->next)
		if (want->kind == WANT_PACKAGE)
			want->fault = flt;
	for (size_t i = 0; i < count; i++)
		package_log_unref(wanted[i].stored);
	free(wanted);
	view_unref(base);
}

/* ---- Listing ---- */

static int add_listing(struct registry *registry, struct fault *flt)
{
	struct view *base = registry_view(registry), *next;
	int r = 0;

	if (!base->listing) {
		r = view_copy(base, &next, flt);
		if (!r) {
			r = list(registry, next, flt);
			if (r)
				view_unref(next);
			else
				registry_swap_take(registry, next);
		}
		registry_note(registry, r && flt ? flt : &(struct fault){ 0 });
	}
	view_unref(base);
	return r;
}

/* ---- The round ---- */

static bool is_wanted(const struct want *wants, enum want_kind kind)
{
	for (; wants; wants = wants->next)
		if (wants->kind == kind)
			return true;
	return false;
}

/** @param kinds  a set of bits, 1 << enum want_kind */
static void fail(struct want *wants, unsigned kinds, const struct fault *flt)
{
	for (; wants; wants = wants->next)
		if (kinds & 1u << wants->kind)
			wants->fault = *flt;
}

/** Whether there is a checkpoint to work at. */
static bool has_checkpoint(struct registry *registry)
{
	struct view *view = registry_view(registry);
	bool has = view->checkpoint.contents.log_length > 0;

	view_unref(view);
	return has;
}

void registry_round(struct registry *registry, struct want *wants)
{
	bool is_due = !clock_left(registry->refresh_at);
	bool is_first = !has_checkpoint(registry);
	struct fault flt = { 0 };

	if (is_due || is_first || is_wanted(wants, WANT_REFRESH)) {
		if (refresh(registry, &flt)) {
			fail(wants, 1u << WANT_REFRESH, &flt);
			if (!is_wanted(wants, WANT_REFRESH) && registry->options.failed)
				registry->options.failed(registry->options.user, &flt);
			if (is_first) {
				fail(wants, 1u << WANT_PACKAGE | 1u << WANT_LISTING, &flt);
				return;
			}
		}
	}
	if (is_wanted(wants, WANT_PACKAGE))
		add_packages(registry, wants);
	flt = (struct fault){ 0 };
	if (is_wanted(wants, WANT_LISTING) && add_listing(registry, &flt))
		fail(wants, 1u << WANT_LISTING, &flt);
	save(registry);
}
