/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts: kept, found, listed, and read as a stranger's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/publish/receipts.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"
#include "verify/hex.h"

struct scene {
	char *folder;
	struct receipts *receipts;
	struct name name;
};

static struct scene scene_new(void)
{
	struct scene scene = {.folder = scratch_new(), .name = forge_name("test:some")};

	assert_int_equal(receipts_open(scene.folder, "label", &scene.receipts, NULL), 0);
	return scene;
}

static void scene_release(struct scene *scene)
{
	receipts_close(scene->receipts);
	scratch_free(scene->folder);
}

/* ---- Documents ---- */

/* A text in place of a record's bytes. */
static void add_record(struct api_log *log, const char *text, uint64_t registry_index)
{
	struct api_record *record;

	log->records = reallocarray(log->records, log->count + 1, sizeof(*log->records));
	assert_non_null(log->records);
	record = &log->records[log->count++];
	*record = (struct api_record){.registry_index = registry_index, .signature = "ecdsa-p256:AAAA"};
	buf_init(&record->content, CAP_RECORD);
	assert_int_equal(buf_append_text(&record->content, text, NULL), 0);
}

/* A document of the last of these records, one a letter, of which the first `beside` are not in it. */
static struct proof document(const struct scene *scene, const char *letters, size_t beside)
{
	struct proof proof = {.name = scene->name, .of_record = true, .beside = beside};

	assert_int_equal(http_url_parse("https://example.com/", &proof.registry, NULL), 0);
	buf_init(&proof.log_bundle, 16);
	buf_init(&proof.map_bundle, 16);
	proof.checkpoint.contents.log_length = 1000;
	snprintf(proof.checkpoint.signature, sizeof(proof.checkpoint.signature), "ecdsa-p256:AAAA");
	add_record(&proof.operator, "operator", 0);
	for (size_t i = beside; letters[i]; i++)
		add_record(&proof.package, (const char[]){letters[i], '\0'}, i + 1);
	proof.record_id = record_id(RECORD_PACKAGE, span_of_text(letters + strlen(letters) - 1));
	return proof;
}

static bool put_part(struct scene *scene, const char *letters, size_t beside)
{
	struct proof proof = document(scene, letters, beside);
	bool kept;

	assert_int_equal(receipts_put(scene->receipts, &proof, &kept, NULL), 0);
	proof_release(&proof);
	return kept;
}

static void put(struct scene *scene, const char *letters)
{
	assert_true(put_part(scene, letters, 0));
}

/* @return whether there is one of the last of these records, with all of them */
static bool has(struct scene *scene, const char *letters)
{
	struct proof proof = document(scene, letters, 0);
	struct buf read, text;
	bool found, same;

	buf_init(&read, CAP_PROOF);
	buf_init(&text, CAP_PROOF);
	assert_int_equal(proof_render(&proof, &text, NULL), 0);
	assert_int_equal(receipts_read(scene->receipts, &scene->name, &proof.record_id, &read, &found, NULL), 0);
	same = found && read.length == text.length && !memcmp(read.data, text.data, text.length);
	buf_release(&read);
	buf_release(&text);
	proof_release(&proof);
	return same;
}

static const char *path_of(struct scene *scene, const char *letters)
{
	struct digest id = record_id(RECORD_PACKAGE, span_of_text(letters + strlen(letters) - 1));
	char path[128], hex[2 * DIGEST_SIZE + 1];

	hex_encode(digest_span(&id), hex);
	snprintf(path, sizeof(path), "label/receipts/test/some/%s.json", hex);
	return scratch_path(scene->folder, path);
}

static off_t size_of(const char *path)
{
	struct stat status;

	assert_int_equal(stat(path, &status), 0);
	return status.st_size;
}

static const char *records_path(struct scene *scene)
{
	return scratch_path(scene->folder, "label/receipts/test/some/records.jsonl");
}

static void append_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static struct receipts_end end_of(struct scene *scene)
{
	struct receipts_end end;

	assert_int_equal(receipts_find_end(scene->receipts, &scene->name, &end, NULL), 0);
	return end;
}

static void reopen(struct scene *scene)
{
	receipts_close(scene->receipts);
	assert_int_equal(receipts_open(scene->folder, "label", &scene->receipts, NULL), 0);
}

static size_t count(struct scene *scene)
{
	struct digest *ids = NULL;
	size_t found;

	assert_int_equal(receipts_list(scene->receipts, &scene->name, &ids, &found, NULL), 0);
	free(ids);
	return found;
}

/* ---- Tests ---- */

static void test_kept(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_false(has(&scene, "a"));
	assert_int_equal(count(&scene), 0);
	put(&scene, "a");
	put(&scene, "abc");
	put(&scene, "abc");
	assert_true(has(&scene, "a"));
	assert_true(has(&scene, "abc"));
	assert_int_equal(count(&scene), 2);
	scene.name = forge_name("test:other");
	assert_int_equal(count(&scene), 0);
	assert_false(has(&scene, "abc"));
	/* They outlive who wrote them. */
	reopen(&scene);
	scene.name = forge_name("test:some");
	assert_true(has(&scene, "abc"));
	scene_release(&scene);
}

/* Each record lies there once, however many receipts take it. */
static void test_records_beside(void **state)
{
	struct scene scene = scene_new();
	char letters[64] = "a";
	off_t line;

	(void)state;
	put(&scene, letters);
	line = size_of(records_path(&scene));
	for (size_t i = 1; i < 26; i++) {
		letters[i] = (char)('a' + i);
		assert_int_equal(end_of(&scene).count, i);
		if (i == 9)
			reopen(&scene);
		/* With the last record alone, or all of them. */
		assert_true(put_part(&scene, letters, i % 3 ? i : 0));
	}
	assert_true(size_of(records_path(&scene)) <= 26 * (line + 1));
	assert_true(size_of(path_of(&scene, letters)) <= size_of(path_of(&scene, "a")) + 1);
	for (size_t i = 25; i; i--) {
		assert_true(has(&scene, letters));
		letters[i] = '\0';
	}
	/* One of an earlier record, later. */
	put(&scene, "abc");
	assert_true(has(&scene, "abc"));
	assert_int_equal(end_of(&scene).count, 26);
	scene_release(&scene);
}

/* Somebody else has added to them, or not yet. */
static void test_other_end(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	put(&scene, "ab");
	assert_false(put_part(&scene, "abcd", 3));
	assert_false(put_part(&scene, "ab", 1));
	assert_int_equal(count(&scene), 1);
	assert_true(put_part(&scene, "abc", 2));
	assert_true(has(&scene, "abc"));
	scene_release(&scene);
}

/* A log that is another one has its records in the receipt. */
static void test_other_log(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	put(&scene, "abc");
	put(&scene, "axyz");
	assert_true(has(&scene, "axyz"));
	assert_true(has(&scene, "abc"));
	assert_int_equal(end_of(&scene).count, 3);
	scene_release(&scene);
}

/* What a crash left of a line is cut off; what is no record is not gone on with. */
static void test_damaged_end(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	put(&scene, "ab");
	append_text(records_path(&scene), "{\"contentBytes\": \"");
	assert_true(put_part(&scene, "abc", 2));
	assert_true(has(&scene, "abc"));
	append_text(records_path(&scene), "nothing\n");
	assert_int_equal(end_of(&scene).count, 0);
	put(&scene, "abcd");
	assert_true(has(&scene, "abcd"));
	assert_true(has(&scene, "abc"));
	scene_release(&scene);
}

/* Without the records a receipt says what it lacks. */
static void test_records_gone(void **state)
{
	struct scene scene = scene_new();
	struct digest id = record_id(RECORD_PACKAGE, span_of_text("b"));
	struct fault flt = {0};
	struct buf read;
	bool found;

	(void)state;
	put(&scene, "ab");
	assert_int_equal(unlink(records_path(&scene)), 0);
	buf_init(&read, CAP_PROOF);
	assert_int_equal(receipts_read(scene.receipts, &scene.name, &id, &read, &found, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_non_null(strstr(flt.what, "records.jsonl"));
	buf_release(&read);
	put(&scene, "ab");
	assert_true(has(&scene, "ab"));
	scene_release(&scene);
}

/* Receipts of earlier versions have all records. */
static void test_earlier(void **state)
{
	struct scene scene = scene_new();
	struct proof proof = document(&scene, "abc", 0);
	struct buf text;

	(void)state;
	put(&scene, "a");
	buf_init(&text, CAP_PROOF);
	assert_int_equal(proof_render(&proof, &text, NULL), 0);
	scratch_write(path_of(&scene, "abc"), buf_span(&text));
	assert_true(has(&scene, "abc"));
	buf_release(&text);
	proof_release(&proof);
	scene_release(&scene);
}

/* Links, and whatever else lies there, are none. */
static void test_planted(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	put(&scene, "a");
	scratch_write_text(scratch_path(scene.folder, "elsewhere"), "secret");
	assert_int_equal(symlink(scratch_path(scene.folder, "elsewhere"), path_of(&scene, "b")), 0);
	scratch_write_text(scratch_path(scene.folder, "label/receipts/test/some/README"), "x");
	assert_false(has(&scene, "b"));
	assert_int_equal(count(&scene), 1);
	scene_release(&scene);
}

struct torment {
	struct scene scene;
	struct proof proof;
};

static int try_put(void *context, struct fault *flt)
{
	struct torment *torment = context;
	struct digest *ids = NULL;
	size_t listed;
	bool kept, found;
	struct buf read;
	int r = receipts_put(torment->scene.receipts, &torment->proof, &kept, flt);

	if (!r)
		r = receipts_list(torment->scene.receipts, &torment->scene.name, &ids, &listed, flt);
	free(ids);
	buf_init(&read, CAP_PROOF);
	if (!r)
		r = receipts_read(torment->scene.receipts, &torment->scene.name, &torment->proof.record_id, &read,
				  &found, flt);
	buf_release(&read);
	return r;
}

static void test_torture(void **state)
{
	struct torment torment = {.scene = scene_new()};

	(void)state;
	torment.proof = document(&torment.scene, "ab", 0);
	torture(try_put, &torment);
	proof_release(&torment.proof);
	scene_release(&torment.scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_records_beside),
		cmocka_unit_test(test_other_end),
		cmocka_unit_test(test_other_log),
		cmocka_unit_test(test_damaged_end),
		cmocka_unit_test(test_records_gone),
		cmocka_unit_test(test_earlier),
		cmocka_unit_test(test_planted),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
