/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* The open transaction: as the reference writes it, and as others may have left it: pending.h. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/publish/pending.h"
#include "data.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

#define RECORDED "tests/data/valid/pending-reference/"
#define LABEL "127.0.0.1-18741"
#define KEY "ecdsa-p256:A1OfZz5Y9Ny7VKPVwroCTQPAr9tmlI4U/UTYHZHA87AF"
#define KEY_ID "sha256:d6d9b4cd077a829c0275233bf3843c8294e250dfcc82b8ea15745e92982a820d"
#define CONTENT "sha256:99b8d970b579447b92a4fff8ab18ece8a954cf5259ba00ee1ff2f6d163206660"

/* ---- The value ---- */

static struct pending parse(const char *text)
{
	struct pending pending;
	struct fault flt = {0};

	assert_int_equal(pending_parse(span_of_text(text), &pending, &flt), 0);
	return pending;
}

static bool renders_as(const struct pending *pending, struct span text)
{
	struct buf out;
	bool same;

	buf_init(&out, 1 << 20);
	assert_int_equal(pending_render(pending, &out, NULL), 0);
	same = span_equals(buf_span(&out), text);
	buf_release(&out);
	return same;
}

static void test_recorded(void **state)
{
	static const char *const files[] = {RECORDED "begun.json", RECORDED "all.json"};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct buf text = data_read(files[i]);
		struct pending pending;

		assert_int_equal(pending_parse(buf_span(&text), &pending, NULL), 0);
		assert_string_equal(pending.name.text, "test:a");
		assert_true(renders_as(&pending, buf_span(&text)));
		pending_release(&pending);
		buf_release(&text);
	}
}

static void test_all_entries(void **state)
{
	static const enum record_entry_type types[] = {
		ENTRY_INIT, ENTRY_RELEASE, ENTRY_RELEASE, ENTRY_YANK, ENTRY_GRANT_FLAT, ENTRY_GRANT_FLAT,
		ENTRY_REVOKE_FLAT, ENTRY_REVOKE_FLAT,
	};
	struct buf text = data_read(RECORDED "all.json");
	struct digest content, key_id;
	struct pending pending;

	(void)state;
	assert_int_equal(digest_parse(span_of_text(CONTENT), &content, NULL), 0);
	assert_int_equal(digest_parse(span_of_text(KEY_ID), &key_id, NULL), 0);
	assert_int_equal(pending_parse(buf_span(&text), &pending, NULL), 0);
	buf_release(&text);
	assert_int_equal(pending.count, sizeof(types) / sizeof(types[0]));
	for (size_t i = 0; i < pending.count; i++)
		assert_int_equal(pending.entries[i].type, types[i]);
	assert_false(pending.has_head);
	assert_string_equal(pending.entries[1].version, "1.0.0-rc.1+build.7");
	assert_true(digest_equals(&pending.entries[1].content, &content));
	assert_string_equal(pending.entries[4].key, KEY);
	assert_int_equal(pending.entries[4].permissions, PERMISSIONS_PACKAGE);
	assert_int_equal(pending.entries[5].permissions, PERMISSION_YANK);
	assert_int_equal(pending.entries[7].permissions, PERMISSION_RELEASE);
	for (size_t i = 4; i < 8; i++)
		assert_true(digest_equals(&pending.entries[i].key_id, &key_id));
	assert_ptr_equal(pending_find(&pending, "1.0.0"), &pending.entries[2]);
	assert_null(pending_find(&pending, "0.9.0"));
	pending_release(&pending);
}

/* A version twice, an init behind others, permissions in another order: we would not, but it is what somebody said. */
static void test_unlike_ours(void **state)
{
	struct buf text = data_read(RECORDED "unlike-ours.json");
	struct pending pending;

	(void)state;
	assert_int_equal(pending_parse(buf_span(&text), &pending, NULL), 0);
	buf_release(&text);
	assert_int_equal(pending.count, 4);
	assert_int_equal(pending.entries[2].permissions, PERMISSIONS_PACKAGE);
	assert_int_equal(pending.entries[3].type, ENTRY_INIT);
	pending_release(&pending);
}

static void test_head(void **state)
{
	static const char text[] = "{\n  \"name\": \"test:a\",\n  \"head\": \"" CONTENT "\",\n  \"entries\": []\n}";
	struct pending pending = parse(text);

	(void)state;
	assert_true(pending.has_head);
	assert_true(renders_as(&pending, span_of_text(text)));
	pending = parse("{\"entries\":[],\"name\":\"test:a\",\"more\":1}");
	assert_false(pending.has_head);
}

#define OF(entry) "{\"name\":\"test:a\",\"head\":null,\"entries\":[" entry "]}"

static void test_malformed(void **state)
{
	static const char *const texts[] = {
		"", "{", "[]", "7", "null", "{}", "{\"name\":\"test:a\"}", "{\"name\":\"test:a\",\"entries\":{}}",
		"{\"name\":\"Test:a\",\"entries\":[]}", "{\"name\":7,\"entries\":[]}",
		"{\"name\":\"a\",\"entries\":[]}",
		"{\"name\":\"test:a\",\"name\":\"test:b\",\"entries\":[]}",
		"{\"name\":\"test:a\",\"head\":\"x\",\"entries\":[]}",
		"{\"name\":\"test:a\",\"head\":7,\"entries\":[]}",
		"{\"name\":\"test:a\",\"entries\":[]}x", OF("7"), OF("null"), OF("{}"), OF("{\"type\":\"delete\"}"),
		OF("{\"type\":7}"), OF("{\"type\":\"release\"}"), OF("{\"type\":\"release\",\"version\":\"1.0.0\"}"),
		OF("{\"type\":\"release\",\"version\":\"1.0\",\"content\":\"" CONTENT "\"}"),
		OF("{\"type\":\"release\",\"version\":\"1.0.0\\u0000\",\"content\":\"" CONTENT "\"}"),
		OF("{\"type\":\"release\",\"version\":\"../1.0.0\",\"content\":\"" CONTENT "\"}"),
		OF("{\"type\":\"release\",\"version\":\"1.0.0\",\"content\":\"sha256:00\"}"),
		OF("{\"type\":\"yank\"}"), OF("{\"type\":\"yank\",\"version\":\"\"}"),
		OF("{\"type\":\"grant\",\"key\":\"" KEY "\"}"),
		OF("{\"type\":\"grant\",\"key\":\"" KEY "\",\"permissions\":[]}"),
		OF("{\"type\":\"grant\",\"key\":\"" KEY "\",\"permissions\":\"release\"}"),
		OF("{\"type\":\"grant\",\"key\":\"" KEY "\",\"permissions\":[\"commit\"]}"),
		OF("{\"type\":\"grant\",\"key\":\"" KEY "\",\"permissions\":[7]}"),
		OF("{\"type\":\"grant\",\"key\":\"ecdsa-p256:AAAA\",\"permissions\":[\"yank\"]}"),
		OF("{\"type\":\"grant\",\"key_id\":\"" KEY_ID "\",\"permissions\":[\"yank\"]}"),
		OF("{\"type\":\"revoke\",\"key_id\":\"" KEY "\",\"permissions\":[\"yank\"]}"),
		OF("{\"type\":\"revoke\",\"keyId\":\"" KEY_ID "\",\"permissions\":[\"yank\"]}"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct pending pending = {.count = 7};
		struct fault flt = {0};

		assert_int_equal(pending_parse(span_of_text(texts[i]), &pending, &flt), WARG_INVALID);
		assert_int_equal(pending.count, 7);
	}
}

/* Every text that is cut short is refused. */
static void test_cut_short(void **state)
{
	struct buf text = data_read(RECORDED "all.json");

	(void)state;
	for (size_t length = 0; length < text.length; length++) {
		struct pending pending;

		assert_int_equal(pending_parse((struct span){text.data, length}, &pending, NULL), WARG_INVALID);
	}
	buf_release(&text);
}

static void test_too_many(void **state)
{
	struct fault flt = {0};
	struct pending pending;
	struct buf text;

	(void)state;
	buf_init(&text, CAP_FILE_PENDING);
	assert_int_equal(buf_append_text(&text, "{\"name\":\"test:a\",\"entries\":[{\"type\":\"init\"}", NULL), 0);
	for (size_t i = 0; i < CAP_RECORD_ENTRIES; i++)
		assert_int_equal(buf_append_text(&text, ",{\"type\":\"init\"}", NULL), 0);
	assert_int_equal(buf_append_text(&text, "]}", NULL), 0);
	assert_int_equal(pending_parse(buf_span(&text), &pending, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	buf_release(&text);
}

static struct pending_entry release_of(const char *version)
{
	struct pending_entry entry = {.type = ENTRY_RELEASE};

	strcpy(entry.version, version);
	return entry;
}

static struct pending_entry grant_of(const char *key, unsigned permissions)
{
	struct pending_entry entry = {.type = ENTRY_GRANT_FLAT, .permissions = permissions};

	strcpy(entry.key, key);
	return entry;
}

static void test_add(void **state)
{
	const struct pending_entry init = {.type = ENTRY_INIT};
	struct pending_entry entry;
	struct name name = forge_name("test:a");
	struct digest key_id;
	struct pending pending;

	(void)state;
	assert_int_equal(digest_parse(span_of_text(KEY_ID), &key_id, NULL), 0);
	pending_init(&pending, &name);
	entry = release_of("1.0.0");
	assert_int_equal(pending_add(&pending, &entry, NULL), 0);
	entry = release_of("1.0.0+a");
	assert_int_equal(pending_add(&pending, &entry, NULL), 0);
	entry.type = ENTRY_YANK;
	assert_int_equal(pending_add(&pending, &entry, NULL), 0);
	entry = grant_of(KEY, PERMISSION_YANK);
	assert_int_equal(pending_add(&pending, &entry, NULL), 0);
	/* Twice is a person's own business where it is not surely wrong. */
	assert_int_equal(pending_add(&pending, &entry, NULL), 0);
	assert_int_equal(pending_add(&pending, &init, NULL), 0);
	assert_int_equal(pending.count, 6);
	assert_int_equal(pending.entries[0].type, ENTRY_INIT);
	assert_string_equal(pending.entries[1].version, "1.0.0");
	assert_true(digest_equals(&pending.entries[4].key_id, &key_id));
	pending_release(&pending);
}

/* Entries can be added to a copy as to the original, however many either has. */
static void test_add_to_copy(void **state)
{
	const struct pending_entry grant = grant_of(KEY, PERMISSION_YANK);
	const struct name name = forge_name("test:a");
	const struct record_entry entries[] = {{.type = ENTRY_YANK, .version = span_of_text("1.0.0")},
					       {.type = ENTRY_YANK, .version = span_of_text("1.1.0")},
					       {.type = ENTRY_YANK, .version = span_of_text("1.2.0")}};
	struct pending pending, copy;

	(void)state;
	for (size_t count = 0; count < 10; count++) {
		struct record record = {.entries = (struct record_entry *)(uintptr_t)entries, .entry_count = count % 4};

		pending_init(&pending, &name);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(pending_add(&pending, &grant, NULL), 0);
		assert_int_equal(pending_copy(&pending, &copy, NULL), 0);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(pending_add(&copy, &grant, NULL), 0);
		assert_int_equal(copy.count, count + 5);
		pending_release(&copy);
		pending_release(&pending);
		assert_int_equal(pending_copy_record(&name, &record, &copy, NULL), 0);
		for (size_t i = 0; i < 5; i++)
			assert_int_equal(pending_add(&copy, &grant, NULL), 0);
		assert_string_equal(copy.entries[copy.count - 1].key, KEY);
		pending_release(&copy);
	}
}

/* Whether two want the same, and whether the other way round. */
static void expect_same(const struct pending *a, const struct pending *b, bool same)
{
	assert_int_equal(pending_wants_same(a, b), same);
	assert_int_equal(pending_wants_same(b, a), same);
}

static void test_wants_same(void **state)
{
	const struct pending_entry init = {.type = ENTRY_INIT};
	struct name name = forge_name("test:a"), other_name = forge_name("test:b");
	struct pending_entry entry = release_of("1.0.0");
	struct pending one, other, empty;

	(void)state;
	pending_init(&one, &name);
	pending_init(&empty, &name);
	assert_int_equal(pending_copy(&one, &other, NULL), 0);
	expect_same(&one, &other, true);
	pending_release(&other);
	assert_int_equal(pending_add(&one, &entry, NULL), 0);
	assert_int_equal(pending_copy(&one, &other, NULL), 0);
	assert_int_equal(pending_add(&other, &init, NULL), 0);
	expect_same(&one, &other, true);
	other.name = other_name;
	expect_same(&one, &other, false);
	other.name = name;
	other.entries[1].content.bytes[0] ^= 1;
	expect_same(&one, &other, false);
	other.entries[1].content.bytes[0] ^= 1;
	other.entries[1].type = ENTRY_YANK;
	expect_same(&one, &other, false);
	expect_same(&one, &empty, false);
	/* An init alone is more than nothing. */
	assert_int_equal(pending_drop(&one, "1.0.0"), true);
	assert_int_equal(pending_add(&one, &init, NULL), 0);
	expect_same(&one, &empty, false);
	pending_release(&one);
	pending_release(&other);
}

static void test_add_refused(void **state)
{
	const struct pending_entry init = {.type = ENTRY_INIT};
	struct pending_entry first = release_of("1.0.0"), yank = {.type = ENTRY_YANK, .version = "1.0.0"};
	struct name name = forge_name("test:a");
	const struct {
		struct pending_entry entry;
		enum fault_kind kind;
	} refused[] = {
		{init, FAULT_EXISTS}, {first, FAULT_EXISTS}, {yank, FAULT_EXISTS}, {release_of("1.0"), FAULT_MISUSE},
		{release_of(""), FAULT_MISUSE}, {grant_of(KEY, 0), FAULT_MISUSE},
		{grant_of(KEY, PERMISSION_COMMIT | PERMISSION_YANK), FAULT_MISUSE},
		{grant_of("ecdsa-p256:", PERMISSION_YANK), FAULT_MISUSE},
		{{.type = ENTRY_REVOKE_FLAT}, FAULT_MISUSE}, {{.type = ENTRY_DEFINE_NAMESPACE}, FAULT_MISUSE},
	};
	struct pending pending;

	(void)state;
	pending_init(&pending, &name);
	assert_int_equal(pending_add(&pending, &init, NULL), 0);
	assert_int_equal(pending_add(&pending, &first, NULL), 0);
	assert_int_equal(pending_add(&pending, &yank, NULL), 0);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct fault flt = {0};

		assert_int_equal(pending_add(&pending, &refused[i].entry, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, refused[i].kind);
		assert_int_equal(pending.count, 3);
	}
	pending_release(&pending);
}

static void test_add_many(void **state)
{
	struct name name = forge_name("test:a");
	struct pending_entry entry = {.type = ENTRY_REVOKE_FLAT, .permissions = PERMISSION_YANK};
	struct fault flt = {0};
	struct pending pending;

	(void)state;
	pending_init(&pending, &name);
	for (size_t i = 0; i < CAP_RECORD_ENTRIES; i++)
		assert_int_equal(pending_add(&pending, &entry, NULL), 0);
	assert_int_equal(pending_add(&pending, &entry, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	pending_release(&pending);
}

/* ---- The file ---- */

struct place {
	char *path;
	char registries[4096], content[4096], own[4096], file[4096];
	struct store *store;
	struct name name;
};

static int set_up(void **state)
{
	static struct place place;

	place.path = scratch_new();
	place.name = forge_name("test:a");
	strcpy(place.registries, scratch_path(place.path, "cache/registries"));
	strcpy(place.content, scratch_path(place.path, "cache/content"));
	strcpy(place.own, scratch_path(place.path, "own"));
	strcpy(place.file, scratch_path(place.registries, LABEL "/pending-publish.json"));
	assert_int_equal(store_open(place.registries, place.content, place.own, LABEL, &place.store, NULL), 0);
	*state = &place;
	return 0;
}

static int tear_down(void **state)
{
	struct place *place = *state;

	store_close(place->store);
	scratch_free(place->path);
	return 0;
}

static struct pending load(const struct place *place)
{
	struct pending pending = {0};
	struct fault flt = {0};
	bool found = false;

	assert_int_equal(pending_load(place->store, &pending, &found, &flt), 0);
	assert_true(found);
	return pending;
}

static void begin(const struct place *place)
{
	assert_int_equal(pending_begin(place->store, &place->name, NULL), 0);
}

static int change(const struct place *place, struct pending_entry entry, struct fault *flt)
{
	return pending_change(place->store, &place->name, &entry, 1, flt);
}

static void test_life(void **state)
{
	struct place *place = *state;
	struct buf begun = data_read(RECORDED "begun.json");
	struct name other = forge_name("test:b");
	struct fault flt = {0};
	struct pending pending = {.count = 7};
	struct pending_entry entry = release_of("1.0.0");
	bool found = true;

	assert_int_equal(pending_load(place->store, &pending, &found, &flt), 0);
	assert_false(found);
	assert_int_equal(pending.count, 7);
	assert_int_equal(change(place, entry, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	begin(place);
	assert_int_equal(buf_append(&begun, (struct span){(const unsigned char *)"", 1}, NULL), 0);
	assert_true(scratch_holds(place->file, (const char *)begun.data));
	buf_release(&begun);

	flt = (struct fault){0};
	assert_int_equal(pending_begin(place->store, &other, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_EXISTS);
	assert_non_null(strstr(flt.what, "test:a"));
	flt = (struct fault){0};
	assert_int_equal(pending_change(place->store, &other, &entry, 1, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_EXISTS);
	assert_int_equal(change(place, entry, NULL), 0);
	flt = (struct fault){0};
	assert_int_equal(change(place, entry, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_EXISTS);
	pending = load(place);
	assert_int_equal(pending.count, 1);
	pending_release(&pending);

	assert_int_equal(pending_remove(place->store, &found, NULL), 0);
	assert_true(found);
	assert_int_equal(access(place->file, F_OK), -1);
	assert_int_equal(pending_remove(place->store, &found, NULL), 0);
	assert_false(found);
}

/* All of what is put in at once, or none. */
static void test_all_or_none(void **state)
{
	struct place *place = *state;
	const struct pending_entry entries[] = {release_of("1.0.0"), release_of("2.0.0"), release_of("1.0.0")};
	struct pending pending;

	begin(place);
	assert_int_equal(pending_change(place->store, &place->name, entries, 3, NULL), WARG_UNDECIDED);
	pending = load(place);
	assert_int_equal(pending.count, 0);
	assert_int_equal(pending_change(place->store, &place->name, entries, 2, NULL), 0);
	pending = load(place);
	assert_int_equal(pending.count, 2);
	pending_release(&pending);
}

/* What was put in is taken out again; the others stay in their order, and there is room for more. */
static void test_take_out(void **state)
{
	struct place *place = *state;
	const struct pending_entry entries[] = {release_of("1.0.0"), release_of("2.0.0"), release_of("3.0.0")};
	struct name other = forge_name("test:b");
	struct fault flt = {0};
	struct pending now;

	assert_int_equal(pending_take_out(place->store, &place->name, "1.0.0", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	begin(place);
	assert_int_equal(pending_change(place->store, &place->name, entries, 3, NULL), 0);
	flt = (struct fault){0};
	assert_int_equal(pending_take_out(place->store, &other, "1.0.0", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_EXISTS);
	flt = (struct fault){0};
	assert_int_equal(pending_take_out(place->store, &place->name, "1.0", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_int_equal(pending_take_out(place->store, &place->name, "2.0.0", NULL), 0);
	now = load(place);
	assert_int_equal(now.count, 2);
	assert_string_equal(now.entries[0].version, "1.0.0");
	assert_string_equal(now.entries[1].version, "3.0.0");
	assert_false(pending_drop(&now, "2.0.0"));
	assert_true(pending_drop(&now, "1.0.0"));
	assert_int_equal(pending_add(&now, &entries[1], NULL), 0);
	assert_int_equal(pending_add(&now, &entries[0], NULL), 0);
	assert_int_equal(now.count, 3);
	pending_release(&now);
}

/* What was added after the submit is not lost with it. */
static void test_end(void **state)
{
	struct place *place = *state;
	struct pending submitted, now;

	begin(place);
	assert_int_equal(change(place, release_of("1.0.0"), NULL), 0);
	submitted = load(place);
	assert_true(submitted.is_stored);
	assert_int_equal(change(place, release_of("1.1.0"), NULL), 0);
	assert_int_equal(pending_end(place->store, &submitted.text, NULL), 0);
	now = load(place);
	assert_int_equal(now.count, 2);
	assert_int_equal(pending_end(place->store, &now.text, NULL), 0);
	assert_int_equal(access(place->file, F_OK), -1);
	assert_int_equal(pending_end(place->store, &now.text, NULL), 0);
	pending_release(&submitted);
	pending_release(&now);
}

/* Nobody takes half a file, or somebody else's thing, for no transaction, and nobody writes over it. */
static void test_hostile(void **state)
{
	struct place *place = *state;
	struct pending pending;
	struct fault flt = {0};
	bool found = false;

	scratch_write_text(place->file, "{\n  \"name\": \"test:a\",\n  \"he");
	assert_int_equal(pending_load(place->store, &pending, &found, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
	assert_non_null(strstr(flt.where, "pending-publish.json"));
	assert_int_equal(pending_begin(place->store, &place->name, NULL), WARG_INVALID);
	assert_int_equal(change(place, release_of("1.0.0"), NULL), WARG_INVALID);
	/* Whatever it is, a person can be rid of it. */
	assert_int_equal(pending_remove(place->store, &found, NULL), 0);
	assert_true(found);
	begin(place);
	assert_int_equal(pending_remove(place->store, &found, NULL), 0);
	assert_int_equal(mkdir(place->file, 0700), 0);
	assert_int_equal(pending_begin(place->store, &place->name, NULL), WARG_UNDECIDED);
	assert_int_equal(pending_remove(place->store, &found, NULL), 0);
	assert_true(found);
}

static void test_link(void **state)
{
	struct place *place = *state;
	struct pending pending;
	bool found = true;

	scratch_write_text(scratch_path(place->path, "victim"), "{\"name\":\"test:evil\",\"entries\":[]}");
	assert_int_equal(symlink(scratch_path(place->path, "victim"), place->file), 0);
	assert_int_equal(pending_load(place->store, &pending, &found, NULL), 0);
	assert_false(found);
	begin(place);
	assert_true(scratch_holds(scratch_path(place->path, "victim"), "{\"name\":\"test:evil\",\"entries\":[]}"));
	assert_string_equal(load(place).name.text, "test:a");
}

static void test_huge(void **state)
{
	struct place *place = *state;
	struct pending pending;
	struct fault flt = {0};
	bool found;

	scratch_write_text(place->file, "{");
	assert_int_equal(truncate(place->file, CAP_FILE_PENDING + 1), 0);
	assert_int_equal(pending_load(place->store, &pending, &found, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
}

static void test_other_owner(void **state)
{
	struct place *place = *state;
	struct pending pending;
	struct fault flt = {0};
	bool found;

	if (geteuid())
		skip();
	scratch_write_text(place->file, "{\"name\":\"test:evil\",\"entries\":[]}");
	assert_int_equal(chown(place->file, 12345, 12345), 0);
	assert_int_equal(pending_load(place->store, &pending, &found, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
}

static void test_locked(void **state)
{
	struct place *place = *state;
	int lock = open(scratch_path(place->registries, LABEL "/.lock"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	struct fault flt = {0};

	assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(pending_begin(place->store, &place->name, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EBUSY);
	close(lock);
	begin(place);
}

/* Several processes at once: each entry is there in the end, once. */
static void test_together(void **state)
{
	enum { PROCESSES = 4, EACH = 12 };
	struct place *place = *state;
	struct pending pending;
	int status;

	begin(place);
	for (int i = 0; i < PROCESSES; i++) {
		pid_t child = fork();

		assert_true(child >= 0);
		for (int j = 0; !child && j < EACH; j++) {
			char version[32];

			snprintf(version, sizeof(version), "%d.%d.0", i, j);
			if (change(place, release_of(version), NULL))
				_exit(1);
		}
		if (!child)
			_exit(0);
	}
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	pending = load(place);
	assert_int_equal(pending.count, PROCESSES * EACH);
	pending_release(&pending);
}

static int live(void *context, struct fault *flt)
{
	const struct pending_entry entries[] = {release_of("1.0.0"), grant_of(KEY, PERMISSION_YANK)};
	const struct place *place = context;
	struct pending pending = {0};
	bool found;
	int r;

	unlink(place->file);
	r = pending_begin(place->store, &place->name, flt);
	if (!r)
		r = pending_change(place->store, &place->name, entries, 2, flt);
	if (!r)
		r = pending_load(place->store, &pending, &found, flt);
	pending_release(&pending);
	return r ? r : pending_remove(place->store, &found, flt);
}

static void test_torture(void **state)
{
	torture(live, *state);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_all_entries),
		cmocka_unit_test(test_unlike_ours),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_to_copy),
		cmocka_unit_test(test_wants_same),
		cmocka_unit_test(test_add_refused),
		cmocka_unit_test(test_add_many),
		TEST(test_life),
		TEST(test_all_or_none),
		TEST(test_take_out),
		TEST(test_end),
		TEST(test_hostile),
		TEST(test_link),
		TEST(test_huge),
		TEST(test_other_owner),
		TEST(test_locked),
		TEST(test_together),
		TEST(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
