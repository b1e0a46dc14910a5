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
	free(listing->log_ids);
	free(listing);
}

/* ---- Sorted lists ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static int compare_digests(const void *a, const void *b)
{
	return digest_compare(a, b);
}

/* Sort, and keep one of those that are equal. @return how many are left */
static size_t sort_unique(void *list, size_t count, size_t size, int (*compare)(const void *, const void *))
{
	unsigned char *bytes = list;
	size_t kept = 0;

	if (!count)
		return 0;
	qsort(list, count, size, compare);
	for (size_t i = 1; i < count; i++) {
		if (!compare(bytes + kept * size, bytes + i * size))
			continue;
		kept++;
		if (kept != i)
			memcpy(bytes + kept * size, bytes + i * size, size);
	}
	return kept + 1;
}

static bool has_log(const struct listing *listing, const struct digest *log_id)
{
	return listing->log_count &&
	       bsearch(log_id, listing->log_ids, listing->log_count, sizeof(*log_id), compare_digests);
}

/* ---- The ledger ---- */

/* Go on from the listing before, as far as it was proven from the ledger. */
static int start_from(const struct listing *base, struct listing *listing, size_t growth, struct fault *flt)
{
	listing->log_ids = calloc((base ? base->log_count : 0) + growth + 1, sizeof(*listing->log_ids));
	if (!listing->log_ids)
		return fault_no_memory(flt);
	if (!base)
		return 0;
	listing->roots = base->roots;
	listing->log_count = base->log_count;
	if (base->log_count)
		memcpy(listing->log_ids, base->log_ids, base->log_count * sizeof(*base->log_ids));
	return 0;
}

static void append_entries(struct listing *listing, const struct api_ledger_entry *entries, size_t count)
{
	struct digest operator_id = name_operator_log_id();

	for (size_t i = 0; i < count; i++) {
		struct digest leaf = merkle_log_leaf(&entries[i].log_id, &entries[i].record_id);

		merkle_log_roots_append(&listing->roots, &leaf);
		if (!digest_equals(&entries[i].log_id, &operator_id))
			listing->log_ids[listing->log_count++] = entries[i].log_id;
	}
	listing->log_count = sort_unique(listing->log_ids, listing->log_count, sizeof(*listing->log_ids),
					 compare_digests);
}

/*
 * Fetch the ledger's growth and compare its root with the checkpoint's.
 * @param has_ledger  false if the registry has none
 */
static int read_ledger(const struct api *api, const struct listing *base, const struct checkpoint *checkpoint,
		       clock_ms deadline, struct listing *listing, bool *has_ledger, struct fault *flt)
{
	uint64_t first = base ? base->roots.length : 0, end = checkpoint->log_length;
	struct api_ledger_entry *entries = NULL;
	struct fault own = {0};
	struct digest root;
	int verdict = 0;

	*has_ledger = true;
	if (first < end)
		verdict = api_fetch_ledger(api, deadline, first, end, &entries, &own);
	if (own.kind == FAULT_ABSENT || own.kind == FAULT_REFUSED) {
		*has_ledger = false;
		return 0;
	}
	if (verdict) {
		if (flt && !flt->verdict)
			*flt = own;
		return verdict;
	}
	verdict = start_from(base, listing, end - first, flt);
	if (!verdict)
		append_entries(listing, entries, end - first);
	free(entries);
	if (verdict)
		return verdict;
	root = merkle_log_roots_fold(&listing->roots);
	if (!digest_equals(&root, &checkpoint->log_root))
		return fault_invalid(flt, "it does not lead to the log root of the checkpoint");
	return 0;
}

/* ---- Names ---- */

static void take_names(struct listing *listing, const struct name *names, size_t count, bool filter)
{
	for (size_t i = 0; i < count; i++) {
		struct digest log_id = name_log_id(&names[i]);

		if (!filter || has_log(listing, &log_id))
			listing->names[listing->count++] = names[i];
	}
}

static void sort_names(struct listing *listing)
{
	listing->count = sort_unique(listing->names, listing->count, sizeof(*listing->names), compare_names);
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
		const struct digest *found = bsearch(&log_id, listing->log_ids, listing->log_count, sizeof(log_id),
						     compare_digests);

		if (found)
			named[found - listing->log_ids] = true;
	}
	*count = 0;
	for (size_t i = 0; i < listing->log_count; i++)
		if (!named[i])
			nameless[(*count)++] = listing->log_ids[i];
	free(named);
	*out = nameless;
	return 0;
}

/* Ask for the names that are not known yet. One that the registry does not tell leaves the listing incomplete. */
static int ask_names(const struct api *api, clock_ms deadline, struct listing *listing, struct fault *flt)
{
	struct digest *nameless = NULL;
	struct name *told = NULL, *grown;
	size_t count = 0, named = 0;
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
	for (size_t i = 0; !verdict && i < count; i++) {
		if (!told[i].text[0])
			continue;
		listing->names[listing->count++] = told[i];
		named++;
	}
	listing->complete = !verdict && named == count;
	sort_names(listing);

free_nameless:
	free(told);
	free(nameless);
	return verdict;
}

/* What is known already: of the listing before, and proven otherwise. */
static int start_names(const struct listing *base, const struct name *known, size_t known_count, bool filter,
		       struct listing *listing, struct fault *flt)
{
	listing->names = calloc((base ? base->count : 0) + known_count + 1, sizeof(*listing->names));
	if (!listing->names)
		return fault_no_memory(flt);
	if (base)
		take_names(listing, base->names, base->count, filter);
	take_names(listing, known, known_count, filter);
	sort_names(listing);
	return 0;
}

int listing_update(const struct api *api, const struct listing *base, const struct checkpoint *checkpoint,
		   const struct name *known, size_t known_count, clock_ms deadline, struct listing **out,
		   struct fault *flt)
{
	struct listing *listing = listing_new();
	bool has_ledger;
	int verdict;

	if (!listing)
		return fault_no_memory(flt);
	if (base && base->roots.length > checkpoint->log_length)
		base = NULL;
	verdict = read_ledger(api, base, checkpoint, deadline, listing, &has_ledger, flt);
	if (verdict) {
		fault_at(flt, "the ledger");
		goto err;
	}
	verdict = start_names(base, known, known_count, has_ledger, listing, flt);
	if (!verdict && has_ledger)
		verdict = ask_names(api, deadline, listing, flt);
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
