/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Listings: the names of the logs that the ledger has, and what they prove (see listing.h).
 */
#include "listing_parts.h"

#include "client/base/lines.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

static struct listing *listing_new(void)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	if (listing)
		atomic_init(&listing->references, 1);
	return listing;
}

/* @param to  empty. @return 0; -1 without memory */
static int copy_refused(const struct listing *from, struct listing *to)
{
	to->refused = calloc(from->refused_count + 1, sizeof(*to->refused));
	if (!to->refused)
		return -1;
	to->refused_count = from->refused_count;
	if (from->refused_count)
		memcpy(to->refused, from->refused, from->refused_count * sizeof(*to->refused));
	return 0;
}

int listing_outdate(const struct listing *listing, struct listing **out, struct fault *flt)
{
	struct listing *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return fault_no_memory(flt);
	atomic_init(&copy->references, 1);
	copy->logs = calloc(listing->log_count + 1, sizeof(*copy->logs));
	copy->last = listing->last ? calloc(listing->names.count + 1, sizeof(*copy->last)) : NULL;
	if (!copy->logs || (listing->last && !copy->last) || name_list_copy(&listing->names, &copy->names, flt) ||
	    copy_refused(listing, copy)) {
		listing_unref(copy);
		return fault_no_memory(flt);
	}
	copy->length = listing->length;
	copy->log_count = listing->log_count;
	copy->operator_last = listing->operator_last;
	if (listing->log_count)
		memcpy(copy->logs, listing->logs, listing->log_count * sizeof(*copy->logs));
	if (listing->last)
		memcpy(copy->last, listing->last, listing->names.count * sizeof(*copy->last));
	*out = copy;
	return 0;
}

struct listing *listing_ref(struct listing *listing)
{
	atomic_fetch_add_explicit(&listing->references, 1, memory_order_relaxed);
	return listing;
}

void listing_unref(struct listing *listing)
{
	if (!listing || atomic_fetch_sub_explicit(&listing->references, 1, memory_order_acq_rel) > 1)
		return;
	free(listing->refused);
	name_list_release(&listing->names);
	free(listing->last);
	free(listing->logs);
	free(listing);
}

/* ---- Names ---- */

/** State of loading names into a listing. */
struct naming {
	struct listing *listing;
	bool has_ledger; /* accept only names that hash to a log of the listing, each once */
	struct fault *flt; /* of a walk over known packages */
};

static bool is_named(const struct listing_log *log)
{
	return log->name != LISTING_NAMELESS;
}

static int take_name(void *user, const struct name *name, struct fault *flt)
{
	const struct naming *naming = user;
	struct digest log_id = name_log_id(name);
	struct listing_log *log = listing_log_of(naming->listing, &log_id);

	if (naming->has_ledger && (!log || is_named(log)))
		return 0;
	if (log)
		log->name = (uint32_t)naming->listing->names.length;
	return name_list_add(&naming->listing->names, name, flt);
}

static size_t count_nameless(const struct listing *listing)
{
	size_t count = 0;

	for (size_t i = 0; i < listing->log_count; i++)
		count += !is_named(&listing->logs[i]);
	return count;
}

/* Refused names past the bound count as names that the registry did not give. */
static int add_refused(struct listing *listing, struct listing_log *log, struct span text, struct fault *flt)
{
	struct listing_refused *grown, *refused;

	if (listing->refused_count >= CAP_LISTED_REFUSED)
		return 0;
	grown = reallocarray(listing->refused, listing->refused_count + 1, sizeof(*grown));
	if (!grown)
		return fault_no_memory(flt);
	listing->refused = grown;
	refused = &grown[listing->refused_count++];
	*refused = (struct listing_refused){.id = log->id, .length = text.length};
	if (text.length)
		memcpy(refused->text, text.data,
		       text.length < sizeof(refused->text) ? text.length : sizeof(refused->text) - 1);
	log->name = LISTING_NAME_REFUSED;
	return 0;
}

/* Take a stored name, valid or refused, if its log is in the listing. */
static int take_kept(void *user, struct span text, struct fault *flt)
{
	const struct naming *naming = user;
	struct listing_log *log;
	struct digest log_id;
	struct name name;

	if (!name_parse(text, &name, NULL))
		return take_name(user, &name, flt);
	log_id = name_log_id_of_text(text);
	log = listing_log_of(naming->listing, &log_id);
	return log && !is_named(log) ? add_refused(naming->listing, log, text, flt) : 0;
}

/** State of collecting refused names. */
struct refusing {
	struct listing *listing;
	const struct digest *log_ids; /* the requested ones */
	struct buf *lines;            /* lines to store */
};

static int take_refused(void *user, size_t place, struct span text, struct fault *flt)
{
	struct refusing *refusing = user;
	struct listing_log *log = listing_log_of(refusing->listing, &refusing->log_ids[place]);
	int verdict = is_named(log) ? 0 : add_refused(refusing->listing, log, text, flt);

	if (verdict || !text.length || text.length > LINES_LONGEST || memchr(text.data, '\n', text.length))
		return verdict;
	/* A name that is not stored only costs a later request. */
	if (!buf_append(refusing->lines, text, NULL))
		buf_append_text(refusing->lines, "\n", NULL);
	return 0;
}

/* Fetch the names of some logs. @param told  has room for as many names */
static int ask_some(const struct api *api, clock_ms deadline, struct naming *naming, const struct digest *log_ids,
		    struct name *told, size_t count, struct buf *lines, struct fault *flt)
{
	struct refusing refusing = {naming->listing, log_ids, lines};
	const struct api_refusal refusal = {take_refused, &refusing};
	int verdict = api_fetch_names(api, deadline, log_ids, count, told, &refusal, flt);

	for (size_t i = 0; i < count; i++) {
		int r = told[i].text[0] ? take_name(naming, &told[i], verdict ? NULL : flt) : 0;

		verdict = verdict ? verdict : r;
	}
	return verdict;
}

/* Collect logs without a name from index `from` on, up to API_NAMES_AT_ONCE. @return how many */
static size_t gather_nameless(const struct listing *listing, size_t *from, struct digest *out)
{
	size_t count = 0;

	for (; *from < listing->log_count && count < API_NAMES_AT_ONCE; (*from)++)
		if (!is_named(&listing->logs[*from]))
			out[count++] = listing->logs[*from].id;
	return count;
}

/*
 * Fetch the names that are not known yet, and store them, after a failure those received before it. A name that the
 * registry does not give leaves the listing incomplete.
 */
static int ask_names(const struct api *api, struct ledger *ledger, clock_ms deadline, struct naming *naming,
		     struct fault *flt)
{
	struct listing *listing = naming->listing;
	size_t nameless = count_nameless(listing), before = listing->names.count, from = 0, count;
	size_t room = nameless < API_NAMES_AT_ONCE ? nameless : API_NAMES_AT_ONCE;
	struct digest *log_ids = calloc(room + 1, sizeof(*log_ids));
	struct name *told = calloc(room + 1, sizeof(*told));
	int verdict = log_ids && told ? 0 : fault_no_memory(flt);
	struct buf lines;

	buf_init(&lines, CAP_LISTED_REFUSED * LINES_LONGEST);
	while (!verdict && (count = gather_nameless(listing, &from, log_ids)))
		verdict = ask_some(api, deadline, naming, log_ids, told, count, &lines, flt);
	ledger_keep_names(ledger, &listing->names, before, buf_span(&lines));
	buf_release(&lines);
	free(log_ids);
	free(told);
	return verdict;
}

static int take_known(void *user, const struct view_package *package)
{
	struct name name = view_package_name(package);
	struct naming *naming = user;

	return take_name(naming, &name, naming->flt);
}

/* Take the names of known packages. With a ledger, look up only the logs that have no name yet: few, as a rule. */
static int take_all_known(const struct view_trie *known, struct naming *naming, struct fault *flt)
{
	const struct listing *listing = naming->listing;
	int verdict = 0;

	naming->flt = flt;
	if (!naming->has_ledger)
		return view_trie_each(known, take_known, naming);
	for (size_t i = 0; i < listing->log_count && !verdict; i++) {
		const struct view_package *package =
			is_named(&listing->logs[i]) ? NULL : view_trie_find(known, &listing->logs[i].id);

		if (package)
			verdict = take_known(naming, package);
	}
	return verdict;
}

/* Take names that the caller knows. */
static int take_caller_known(const struct listing_known *known, struct naming *naming, struct fault *flt)
{
	int verdict = known->packages ? take_all_known(known->packages, naming, flt) : 0;

	for (size_t i = 0; naming->has_ledger && i < known->count && !verdict; i++)
		verdict = take_name(naming, known->names[i], flt);
	return verdict;
}

/*
 * Take the known names: from the previous listing, from disk, and from the caller where these are not all.
 * @param known  may be NULL
 */
static int start_names(struct ledger *ledger, const struct listing *base, const struct listing_known *known,
		       struct naming *naming, struct fault *flt)
{
	struct listing *listing = naming->listing;
	int verdict = 0;

	/* In a listing made with a ledger each log already says whether its name is there. */
	if (base && (base->length || !naming->has_ledger))
		verdict = name_list_copy(&base->names, &listing->names, flt);
	if (!verdict && base && copy_refused(base, listing))
		verdict = fault_no_memory(flt);
	for (size_t i = 0; !verdict && base && !base->length && naming->has_ledger && i < base->names.count; i++) {
		struct name name = name_list_at(&base->names, i);

		verdict = take_name(naming, &name, flt);
	}
	if (!verdict && naming->has_ledger && (!base || ledger_has_more_names(ledger)))
		verdict = ledger_load_names(ledger, take_kept, naming, flt);
	if (!verdict && known)
		verdict = take_caller_known(known, naming, flt);
	return verdict;
}

/* The names that a listing had before have the last records that they had. Both are sorted. */
static void carry_last(const struct listing *base, struct listing *listing)
{
	size_t at = 0;

	if (base->names.count == listing->names.count) {
		memcpy(listing->last, base->last, listing->names.count * sizeof(*listing->last));
		return;
	}
	for (size_t i = 0; i < base->names.count && at < listing->names.count; i++) {
		while (at < listing->names.count &&
		       strcmp(name_list_text(&listing->names, at), name_list_text(&base->names, i)) < 0)
			at++;
		if (at < listing->names.count)
			listing->last[at] = base->last[i];
	}
}

/*
 * Find the last record of each name. Call it with all names loaded and sorted.
 * @param base  a listing of an earlier checkpoint, all of whose names are there; NULL: none
 */
static int note_last(const struct listing *base, struct listing *listing, struct fault *flt)
{
	uint64_t since = base && base->last ? base->length : 0;
	size_t carried = since ? base->names.length : 0; /* names that begin below are in the base */

	listing->last = calloc(listing->names.count + 1, sizeof(*listing->last));
	if (!listing->last)
		return fault_no_memory(flt);
	if (since)
		carry_last(base, listing);
	for (size_t i = 0; i < listing->log_count; i++) {
		const struct listing_log *log = &listing->logs[i];

		if ((log->last >= since || log->name >= carried) && log->name < listing->names.length)
			listing->last[name_list_find(&listing->names, listing->names.texts + log->name)] = log->last;
	}
	return 0;
}

int listing_load(struct ledger *ledger, const struct checkpoint *checkpoint, struct listing **out, struct fault *flt)
{
	struct listing *listing = listing_new();
	struct naming naming = {.listing = listing, .has_ledger = true};
	int verdict;

	if (!listing)
		return fault_no_memory(flt);
	verdict = listing_take_ledger(ledger, NULL, checkpoint, listing, flt);
	if (!verdict)
		verdict = start_names(ledger, NULL, NULL, &naming, flt);
	name_list_sort(&listing->names);
	if (!verdict)
		verdict = note_last(NULL, listing, flt);
	if (verdict) {
		listing_unref(listing);
		return verdict;
	}
	listing->complete = !count_nameless(listing);
	*out = listing;
	return 0;
}

int listing_update(const struct api *api, struct ledger *ledger, const struct listing *base,
		   const struct signed_checkpoint *checkpoint, const struct listing_known *known, clock_ms deadline,
		   struct listing **out, struct fault *flt)
{
	struct listing *listing = listing_new();
	struct naming naming = {.listing = listing};
	int verdict;

	if (!listing)
		return fault_no_memory(flt);
	if (base && base->length > checkpoint->contents.log_length)
		base = NULL;
	verdict = listing_read_ledger(api, ledger, base, checkpoint, deadline, listing, &naming.has_ledger, flt);
	if (verdict) {
		fault_at(flt, "the ledger");
		goto err;
	}
	verdict = start_names(ledger, base, known, &naming, flt);
	if (!verdict && naming.has_ledger)
		verdict = ask_names(api, ledger, deadline, &naming, flt);
	name_list_sort(&listing->names);
	if (!verdict && naming.has_ledger)
		verdict = note_last(base, listing, flt);
	if (verdict)
		goto err;
	listing->complete = naming.has_ledger && !count_nameless(listing);
	*out = listing;
	return 0;
err:
	if (verdict == WARG_INVALID)
		fault_blame(flt, FAULT_BY_REGISTRY);
	listing_unref(listing);
	return verdict;
}

/* ---- Looking things up ---- */

void listing_tell_refused(const struct listing_refused *refused, struct fault *out)
{
	*out = (struct fault){0};
	fault_undecided(out, FAULT_OVERSIZED, "its name, of %zu bytes, is not valid for a package here",
			refused->length);
	fault_at(out, "package %s%s", refused->text, refused->length >= sizeof(refused->text) ? "..." : "");
	fault_blame(out, FAULT_BY_REGISTRY);
}

bool listing_has(const struct listing *listing, const struct name *name)
{
	size_t place = name_list_find(&listing->names, name->text);

	return place < listing->names.count && !strcmp(name_list_text(&listing->names, place), name->text);
}

size_t listing_index(const struct listing *listing, const struct name *name)
{
	return name_list_find(&listing->names, name->text);
}

size_t listing_first_in(const struct listing *listing, struct span namespace)
{
	char text[CAP_NAME_PART + 2];

	if (namespace.length > CAP_NAME_PART)
		return listing->names.count;
	memcpy(text, namespace.data, namespace.length);
	text[namespace.length] = ':';
	text[namespace.length + 1] = '\0';
	return name_list_find(&listing->names, text);
}

static bool is_in(const struct listing *listing, size_t index, struct span namespace)
{
	return index < listing->names.count && span_equals(name_list_namespace(&listing->names, index), namespace);
}

bool listing_newest_in(struct listing *listing, struct span namespace, size_t *out)
{
	size_t first = listing->last ? listing_first_in(listing, namespace) : listing->names.count, newest = first;
	uint64_t found = atomic_load_explicit(&listing->newest, memory_order_relaxed);

	if (!is_in(listing, first, namespace))
		return false;
	if (found >> 32 == first + 1) {
		*out = (uint32_t)found;
		return true;
	}
	for (size_t i = first + 1; is_in(listing, i, namespace); i++)
		if (listing->last[i] > listing->last[newest])
			newest = i;
	found = (uint64_t)(first + 1) << 32 | newest;
	atomic_store_explicit(&listing->newest, found, memory_order_relaxed);
	*out = newest;
	return true;
}
