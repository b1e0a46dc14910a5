/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Finding what nothing names (see garbage.h).
 */
#include "garbage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "published.h"
#include "content_files.h"
#include "statement.h"
#include "verify/array.h"
#include "verify/merkle_log.h"
#include "verify/name.h"

#define MOST (1u << 20)       /* contents that are looked at together: 33 MB */
#define AT_ONCE 256           /* contents removed in one write transaction: other writers wait for it */
#define QUIET 86400           /* age in seconds from which a file without a row in `received` counts as garbage */
#define REJECTED_KEPT 2592000 /* seconds for which the reason of a rejection is kept: 30 days */
#define REJECTED_MOST 100000  /* at most so many of the newest rejections */

/* A candidate for removal. */
struct candidate {
	struct digest digest;
	bool is_named, is_published; /* named by any record; by a published one */
};

struct search {
	const struct garbage *garbage;
	struct candidate *candidates; /* sorted, once they are listed */
	size_t count, room;
	struct merkle_log_roots roots;
	bool any_named;
	struct garbage_counts counts;
};

/* ---- Names ---- */

static int compare(const void *a, const void *b)
{
	return digest_compare(&((const struct candidate *)a)->digest, &((const struct candidate *)b)->digest);
}

static void mark(struct search *search, const struct digest *digest)
{
	const struct candidate key = {.digest = *digest};
	struct candidate *found = search->count ?
		bsearch(&key, search->candidates, search->count, sizeof(key), compare) : NULL;

	if (found)
		found->is_named = search->any_named = true;
}

/* Any text in the bytes that looks like a digest counts: the record need not be decoded. */
static void mark_all(struct search *search, struct span bytes)
{
	static const char prefix[] = "sha256:";
	const unsigned char *at = bytes.data;
	size_t left = bytes.length;
	struct digest digest;

	while (left >= DIGEST_TEXT_SIZE - 1) {
		const unsigned char *found = memmem(at, left, prefix, sizeof(prefix) - 1);

		if (!found || (size_t)(at + left - found) < DIGEST_TEXT_SIZE - 1)
			return;
		if (!digest_parse((struct span){found, DIGEST_TEXT_SIZE - 1}, &digest, NULL))
			mark(search, &digest);
		left -= (size_t)(found + 1 - at);
		at = found + 1;
	}
}

/* ---- What may be taken ---- */

static int add_candidate(struct search *search, const struct digest *digest, struct fault *flt)
{
	int r = array_reserve(&search->candidates, search->count, &search->room, sizeof(*search->candidates), flt);

	if (!r)
		search->candidates[search->count++] = (struct candidate){.digest = *digest};
	return r;
}

static int take_received(void *user, struct statement *row, struct fault *flt)
{
	struct search *search = user;
	struct digest digest;
	int r = statement_digest(row, 0, &digest, flt);

	return r || search->count == MOST ? r : add_candidate(search, &digest, flt);
}

static int list_received(struct search *search, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(search->garbage->reading, "SELECT digest FROM received", &statement, flt);

	return r ? r : statement_each(statement, take_received, search, flt);
}

/* @param part  of `parts`, by the first byte */
static int list_files(struct search *search, unsigned part, unsigned parts, size_t *beyond, struct fault *flt)
{
	int copy = openat(search->garbage->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;
	struct digest digest;
	int r = 0;

	if (!list) {
		if (copy >= 0)
			close(copy);
		return fault_system(flt, errno, "the folder of contents");
	}
	while (!r && (entry = readdir(list))) {
		if (!content_file_parse(entry->d_name, &digest) || digest.bytes[0] * parts / 256 != part)
			continue;
		if (search->count < MOST)
			r = add_candidate(search, &digest, flt);
		else
			(*beyond)++;
	}
	closedir(list);
	return r;
}

/* ---- What is named ---- */

/*
 * Check that each published record hashes to its id and is at its index: a damaged record may have named other
 * contents.
 */
static int take_published(void *user, const struct published_record *record, struct fault *flt)
{
	const struct digest operator = name_operator_log_id();
	struct search *search = user;
	const bool is_operator = digest_equals(&record->log_id, &operator);
	const struct digest id = record_id(is_operator ? RECORD_OPERATOR : RECORD_PACKAGE, record->envelope.content);
	const struct digest leaf = merkle_log_leaf(&record->log_id, &record->record_id);

	if (search->garbage->is_stopping && *search->garbage->is_stopping)
		return fault_undecided(flt, FAULT_CANCELLED, "it is time to end");
	if (record->registry_index != search->roots.length || !digest_equals(&id, &record->record_id))
		return fault_invalid(flt, "a record is damaged, or lost");
	merkle_log_roots_append(&search->roots, &leaf);
	mark_all(search, record->envelope.content);
	return 0;
}

static int read_published(struct search *search, struct fault *flt)
{
	struct published_checkpoint last;
	struct fault own = {0};
	struct digest root;
	bool found;
	int r = published_walk_all(search->garbage->reading, take_published, search, flt);

	if (!r)
		r = fault_unless_absent(published_last_checkpoint(search->garbage->reading, &last, &own), &own, &found,
					flt);
	if (r)
		return r;
	root = merkle_log_roots_fold(&search->roots);
	if (search->roots.length != (found ? last.checkpoint.contents.log_length : 0) ||
	    (found && !digest_equals(&root, &last.checkpoint.contents.log_root)))
		return fault_invalid(flt, "the records are not those of the last checkpoint");
	for (size_t i = 0; i < search->count; i++)
		search->candidates[i].is_published = search->candidates[i].is_named;
	return 0;
}

static int take_bytes(void *user, struct statement *row, struct fault *flt)
{
	(void)flt;
	mark_all(user, statement_span(row, 0));
	return 0;
}

static int take_missing(void *user, struct statement *row, struct fault *flt)
{
	struct digest digest;
	int r = statement_digest(row, 0, &digest, flt);

	if (!r)
		mark(user, &digest);
	return r;
}

static int read_rows(struct search *search, struct database *database, const char *text, bool has_number,
		     int (*take)(void *user, struct statement *row, struct fault *flt), struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	if (has_number)
		statement_put_number(statement, 1, search->roots.length);
	return statement_each(statement, take, search, flt);
}

static int read_waiting(struct search *search, struct database *database, struct fault *flt)
{
	int r = read_rows(search, database, "SELECT content FROM submitted WHERE reason IS NULL", false, take_bytes,
			  flt);

	return r ? r : read_rows(search, database, "SELECT digest FROM missing", false, take_missing, flt);
}

/* The records published since the first read. */
static int read_new(struct search *search, struct fault *flt)
{
	return read_rows(search, search->garbage->writing, "SELECT content FROM records WHERE registry_index >= ?",
			 true, take_bytes, flt);
}

/* Drop the candidates that are named. */
static void drop_named(struct search *search)
{
	size_t kept = 0;

	for (size_t i = 0; i < search->count; i++)
		if (!search->candidates[i].is_named)
			search->candidates[kept++] = search->candidates[i];
	search->count = kept;
}

static size_t count_unnamed(const struct search *search)
{
	size_t count = 0;

	for (size_t i = 0; i < search->count; i++)
		count += !search->candidates[i].is_named;
	return count;
}

/* ---- Taking ---- */

/* A content that was not uploaded may belong to a running import, which stores contents before their records. */
static int may_take(const struct search *search, const struct digest *digest, const struct stat *status, bool *may,
		    struct fault *flt)
{
	int r = statement_ask_for(search->garbage->writing, "SELECT 1 FROM received WHERE digest = ?", digest, may,
				  flt);

	*may = *may || (search->garbage->scope == GARBAGE_ALL && status->st_mtime < time(NULL) - QUIET);
	return r;
}

static int take_file(struct search *search, const struct digest *digest, struct fault *flt)
{
	const int folder = search->garbage->folder;
	char name[CONTENT_FILE_NAME_SIZE];
	struct stat status;
	bool may;
	int r;

	content_file_name(digest, name);
	if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : fault_system(flt, errno, "%s", name);
	r = may_take(search, digest, &status, &may, flt);
	if (r || !may || !S_ISREG(status.st_mode))
		return r;
	if (!search->garbage->is_trial && unlinkat(folder, name, 0) && errno != ENOENT)
		return fault_system(flt, errno, "%s", name);
	search->counts.contents++;
	search->counts.bytes += (uint64_t)status.st_size;
	return 0;
}

static int take_some(struct search *search, size_t first, size_t end, struct fault *flt)
{
	bool found;
	int r = read_new(search, flt);

	if (!r)
		r = read_waiting(search, search->garbage->writing, flt);
	for (size_t i = first; i < end && !r; i++) {
		const struct candidate *candidate = &search->candidates[i];

		if (candidate->is_named && !candidate->is_published)
			continue;
		if (!candidate->is_named)
			r = take_file(search, &candidate->digest, flt);
		/* Published contents no longer need a row. */
		if (!r)
			r = statement_ask_for(search->garbage->writing, "DELETE FROM received WHERE digest = ?",
					      &candidate->digest, &found, flt);
	}
	return r;
}

/* One write transaction; rolled back in a dry run. */
static int write_once(struct search *search, size_t first, size_t end,
		      int (*write)(struct search *search, size_t first, size_t end, struct fault *flt),
		      struct fault *flt)
{
	struct database *database = search->garbage->writing;
	int r = database_begin(database, flt);

	if (!r)
		r = write(search, first, end, flt);
	if (!r && !search->garbage->is_trial)
		r = database_commit(database, flt);
	database_rollback(database);
	return r;
}

static int take_contents(struct search *search, struct fault *flt)
{
	int r = 0;

	for (size_t at = 0; at < search->count && !r; at += AT_ONCE)
		r = write_once(search, at, search->count - at < AT_ONCE ? search->count : at + AT_ONCE, take_some, flt);
	return r;
}

static void begin_search(struct search *search)
{
	search->count = 0;
	search->roots = (struct merkle_log_roots){0};
}

static int search_listed(struct search *search, struct fault *flt)
{
	int r;

	qsort(search->candidates, search->count, sizeof(*search->candidates), compare);
	r = read_waiting(search, search->garbage->reading, flt);
	/* Do not read the published records if all candidates belong to waiting records, as is usual. */
	if (r)
		return r;
	drop_named(search);
	if (!search->count)
		return 0;
	r = read_published(search, flt);
	if (r)
		return r;
	if (search->garbage->scope == GARBAGE_ALL && count_unnamed(search) && !search->any_named)
		return fault_undecided(flt, FAULT_MISUSE, "no record here names any of the contents in that folder: it "
				       "is another registry's");
	return take_contents(search, flt);
}

/* Read all published records in one snapshot. */
static int search_once(struct search *search, unsigned part, unsigned parts, size_t *beyond, struct fault *flt)
{
	struct database *reading = search->garbage->reading;
	int r = database_begin(reading, flt);

	begin_search(search);
	if (!r)
		r = search->garbage->scope == GARBAGE_ALL ? list_files(search, part, parts, beyond, flt) :
							    list_received(search, flt);
	if (!r && search->count)
		r = search_listed(search, flt);
	database_rollback(reading);
	return r;
}

static int search_all(struct search *search, struct fault *flt)
{
	size_t beyond = 0;
	unsigned parts;
	int r = search_once(search, 0, 1, &beyond, flt);

	/* If there are too many files for one pass, split them by digest into several, with some reserve. */
	parts = 2 + (unsigned)(beyond / (MOST / 2));
	for (unsigned part = 0; beyond && part < parts && !r; part++)
		r = search_once(search, part, parts, &(size_t){0}, flt);
	return r;
}

/* ---- Rejected records ---- */

/* Also remove the names of their packages, unless another record has them. */
static int take_rejected(struct search *search, size_t first, size_t end, struct fault *flt)
{
	static const char old[] = "DELETE FROM submitted WHERE id IN (SELECT id FROM submitted WHERE reason IS NOT NULL"
				  " AND (since < ? OR id <= (SELECT id FROM submitted WHERE reason IS NOT NULL"
				  " ORDER BY id DESC LIMIT 1 OFFSET ?)) LIMIT 1000) RETURNING log_id";
	static const char lone[] = "DELETE FROM packages WHERE log_id = ? AND log_id NOT IN (SELECT log_id FROM logs)"
				   " AND log_id NOT IN (SELECT log_id FROM submitted)";
	struct digest *log_ids = NULL;
	struct statement *statement;
	size_t count = 0;
	bool found;
	int r = statement_use(search->garbage->writing, old, &statement, flt);

	(void)first;
	(void)end;
	if (r)
		return r;
	statement_put_number(statement, 1, (uint64_t)(time(NULL) - REJECTED_KEPT));
	statement_put_number(statement, 2, REJECTED_MOST);
	r = statement_gather(statement, &log_ids, &count, flt);
	for (size_t i = 0; i < count && !r; i++)
		r = statement_ask_for(search->garbage->writing, lone, &log_ids[i], &found, flt);
	free(log_ids);
	search->counts.records += count;
	return r;
}

static int take_all_rejected(struct search *search, struct fault *flt)
{
	uint64_t before;
	int r = 0;

	do {
		before = search->counts.records;
		r = write_once(search, 0, 0, take_rejected, flt);
	} while (!r && search->counts.records != before && !search->garbage->is_trial);
	return r;
}

int garbage_collect(const struct garbage *garbage, struct garbage_counts *out, struct fault *flt)
{
	struct search search = {.garbage = garbage};
	int r = search_all(&search, flt);

	if (!r)
		r = take_all_rejected(&search, flt);
	if (!r)
		*out = search.counts;
	free(search.candidates);
	return r;
}
