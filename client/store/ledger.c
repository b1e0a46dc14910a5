/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The ledger's records, from proof to proof (see ledger.h). Where they lie is the business of ledger_file.c.
 */
#include "ledger_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE 1024 /* records that are read at once while loading */

int ledger_open(const char *own_dir, const char *label, struct ledger **out, struct fault *flt)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return fault_no_memory(flt);
	pthread_mutex_init(&ledger->mutex, NULL);
	ledger->fd = ledger->spool.fd = -1;
	ledger->own_dir = strdup(own_dir);
	ledger->label = strdup(label);
	if (!ledger->own_dir || !ledger->label) {
		ledger_close(ledger);
		return fault_no_memory(flt);
	}
	*out = ledger;
	return 0;
}

void ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	ledger_forget(ledger);
	buf_release(&ledger->tail.url);
	pthread_mutex_destroy(&ledger->mutex);
	free(ledger->own_dir);
	free(ledger->label);
	free(ledger);
}

static void records_release(struct ledger_records *records)
{
	free(records->chunks);
	*records = (struct ledger_records){0};
}

static void drop_spool(struct ledger *ledger)
{
	if (ledger->spool.fd >= 0)
		close(ledger->spool.fd);
	ledger->spool = (struct api_ledger_spool){.fd = -1};
}

void ledger_forget(struct ledger *ledger)
{
	drop_spool(ledger);
	ledger->epoch++;
	pthread_mutex_lock(&ledger->mutex);
	records_release(&ledger->records);
	if (ledger->fd >= 0)
		close(ledger->fd);
	ledger->fd = -1;
	ledger->is_named = ledger->is_in_doubt = ledger->is_damaged = false;
	pthread_mutex_unlock(&ledger->mutex);
}

/* ---- Growing ---- */

/* Make room for the hashes of all chunks of `length` records. */
static int reserve(struct ledger_records *records, uint64_t length, struct fault *flt)
{
	size_t needed = length / LEDGER_CHUNK;
	size_t capacity = needed + needed / 4 + 16;
	struct digest *chunks;

	if (needed <= records->capacity)
		return 0;
	chunks = reallocarray(records->chunks, capacity, sizeof(*chunks));
	if (!chunks)
		return fault_no_memory(flt);
	records->chunks = chunks;
	records->capacity = capacity;
	return 0;
}

/* Note records that come to stand at `index`; there is room for the hashes of their chunks. The roots stay. */
static void note(struct ledger_records *records, uint64_t index, const struct api_ledger_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++, index++) {
		records->tail[index % LEDGER_CHUNK] = entries[i];
		if ((index + 1) % LEDGER_CHUNK == 0)
			records->chunks[index / LEDGER_CHUNK] = digest_of((struct span){
				(const unsigned char *)records->tail, sizeof(records->tail)});
	}
}

static void append_leaves(struct merkle_log_roots *roots, const struct api_ledger_entry *entries, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct digest leaf = merkle_log_leaf(&entries[i].log_id, &entries[i].record_id);

		merkle_log_roots_append(roots, &leaf);
	}
}

int ledger_walk_growth(const struct ledger_growth *growth, uint64_t index,
		       int (*take)(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
				   struct fault *flt),
		       void *user, struct fault *flt)
{
	struct api_ledger_entry piece[PIECE];
	int verdict = 0;

	if (growth->entries)
		return take(user, index, growth->entries, growth->count, flt);
	for (size_t at = 0; !verdict && at < growth->count; at += PIECE) {
		size_t count = growth->count - at < PIECE ? growth->count - at : PIECE;
		ssize_t got = ledger_read_at(growth->fd, piece, count * LEDGER_ENTRY, (off_t)(at * LEDGER_ENTRY));

		if (got != (ssize_t)(count * LEDGER_ENTRY))
			return fault_system(flt, got < 0 ? errno : EIO, "reading the fetched ledger");
		verdict = take(user, index + at, piece, count, flt);
	}
	return verdict;
}

static int hash_piece(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
		      struct fault *flt)
{
	(void)index;
	(void)flt;
	append_leaves(user, entries, count);
	return 0;
}

static int note_piece(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
		      struct fault *flt)
{
	(void)flt;
	note(user, index, entries, count);
	return 0;
}

static int check_root(const struct merkle_log_roots *roots, const struct checkpoint *checkpoint, struct fault *flt)
{
	struct digest root = merkle_log_roots_fold(roots);

	if (!digest_equals(&root, &checkpoint->log_root))
		return fault_invalid(flt, "it does not lead to the log root of the checkpoint");
	return 0;
}

static int append(struct ledger *ledger, const struct ledger_growth *growth,
		  const struct signed_checkpoint *checkpoint, struct fault *flt)
{
	struct ledger_records *records = &ledger->records, noted;
	struct merkle_log_roots roots = records->roots;
	int verdict;

	verdict = ledger_walk_growth(growth, roots.length, hash_piece, &roots, flt);
	if (!verdict)
		verdict = check_root(&roots, &checkpoint->contents, flt);
	if (verdict)
		return verdict;
	pthread_mutex_lock(&ledger->mutex);
	verdict = reserve(records, roots.length, flt);
	pthread_mutex_unlock(&ledger->mutex);
	if (!verdict)
		verdict = ledger_put(ledger, growth, flt);
	if (verdict)
		return verdict;
	/* Readers use chunks below the length only, so append all chunks before the length changes. */
	noted = *records;
	verdict = ledger_walk_growth(growth, roots.length - growth->count, note_piece, &noted, flt);
	if (verdict)
		return verdict;
	noted.roots = roots;
	pthread_mutex_lock(&ledger->mutex);
	*records = noted;
	ledger->is_in_doubt = false;
	pthread_mutex_unlock(&ledger->mutex);
	return 0;
}

int ledger_append(struct ledger *ledger, const struct api_ledger_entry *entries, size_t count,
		  const struct signed_checkpoint *checkpoint, struct fault *flt)
{
	const struct ledger_growth growth = {entries, -1, count};
	uint64_t length = ledger->records.roots.length;

	if (length + count != checkpoint->contents.log_length)
		return fault_undecided(flt, FAULT_MISUSE, "the ledger has %" PRIu64 " records, and %zu more lead to no "
				       "checkpoint of %" PRIu64, length, count, checkpoint->contents.log_length);
	return append(ledger, &growth, checkpoint, flt);
}

/* Reuse the spool of the last attempt if it follows the stored records. */
static int open_spool(struct ledger *ledger, struct fault *flt)
{
	uint64_t length = ledger->records.roots.length;
	int r;

	if (ledger->spool.fd >= 0 && ledger->spool.first == length)
		return 0;
	drop_spool(ledger);
	r = ledger_open_spool(ledger, &ledger->spool.fd, flt);
	ledger->spool.first = ledger->spool.end = length;
	ledger->spool.tail = &ledger->tail;
	return r;
}

void ledger_expect_growth(struct ledger *ledger)
{
	ledger->expects_growth = true;
}

/*
 * Whether records that come behind those that are there are to be looked for in the last part known. Not behind many
 * that have no checkpoint: else the spool would grow for as long as a registry makes records up.
 */
static bool is_tail_of_use(struct ledger *ledger)
{
	const struct api_ledger_tail *tail = &ledger->tail;

	return ledger_length(ledger) && tail->url.length && !open_spool(ledger, NULL) &&
	       tail->first < ledger->spool.end && ledger->spool.end - ledger->spool.first < CAP_REQUEST_RECORDS;
}

int ledger_fetch_checkpoint(struct ledger *ledger, const struct api *api, clock_ms deadline,
			    struct signed_checkpoint *out, struct fault *flt)
{
	bool expects_growth = ledger->expects_growth;

	ledger->expects_growth = false;
	if (expects_growth && is_tail_of_use(ledger))
		return api_fetch_checkpoint_and_ledger(api, deadline, &ledger->spool, out, flt);
	return api_fetch_checkpoint(api, deadline, out, flt);
}

/* @param was_begun  records had come without being listed now, which may be what is wrong */
static int grow(struct ledger *ledger, const struct api *api, clock_ms deadline,
		const struct signed_checkpoint *checkpoint, bool *was_begun, struct fault *flt)
{
	uint64_t end = checkpoint->contents.log_length;
	struct fault own = {0};
	int verdict = open_spool(ledger, &own);

	if (!verdict && ledger->spool.end < end && is_tail_of_use(ledger))
		api_spool_tail(api, deadline, &ledger->spool, end);
	*was_begun = !verdict && ledger->spool.end > ledger->spool.first;
	if (!verdict && (ledger->spool.end < end || ledger->spool.first == end))
		verdict = api_spool_ledger(api, deadline, &ledger->spool, end, &own);
	if (!verdict) {
		const struct ledger_growth growth = {NULL, ledger->spool.fd, end - ledger->spool.first};

		verdict = append(ledger, &growth, checkpoint, &own);
	}
	/* Keep the spool unless its records lead to no known root. */
	if (!verdict || own.kind == FAULT_FORGED || own.kind == FAULT_SYSTEM)
		drop_spool(ledger);
	fault_pass(&own, flt);
	return verdict;
}

int ledger_grow(struct ledger *ledger, const struct api *api, clock_ms deadline,
		const struct signed_checkpoint *checkpoint, struct fault *flt)
{
	struct fault own = {0};
	bool was_begun;
	int verdict = grow(ledger, api, deadline, checkpoint, &was_begun, &own);

	/* Parts of several attempts may be of several states of the registry: it is held to what it sends as one. */
	if (own.kind == FAULT_FORGED && was_begun) {
		own = (struct fault){0};
		buf_release(&ledger->tail.url);
		verdict = grow(ledger, api, deadline, checkpoint, &was_begun, &own);
	}
	fault_pass(&own, flt);
	return verdict;
}

/* The file with a name, opened once more, if the records in it lead to the checkpoint; else -1. */
static int open_kept(struct ledger *ledger, const struct checkpoint *checkpoint)
{
	const struct merkle_log_roots *roots = &ledger->records.roots;
	int fd = -1;

	pthread_mutex_lock(&ledger->mutex);
	if (ledger->is_named && !ledger->is_damaged && roots->length == checkpoint->log_length &&
	    !check_root(roots, checkpoint, NULL))
		fd = fcntl(ledger->fd, F_DUPFD_CLOEXEC, 0);
	pthread_mutex_unlock(&ledger->mutex);
	return fd;
}

bool ledger_keep(struct ledger *ledger, const struct signed_checkpoint *checkpoint)
{
	int fd = open_kept(ledger, &checkpoint->contents);
	bool is_kept = fd >= 0 && ledger_keep_checkpoint(ledger, fd, checkpoint);

	if (fd >= 0)
		close(fd);
	return is_kept;
}

/* ---- Loading ---- */

/* Read the first `length` records of a file. */
static int read_records(int fd, uint64_t length, struct ledger_records *out, struct fault *flt)
{
	struct api_ledger_entry piece[PIECE];
	int verdict = reserve(out, length, flt);

	while (!verdict && out->roots.length < length) {
		uint64_t at = out->roots.length;
		size_t count = length - at < PIECE ? length - at : PIECE;
		ssize_t got = ledger_read_at(fd, piece, count * LEDGER_ENTRY, ledger_offset(at));

		if (got < 0)
			return fault_system(flt, errno, "reading");
		if ((size_t)got < count * LEDGER_ENTRY)
			return fault_invalid(flt, "it is cut short");
		note(out, at, piece, count);
		append_leaves(&out->roots, piece, count);
	}
	return verdict;
}

static int load_file(struct ledger *ledger, int folder, const struct checkpoint *checkpoint, bool *found,
		     struct fault *flt)
{
	struct ledger_records records = {0};
	bool is_writable = false;
	uint64_t size = 0;
	int fd = -1;
	int verdict = ledger_open_file(folder, &fd, &is_writable, &size, flt);

	if (verdict || fd < 0)
		return verdict;
	if (size < (uint64_t)ledger_offset(checkpoint->log_length))
		verdict = fault_invalid(flt, "it is cut short");
	if (!verdict)
		verdict = read_records(fd, checkpoint->log_length, &records, flt);
	if (!verdict)
		verdict = check_root(&records.roots, checkpoint, flt);
	if (verdict) {
		records_release(&records);
		close(fd);
		return verdict;
	}
	pthread_mutex_lock(&ledger->mutex);
	ledger->records = records;
	ledger->fd = fd;
	ledger->is_named = is_writable;
	ledger->is_in_doubt = true;
	pthread_mutex_unlock(&ledger->mutex);
	*found = true;
	return 0;
}

int ledger_load(struct ledger *ledger, struct signed_checkpoint *checkpoint, bool *found, struct fault *flt)
{
	struct signed_checkpoint beside;
	bool has_checkpoint = false;
	struct fault own = {0};
	int folder = -1;
	int verdict;

	*found = false;
	if (ledger->records.roots.length)
		return 0;
	verdict = ledger_open_folder(ledger, false, &folder, &own);
	if (!verdict && folder >= 0)
		verdict = ledger_read_checkpoint(folder, &beside, &has_checkpoint, &own);
	if (!verdict && has_checkpoint)
		verdict = load_file(ledger, folder, &beside.contents, found, &own);
	if (folder >= 0)
		close(folder);
	if (*found)
		*checkpoint = beside;
	ledger->checkpoint_is_stale = verdict == WARG_INVALID;
	if (verdict && flt && !flt->verdict) {
		fault_at(&own, "the ledger in %.200s", ledger->own_dir);
		fault_blame(&own, FAULT_BY_CACHE);
		*flt = own;
	}
	return verdict;
}

bool ledger_is_stored(struct ledger *ledger)
{
	struct signed_checkpoint beside;
	bool has_checkpoint = false;
	struct fault ignored = {0};
	int folder = -1;

	if (ledger_open_folder(ledger, false, &folder, &ignored) || folder < 0)
		return false;
	if (ledger_read_checkpoint(folder, &beside, &has_checkpoint, &ignored))
		has_checkpoint = false;
	close(folder);
	return has_checkpoint;
}

void ledger_doubt_checkpoint(struct ledger *ledger)
{
	ledger->checkpoint_is_stale = true;
}

/* ---- What is there ---- */

uint64_t ledger_length(struct ledger *ledger)
{
	bool is_damaged;

	pthread_mutex_lock(&ledger->mutex);
	is_damaged = ledger->is_damaged;
	pthread_mutex_unlock(&ledger->mutex);
	if (is_damaged)
		ledger_forget(ledger);
	return ledger->records.roots.length;
}

struct digest ledger_root(struct ledger *ledger)
{
	return merkle_log_roots_fold(&ledger->records.roots);
}

bool ledger_is_at(struct ledger *ledger, const struct checkpoint *checkpoint)
{
	struct digest root = ledger_root(ledger);

	return ledger_length(ledger) == checkpoint->log_length && digest_equals(&root, &checkpoint->log_root);
}

unsigned ledger_epoch(const struct ledger *ledger)
{
	return ledger->epoch;
}

bool ledger_is_in_doubt(struct ledger *ledger)
{
	bool is_in_doubt;

	pthread_mutex_lock(&ledger->mutex);
	is_in_doubt = ledger->is_in_doubt || ledger->is_damaged;
	pthread_mutex_unlock(&ledger->mutex);
	return is_in_doubt;
}

void ledger_doubt(struct ledger *ledger)
{
	pthread_mutex_lock(&ledger->mutex);
	ledger->is_in_doubt = true;
	pthread_mutex_unlock(&ledger->mutex);
}

/* A full chunk, if it still has the hash that it had when it was proven. The mutex is held. */
static int read_full(struct ledger *ledger, uint64_t chunk, struct api_ledger_entry out[static LEDGER_CHUNK],
		     struct fault *flt)
{
	const size_t size = LEDGER_CHUNK * LEDGER_ENTRY;
	ssize_t got = ledger_read_at(ledger->fd, out, size, ledger_offset(chunk * LEDGER_CHUNK));
	struct digest hash;

	if (got < 0)
		return fault_system(flt, errno, "reading the ledger");
	hash = digest_of((struct span){(const unsigned char *)out, (size_t)got});
	if (digest_equals(&hash, &ledger->records.chunks[chunk]))
		return 0;
	ledger->is_damaged = true;
	fault_invalid(flt, "it is no longer what was proven");
	fault_at(flt, "the ledger in %.200s", ledger->own_dir);
	fault_blame(flt, FAULT_BY_CACHE);
	return WARG_INVALID;
}

/* The chunk that the record is in. @param count  how many records it has */
static int read_chunk(struct ledger *ledger, uint64_t index, struct api_ledger_entry out[static LEDGER_CHUNK],
		      size_t *count, struct fault *flt)
{
	uint64_t length, chunk = index / LEDGER_CHUNK;
	int verdict = 0;

	pthread_mutex_lock(&ledger->mutex);
	length = ledger->records.roots.length;
	if (index >= length) {
		verdict = fault_undecided(flt, FAULT_MISUSE, "the ledger has %" PRIu64 " records, and none at %" PRIu64,
					  length, index);
	} else if (chunk < length / LEDGER_CHUNK) {
		verdict = read_full(ledger, chunk, out, flt);
		*count = LEDGER_CHUNK;
	} else {
		memcpy(out, ledger->records.tail, sizeof(ledger->records.tail));
		*count = length % LEDGER_CHUNK;
	}
	pthread_mutex_unlock(&ledger->mutex);
	return verdict;
}

int ledger_read(struct ledger *ledger, uint64_t first, uint64_t end,
		int (*take)(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
			    struct fault *flt),
		void *user, struct fault *flt)
{
	struct api_ledger_entry chunk[LEDGER_CHUNK];
	int verdict = 0;

	while (!verdict && first < end) {
		size_t at = first % LEDGER_CHUNK, count = 0;

		verdict = read_chunk(ledger, first, chunk, &count, flt);
		if (verdict)
			break;
		count -= at;
		if (count > end - first)
			count = end - first;
		verdict = take(user, first, chunk + at, count, flt);
		first += count;
	}
	return verdict;
}

static int take_one(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count, struct fault *flt)
{
	struct api_ledger_entry *out = user;

	(void)index;
	(void)count;
	(void)flt;
	*out = entries[0];
	return 0;
}

int ledger_record(struct ledger *ledger, uint64_t index, struct api_ledger_entry *out, struct fault *flt)
{
	return ledger_read(ledger, index, index + 1, take_one, out, flt);
}
