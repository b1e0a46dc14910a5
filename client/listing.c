/*
 * The ledger, the names, and what they prove (see listing.h).
 */
#include "listing.h"

#include <stdlib.h>
#include <string.h>

static struct listing *listing_new(void)
{
	struct listing *listing = calloc(1, sizeof(*listing));

	if (listing)
		atomic_init(&listing->references, 1);
	return listing;
}

int listing_outdate(const struct listing *listing, struct listing **out, struct fault *flt)
{
	struct listing *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return fault_no_memory(flt);
	atomic_init(&copy->references, 1);
	copy->names = calloc(listing->count + 1, sizeof(*copy->names));
	copy->logs = calloc(listing->log_count + 1, sizeof(*copy->logs));
	if (!copy->names || !copy->logs) {
		listing_unref(copy);
		return fault_no_memory(flt);
	}
	copy->length = listing->length;
	copy->count = listing->count;
	copy->log_count = listing->log_count;
	copy->operator_last = listing->operator_last;
	if (listing->count)
		memcpy(copy->names, listing->names, listing->count * sizeof(*copy->names));
	if (listing->log_count)
		memcpy(copy->logs, listing->logs, listing->log_count * sizeof(*copy->logs));
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
	free(listing->names);
	free(listing->logs);
	free(listing);
}

/* ---- Sorted lists ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static int compare_ids(const void *a, const void *b)
{
	return digest_compare(&((const struct listing_log *)a)->id, &((const struct listing_log *)b)->id);
}

/* The later one first, of those of one log. */
static int compare_logs(const void *a, const void *b)
{
	const struct listing_log *left = a, *right = b;
	int order = compare_ids(a, b);

	return order ? order : left->last < right->last ? 1 : -(left->last > right->last);
}

/* Keep the first of those that are equal, side by side. @return how many are left */
static size_t keep_first(void *list, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	unsigned char *bytes = list;
	size_t kept = 0;

	if (!count)
		return 0;
	for (size_t i = 1; i < count; i++) {
		if (!compare(bytes + kept * size, bytes + i * size))
			continue;
		kept++;
		if (kept != i)
			memcpy(bytes + kept * size, bytes + i * size, size);
	}
	return kept + 1;
}

const struct listing_log *listing_find_log(const struct listing *listing, const struct digest *log_id)
{
	const struct listing_log key = {.id = *log_id};

	if (!listing->log_count)
		return NULL;
	return bsearch(&key, listing->logs, listing->log_count, sizeof(key), compare_ids);
}

/* ---- The ledger ---- */

/* Logs that there is room for before the ledger is read. */
#define LOGS_AHEAD 4096

static void sort_logs(struct listing *listing)
{
	if (listing->log_count)
		qsort(listing->logs, listing->log_count, sizeof(*listing->logs), compare_logs);
	listing->log_count = keep_first(listing->logs, listing->log_count, sizeof(*listing->logs), compare_ids);
}

/* Fetch the ledger's growth; what does not lead to the checkpoint's root is not taken. */
static int grow(const struct api *api, struct ledger *ledger, const struct signed_checkpoint *checkpoint,
		clock_ms deadline, struct fault *flt)
{
	uint64_t first = ledger_length(ledger), end = checkpoint->contents.log_length;
	struct api_ledger_entry *entries = NULL;
	int verdict;

	verdict = api_fetch_ledger(api, deadline, first, end, &entries, flt);
	if (!verdict)
		verdict = ledger_append(ledger, entries, end - first, checkpoint, flt);
	free(entries);
	return verdict;
}

static bool is_at(struct ledger *ledger, const struct checkpoint *checkpoint)
{
	struct digest root = ledger_root(ledger);

	return ledger_length(ledger) == checkpoint->log_length && digest_equals(&root, &checkpoint->log_root);
}

/*
 * Bring the ledger to the checkpoint. One that lay on disk, and with which the registry's growth does not lead there,
 * is fetched again as a whole: only then is it the registry that lies.
 */
static int bring_ledger(const struct api *api, struct ledger *ledger, const struct signed_checkpoint *checkpoint,
			clock_ms deadline, struct fault *flt)
{
	const struct checkpoint *contents = &checkpoint->contents;
	int verdict = 0;

	if (is_at(ledger, contents))
		return 0;
	if (ledger_length(ledger) < contents->log_length) {
		struct fault own = {0};
		bool is_in_doubt = ledger_is_in_doubt(ledger);

		verdict = grow(api, ledger, checkpoint, deadline, &own);
		if (verdict != WARG_INVALID || !(is_in_doubt || ledger_is_in_doubt(ledger))) {
			if (verdict)
				*flt = own;
			return verdict;
		}
	}
	ledger_forget(ledger);
	return grow(api, ledger, checkpoint, deadline, flt);
}

/** Logs as they are gathered from the ledger. */
struct gathering {
	struct listing *listing;
	struct digest operator_id;
	size_t capacity;
};

static int take_entries(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
			struct fault *flt)
{
	struct gathering *gathering = user;
	struct listing *listing = gathering->listing;

	if (gathering->capacity - listing->log_count < count) {
		size_t capacity = gathering->capacity + gathering->capacity / 2 + count;
		struct listing_log *logs;

		/* A log has many records: what is said twice makes room. */
		sort_logs(listing);
		logs = reallocarray(listing->logs, capacity, sizeof(*logs));
		if (!logs)
			return fault_no_memory(flt);
		listing->logs = logs;
		gathering->capacity = capacity;
	}
	for (size_t i = 0; i < count; i++) {
		if (digest_equals(&entries[i].log_id, &gathering->operator_id))
			listing->operator_last = index + i;
		else
			listing->logs[listing->log_count++] = (struct listing_log){entries[i].log_id, index + i};
	}
	return 0;
}

/* The logs of the listing before, and those that the ledger has more. */
static int take_ledger(struct ledger *ledger, const struct listing *base, const struct checkpoint *checkpoint,
		       struct listing *listing, struct fault *flt)
{
	struct gathering gathering = {
		.listing = listing,
		.operator_id = name_operator_log_id(),
		.capacity = (base ? base->log_count : 0) + LOGS_AHEAD,
	};
	int verdict;

	free(listing->logs);
	listing->logs = calloc(gathering.capacity, sizeof(*listing->logs));
	if (!listing->logs)
		return fault_no_memory(flt);
	if (base && base->log_count)
		memcpy(listing->logs, base->logs, base->log_count * sizeof(*base->logs));
	listing->log_count = base ? base->log_count : 0;
	listing->operator_last = base ? base->operator_last : 0;
	verdict = ledger_read(ledger, base ? base->length : 0, checkpoint->log_length, take_entries, &gathering, flt);
	sort_logs(listing);
	listing->length = checkpoint->log_length;
	return verdict;
}

static int bring_and_take(const struct api *api, struct ledger *ledger, const struct listing *base,
			  const struct signed_checkpoint *checkpoint, clock_ms deadline, struct listing *listing,
			  struct fault *flt)
{
	int verdict = bring_ledger(api, ledger, checkpoint, deadline, flt);

	return verdict ? verdict : take_ledger(ledger, base, &checkpoint->contents, listing, flt);
}

/*
 * Bring the ledger to the checkpoint, and gather what it says. What was damaged on disk meanwhile is fetched again.
 * @param has_ledger  false if the registry has none
 */
static int read_ledger(const struct api *api, struct ledger *ledger, const struct listing *base,
		       const struct signed_checkpoint *checkpoint, clock_ms deadline, struct listing *listing,
		       bool *has_ledger, struct fault *flt)
{
	struct fault own = {0};
	int verdict;

	verdict = bring_and_take(api, ledger, base, checkpoint, deadline, listing, &own);
	if (own.party == FAULT_BY_CACHE) {
		own = (struct fault){0};
		verdict = bring_and_take(api, ledger, base, checkpoint, deadline, listing, &own);
	}
	*has_ledger = own.kind != FAULT_ABSENT && own.kind != FAULT_REFUSED;
	if (!*has_ledger)
		return 0;
	if (verdict && flt && !flt->verdict)
		*flt = own;
	return verdict;
}

/* ---- Names ---- */

static void take_names(struct listing *listing, const struct name *names, size_t count, bool filter)
{
	for (size_t i = 0; i < count; i++) {
		struct digest log_id = name_log_id(&names[i]);

		if (!filter || listing_find_log(listing, &log_id))
			listing->names[listing->count++] = names[i];
	}
}

static void sort_names(struct listing *listing)
{
	if (listing->count)
		qsort(listing->names, listing->count, sizeof(*listing->names), compare_names);
	listing->count = keep_first(listing->names, listing->count, sizeof(*listing->names), compare_names);
}

/* The log ids that no name here hashes to. @param out  `log_count` of them at most; free() it */
static int find_nameless(const struct listing *listing, struct digest **out, size_t *count, struct fault *flt)
{
	struct digest *nameless = calloc(listing->log_count + 1, sizeof(*nameless));
	bool *named = calloc(listing->log_count + 1, sizeof(*named));

	if (!nameless || !named) {
		free(nameless);
		free(named);
		return fault_no_memory(flt);
	}
	for (size_t i = 0; i < listing->count; i++) {
		struct digest log_id = name_log_id(&listing->names[i]);
		const struct listing_log *found = listing_find_log(listing, &log_id);

		if (found)
			named[found - listing->logs] = true;
	}
	*count = 0;
	for (size_t i = 0; i < listing->log_count; i++)
		if (!named[i])
			nameless[(*count)++] = listing->logs[i].id;
	free(named);
	*out = nameless;
	return 0;
}

/*
 * Ask for the names that are not known yet, and keep them. One that the registry does not tell leaves the listing
 * incomplete.
 */
static int ask_names(const struct api *api, struct ledger *ledger, clock_ms deadline, struct listing *listing,
		     struct fault *flt)
{
	struct digest *nameless = NULL;
	struct name *told = NULL, *grown;
	size_t count = 0, before = listing->count;
	int verdict;

	verdict = find_nameless(listing, &nameless, &count, flt);
	if (verdict)
		return verdict;
	if (!count) {
		listing->complete = true;
		goto free_nameless;
	}
	told = calloc(count, sizeof(*told));
	grown = told ? reallocarray(listing->names, listing->count + count, sizeof(*grown)) : NULL;
	if (!grown) {
		verdict = fault_no_memory(flt);
		goto free_nameless;
	}
	listing->names = grown;
	verdict = api_fetch_names(api, deadline, nameless, count, told, flt);
	for (size_t i = 0; !verdict && i < count; i++)
		if (told[i].text[0])
			listing->names[listing->count++] = told[i];
	listing->complete = !verdict && listing->count - before == count;
	ledger_keep_names(ledger, listing->names + before, listing->count - before);
	sort_names(listing);

free_nameless:
	free(told);
	free(nameless);
	return verdict;
}

/* What is known already: of the listing before, or else kept on disk, and proven otherwise. */
static int start_names(struct ledger *ledger, const struct listing *base, const struct name *known,
		       size_t known_count, bool has_ledger, struct listing *listing, struct fault *flt)
{
	struct name *kept = NULL;
	size_t kept_count = 0;
	int verdict = 0;

	if (!base && has_ledger)
		verdict = ledger_load_names(ledger, &kept, &kept_count, flt);
	if (verdict)
		return verdict;
	listing->names = calloc((base ? base->count : kept_count) + known_count + 1, sizeof(*listing->names));
	if (listing->names) {
		if (base)
			take_names(listing, base->names, base->count, has_ledger);
		take_names(listing, kept, kept_count, has_ledger);
		take_names(listing, known, known_count, has_ledger);
		sort_names(listing);
	} else {
		verdict = fault_no_memory(flt);
	}
	free(kept);
	return verdict;
}

int listing_load(struct ledger *ledger, const struct checkpoint *checkpoint, struct listing **out, struct fault *flt)
{
	struct listing *listing = listing_new();
	struct digest *nameless = NULL;
	size_t count = 0;
	int verdict;

	if (!listing)
		return fault_no_memory(flt);
	verdict = take_ledger(ledger, NULL, checkpoint, listing, flt);
	if (!verdict)
		verdict = start_names(ledger, NULL, NULL, 0, true, listing, flt);
	if (!verdict)
		verdict = find_nameless(listing, &nameless, &count, flt);
	free(nameless);
	if (verdict) {
		listing_unref(listing);
		return verdict;
	}
	listing->complete = !count;
	*out = listing;
	return 0;
}

int listing_update(const struct api *api, struct ledger *ledger, const struct listing *base,
		   const struct signed_checkpoint *checkpoint, const struct name *known, size_t known_count,
		   clock_ms deadline, struct listing **out, struct fault *flt)
{
	struct listing *listing = listing_new();
	bool has_ledger;
	int verdict;

	if (!listing)
		return fault_no_memory(flt);
	if (base && base->length > checkpoint->contents.log_length)
		base = NULL;
	verdict = read_ledger(api, ledger, base, checkpoint, deadline, listing, &has_ledger, flt);
	if (verdict) {
		fault_at(flt, "the ledger");
		goto err;
	}
	verdict = start_names(ledger, base, known, known_count, has_ledger, listing, flt);
	if (!verdict && has_ledger)
		verdict = ask_names(api, ledger, deadline, listing, flt);
	if (verdict)
		goto err;
	*out = listing;
	return 0;
err:
	if (verdict == WARG_INVALID)
		fault_blame(flt, FAULT_BY_REGISTRY);
	listing_unref(listing);
	return verdict;
}

/* ---- Looking things up ---- */

/* The index of the first name that is not below `text`. */
static size_t lower_bound(const struct listing *listing, const char *text)
{
	size_t low = 0, high = listing->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(listing->names[middle].text, text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool listing_has(const struct listing *listing, const struct name *name)
{
	size_t index = lower_bound(listing, name->text);

	return index < listing->count && !strcmp(listing->names[index].text, name->text);
}

size_t listing_first_in(const struct listing *listing, struct span namespace)
{
	char text[CAP_NAME_PART + 2];

	if (namespace.length > CAP_NAME_PART)
		return listing->count;
	memcpy(text, namespace.data, namespace.length);
	text[namespace.length] = ':';
	text[namespace.length + 1] = '\0';
	return lower_bound(listing, text);
}
