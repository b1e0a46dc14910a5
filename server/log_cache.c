/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A hash table of logs by their id, and a list of them by their last use (see log_cache.h).
 */
#include "log_cache.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 4096 /* chains stay short: CAP_SERVED_LOG_CACHE holds some 16,000 of the smallest logs */

/* What a log takes, beside its releases and keys; what those take: their struct, version and places in the index. */
#define LOG_BYTES 2048
#define RELEASE_BYTES 320
#define KEY_BYTES 2048

/* A cached log. Not shared, so it may be appended to. */
struct kept {
	struct digest log_id;
	struct package_log *log;
	size_t bytes;
	bool is_ahead; /* a record was appended that is not in the database yet */
	struct kept *chained;
	struct kept *newer, *older; /* list by last use */
	struct kept *next_ahead;
};

struct log_cache {
	struct database *database;
	size_t cap, bytes;
	struct kept *slots[SLOTS];
	struct kept *newest, *oldest;
	struct kept *ahead; /* bytes of all cached logs */
};

int log_cache_new(struct database *database, size_t cap, struct log_cache **out, struct fault *flt)
{
	struct log_cache *logs = calloc(1, sizeof(*logs));

	if (!logs)
		return fault_no_memory(flt);
	logs->database = database;
	logs->cap = cap;
	*out = logs;
	return 0;
}

/* ---- What is kept ---- */

/* No keyed hash: log ids are hashes of names, and filling one chain with chosen names only makes it longer to walk. */
static struct kept **slot_of(struct log_cache *logs, const struct digest *log_id)
{
	return &logs->slots[(log_id->bytes[0] | log_id->bytes[1] << 8) % SLOTS];
}

static void unlink_use(struct log_cache *logs, struct kept *kept)
{
	*(kept->newer ? &kept->newer->older : &logs->newest) = kept->older;
	*(kept->older ? &kept->older->newer : &logs->oldest) = kept->newer;
}

static void link_newest(struct log_cache *logs, struct kept *kept)
{
	kept->newer = NULL;
	kept->older = logs->newest;
	*(logs->newest ? &logs->newest->newer : &logs->oldest) = kept;
	logs->newest = kept;
}

static void drop(struct log_cache *logs, struct kept *kept)
{
	struct kept **link = slot_of(logs, &kept->log_id);

	while (*link != kept)
		link = &(*link)->chained;
	*link = kept->chained;
	unlink_use(logs, kept);
	logs->bytes -= kept->bytes;
	package_log_unref(kept->log);
	free(kept);
}

static size_t bytes_of(const struct package_log *log)
{
	size_t releases;

	package_log_releases(log, &releases);
	return LOG_BYTES + releases * RELEASE_BYTES + package_log_keys(log)->count * KEY_BYTES;
}

static void weigh(struct log_cache *logs, struct kept *kept)
{
	logs->bytes -= kept->bytes;
	kept->bytes = bytes_of(kept->log);
	logs->bytes += kept->bytes;
}

/* Drop the least recently used logs, except those in use and those with records that are not in the database yet. */
static void make_room(struct log_cache *logs)
{
	struct kept *kept = logs->oldest;

	while (kept && kept != logs->newest && logs->bytes > logs->cap) {
		struct kept *newer = kept->newer;

		if (!kept->is_ahead)
			drop(logs, kept);
		kept = newer;
	}
}

static void go_ahead(struct log_cache *logs, struct kept *kept)
{
	weigh(logs, kept);
	if (kept->is_ahead)
		return;
	kept->is_ahead = true;
	kept->next_ahead = logs->ahead;
	logs->ahead = kept;
}

static struct kept *take_ahead(struct log_cache *logs)
{
	struct kept *kept = logs->ahead;

	if (kept) {
		logs->ahead = kept->next_ahead;
		kept->is_ahead = false;
	}
	return kept;
}

void log_cache_keep(struct log_cache *logs)
{
	while (take_ahead(logs))
		;
	make_room(logs);
}

void log_cache_forget(struct log_cache *logs)
{
	struct kept *kept;

	while ((kept = take_ahead(logs)))
		drop(logs, kept);
}

void log_cache_free(struct log_cache *logs)
{
	if (!logs)
		return;
	while (logs->newest)
		drop(logs, logs->newest);
	free(logs);
}

/* ---- Rebuilding ---- */

/* A log that is being rebuilt. */
struct loading {
	struct package_log *log;
	int (*append)(struct package_log *log, const struct record_envelope *envelope, struct fault *flt);
};

static int append_one(void *user, const struct published_record *record, struct fault *flt)
{
	const struct loading *loading = user;
	int r = loading->append(loading->log, &record->envelope, flt);

	if (r)
		fault_at(flt, "record %" PRIu64, record->registry_index);
	return r;
}

static int load(struct database *database, const struct name *name,
		int (*append)(struct package_log *log, const struct record_envelope *envelope, struct fault *flt),
		struct package_log **out, struct fault *flt)
{
	struct loading loading = {.append = append};
	const struct digest log_id = name_log_id(name);
	int r = package_log_new(name, &loading.log, flt);

	if (r)
		return r;
	r = published_walk_whole(database, &log_id, append_one, &loading, flt);
	if (r)
		package_log_unref(loading.log);
	else
		*out = loading.log;
	return r;
}

int log_cache_load(struct database *database, const struct name *name, struct package_log **out, struct fault *flt)
{
	return load(database, name, package_log_append, out, flt);
}

/*
 * Do not verify signatures again: that was done before the records entered the database, and all publishers wait for
 * the thread that rebuilds a log of ten thousand records. fsck finds an altered database.
 */
static int rebuild(struct database *database, const struct name *name, struct package_log **out, struct fault *flt)
{
	struct fault own = {0};
	int r = load(database, name, package_log_replay, out, &own);

	/* It accuses the database, not the record that is to be the next. */
	if (r == WARG_INVALID)
		return fault_system(flt, EIO, "the log in the database is broken: %s", own.what);
	if (r)
		*flt = own;
	return r;
}

static struct kept *find_kept(struct log_cache *logs, const struct digest *log_id)
{
	struct kept *kept = *slot_of(logs, log_id);

	while (kept && !digest_equals(&kept->log_id, log_id))
		kept = kept->chained;
	return kept;
}

static int add(struct log_cache *logs, const struct digest *log_id, const struct name *name, struct kept **out,
	       struct fault *flt)
{
	struct kept *kept = calloc(1, sizeof(*kept)), **slot = slot_of(logs, log_id);
	int r = kept ? rebuild(logs->database, name, &kept->log, flt) : fault_no_memory(flt);

	if (r) {
		free(kept);
		return r;
	}
	kept->log_id = *log_id;
	kept->chained = *slot;
	*slot = kept;
	link_newest(logs, kept);
	weigh(logs, kept);
	make_room(logs);
	*out = kept;
	return 0;
}

/* Find or load a package's log, and move it to the front of the list. */
static int find(struct log_cache *logs, const struct name *name, struct kept **out, struct fault *flt)
{
	const struct digest log_id = name_log_id(name);
	struct kept *kept = find_kept(logs, &log_id);

	if (!kept)
		return add(logs, &log_id, name, out, flt);
	unlink_use(logs, kept);
	link_newest(logs, kept);
	*out = kept;
	return 0;
}

/* ---- Checking ---- */

/* The key in the first record of a log. @return WARG_INVALID: there may be one, and it is unreadable */
static int read_first_key(const struct record_envelope *envelope, struct log_keys *out, struct fault *flt)
{
	struct ecdsa_public_key *key = NULL;
	struct record record;
	int r = record_decode(RECORD_PACKAGE, envelope->content, &record, flt);

	if (r)
		return r;
	if (record.entry_count && record.entries[0].type == ENTRY_INIT)
		r = ecdsa_public_key_parse(record.entries[0].key, &key, flt);
	if (!r && key)
		r = log_keys_grant(out, key, 0, flt);
	ecdsa_public_key_unref(key);
	record_release(&record);
	return r;
}

bool log_cache_has_first_key(const struct record_envelope *first)
{
	struct log_keys keys = {0};
	bool has = !read_first_key(first, &keys, NULL) && keys.count;

	log_keys_release(&keys);
	return has;
}

/* Clients may look for the reference's words: "unknown key id" and "verification failed". */
static int check_signature(const struct log_keys *keys, const struct record_envelope *envelope, struct fault *flt)
{
	struct fault own = {0};
	char key_id[DIGEST_TEXT_SIZE];
	int r = log_keys_check_signature(keys, RECORD_PACKAGE, envelope, &own);

	if (r == WARG_UNDECIDED)
		*flt = own;
	if (r != WARG_INVALID)
		return r;
	digest_format(&envelope->key_id, key_id);
	if (!log_keys_find(keys, &envelope->key_id))
		return fault_invalid(flt, "unknown key id `%s`", key_id);
	return fault_invalid(flt, "signature `%.*s` verification failed", (int)envelope->signature.length,
			     (const char *)envelope->signature.data);
}

/* A record is signed with a key of its log; a first record with the key in it. */
static int check_signer(const struct package_log *log, const struct record_envelope *envelope, struct fault *flt)
{
	bool is_first = !package_log_head(log);
	struct log_keys own = {0};
	int r = is_first ? read_first_key(envelope, &own, flt) : 0;

	if (!r)
		r = check_signature(is_first ? &own : package_log_keys(log), envelope, flt);
	log_keys_release(&own);
	return r;
}

/* Report signer and signature first if several rules are broken: other details are for authorized signers only. */
static int judge_signer(const struct package_log *log, const struct record_envelope *record, const struct fault *broken,
			bool *signed_by, struct fault *flt)
{
	struct fault own = {0};
	int r = check_signer(log, record, &own);

	*signed_by = !r;
	/* A first record past a bound is not decoded, so its key is not known. */
	*flt = r && own.kind != FAULT_LIMIT ? own : *broken;
	return flt->verdict;
}

int log_cache_check(struct log_cache *logs, const struct name *name, const struct record_envelope *record, bool append,
		    bool *signed_by, struct fault *flt)
{
	struct fault broken = {0};
	struct kept *kept;
	int r = find(logs, name, &kept, flt);

	if (r)
		return r;
	r = append ? package_log_append(kept->log, record, &broken) : package_log_check(kept->log, record, &broken);
	if (!r && append)
		go_ahead(logs, kept);
	if (r == WARG_INVALID || broken.kind == FAULT_LIMIT)
		return judge_signer(kept->log, record, &broken, signed_by, flt);
	if (r)
		*flt = broken;
	return r;
}
