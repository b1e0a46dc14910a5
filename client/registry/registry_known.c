/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * How many packages the view keeps (see registry.h).
 *
 * While they are many, all of them are walked through now and then. One that was not looked at since the walk before,
 * and that nobody needs, is left out of the next view; older views keep it for as long as somebody holds them. Only
 * what would come back without the network goes: the ledger has to prove the head of a log that lies in the archive.
 * The log is validated again then, as after a restart.
 */
#include "registry_parts.h"

#define REST 60000         /* milliseconds */
#define LONGEST_REST (1 << 6) /* times as long, at most, while nothing can be let go */

/** A walk. */
struct sweep {
	const struct registry *registry;
	struct view *next; /* with the packages that stay */
	size_t spare;      /* how many may still go */
};

static size_t most_known(const struct registry *registry)
{
	return registry->options.known ? registry->options.known : CAP_KNOWN;
}

/* Whether the archive and the ledger are at the view's checkpoint, and the store was brought there. */
static bool is_all_kept(struct registry *registry)
{
	const struct checkpoint *checkpoint = &registry->view->checkpoint.contents;
	const struct listing *listing = registry->view->listing;

	return registry_is_saved(registry) && listing && listing->length && listing->length == checkpoint->log_length &&
	       ledger_is_at(registry->ledger, checkpoint) && !archive_has_news(registry->archive);
}

static bool is_needed(const struct registry *registry, const struct view_package *package)
{
	const struct name name = view_package_name(package);

	return registry->options.is_needed(registry->options.user, &name);
}

static bool may_go(const struct sweep *sweep, const struct view_package *package)
{
	/* Also of those that stay anyway: what counts is the time since this walk. */
	bool was_looked_at = view_package_forget_look(package);

	return sweep->spare && !was_looked_at && package->archived && !package->fault &&
	       !is_needed(sweep->registry, package);
}

static int put(struct view *view, const struct view_package *package)
{
	return view_put_take(view, view_package_ref((struct view_package *)(uintptr_t)package), NULL);
}

static int keep_or_leave(void *user, const struct view_package *package)
{
	struct sweep *sweep = user;

	if (!may_go(sweep, package))
		return put(sweep->next, package);
	sweep->spare--;
	return 0;
}

/* Nobody can tell the views apart but by asking for what was let go, so there is nothing to tell. */
static void show(struct registry *registry, struct view *next)
{
	struct view *before = registry->view;

	pthread_mutex_lock(&registry->mutex);
	registry->view = next;
	pthread_mutex_unlock(&registry->mutex);
	view_unref(before);
}

/* What was looked at in the view before, while the next one was not there yet, stays. */
static int put_back(void *user, const struct view_package *known, const struct view_package *package)
{
	struct sweep *sweep = user;

	if (known || !(view_package_forget_look(package) || is_needed(sweep->registry, package)))
		return 0;
	return put(sweep->next, package);
}

static void look_back(struct registry *registry, struct sweep *sweep, const struct view *before)
{
	size_t count = registry->view->packages.count;

	if (view_copy(registry->view, &sweep->next, NULL))
		return;
	view_trie_each_changed(&registry->view->packages, &before->packages, put_back, sweep);
	if (sweep->next->packages.count > count)
		show(registry, sweep->next);
	else
		view_unref(sweep->next);
}

static void sweep(struct registry *registry)
{
	struct view *before = view_ref(registry->view);
	struct sweep sweep = {.registry = registry, .spare = before->packages.count - most_known(registry)};
	int verdict = view_copy(before, &sweep.next, NULL);

	if (!verdict) {
		view_trie_release(&sweep.next->packages);
		verdict = view_trie_each(&before->packages, keep_or_leave, &sweep);
	}
	if (!verdict && sweep.next->packages.count < before->packages.count) {
		show(registry, sweep.next);
		look_back(registry, &sweep, before);
		/* There is nothing to write, but the saver keeps what was let go until it sees that. */
		registry_plan_save(registry);
		registry->needs_trim = true;
		registry->vain_sweeps = 0;
	} else {
		view_unref(sweep.next);
		registry->vain_sweeps += (1u << registry->vain_sweeps) < LONGEST_REST;
	}
	view_unref(before);
}

void registry_keep_few(struct registry *registry)
{
	clock_ms now = clock_now(), rest = registry->options.rest ? registry->options.rest : REST;
	bool is_due = registry->next_sweep <= now;

	if (!registry->options.is_needed)
		return;
	if (is_due && registry->view->packages.count > most_known(registry) && is_all_kept(registry))
		sweep(registry);
	if (registry->view->packages.count <= most_known(registry))
		registry->next_sweep = CLOCK_NEVER;
	else if (is_due || registry->next_sweep == CLOCK_NEVER)
		registry->next_sweep = now + (rest << registry->vain_sweeps);
}
