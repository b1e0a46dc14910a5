/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Records under way: written, claimed, found again by whom they were signed, and files that lie: journal.h. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/publish/journal.h"
#include "data.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"
#include "verify/hex.h"

#define LABEL "127.0.0.1-18741"

struct place {
	char *path;
	struct journal *journal;
	struct journal_entry entry;
	struct forge_record record;
};

static void fill_in(struct place *place, const char *version)
{
	struct ecdsa_private_key *key = forge_key(2);
	const struct record_entry entries[] = {forge_init(key), forge_release(version, "content")};
	struct record record = {
		.kind = RECORD_PACKAGE, .time = {1700000000, 0}, .entries = (struct record_entry *)(uintptr_t)entries,
		.entry_count = 2,
	};
	struct journal_entry *entry = &place->entry;

	forge_record(RECORD_PACKAGE, &record, key, &place->record);
	*entry = (struct journal_entry){.name = forge_name("test:a"), .stage = JOURNAL_SENT, .signed_at = 1700000001,
					.from_pending = true, .pending = digest_of(span_of_text("pending"))};
	strcpy(entry->key, ecdsa_public_key_text(ecdsa_private_key_public(key)));
	strcpy(entry->signature, place->record.signature);
	buf_init(&entry->content, CAP_RECORD);
	assert_int_equal(buf_append(&entry->content, buf_span(&place->record.content), NULL), 0);
	assert_int_equal(journal_entry_complete(entry, NULL), 0);
	ecdsa_private_key_free(key);
}

static void empty(struct place *place)
{
	journal_entry_release(&place->entry);
	forge_record_release(&place->record);
}

static int set_up(void **state)
{
	static struct place place;

	place.path = scratch_new();
	assert_int_equal(journal_open(place.path, LABEL, &place.journal, NULL), 0);
	fill_in(&place, "1.0.0");
	*state = &place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	empty(place);
	journal_close(place->journal);
	scratch_free(place->path);
	return 0;
}

static const char *file_of(const struct place *place, const struct digest *id)
{
	char name[DIGEST_TEXT_SIZE * 2];

	strcpy(name, LABEL "/journal/");
	hex_encode(digest_span(id), name + strlen(name));
	strcat(name, ".json");
	return scratch_path(place->path, name);
}

static void put(struct place *place)
{
	struct journal_claim claim;
	bool had = false;

	assert_int_equal(journal_claim(place->journal, &place->record.id, &claim, &had, NULL), 0);
	assert_true(had);
	assert_int_equal(journal_put(place->journal, &claim, &place->entry, NULL), 0);
	journal_end_claim(place->journal, &claim);
}

static int load(const struct place *place, struct journal_entry *out, bool *found, struct fault *flt)
{
	return journal_load(place->journal, &place->record.id, out, found, flt);
}

static void test_around(void **state)
{
	struct place *place = *state;
	struct journal_entry entry = {0};
	struct record_envelope envelope;
	struct stat seen;
	bool found = true;

	assert_int_equal(load(place, &entry, &found, NULL), 0);
	assert_false(found);
	put(place);
	assert_int_equal(load(place, &entry, &found, NULL), 0);
	assert_true(found);
	assert_string_equal(entry.name.text, "test:a");
	assert_int_equal(entry.stage, JOURNAL_SENT);
	assert_int_equal(entry.signed_at, 1700000001);
	assert_true(entry.from_pending);
	assert_true(digest_equals(&entry.pending, &place->entry.pending));
	envelope = journal_entry_envelope(&entry);
	assert_true(span_equals(envelope.content, buf_span(&place->record.content)));
	assert_true(digest_equals(&envelope.key_id, &place->record.key_id));
	assert_true(span_is(envelope.signature, place->record.signature));
	assert_int_equal(entry.record.entry_count, 2);
	assert_true(digest_equals(&entry.record.id, &place->record.id));
	journal_entry_release(&entry);

	assert_int_equal(stat(file_of(place, &place->record.id), &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0600);
	assert_int_equal(stat(scratch_path(place->path, LABEL "/journal"), &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0700);
	assert_int_equal(stat(scratch_path(place->path, LABEL), &seen), 0);
	assert_int_equal(seen.st_mode & 07777, 0700);
}

/* Whose place it takes is told, where there is one. */
static void test_replaces(void **state)
{
	struct place *place = *state;
	struct journal_entry entry;
	bool found;

	put(place);
	assert_int_equal(load(place, &entry, &found, NULL), 0);
	assert_false(entry.replaces);
	journal_entry_release(&entry);
	place->entry.replaces = true;
	place->entry.replaced = digest_of(span_of_text("another"));
	put(place);
	assert_int_equal(load(place, &entry, &found, NULL), 0);
	assert_true(entry.replaces);
	assert_true(digest_equals(&entry.replaced, &place->entry.replaced));
	journal_entry_release(&entry);
}

static void test_stages(void **state)
{
	static const enum journal_stage stages[] = {JOURNAL_SIGNED, JOURNAL_SENT, JOURNAL_ACCEPTED};
	struct place *place = *state;
	struct journal_entry entry;
	bool found;

	place->entry.from_pending = false;
	for (size_t i = 0; i < 3; i++) {
		place->entry.stage = stages[i];
		put(place);
		assert_int_equal(load(place, &entry, &found, NULL), 0);
		assert_int_equal(entry.stage, stages[i]);
		assert_false(entry.from_pending);
		journal_entry_release(&entry);
	}
}

/* An entry of another package counts as none, whatever its signature. */
static void test_of_a_package(void **state)
{
	const struct name other = forge_name("test:another");
	struct place *place = *state;
	struct journal_entry entry;
	bool found;

	put(place);
	assert_int_equal(journal_load_of(place->journal, &place->record.id, &place->entry.name, &entry, &found, NULL),
			 0);
	assert_true(found);
	journal_entry_release(&entry);
	place->entry.signature[20] ^= 1;
	put(place);
	assert_int_equal(journal_load_of(place->journal, &place->record.id, &place->entry.name, &entry, &found, NULL),
			 WARG_INVALID);
	assert_int_equal(journal_load_of(place->journal, &place->record.id, &other, &entry, &found, NULL), 0);
	assert_false(found);
}

/* Of an entry that is driven here the file is not read to know whose it is; once it is given up, it is. */
static void test_known_to_be_another(void **state)
{
	const struct name other = forge_name("test:another");
	struct place *place = *state;
	struct journal_claim claim;
	bool had;

	assert_false(journal_knows_other(place->journal, &place->record.id, &other));
	assert_int_equal(journal_claim(place->journal, &place->record.id, &claim, &had, NULL), 0);
	assert_int_equal(journal_put(place->journal, &claim, &place->entry, NULL), 0);
	assert_true(journal_knows_other(place->journal, &place->record.id, &other));
	assert_false(journal_knows_other(place->journal, &place->record.id, &place->entry.name));
	journal_end_claim(place->journal, &claim);
	assert_false(journal_knows_other(place->journal, &place->record.id, &other));
}

static void test_list(void **state)
{
	struct place *place = *state;
	struct digest *ids, first = place->record.id;
	struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
	struct journal_claim claim;
	size_t count;
	bool had;

	assert_int_equal(journal_list(place->journal, &ids, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(ids);
	put(place);
	empty(place);
	fill_in(place, "2.0.0");
	put(place);
	assert_int_equal(utimensat(AT_FDCWD, file_of(place, &place->record.id), times, 0), 0);
	/* What else lies there is none. */
	scratch_write_text(scratch_path(place->path, LABEL "/journal/x.json"), "{}");
	assert_int_equal(journal_list(place->journal, &ids, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_true(digest_equals(&ids[0], &place->record.id));
	assert_true(digest_equals(&ids[1], &first));
	free(ids);

	assert_int_equal(journal_claim(place->journal, &first, &claim, &had, NULL), 0);
	assert_int_equal(journal_remove(place->journal, &claim, NULL), 0);
	assert_int_equal(journal_remove(place->journal, &claim, NULL), 0);
	journal_end_claim(place->journal, &claim);
	journal_end_claim(place->journal, &claim);
	assert_int_equal(journal_list(place->journal, &ids, &count, NULL), 0);
	assert_int_equal(count, 1);
	free(ids);
	/* No lock file is left behind. */
	assert_int_equal(scratch_count(scratch_path(place->path, LABEL "/journal")), 2);
}

/* One at a time, and who dies gives it up. */
static void test_claim(void **state)
{
	struct place *place = *state;
	const struct digest *id = &place->record.id;
	struct journal_claim claim, other;
	struct journal *again;
	int pipes[2], status;
	bool had = false;
	pid_t child;
	char byte;

	assert_false(journal_is_claimed(place->journal, id));
	assert_int_equal(journal_claim(place->journal, id, &claim, &had, NULL), 0);
	assert_true(had && journal_is_claimed(place->journal, id));
	assert_int_equal(journal_open(place->path, LABEL, &again, NULL), 0);
	assert_int_equal(journal_claim(again, id, &other, &had, NULL), 0);
	assert_false(had);
	journal_end_claim(place->journal, &claim);
	assert_false(journal_is_claimed(place->journal, id));

	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (!child) {
		if (!journal_claim(again, id, &other, &had, NULL) && had && write(pipes[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_int_equal(journal_claim(place->journal, id, &claim, &had, NULL), 0);
	assert_false(had);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(journal_claim(place->journal, id, &claim, &had, NULL), 0);
	assert_true(had);
	journal_end_claim(place->journal, &claim);
	journal_close(again);
	close(pipes[0]);
	close(pipes[1]);
}

static void replace(char *text, const char *from, const char *to)
{
	char *at = strstr(text, from);

	assert_non_null(at);
	assert_int_equal(strlen(from), strlen(to));
	memcpy(at, to, strlen(to));
}

/* Change one thing in a good file. Each is a lie, and is told from one that is not there. */
static void test_lies(void **state)
{
	static const struct {
		const char *from, *to;
	} lies[] = {
		{"\"wargfs-journal-entry\"", "\"wargfs-journal-Entry\""},
		{"\"formatVersion\": 2", "\"formatVersion\": 0"},
		{"\"formatVersion\"", "\"FormatVersion\""}, {"\"test:a\"", "\"test:A\""}, {"\"sent\"", "\"lost\""},
		{"1700000001", "\"70000000\""}, {"\"key\"", "\"kez\""}, {"ecdsa-p256:", "ecdsa-p257:"},
		{"\"signature\": \"ecdsa-p256:ME", "\"signature\": \"ecdsa-p256:MF"}, {"sha256:", "sha257:"},
		{"\"contentBytes\": \"", "\"contentBytes\": \"*"},
	};
	struct place *place = *state;
	struct buf good;

	put(place);
	good = data_read(file_of(place, &place->record.id));
	assert_int_equal(buf_append(&good, (struct span){(const unsigned char *)"", 1}, NULL), 0);
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		char *text = strdup((const char *)good.data);
		struct journal_entry entry = {.signed_at = 7};
		struct fault flt = {0};
		bool found = false;

		if (strlen(lies[i].from) == strlen(lies[i].to))
			replace(text, lies[i].from, lies[i].to);
		else
			*(strstr(text, lies[i].from) + strlen(lies[i].from)) = '*';
		scratch_write_text(file_of(place, &place->record.id), text);
		assert_int_equal(load(place, &entry, &found, &flt), WARG_INVALID);
		assert_int_equal(flt.party, FAULT_BY_CACHE);
		assert_int_equal(entry.signed_at, 7);
		assert_false(found);
		free(text);
	}
	buf_release(&good);
}

static bool is_same(const struct journal_entry *a, const struct journal_entry *b)
{
	return !strcmp(a->name.text, b->name.text) && a->stage == b->stage && a->signed_at == b->signed_at &&
	       a->from_pending == b->from_pending && digest_equals(&a->pending, &b->pending) &&
	       a->replaces == b->replaces && digest_equals(&a->record.id, &b->record.id);
}

/* With any bit flipped the entry is refused, or equals what was written: no other package is published. */
static void test_every_bit(void **state)
{
	struct place *place = *state;
	struct buf good;

	put(place);
	good = data_read(file_of(place, &place->record.id));
	for (size_t bit = 0; bit < 8 * good.length; bit++) {
		struct journal_entry entry = {0};
		struct fault flt = {0};
		bool found = false;

		good.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		scratch_write(file_of(place, &place->record.id), buf_span(&good));
		good.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		if (!load(place, &entry, &found, &flt))
			assert_true(found && is_same(&entry, &place->entry));
		else
			assert_int_equal(flt.party, FAULT_BY_CACHE);
		if (found)
			journal_entry_release(&entry);
	}
	buf_release(&good);
}

/* An entry of the version without a check is still resumed. */
static void test_version_before(void **state)
{
	struct place *place = *state;
	struct journal_entry entry;
	bool found = false;
	struct buf text;
	char *check;

	put(place);
	text = data_read(file_of(place, &place->record.id));
	assert_int_equal(buf_append(&text, (struct span){(const unsigned char *)"", 1}, NULL), 0);
	replace((char *)text.data, "\"formatVersion\": 2", "\"formatVersion\": 1");
	check = strstr((char *)text.data, ",\n  \"check\"");
	assert_non_null(check);
	strcpy(check, "\n}");
	scratch_write_text(file_of(place, &place->record.id), (const char *)text.data);
	buf_release(&text);
	assert_int_equal(load(place, &entry, &found, NULL), 0);
	assert_true(found && is_same(&entry, &place->entry));
	journal_entry_release(&entry);
}

static void test_cut_short(void **state)
{
	struct place *place = *state;
	struct buf good;

	put(place);
	good = data_read(file_of(place, &place->record.id));
	for (size_t length = 0; length < good.length; length += 7) {
		struct journal_entry entry;
		bool found;

		scratch_write(file_of(place, &place->record.id), (struct span){good.data, length});
		assert_int_equal(load(place, &entry, &found, NULL), WARG_INVALID);
	}
	buf_release(&good);
}

/* A good file under another record's name would have that one taken for this. */
static void test_other_name(void **state)
{
	struct place *place = *state;
	struct digest other = digest_of(span_of_text("other"));
	struct journal_entry entry;
	struct fault flt = {0};
	bool found;

	put(place);
	assert_int_equal(rename(file_of(place, &place->record.id), file_of(place, &other)), 0);
	assert_int_equal(journal_load(place->journal, &other, &entry, &found, &flt), WARG_INVALID);
	assert_non_null(strstr(flt.what, "named after"));
}

/* A record that is another key's: of the right id, and not signed by who is said to have signed. */
static void test_other_key(void **state)
{
	struct place *place = *state;
	struct ecdsa_private_key *key = forge_key(3);
	struct journal_entry entry;
	bool found;

	strcpy(place->entry.key, ecdsa_public_key_text(ecdsa_private_key_public(key)));
	assert_int_equal(journal_entry_complete(&place->entry, NULL), WARG_INVALID);
	put(place);
	assert_int_equal(load(place, &entry, &found, NULL), WARG_INVALID);
	ecdsa_private_key_free(key);
}

static void test_later_version(void **state)
{
	struct place *place = *state;
	struct journal_entry entry;
	struct fault flt = {0};
	struct buf text;
	bool found;

	put(place);
	text = data_read(file_of(place, &place->record.id));
	assert_int_equal(buf_append(&text, (struct span){(const unsigned char *)"", 1}, NULL), 0);
	replace((char *)text.data, "\"formatVersion\": 2", "\"formatVersion\": 3");
	scratch_write_text(file_of(place, &place->record.id), (const char *)text.data);
	buf_release(&text);
	assert_int_equal(load(place, &entry, &found, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
}

static void test_huge_and_links(void **state)
{
	struct place *place = *state;
	const char *file = file_of(place, &place->record.id);
	struct journal_entry entry;
	struct fault flt = {0};
	bool found = true;

	scratch_write_text(file, "{");
	assert_int_equal(truncate(file, CAP_FILE_JOURNAL + 1), 0);
	assert_int_equal(load(place, &entry, &found, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	assert_int_equal(unlink(file), 0);
	scratch_write_text(scratch_path(place->path, "victim"), "safe");
	assert_int_equal(symlink(scratch_path(place->path, "victim"), file), 0);
	assert_int_equal(load(place, &entry, &found, NULL), 0);
	assert_false(found);
	put(place);
	assert_true(scratch_holds(scratch_path(place->path, "victim"), "safe"));
}

static void test_labels(void **state)
{
	static const char *const labels[] = {"", ".", "..", "../x", "a/b", ".hidden"};
	struct place *place = *state;

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		struct journal *journal;
		struct fault flt = {0};

		assert_int_equal(journal_open(place->path, labels[i], &journal, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_MISUSE);
	}
}

static void test_other_owner(void **state)
{
	struct place *place = *state;
	struct journal *journal;
	struct fault flt = {0};

	if (geteuid())
		skip();
	assert_int_equal(chown(scratch_path(place->path, LABEL "/journal"), 12345, 12345), 0);
	assert_int_equal(journal_open(place->path, LABEL, &journal, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EPERM);
}

static int live(void *context, struct fault *flt)
{
	struct place *place = context;
	struct journal *journal = NULL;
	struct journal_entry entry = {0};
	struct journal_claim claim = {.fd = -1};
	struct digest *ids = NULL;
	bool had, found;
	size_t count;
	int r = journal_open(place->path, "other", &journal, flt);

	if (!r)
		r = journal_claim(journal, &place->record.id, &claim, &had, flt);
	if (!r)
		r = journal_put(journal, &claim, &place->entry, flt);
	if (!r)
		r = journal_list(journal, &ids, &count, flt);
	if (!r)
		r = journal_load(journal, &place->record.id, &entry, &found, flt);
	if (!r)
		r = journal_remove(journal, &claim, flt);
	free(ids);
	journal_entry_release(&entry);
	if (claim.fd >= 0)
		journal_end_claim(journal, &claim);
	journal_close(journal);
	return r;
}

static void write_leftovers(const struct place *place, const struct digest *id, const char *const *ends, size_t count)
{
	char hex[2 * DIGEST_SIZE + 1], path[700];

	hex_encode(digest_span(id), hex);
	for (size_t i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s/journal/.%s%s", place->path, LABEL, hex, ends[i]);
		scratch_write(path, span_of_text("half"));
	}
}

static bool has_leftover(const struct place *place, const struct digest *id, const char *end)
{
	char hex[2 * DIGEST_SIZE + 1], path[700];

	hex_encode(digest_span(id), hex);
	snprintf(path, sizeof(path), "%s/%s/journal/.%s%s", place->path, LABEL, hex, end);
	return access(path, F_OK) == 0;
}

/* What the dead left goes; what somebody has a claim on, and what is none of ours, stays. */
static void test_sweep(void **state)
{
	static const char *const ends[] = { ".json.wargfs", ".lock", ".json", ".json.wargfs~" };
	struct place *place = *state;
	struct digest dead = digest_of(span_of_text("dead"));
	struct journal_claim claim;
	bool had = false;

	write_leftovers(place, &dead, ends, 4);
	assert_int_equal(journal_claim(place->journal, &place->record.id, &claim, &had, NULL), 0);
	assert_true(had);
	write_leftovers(place, &place->record.id, ends, 1);
	journal_sweep(place->journal);
	assert_false(has_leftover(place, &dead, ".json.wargfs") || has_leftover(place, &dead, ".lock"));
	assert_true(has_leftover(place, &dead, ".json") && has_leftover(place, &dead, ".json.wargfs~"));
	assert_true(has_leftover(place, &place->record.id, ".json.wargfs"));
	assert_true(journal_is_claimed(place->journal, &place->record.id));
	journal_end_claim(place->journal, &claim);
	journal_sweep(place->journal);
	assert_false(has_leftover(place, &place->record.id, ".json.wargfs"));
}

static void test_torture(void **state)
{
	torture(live, *state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_around),
		TEST(test_replaces),
		TEST(test_stages),
		TEST(test_of_a_package),
		TEST(test_known_to_be_another),
		TEST(test_list),
		TEST(test_claim),
		TEST(test_lies),
		TEST(test_every_bit),
		TEST(test_version_before),
		TEST(test_cut_short),
		TEST(test_other_name),
		TEST(test_other_key),
		TEST(test_later_version),
		TEST(test_huge_and_links),
		TEST(test_labels),
		TEST(test_other_owner),
		TEST(test_sweep),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
