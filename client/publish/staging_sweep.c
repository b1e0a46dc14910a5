/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Taking away the contents that nobody names any more: staging_sweep().
 */
#include "staging_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "journal.h"
#include "pending.h"
#include "verify/array.h"
#include "verify/hex.h"

/* Digests, sorted once all are there. */
struct named {
	struct digest *digests;
	size_t count, capacity;
};

static int append(struct named *named, const struct digest *digest, struct fault *flt)
{
	int r = array_reserve(&named->digests, named->count, &named->capacity, sizeof(*named->digests), flt);

	if (!r)
		named->digests[named->count++] = *digest;
	return r;
}

static int compare(const void *a, const void *b)
{
	return digest_compare(a, b);
}

static int name_pending(struct store *store, struct named *named, struct fault *flt)
{
	struct pending pending = {0};
	bool found = false;
	int r = pending_load(store, &pending, &found, flt);

	for (size_t i = 0; !r && i < pending.count; i++)
		if (pending.entries[i].type == ENTRY_RELEASE)
			r = append(named, &pending.entries[i].content, flt);
	pending_release(&pending);
	return r;
}

static int name_record(struct journal *journal, const struct digest *id, struct named *named, struct fault *flt)
{
	struct journal_entry entry = {0};
	bool found = false;
	int r = journal_load(journal, id, &entry, &found, flt);

	for (size_t i = 0; !r && i < entry.record.entry_count; i++)
		if (entry.record.entries[i].type == ENTRY_RELEASE)
			r = append(named, &entry.record.entries[i].content, flt);
	journal_entry_release(&entry);
	return r;
}

static int name_journal(const struct staging *staging, struct named *named, struct fault *flt)
{
	struct journal *journal = NULL;
	struct digest *ids = NULL;
	size_t count = 0;
	int r = journal_open(staging->state_dir, staging->label, &journal, flt);

	if (!r)
		r = journal_list(journal, &ids, &count, flt);
	for (size_t i = 0; !r && i < count; i++)
		r = name_record(journal, &ids[i], named, flt);
	free(ids);
	if (!r)
		journal_sweep(journal);
	journal_close(journal);
	return r;
}

/* Who made it and died is gone: nobody else has a hold. Anything that we did not put there stays. */
static bool is_garbage(const char *file, const struct named *named)
{
	struct digest digest;

	if (!strncmp(file, STAGING_TEMP_PREFIX, strlen(STAGING_TEMP_PREFIX)))
		return true;
	if (hex_decode(span_of_text(file), digest.bytes, DIGEST_SIZE, NULL))
		return false;
	return !named->count || !bsearch(&digest, named->digests, named->count, sizeof(digest), compare);
}

/* Closes `folder`. */
static int remove_garbage(int folder, const struct named *named, struct fault *flt)
{
	struct dirent *entry;
	DIR *listing = fdopendir(folder);
	int r = 0;

	if (!listing) {
		r = fault_system(flt, errno, "listing the staging");
		close(folder);
		return r;
	}
	while (!r && (entry = readdir(listing)))
		if (is_garbage(entry->d_name, named))
			r = file_remove_tree(dirfd(listing), entry->d_name, flt);
	closedir(listing);
	return r;
}

int staging_sweep(struct staging *staging, struct store *pending, struct fault *flt)
{
	struct named named = {0};
	bool had = false;
	int folder = -1;
	int r = staging_reopen_contents(staging, &folder, flt);

	if (r)
		return r;
	r = file_lock(folder, 0, &had, flt);
	if (!r && had)
		r = name_pending(pending ? pending : staging->store, &named, flt);
	if (!r && had)
		r = name_journal(staging, &named, flt);
	if (!r && had) {
		if (named.count)
			qsort(named.digests, named.count, sizeof(*named.digests), compare);
		r = remove_garbage(folder, &named, flt);
	} else {
		close(folder);
	}
	free(named.digests);
	return r;
}
