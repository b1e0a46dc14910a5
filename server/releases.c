/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Removing duplicates among released contents (see releases.h).
 */
#include "releases.h"

#include <stdlib.h>

static int compare_contents(const void *a, const void *b)
{
	const struct digest *one = *(const struct digest *const *)a, *other = *(const struct digest *const *)b;
	int order = digest_compare(one, other);

	return order ? order : (one > other) - (one < other);
}

static int compare_places(const void *a, const void *b)
{
	const struct digest *one = *(const struct digest *const *)a, *other = *(const struct digest *const *)b;

	return (one > other) - (one < other);
}

/*
 * The contents that a record releases, each once, in the record's order.
 * @param sorted, out  room for all entries
 */
static size_t list_contents(const struct record *record, const struct digest **sorted, struct digest *out)
{
	size_t count = 0, kept = 0;

	for (size_t i = 0; i < record->entry_count; i++)
		if (record->entries[i].type == ENTRY_RELEASE)
			sorted[count++] = &record->entries[i].content;
	qsort(sorted, count, sizeof(*sorted), compare_contents);
	for (size_t i = 0; i < count; i++)
		if (!kept || !digest_equals(sorted[kept - 1], sorted[i]))
			sorted[kept++] = sorted[i];
	qsort(sorted, kept, sizeof(*sorted), compare_places);
	for (size_t i = 0; i < kept; i++)
		out[i] = *sorted[i];
	return kept;
}

int releases_list(const struct record *record, struct digest **out, size_t *count, struct fault *flt)
{
	const struct digest **sorted = calloc(record->entry_count + 1, sizeof(*sorted));
	struct digest *found = calloc(record->entry_count + 1, sizeof(*found));

	if (!sorted || !found) {
		free(sorted);
		free(found);
		return fault_no_memory(flt);
	}
	*count = list_contents(record, sorted, found);
	*out = found;
	free(sorted);
	return 0;
}
