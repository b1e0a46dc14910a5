/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The updater: rounds of what was asked for, each of which builds the next view beside the current one and swaps it
 * in whole (see registry.h).
 *
 * A round has a deadline, so that one slow answer does not keep the next round from starting. Those who wait have
 * deadlines of their own, which the deadlines's clock keeps.
 */
#include "registry_parts.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool is_wanted(const struct wants *wants)
{
	return wants->refresh || wants->listing || wants->count;
}

/* ---- Completing wants ---- */

static void complete_want(struct registry *registry, struct want *want, const struct fault *flt)
{
	if (!want)
		return;
	pthread_mutex_lock(&registry->mutex);
	while (want->joining)
		pthread_cond_wait(&registry->joined, &registry->mutex);
	pthread_mutex_unlock(&registry->mutex);
	completion_finish(registry->deadlines, &want->completion, flt->verdict, flt);
	free(want);
}

/* Name the registry that has no such package, and say so if it lacks the whole namespace. */
static void tell_absent(const struct registry *registry, const struct name *name, struct fault *flt)
{
	const struct operator_log *operator = registry->view->operator;
	struct span namespace = name_namespace(name);
	struct fault said = {0};

	if (operator && !operator_log_find(operator, namespace))
		fault_undecided(&said, FAULT_ABSENT, "has no namespace %.*s, and so no package %s",
				(int)namespace.length, (const char *)namespace.data, name->text);
	else
		fault_undecided(&said, FAULT_ABSENT, "has no package %s", name->text);
	fault_subject(&said, "%s", registry_name(registry));
	fault_blame(&said, FAULT_BY_REGISTRY);
	*flt = said;
}

static void land_package(struct registry *registry, struct want *want, const struct fault *flt)
{
	struct fault told = *flt;

	if (flt->verdict && flt->kind == FAULT_ABSENT && flt->party == FAULT_BY_REGISTRY)
		tell_absent(registry, &want->name, &told);
	complete_want(registry, want, &told);
}

static void land_all(struct registry *registry, struct wants *wants, const struct fault *flt)
{
	complete_want(registry, wants->refresh, flt);
	complete_want(registry, wants->listing, flt);
	for (size_t i = 0; i < wants->count; i++)
		complete_want(registry, wants->packages[i], flt);
	free(wants->packages);
}

/* ---- The next view ---- */

/* Whether a reader could tell them apart; a checkpoint that was only signed anew makes no difference. */
static bool differ(const struct view *before, const struct view *after)
{
	return before->packages.root != after->packages.root || before->listing != after->listing ||
	       before->operator != after->operator ||
	       !checkpoint_same_state(&before->checkpoint.contents, &after->checkpoint.contents);
}

static int report_package(void *user, const struct view_package *known, const struct view_package *package)
{
	if (known && package->fault && strcmp(view_package_fault(known)->what, package->fault->what))
		registry_report(user, package->fault);
	return 0;
}

/* Faults of packages that nobody asked for now, and that were not told before. */
static void report_packages(struct registry *registry, const struct view *before, const struct view *after)
{
	view_trie_each_changed(&before->packages, &after->packages, report_package, registry);
}

static void swap_in(struct registry *registry, struct view *next)
{
	struct view *before = registry->view;
	bool is_other = differ(before, next);

	pthread_mutex_lock(&registry->mutex);
	registry->view = next;
	pthread_mutex_unlock(&registry->mutex);
	if (is_other || archive_has_news(registry->archive))
		registry_plan_save(registry);
	if (is_other && registry->options.changed)
		registry->options.changed(registry->options.user, before, next);
	view_unref(before);
}

static void keep_fault(struct registry *registry, const struct fault *flt)
{
	pthread_mutex_lock(&registry->mutex);
	registry->last_fault = *flt;
	pthread_mutex_unlock(&registry->mutex);
}

/* ---- Listing ---- */

/* What lies on disk of the ledger is not believed before the registry's growth leads from it to a checkpoint's root. */
static void load_ledger(struct registry *registry, const struct operator_log *operator)
{
	struct signed_checkpoint checkpoint;
	struct fault flt = {0};
	bool found = false;

	if (registry->ledger_is_loaded)
		return;
	registry->ledger_is_loaded = true;
	if (!ledger_load(registry->ledger, &checkpoint, &found, &flt) && found &&
	    checkpoint_verify(&checkpoint, operator, NULL))
		ledger_doubt_checkpoint(registry->ledger);
	registry_report(registry, &flt);
}

/* Go on from the listing of the next view from now on; its checkpoint was admitted. */
static void adopt_listing(struct registry *registry, const struct view *next)
{
	listing_unref(registry->listing);
	registry->listing = listing_ref(next->listing);
	if (registry->audit && next->listing->length)
		audit_want(registry->audit, &next->checkpoint);
}

/* Put a listing into a view that nobody sees yet. */
static int list(struct registry *registry, struct view *next, clock_ms deadline, struct fault *flt)
{
	const struct listing_known known = {.packages = &next->packages};
	struct listing *listing;
	int verdict;

	load_ledger(registry, next->operator);
	verdict = listing_update(&registry->api, registry->ledger, registry->listing, &next->checkpoint, &known,
				 deadline, &listing, flt);
	if (verdict)
		return verdict;
	listing_unref(next->listing);
	next->listing = listing;
	adopt_listing(registry, next);
	return 0;
}

static void answer_listing(struct registry *registry, struct want *want, clock_ms deadline)
{
	struct view *next = NULL;
	struct fault flt = {0};

	/* It may be there already: complete ones stay what they are. */
	if (!registry->view->listing || !registry->view->listing->complete) {
		if (!view_copy(registry->view, &next, &flt) && !list(registry, next, deadline, &flt))
			swap_in(registry, next);
		else
			view_unref(next);
	}
	keep_fault(registry, &flt);
	complete_want(registry, want, &flt);
}

/* ---- Refresh ---- */

/* Whether the next view's listing may become better than it is. */
static bool is_listing_due(const struct registry *registry, const struct view *next, bool has_time)
{
	if (!next->listing)
		return registry->listing || has_time;
	/* It may lack what the registry withheld, or what the cache had not. */
	return !next->listing->complete;
}

/*
 * A listing that was there stays there: the next view comes with its own, or with the names of the one before where
 * that cannot be had. One that nobody asked for yet is made when there is time, for a start from the cache.
 */
static void renew_listing(struct registry *registry, struct view *next, bool has_time, clock_ms deadline)
{
	clock_ms now = clock_now();
	struct fault flt = {0};

	/* It came with the update: what it lacks the registry withheld just now. */
	if (next->listing && next->listing != registry->view->listing) {
		adopt_listing(registry, next);
		return;
	}
	if (!is_listing_due(registry, next, has_time))
		return;
	/* The view waits for it, and those who want the view have no more time than the round. */
	if (list(registry, next, now + (deadline - now) / 2, &flt)) {
		if (!next->listing && registry->listing)
			listing_outdate(registry->listing, &next->listing, &flt);
		registry_report(registry, &flt);
	}
	keep_fault(registry, &flt);
}

/* ---- Packages ---- */

/* Whether the package's log is known to be too long to be brought while nobody waits for it. */
static bool is_left(const struct registry *registry, const struct name *name)
{
	struct digest log_id = name_log_id(name);

	for (size_t i = 0; i < sizeof(registry->left) / sizeof(registry->left[0]); i++)
		if (digest_equals(&registry->left[i], &log_id))
			return true;
	return archive_size(registry->archive, name) > CAP_AHEAD;
}

static void note_left(struct registry *registry, const struct sync_wanted *wanted)
{
	if (!wanted->is_ahead || wanted->is_left || wanted->fault.kind != FAULT_LIMIT)
		return;
	registry->left[registry->next_left] = name_log_id(&wanted->name);
	registry->next_left = (registry->next_left + 1) % (sizeof(registry->left) / sizeof(registry->left[0]));
}

static void set_wanted(struct registry *registry, const struct want *want, struct sync_wanted *wanted)
{
	wanted->name = want->name;
	if (view_find(registry->view, &want->name))
		return;
	wanted->is_ahead = !want->is_awaited;
	wanted->is_left = wanted->is_ahead && is_left(registry, &want->name);
	if (!wanted->is_left)
		registry_load_package(registry, wanted);
}

/* The packages that are wanted, with what lies in the archive of those that the view lacks. NULL without memory. */
static struct sync_wanted *new_wanted(struct registry *registry, const struct wants *wants)
{
	struct sync_wanted *wanted = calloc(wants->count + 1, sizeof(*wanted));

	for (size_t i = 0; wanted && i < wants->count; i++)
		set_wanted(registry, wants->packages[i], &wanted[i]);
	return wanted;
}

/* They are in the next view, or have their fault: complete them. */
static void complete_wanted(struct registry *registry, struct wants *wants, const struct sync_wanted *wanted)
{
	for (size_t i = 0; i < wants->count; i++) {
		const struct view_package *package = view_find(registry->view, &wanted[i].name);

		if (package)
			registry_note_litter(registry, package);
		note_left(registry, &wanted[i]);
		registry_report(registry, &wanted[i].damage);
		if (wanted[i].hint[0] && registry->options.hinted)
			registry->options.hinted(registry->options.hint_user, &wanted[i].name, wanted[i].hint);
		land_package(registry, wants->packages[i], &wanted[i].fault);
	}
	wants->count = 0;
}

static void free_wanted(struct sync_wanted *wanted, size_t count)
{
	for (size_t i = 0; wanted && i < count; i++)
		package_log_unref(wanted[i].stored);
	free(wanted);
}

/* ---- Time ---- */

/* A checkpoint was verified. A clock that must be wrong is told of once, until it was right again. */
static void note_time(struct registry *registry, const struct view *view)
{
	struct fault flt = {0};
	bool was_ahead;

	pthread_mutex_lock(&registry->mutex);
	was_ahead = registry->freshness.ahead;
	freshness_see(&registry->freshness, view->checkpoint.contents.timestamp, FRESHNESS_OFFERED, freshness_now());
	if (!was_ahead)
		freshness_check_clock(&registry->freshness, &flt);
	pthread_mutex_unlock(&registry->mutex);
	registry_report(registry, &flt);
}

/*
 * When to look for a checkpoint again. A registry that is away is tried sooner, and less and less so, unless it said
 * when it wants to be asked.
 */
static void plan_refresh(struct registry *registry, const struct fault *flt)
{
	unsigned usual = registry->options.refresh;
	unsigned seconds = registry->patience < usual ? registry->patience : usual;
	bool was_due = registry->next_refresh <= clock_now();

	registry->is_away = flt->kind == FAULT_UNREACHABLE || flt->kind == FAULT_TIMEOUT;
	if (!usual || registry->options.offline)
		return;
	if (!registry->is_away) {
		registry->patience = 1;
		registry->next_refresh = clock_in_seconds(usual);
	} else if (flt->wait) {
		registry->next_refresh = clock_in_seconds(flt->wait > seconds ? flt->wait : seconds);
	} else if (was_due || clock_in_seconds(seconds) < registry->next_refresh) {
		/* What is asked for in between neither puts it off nor wears the patience out. */
		registry->next_refresh = clock_in_seconds(seconds);
		registry->patience = seconds * 2;
	}
}

/* Whether a record was sent since the last refresh. */
static bool take_expectation(struct registry *registry)
{
	bool expects_growth;

	pthread_mutex_lock(&registry->mutex);
	expects_growth = registry->expects_growth;
	registry->expects_growth = false;
	pthread_mutex_unlock(&registry->mutex);
	return expects_growth;
}

/* @param begun  0: it failed, and what an earlier one found may not hold any more */
static void note_round(struct registry *registry, clock_ms begun)
{
	pthread_mutex_lock(&registry->mutex);
	registry->round = begun;
	pthread_mutex_unlock(&registry->mutex);
}

/*
 * Save the records that came, and wait for that: who published reads them from there, for the receipt, and the next
 * request for a log that was received in part goes on from them.
 */
static void save_archive(struct registry *registry)
{
	struct fault flt = {0};
	bool saved;

	if (archive_save(registry->archive, &saved, &flt))
		registry_report(registry, &flt);
}

/* Bring the view to the newest checkpoint, with the packages that are wanted in the same round trips. */
static void refresh(struct registry *registry, struct wants *wants, clock_ms deadline, struct fault *flt)
{
	bool has_time = registry->options.starts_from_cache && !is_wanted(wants);
	size_t count = wants->count;
	bool expects_growth = take_expectation(registry);
	struct sync_wanted *wanted = new_wanted(registry, wants);
	clock_ms begun = clock_now();
	struct view *next = NULL;

	registry->is_series = expects_growth;
	if (expects_growth)
		ledger_expect_growth(registry->ledger);
	/* Without memory they are wanted no less, only later. */
	if (registry_next_view(registry, wanted, wanted ? count : 0, deadline, &next, flt)) {
		keep_fault(registry, flt);
		note_round(registry, 0);
	} else {
		keep_fault(registry, flt);
		renew_listing(registry, next, has_time, deadline);
		report_packages(registry, registry->view, next);
		swap_in(registry, next);
		note_time(registry, next);
		note_round(registry, begun);
		if (expects_growth)
			save_archive(registry);
		view_unref(registry->start);
		registry->start = NULL;
		if (wanted)
			complete_wanted(registry, wants, wanted);
	}
	registry->is_series = false;
	free_wanted(wanted, count);
	plan_refresh(registry, flt);
}

/* Whether a registry that lacks the package may hint at another one. Its listing tells of no hint, so it is asked. */
static bool may_be_hinted(const struct registry *registry, const struct name *name)
{
	const struct operator_log *operator = registry->view->operator;

	return registry->options.hinted && !(operator && operator_log_find(operator, name_namespace(name)));
}

/* A complete listing knows what there is not. Complete such wants, and keep the others. */
static void land_absent(struct registry *registry, struct wants *wants)
{
	const struct listing *listing = registry->view->listing;
	size_t kept = 0;

	if (!listing || !listing->complete)
		return;
	for (size_t i = 0; i < wants->count; i++) {
		struct want *want = wants->packages[i];
		struct fault flt = {0};

		if (listing_has(listing, &want->name) || may_be_hinted(registry, &want->name)) {
			wants->packages[kept++] = want;
			continue;
		}
		tell_absent(registry, &want->name, &flt);
		complete_want(registry, want, &flt);
	}
	wants->count = kept;
}

/* More packages than this in one request: the next request is likely to be for others. */
#define FEW_PACKAGES 8

/*
 * Show those that the archive and the ledger prove already.
 * @return whether that is all of them
 */
static bool show_archived(struct registry *registry, struct sync_wanted *wanted, size_t count)
{
	uint64_t log_length = registry->view->checkpoint.contents.log_length;
	struct view_package *package;
	size_t shown = 0;
	struct view *next;

	if (view_copy(registry->view, &next, NULL))
		return false;
	for (size_t i = 0; i < count; i++)
		if (wanted[i].is_proven &&
		    !view_package_new(wanted[i].stored, &wanted[i].stored_position, log_length, NULL, &package, NULL) &&
		    !view_put_take(next, package, NULL))
			shown++;
	registry->is_series = shown > FEW_PACKAGES;
	if (shown)
		swap_in(registry, next);
	else
		view_unref(next);
	registry->is_series = false;
	return shown == count;
}

/* What the archive proves does not wait for the network. Complete such wants, and keep the others. */
static void land_archived(struct registry *registry, struct wants *wants)
{
	size_t count = wants->count, kept = 0;
	struct sync_wanted *wanted = count ? new_wanted(registry, wants) : NULL;
	const struct fault none = {0};

	if (!wanted)
		return;
	show_archived(registry, wanted, count);
	for (size_t i = 0; i < count; i++) {
		const struct view_package *package = view_find(registry->view, &wanted[i].name);

		if (package) {
			registry_note_litter(registry, package);
			complete_want(registry, wants->packages[i], &none);
		} else {
			wants->packages[kept++] = wants->packages[i];
		}
	}
	wants->count = kept;
	free_wanted(wanted, count);
}

/* The registry is unreachable: complete optional wants at once with the last fault, keep the others. */
static void land_spare(struct registry *registry, struct wants *wants)
{
	struct fault flt;
	size_t kept = 0;

	registry_last_fault(registry, &flt);
	for (size_t i = 0; i < wants->count; i++) {
		if (wants->packages[i]->is_needed)
			wants->packages[kept++] = wants->packages[i];
		else
			complete_want(registry, wants->packages[i], &flt);
	}
	wants->count = kept;
	if (wants->listing && !wants->listing->is_needed) {
		complete_want(registry, wants->listing, &flt);
		wants->listing = NULL;
	}
}

static void add(struct registry *registry, struct sync_wanted *wanted, size_t count, clock_ms deadline)
{
	struct fault flt = {0};
	struct view *next;

	if (!sync_add(&registry->api, registry->archive, registry->view, wanted, count, deadline, &next, &flt)) {
		archive_accept(registry->archive);
		registry->is_series = count > FEW_PACKAGES;
		swap_in(registry, next);
		registry->is_series = false;
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (!wanted[i].fault.verdict)
			wanted[i].fault = flt;
	archive_accept(registry->archive);
	save_archive(registry);
}

static void answer_packages(struct registry *registry, struct wants *wants, clock_ms deadline)
{
	struct sync_wanted *wanted;
	struct fault flt = {0};
	size_t count;

	land_absent(registry, wants);
	count = wants->count;
	if (!count)
		return;
	wanted = new_wanted(registry, wants);
	if (wanted) {
		if (!show_archived(registry, wanted, count))
			add(registry, wanted, count, deadline);
		complete_wanted(registry, wants, wanted);
	} else {
		fault_no_memory(&flt);
		for (size_t i = 0; i < count; i++)
			complete_want(registry, wants->packages[i], &flt);
		wants->count = 0;
	}
	free_wanted(wanted, count);
}

/* ---- Rounds ---- */

/* @param is_due  it is time for a refresh that nobody asked for */
static void answer(struct registry *registry, struct wants *wants, bool is_due)
{
	clock_ms deadline = registry_deadline(registry);
	bool is_asked = is_wanted(wants);
	struct fault flt = {0};

	/*
	 * Whoever comes while an absent registry is looked for waits for that. So a look that nobody asked for is given
	 * up long before their own time is over.
	 */
	if (registry->is_away && !is_asked)
		deadline = clock_now() + (clock_ms)registry->options.timeout * 1000 / 2;
	if (registry->is_away && registry_is_verified(registry)) {
		land_archived(registry, wants);
		land_spare(registry, wants);
	}
	if (wants->refresh || is_due || !registry_is_verified(registry)) {
		refresh(registry, wants, deadline, &flt);
		if (!is_asked)
			registry_report(registry, &flt);
		complete_want(registry, wants->refresh, &flt);
		wants->refresh = NULL;
	}
	if (registry_is_verified(registry)) {
		answer_packages(registry, wants, deadline);
		if (wants->listing)
			answer_listing(registry, wants->listing, deadline);
		wants->listing = NULL;
	}
	/* What could not be begun on without a checkpoint. */
	land_all(registry, wants, &flt);
}

void registry_wait_until(struct registry *registry, pthread_cond_t *condition, clock_ms when)
{
	struct timespec at = {.tv_sec = when / 1000, .tv_nsec = when % 1000 * 1000000};

	if (when == CLOCK_NEVER)
		pthread_cond_wait(condition, &registry->mutex);
	else
		pthread_cond_timedwait(condition, &registry->mutex, &at);
}

/*
 * Wait until there is something to do, and take what is wanted.
 * @return false at the end
 */
static bool take(struct registry *registry, struct wants *wants, bool *refresh_is_due)
{
	bool closing;

	pthread_mutex_lock(&registry->mutex);
	for (;;) {
		*refresh_is_due = registry->refresh_soon || registry->next_refresh <= clock_now();
		if (registry->closing || is_wanted(&registry->wants) || *refresh_is_due ||
		    registry->next_sweep <= clock_now())
			break;
		registry_wait_until(registry, &registry->wake, registry->next_refresh < registry->next_sweep ?
								       registry->next_refresh : registry->next_sweep);
	}
	closing = registry->closing;
	*wants = registry->wants;
	registry->wants = (struct wants){0};
	registry->refresh_soon = false;
	pthread_mutex_unlock(&registry->mutex);
	return !closing;
}

/* Versions of a package whose log, as text or as JSON, is worth the while to give memory back for. */
#define MANY_VERSIONS 1000

void registry_note_litter(struct registry *registry, const struct view_package *package)
{
	size_t count;

	package_log_releases(package->log, &count);
	if (count >= MANY_VERSIONS)
		registry->needs_trim = true;
}

static void clear_litter(struct registry *registry)
{
	if (registry->needs_trim)
		malloc_trim(0);
	registry->needs_trim = false;
}

void *registry_run_updater(void *argument)
{
	struct registry *registry = argument;
	struct fault closed = {0};
	bool refresh_is_due;
	struct wants wants;

	while (take(registry, &wants, &refresh_is_due)) {
		if (is_wanted(&wants) || refresh_is_due)
			answer(registry, &wants, refresh_is_due);
		registry_keep_few(registry);
		clear_litter(registry);
	}
	fault_undecided(&closed, FAULT_CANCELLED, "the registry is being closed");
	land_all(registry, &wants, &closed);
	return NULL;
}
