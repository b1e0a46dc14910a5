/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The journal (see journal.h).
 */
#include "journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "client/base/digest_files.h"
#include "client/base/file.h"
#include "client/base/json.h"
#include "verify/caps.h"
#include "verify/hex.h"

#define FOLDER "journal"
#define FORMAT "wargfs-journal-entry"
#define FORMAT_VERSION 2
#define VERSION_BEFORE 1 /* entries had no check then */
#define ENTRY_MODE 0600
#define NAME_SIZE DIGEST_FILE_NAME_SIZE
#define OWN 256 /* entries, by a byte of their record's id: of others the file is read */

/* An entry that this process has written and still claims, so that nobody else writes it. */
struct own {
	bool is_used;
	struct digest record_id, log_id;
};

struct journal {
	int folder;
	pthread_mutex_t mutex; /* for what follows */
	struct own own[OWN];
};

static const char *const stages[] = {
	[JOURNAL_SIGNED] = "signed", [JOURNAL_SENT] = "sent", [JOURNAL_ACCEPTED] = "accepted",
};
#define STAGES (sizeof(stages) / sizeof(stages[0]))

/* ---- Entries ---- */

int journal_entry_complete(struct journal_entry *entry, struct fault *flt)
{
	struct ecdsa_public_key *key = NULL;
	struct record record = {0};
	struct record_envelope envelope;
	int r = ecdsa_public_key_parse(span_of_text(entry->key), &key, flt);

	if (r)
		return r;
	envelope = journal_entry_envelope(entry);
	envelope.key_id = *ecdsa_public_key_id(key);
	r = record_decode(RECORD_PACKAGE, envelope.content, &record, flt);
	if (!r)
		r = record_verify(RECORD_PACKAGE, key, &envelope, flt);
	ecdsa_public_key_unref(key);
	if (r) {
		record_release(&record);
		return r;
	}
	record_release(&entry->record);
	entry->record = record;
	entry->key_id = envelope.key_id;
	return 0;
}

void journal_entry_release(struct journal_entry *entry)
{
	record_release(&entry->record);
	buf_release(&entry->content);
}

struct record_envelope journal_entry_envelope(const struct journal_entry *entry)
{
	return (struct record_envelope){buf_span(&entry->content), entry->key_id, span_of_text(entry->signature)};
}

/* ---- Their text ---- */

static int read_stage(const struct json *value, enum journal_stage *out, struct fault *flt)
{
	struct span text;
	int r = json_read_text(value, "stage", &text, flt);

	if (r)
		return r;
	for (size_t i = 0; i < STAGES; i++) {
		if (span_is(text, stages[i])) {
			*out = (enum journal_stage)i;
			return 0;
		}
	}
	return fault_invalid(flt, "there is no such \"stage\"");
}

static int read_signed_at(const struct json *value, int64_t *out, struct fault *flt)
{
	uint64_t seconds;
	int r = json_read_uint(value, "signedAt", &seconds, flt);

	if (r)
		return r;
	if (seconds > CAP_SECONDS)
		return fault_invalid(flt, "\"signedAt\" is later than the year 9999");
	*out = (int64_t)seconds;
	return 0;
}

static int read_members(const struct json *value, struct journal_entry *out, struct fault *flt)
{
	struct span name;
	int r = json_check_format(value, FORMAT, FORMAT_VERSION, flt);

	if (!r)
		r = json_read_text(value, "package", &name, flt);
	if (!r)
		r = name_parse(name, &out->name, flt);
	if (!r)
		r = read_stage(value, &out->stage, flt);
	if (!r)
		r = read_signed_at(value, &out->signed_at, flt);
	out->from_pending = json_member(value, "pending") != NULL;
	if (!r && out->from_pending)
		r = json_read_digest(value, "pending", &out->pending, flt);
	out->replaces = json_member(value, "replaces") != NULL;
	if (!r && out->replaces)
		r = json_read_digest(value, "replaces", &out->replaced, flt);
	if (!r)
		r = json_read_text_into(value, "key", out->key, sizeof(out->key), flt);
	if (!r)
		r = json_read_text_into(value, "signature", out->signature, sizeof(out->signature), flt);
	return r ? r : json_read_base64(value, "contentBytes", &out->content, flt);
}

/* The members as in the file, without the check. */
static struct json *new_members(const struct journal_entry *entry)
{
	struct json *value = json_new_object();

	json_put_text(value, "format", FORMAT);
	json_put_uint(value, "formatVersion", FORMAT_VERSION);
	json_put_text(value, "package", entry->name.text);
	json_put_text(value, "stage", stages[entry->stage]);
	json_put_uint(value, "signedAt", (uint64_t)entry->signed_at);
	if (entry->from_pending)
		json_put_digest(value, "pending", &entry->pending);
	else
		json_put_null(value, "pending");
	if (entry->replaces)
		json_put_digest(value, "replaces", &entry->replaced);
	json_put_text(value, "key", entry->key);
	json_put_text(value, "signature", entry->signature);
	json_put_base64(value, "contentBytes", buf_span(&entry->content));
	return value;
}

/*
 * The record's signature does not cover the other members. A first record does not even name its package, so a flipped
 * bit in the name would publish another package.
 */
static int check_of(const struct journal_entry *entry, struct digest *out, struct fault *flt)
{
	struct json *value = new_members(entry);
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_JOURNAL);
	r = json_render(value, JSON_COMPACT, &text, flt);
	if (!r)
		*out = digest_of(buf_span(&text));
	buf_release(&text);
	json_free(value);
	return r;
}

static int compare_check(const struct json *value, const struct journal_entry *entry, struct fault *flt)
{
	struct digest said, found;
	uint64_t version;
	int r = json_read_uint(value, "formatVersion", &version, flt);

	if (r || version == VERSION_BEFORE)
		return r;
	r = json_read_digest(value, "check", &said, flt);
	if (!r)
		r = check_of(entry, &found, flt);
	if (!r && !digest_equals(&said, &found))
		r = fault_invalid(flt, "it is damaged: it is not what was written there");
	return r;
}

/*
 * @param of  the package that it is to be of, else *is_other is set and no more of it is checked; NULL: any
 */
static int parse_entry(struct span text, const struct name *of, struct journal_entry *out, bool *is_other,
		       struct fault *flt)
{
	struct journal_entry entry = {0};
	struct json *value = NULL;
	int r = json_parse(text, &value, flt);

	*is_other = false;
	if (r)
		return r;
	buf_init(&entry.content, CAP_RECORD);
	r = read_members(value, &entry, flt);
	*is_other = !r && of && strcmp(entry.name.text, of->text);
	if (!r && !*is_other)
		r = compare_check(value, &entry, flt);
	json_free(value);
	if (!r && !*is_other)
		r = journal_entry_complete(&entry, flt);
	if (r || *is_other)
		journal_entry_release(&entry);
	else
		*out = entry;
	return r;
}

int journal_entry_parse(struct span text, struct journal_entry *out, struct fault *flt)
{
	bool is_other;

	return parse_entry(text, NULL, out, &is_other, flt);
}

int journal_entry_render(const struct journal_entry *entry, struct buf *out, struct fault *flt)
{
	struct digest check;
	struct json *value;
	int r = check_of(entry, &check, flt);

	if (r)
		return r;
	value = new_members(entry);
	json_put_digest(value, "check", &check);
	r = json_render(value, JSON_PRETTY, out, flt);
	json_free(value);
	return r;
}

/* ---- Opening ---- */

int journal_open(const char *state_dir, const char *label, struct journal **out, struct fault *flt)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	int r;

	if (!journal)
		return fault_no_memory(flt);
	r = file_open_private(state_dir, label, FOLDER, &journal->folder, flt);
	if (r) {
		free(journal);
		return r;
	}
	pthread_mutex_init(&journal->mutex, NULL);
	*out = journal;
	return 0;
}

void journal_close(struct journal *journal)
{
	if (!journal)
		return;
	close(journal->folder);
	pthread_mutex_destroy(&journal->mutex);
	free(journal);
}

/* ---- What this process has written ---- */

/* @param name  NULL: it is not ours any more */
static void note_own(struct journal *journal, const struct digest *record_id, const struct name *name)
{
	struct own *own = &journal->own[record_id->bytes[0] % OWN];

	pthread_mutex_lock(&journal->mutex);
	if (name)
		*own = (struct own){true, *record_id, name_log_id(name)};
	else if (digest_equals(&own->record_id, record_id))
		own->is_used = false;
	pthread_mutex_unlock(&journal->mutex);
}

bool journal_knows_other(struct journal *journal, const struct digest *record_id, const struct name *name)
{
	const struct own *own = &journal->own[record_id->bytes[0] % OWN];
	const struct digest log_id = name_log_id(name);
	bool knows;

	pthread_mutex_lock(&journal->mutex);
	knows = own->is_used && digest_equals(&own->record_id, record_id) && !digest_equals(&own->log_id, &log_id);
	pthread_mutex_unlock(&journal->mutex);
	return knows;
}

/* ---- Claims ---- */

static void claim_name(const struct digest *id, char out[static NAME_SIZE])
{
	out[0] = '.';
	hex_encode(digest_span(id), out + 1);
	strcat(out, ".lock");
}

int journal_claim(struct journal *journal, const struct digest *record_id, struct journal_claim *out, bool *had,
		  struct fault *flt)
{
	char name[NAME_SIZE];
	int fd = -1;
	int r;

	claim_name(record_id, name);
	r = file_claim(journal->folder, name, &fd, NULL, flt);
	if (r)
		return r;
	*had = fd >= 0;
	if (*had)
		*out = (struct journal_claim){*record_id, fd};
	return 0;
}

void journal_end_claim(struct journal *journal, struct journal_claim *claim)
{
	char name[NAME_SIZE];

	if (claim->fd < 0)
		return;
	note_own(journal, &claim->record_id, NULL);
	claim_name(&claim->record_id, name);
	file_end_claim(journal->folder, name, claim->fd);
	claim->fd = -1;
}

void journal_mark_claim(const struct journal_claim *claim, uint64_t bytes)
{
	/* The file's length, as that needs no space. Where it cannot be had, others have less patience. */
	if (ftruncate(claim->fd, (off_t)bytes))
		return;
}

uint64_t journal_read_mark(struct journal *journal, const struct digest *record_id)
{
	char name[NAME_SIZE];
	uint64_t bytes = 0;
	int fd = -1;

	claim_name(record_id, name);
	if (file_open(journal->folder, name, &fd, &bytes, NULL) || fd < 0)
		return 0;
	close(fd);
	return bytes;
}

bool journal_is_claimed(struct journal *journal, const struct digest *record_id)
{
	char name[NAME_SIZE];
	bool claimed;
	int fd = -1;

	claim_name(record_id, name);
	if (file_open(journal->folder, name, &fd, NULL, NULL) || fd < 0)
		return false;
	/* Shared, so that who looks at the same time does not take us for somebody who has it. */
	claimed = flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
	close(fd);
	return claimed;
}

/* ---- Writing ---- */

int journal_put(struct journal *journal, const struct journal_claim *claim, const struct journal_entry *entry,
		struct fault *flt)
{
	char name[NAME_SIZE];
	struct buf text;
	int r;

	digest_file_name(&claim->record_id, name);
	buf_init(&text, CAP_FILE_JOURNAL);
	r = journal_entry_render(entry, &text, flt);
	if (!r)
		r = file_replace(journal->folder, name, ENTRY_MODE, buf_span(&text), flt);
	if (!r)
		r = file_sync_shared(journal->folder, flt);
	if (!r)
		note_own(journal, &claim->record_id, &entry->name);
	buf_release(&text);
	return r;
}

int journal_remove_proven(struct journal *journal, const struct journal_claim *claim, struct fault *flt)
{
	char name[NAME_SIZE];

	digest_file_name(&claim->record_id, name);
	return file_remove_tree(journal->folder, name, flt);
}

int journal_remove(struct journal *journal, const struct journal_claim *claim, struct fault *flt)
{
	int r = journal_remove_proven(journal, claim, flt);

	return r ? r : file_sync(journal->folder, flt);
}

/* ---- Sweeping ---- */

/* A claim's name, or the one that an entry has while it is written. */
static bool read_leftover(const char *file, struct digest *out)
{
	struct span digits = {(const unsigned char *)file + 1, 2 * DIGEST_SIZE};
	const char *end;

	if (file[0] != '.' || strlen(file) <= 2 * DIGEST_SIZE || hex_decode(digits, out->bytes, DIGEST_SIZE, NULL))
		return false;
	end = file + 1 + 2 * DIGEST_SIZE;
	return !strcmp(end, ".lock") || !strcmp(end, ".json.wargfs");
}

static bool has_entry(const struct journal *journal, const struct digest *id)
{
	char name[NAME_SIZE];

	digest_file_name(id, name);
	return !faccessat(journal->folder, name, F_OK, AT_SYMLINK_NOFOLLOW);
}

/* Whoever writes the entry has the claim, so with the claim nobody does. */
static void sweep_record(struct journal *journal, const struct digest *id)
{
	struct journal_claim claim;
	char name[NAME_SIZE];
	bool had = false;

	if (has_entry(journal, id) || journal_claim(journal, id, &claim, &had, NULL) || !had)
		return;
	digest_file_name(id, name);
	if (!has_entry(journal, id))
		file_remove_temp(journal->folder, name);
	journal_end_claim(journal, &claim);
}

void journal_sweep(struct journal *journal)
{
	int folder = openat(journal->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = folder < 0 ? NULL : fdopendir(folder);
	struct dirent *entry;
	struct digest id;

	if (!listing) {
		if (folder >= 0)
			close(folder);
		return;
	}
	while ((entry = readdir(listing)))
		if (read_leftover(entry->d_name, &id))
			sweep_record(journal, &id);
	closedir(listing);
}

/* ---- Reading ---- */

int journal_load(struct journal *journal, const struct digest *record_id, struct journal_entry *out, bool *found,
		 struct fault *flt)
{
	return journal_load_of(journal, record_id, NULL, out, found, flt);
}

int journal_load_of(struct journal *journal, const struct digest *record_id, const struct name *of,
		    struct journal_entry *out, bool *found, struct fault *flt)
{
	struct journal_entry entry = {0};
	bool there = false, is_other = false;
	char name[NAME_SIZE];
	struct buf text;
	int r;

	*found = false;
	if (of && journal_knows_other(journal, record_id, of))
		return 0;
	digest_file_name(record_id, name);
	buf_init(&text, CAP_FILE_JOURNAL);
	r = file_read(journal->folder, name, &text, &there, flt);
	if (!r && there)
		r = parse_entry(buf_span(&text), of, &entry, &is_other, flt);
	there = there && !is_other;
	if (!r && there && !digest_equals(&entry.record.id, record_id))
		r = fault_invalid(flt, "it holds another record than it is named after");
	buf_release(&text);
	if (r) {
		fault_at(flt, "journal entry %s", name);
		fault_blame(flt, FAULT_BY_CACHE);
	}
	if (r || !there)
		journal_entry_release(&entry);
	else
		*out = entry;
	if (!r)
		*found = there;
	return r;
}

int journal_list(struct journal *journal, struct digest **out, size_t *count, struct fault *flt)
{
	int r = digest_files_list(journal->folder, CAP_JOURNAL, out, count, flt);

	if (r)
		fault_at(flt, "the journal");
	return r;
}
