/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The archive of records, and what others may have done to it on disk.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/store/archive.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

#define HEADER 17 /* bytes of the line of version */
#define RECORDS 5 /* of the package: init with a release, then releases */

struct scene {
	char *folder;
	struct forge forge;
	struct name name;
	struct digest log_id;
	struct archive *archive;
	uint64_t end; /* of what was added */
};

static void reopen(struct scene *scene)
{
	archive_close(scene->archive);
	assert_int_equal(archive_open(scene->folder, "label", &scene->archive, NULL), 0);
}

static struct scene scene_of(size_t records)
{
	struct scene scene = {.folder = scratch_new(), .name = forge_name("test:pack")};

	forge_open(&scene.forge, "test");
	forge_package(&scene.forge, "test:pack", records);
	forge_package(&scene.forge, "test:other", 2);
	scene.log_id = name_log_id(&scene.name);
	reopen(&scene);
	return scene;
}

static struct scene scene_new(void)
{
	return scene_of(RECORDS);
}

static void scene_release(struct scene *scene)
{
	archive_close(scene->archive);
	forge_close(&scene->forge);
	scratch_free(scene->folder);
}

/* The forge's record at a registry index, as the registry would send it. Release its content. */
static struct api_record received(const struct scene *scene, uint64_t index)
{
	const struct forge_record *record = &scene->forge.records[index];
	struct api_record out = {.key_id = record->key_id, .registry_index = index};

	buf_init(&out.content, CAP_RECORD);
	assert_int_equal(buf_append(&out.content, buf_span(&record->content), NULL), 0);
	memcpy(out.signature, record->signature, sizeof(out.signature));
	digest_format(&record->id, out.token);
	return out;
}

/* A growth of the records from `first` up to `end`, behind `start`. */
static struct archive_growth *grown(struct scene *scene, const struct digest *log_id, uint64_t start, uint64_t first,
				    uint64_t end)
{
	struct archive_growth *growth;

	assert_int_equal(archive_growth_new(scene->archive, log_id, start, &growth, NULL), 0);
	for (uint64_t i = first; i < end; i++) {
		struct api_record record = received(scene, i);

		assert_int_equal(archive_growth_add(growth, &record, &scene->end, NULL), 0);
		buf_release(&record.content);
	}
	return growth;
}

static void save(struct scene *scene, struct archive_growth *growth)
{
	bool saved = false;

	archive_keep_take(scene->archive, growth);
	archive_accept(scene->archive);
	assert_true(archive_has_news(scene->archive));
	assert_int_equal(archive_save(scene->archive, &saved, NULL), 0);
	assert_true(saved);
	assert_false(archive_has_news(scene->archive));
}

/* The package's records are at 1 … RECORDS: the operator's first one comes before. */
static void save_package(struct scene *scene, uint64_t start, uint64_t first, uint64_t end)
{
	save(scene, grown(scene, &scene->log_id, start, first, end));
}

/* How many records of the package's log there are, from its first on. */
static size_t loaded(struct scene *scene, struct store_position *position, struct fault *damage)
{
	struct package_log *log = NULL;
	struct store_position unused;
	size_t count = 0;

	assert_int_equal(archive_load_package(scene->archive, &scene->name, NULL, &log, position ? position : &unused,
					      damage, NULL), 0);
	if (log) {
		/* A release a record. */
		package_log_releases(log, &count);
		assert_true(digest_equals(&package_log_head(log)->record_id, &scene->forge.records[count].id));
	}
	package_log_unref(log);
	return count;
}

static const char *file_of(const struct scene *scene)
{
	char hex[DIGEST_TEXT_SIZE], name[128];

	digest_format(&scene->log_id, hex);
	snprintf(name, sizeof(name), "label/records/%s", hex + strlen("sha256:"));
	return scratch_path(scene->folder, name);
}

static void test_round_trip(void **state)
{
	struct scene scene = scene_new();
	struct store_position position = {0};
	struct operator_log *operator = NULL;
	struct digest operator_id = name_operator_log_id();
	char token[DIGEST_TEXT_SIZE];

	(void)state;
	assert_int_equal(loaded(&scene, NULL, NULL), 0);
	save_package(&scene, 0, 1, 1 + RECORDS);
	reopen(&scene);
	assert_int_equal(loaded(&scene, &position, NULL), RECORDS);
	digest_format(&scene.forge.records[RECORDS].id, token);
	assert_true(position.known);
	assert_int_equal(position.registry_index, RECORDS);
	assert_string_equal(position.token, token);
	assert_int_equal(position.archived, scene.end);

	assert_int_equal(archive_load_operator(scene.archive, NULL, &operator, &position, NULL, NULL), 0);
	assert_null(operator);
	save(&scene, grown(&scene, &operator_id, 0, 0, 1));
	assert_int_equal(archive_load_operator(scene.archive, NULL, &operator, &position, NULL, NULL), 0);
	assert_non_null(operator);
	assert_int_equal(position.registry_index, 0);
	operator_log_unref(operator);
	scene_release(&scene);
}

/* Piece by piece, over restarts, comes to the same as at once. */
static void test_grows(void **state)
{
	struct scene scene = scene_new();
	struct store_position position;

	(void)state;
	for (uint64_t i = 0; i < RECORDS; i++) {
		reopen(&scene);
		position = (struct store_position){0};
		assert_int_equal(loaded(&scene, &position, NULL), i);
		save_package(&scene, position.archived, i + 1, i + 2);
	}
	assert_int_equal(loaded(&scene, NULL, NULL), RECORDS);
	/* Two growths of one log that are saved at once. */
	assert_int_equal(unlink(file_of(&scene)), 0);
	archive_keep_take(scene.archive, grown(&scene, &scene.log_id, 0, 1, 3));
	archive_keep_take(scene.archive, grown(&scene, &scene.log_id, scene.end, 3, 5));
	save(&scene, grown(&scene, &scene.log_id, scene.end, 5, 6));
	assert_int_equal(loaded(&scene, NULL, NULL), RECORDS);
	scene_release(&scene);
}

/* Up to a record that is asked for; one that is not there is no log at all. */
static void test_up_to_a_head(void **state)
{
	struct scene scene = scene_new();
	struct store_position position;
	struct archive_head head;
	struct fault damage = {0};
	struct package_log *log;
	size_t count;

	(void)state;
	save_package(&scene, 0, 1, 1 + RECORDS);
	for (uint64_t i = 1; i <= RECORDS; i++) {
		head = (struct archive_head){scene.forge.records[i].id, i};
		assert_int_equal(archive_load_package(scene.archive, &scene.name, &head, &log, &position, &damage,
						      NULL), 0);
		assert_non_null(log);
		assert_int_equal(damage.verdict, 0);
		package_log_releases(log, &count);
		assert_int_equal(count, i);
		assert_int_equal(position.registry_index, i);
		package_log_unref(log);
	}
	head = (struct archive_head){scene.forge.records[RECORDS + 1].id, RECORDS + 1};
	assert_int_equal(archive_load_package(scene.archive, &scene.name, &head, &log, &position, &damage, NULL), 0);
	assert_null(log);
	assert_int_equal(damage.verdict, 0);
	/* The record exists, but has another index in the ledger. */
	head = (struct archive_head){scene.forge.records[RECORDS].id, RECORDS + 1};
	assert_int_equal(archive_load_package(scene.archive, &scene.name, &head, &log, &position, &damage, NULL), 0);
	assert_null(log);
	assert_int_equal(damage.verdict, WARG_INVALID);
	assert_int_equal(damage.party, FAULT_BY_CACHE);
	scene_release(&scene);
}

/* As they lie there, up to a record that is there: else none. */
static void test_copy(void **state)
{
	struct scene scene = scene_new();
	struct api_log log;

	(void)state;
	assert_int_equal(archive_copy_records(scene.archive, &scene.log_id, &scene.forge.records[1].id, &log, NULL),
			 0);
	assert_int_equal(log.count, 0);
	save_package(&scene, 0, 1, 1 + RECORDS);
	for (uint64_t end = 1; end <= RECORDS; end++) {
		assert_int_equal(archive_copy_records(scene.archive, &scene.log_id, &scene.forge.records[end].id,
						      &log, NULL), 0);
		assert_int_equal(log.count, end);
		assert_true(digest_equals(&log.log_id, &scene.log_id));
		for (size_t i = 0; i < log.count; i++) {
			struct api_record record = received(&scene, 1 + i);

			assert_true(span_equals(buf_span(&log.records[i].content), buf_span(&record.content)));
			assert_true(digest_equals(&log.records[i].key_id, &record.key_id));
			assert_string_equal(log.records[i].signature, record.signature);
			assert_string_equal(log.records[i].token, record.token);
			assert_int_equal(log.records[i].registry_index, record.registry_index);
			buf_release(&record.content);
		}
		api_log_release(&log);
	}
	assert_int_equal(archive_copy_records(scene.archive, &scene.log_id, &scene.forge.records[RECORDS + 1].id, &log,
					      NULL), 0);
	assert_int_equal(log.count, 0);
	scene_release(&scene);
}

static void test_refused(void **state)
{
	struct scene scene = scene_new();
	bool saved;

	(void)state;
	archive_keep_take(scene.archive, grown(&scene, &scene.log_id, 0, 1, 3));
	archive_refuse(scene.archive);
	archive_accept(scene.archive);
	assert_false(archive_has_news(scene.archive));
	assert_int_equal(archive_save(scene.archive, &saved, NULL), 0);
	assert_int_equal(loaded(&scene, NULL, NULL), 0);
	scene_release(&scene);
}

/* More than is held in memory. */
static void test_large(void **state)
{
	const size_t records = 1500;
	struct scene scene = scene_of(records);
	struct store_position position;

	(void)state;
	save_package(&scene, 0, 1, 1000);
	assert_int_equal(loaded(&scene, &position, NULL), 999);
	save_package(&scene, position.archived, 1000, 1 + records);
	reopen(&scene);
	assert_int_equal(loaded(&scene, NULL, NULL), records);
	/* Nothing but the file is left. */
	assert_int_equal(scratch_count(scratch_path(scene.folder, "label/records")), 1);
	scene_release(&scene);
}

/* ---- What others do to the file ---- */

/** The file, and where its records begin. */
struct file {
	unsigned char bytes[1 << 16];
	size_t length;
	size_t at[RECORDS + 1]; /* the last is the end */
};

static struct file read_file(const char *path)
{
	struct file file = {0};
	int fd = open(path, O_RDONLY);
	size_t at = HEADER;

	assert_true(fd >= 0);
	file.length = (size_t)read(fd, file.bytes, sizeof(file.bytes));
	close(fd);
	for (size_t i = 0; i <= RECORDS; i++) {
		const unsigned char *lengths = file.bytes + at + 40;

		file.at[i] = at;
		if (at >= file.length)
			break;
		at += 52;
		for (size_t part = 0; part < 3; part++)
			at += (size_t)lengths[4 * part + 2] << 8 | lengths[4 * part + 3];
	}
	assert_int_equal(file.at[RECORDS], file.length);
	return file;
}

static void write_file(const char *path, const struct file *file)
{
	scratch_write(path, (struct span){file->bytes, file->length});
}

static void cut_tail(struct file *file)
{
	file->length -= 1;
}

static void cut_frame(struct file *file)
{
	file->length = file->at[4] + 20;
}

static void put_garbage_behind(struct file *file)
{
	memset(file->bytes + file->length, 0xff, 100);
	file->length += 100;
}

static void change_index(struct file *file)
{
	file->bytes[file->at[4] + 7] = 1;
}

static void change_index_hugely(struct file *file)
{
	file->bytes[file->at[4]] = 0xff;
}

static void change_key(struct file *file)
{
	file->bytes[file->at[4] + 10] ^= 1;
}

static void change_length(struct file *file)
{
	file->bytes[file->at[4] + 40] = 0x7f;
}

static void change_content(struct file *file)
{
	file->bytes[file->at[4] + 52 + 50] ^= 1;
}

static void change_signature(struct file *file)
{
	file->bytes[file->at[4] + 52 + 180] ^= 1;
}

static void put_zero_in_token(struct file *file)
{
	file->bytes[file->at[5] - 1] = 0;
}

static void remove_record(struct file *file)
{
	size_t size = file->at[4] - file->at[3];

	memmove(file->bytes + file->at[3], file->bytes + file->at[4], file->length - file->at[4]);
	file->length -= size;
}

static void swap_records(struct file *file)
{
	unsigned char last[4096];
	size_t first = file->at[4] - file->at[3], second = file->at[5] - file->at[4];

	memcpy(last, file->bytes + file->at[4], second);
	memmove(file->bytes + file->at[3] + second, file->bytes + file->at[3], first);
	memcpy(file->bytes + file->at[3], last, second);
}

static void repeat_record(struct file *file)
{
	size_t size = file->at[5] - file->at[4];

	memcpy(file->bytes + file->at[5], file->bytes + file->at[4], size);
	file->length += size;
}

static void change_version(struct file *file)
{
	file->bytes[HEADER - 2] = '2';
}

static void remove_first(struct file *file)
{
	memmove(file->bytes + file->at[0], file->bytes + file->at[1], file->length - file->at[1]);
	file->length -= file->at[1] - file->at[0];
}

static void empty(struct file *file)
{
	file->length = 0;
}

/* What is damaged ends the log there, and is put right by what is received again. */
static void test_damaged(void **state)
{
	static const struct {
		const char *what;
		void (*damage)(struct file *file);
		size_t left;
		bool told;
	} cases[] = {
		{"the tail is cut", cut_tail, 4, true},
		{"a frame is cut", cut_frame, 4, true},
		{"garbage behind", put_garbage_behind, 5, true},
		{"an index", change_index, 4, true},
		{"an index past all", change_index_hugely, 4, true},
		{"a key", change_key, 4, true},
		{"a length", change_length, 4, true},
		{"a content", change_content, 4, true},
		{"a signature", change_signature, 4, true},
		{"a token that is no text", put_zero_in_token, 4, true},
		{"a record removed", remove_record, 3, true},
		{"records swapped", swap_records, 3, true},
		{"a record twice", repeat_record, 5, true},
		{"another version", change_version, 0, false},
		{"the first one removed", remove_first, 0, true},
		{"empty", empty, 0, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = scene_new();
		struct store_position position = {0};
		struct fault damage = {0};
		struct file file;
		size_t left;

		save_package(&scene, 0, 1, 1 + RECORDS);
		file = read_file(file_of(&scene));
		cases[i].damage(&file);
		write_file(file_of(&scene), &file);
		left = loaded(&scene, &position, &damage);
		if (left != cases[i].left || !damage.verdict == cases[i].told)
			fail_msg("%s: %zu records are left, and it is told: %s", cases[i].what, left, damage.what);
		assert_int_equal(damage.party, cases[i].told ? FAULT_BY_CACHE : FAULT_BY_UNKNOWN);

		save_package(&scene, position.archived, left + 1, 1 + RECORDS);
		damage = (struct fault){0};
		assert_int_equal(loaded(&scene, NULL, &damage), RECORDS);
		scene_release(&scene);
	}
}

/* Whatever byte is changed, what is loaded is the true log, or its beginning: loaded() sees to that. */
static void test_every_byte(void **state)
{
	struct scene scene = scene_new();
	struct file file;

	(void)state;
	save_package(&scene, 0, 1, 1 + RECORDS);
	file = read_file(file_of(&scene));
	for (size_t i = 0; i < file.length; i++) {
		file.bytes[i] ^= 0x10;
		write_file(file_of(&scene), &file);
		assert_true(loaded(&scene, NULL, NULL) <= RECORDS);
		file.bytes[i] ^= 0x10;
	}
	scene_release(&scene);
}

/* Records of another log, whole and signed, under this one's name. */
static void test_other_log(void **state)
{
	struct scene scene = scene_new();
	struct fault damage = {0};

	(void)state;
	save(&scene, grown(&scene, &scene.log_id, 0, 1 + RECORDS, 3 + RECORDS));
	/* A package's log does not say whose it is: that its head is the name's is what has to be proven. */
	assert_int_equal(loaded(&(struct scene){.archive = scene.archive, .name = scene.name,
						.forge.records = scene.forge.records + RECORDS}, NULL, &damage), 2);
	/* One that was proven to be the log takes its place, though it is no longer. */
	save_package(&scene, 0, 1, 3);
	assert_int_equal(loaded(&scene, NULL, NULL), 2);
	scene_release(&scene);
}

static void test_no_file(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	save_package(&scene, 0, 1, 1 + RECORDS);
	assert_int_equal(unlink(file_of(&scene)), 0);
	assert_int_equal(symlink("/dev/zero", file_of(&scene)), 0);
	assert_int_equal(loaded(&scene, NULL, NULL), 0);
	save_package(&scene, 0, 1, 1 + RECORDS);
	assert_int_equal(loaded(&scene, NULL, NULL), RECORDS);

	assert_int_equal(unlink(file_of(&scene)), 0);
	assert_int_equal(mkfifo(file_of(&scene), 0666), 0);
	assert_int_equal(loaded(&scene, NULL, NULL), 0);
	save_package(&scene, 0, 1, 1 + RECORDS);
	assert_int_equal(loaded(&scene, NULL, NULL), RECORDS);

	assert_int_equal(truncate(file_of(&scene), (off_t)1 << 40), 0);
	assert_int_equal(loaded(&scene, NULL, NULL), 0);
	scene_release(&scene);
}

/* ---- Others who work there ---- */

static void test_shorter_never_replaces_longer(void **state)
{
	struct scene scene = scene_new();
	struct store_position position;

	(void)state;
	save_package(&scene, 0, 1, 1 + RECORDS);
	save_package(&scene, 0, 1, 3);
	assert_int_equal(loaded(&scene, &position, NULL), RECORDS);
	/* What goes on from less than is there agrees with it. */
	assert_int_equal(unlink(file_of(&scene)), 0);
	save_package(&scene, 0, 1, 3);
	assert_int_equal(loaded(&scene, &position, NULL), 2);
	save_package(&scene, position.archived, 3, 1 + RECORDS);
	save_package(&scene, position.archived, 3, 5);
	assert_int_equal(loaded(&scene, NULL, NULL), RECORDS);
	scene_release(&scene);
}

/* Unproven records are appended to the same log, and never replace records. */
static void test_part_replaces_nothing(void **state)
{
	struct scene scene = scene_new();
	struct archive_growth *growth;
	bool saved;

	(void)state;
	for (int i = 0; i < 3; i++) {
		/* No file; a prefix of the log; another log, with another first record. */
		static const struct { uint64_t there, first, end; size_t loaded; } cases[] = {
			{1, 1, 4, 3}, {3, 1, 6, 5}, {4, 2, 6, 3},
		};

		unlink(file_of(&scene));
		if (cases[i].there > 1)
			save_package(&scene, 0, 1, cases[i].there);
		growth = grown(&scene, &scene.log_id, 0, cases[i].first, cases[i].end);
		archive_keep_part_take(scene.archive, growth);
		archive_accept(scene.archive);
		assert_int_equal(archive_save(scene.archive, &saved, NULL), 0);
		assert_int_equal(loaded(&scene, NULL, NULL), cases[i].loaded);
	}
	scene_release(&scene);
}

/* What lay before it was removed: nothing is put where a gap would be. */
static void test_gap(void **state)
{
	struct scene scene = scene_new();
	struct store_position position;

	(void)state;
	save_package(&scene, 0, 1, 4);
	assert_int_equal(loaded(&scene, &position, NULL), 3);
	assert_int_equal(unlink(file_of(&scene)), 0);
	save_package(&scene, position.archived, 4, 6);
	assert_int_equal(loaded(&scene, NULL, NULL), 0);
	assert_int_equal(access(file_of(&scene), F_OK), -1);
	scene_release(&scene);
}

static void test_lock(void **state)
{
	struct scene scene = scene_new();
	bool saved = true;
	int fd;

	(void)state;
	save_package(&scene, 0, 1, 3);
	fd = open(scratch_path(scene.folder, "label/records"), O_RDONLY | O_DIRECTORY);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	archive_keep_take(scene.archive, grown(&scene, &scene.log_id, scene.end, 3, 5));
	archive_accept(scene.archive);
	assert_int_equal(archive_save(scene.archive, &saved, NULL), 0);
	assert_false(saved);
	assert_int_equal(loaded(&scene, NULL, NULL), 2);
	close(fd);
	assert_true(archive_has_news(scene.archive));
	assert_int_equal(archive_save(scene.archive, &saved, NULL), 0);
	assert_true(saved);
	assert_int_equal(loaded(&scene, NULL, NULL), 4);
	scene_release(&scene);
}

static void test_no_folder(void **state)
{
	struct scene scene = scene_new();
	struct fault flt = {0};
	bool saved;

	(void)state;
	scratch_write_text(scratch_path(scene.folder, "label"), "a file is in the way");
	archive_keep_take(scene.archive, grown(&scene, &scene.log_id, 0, 1, 3));
	archive_accept(scene.archive);
	assert_int_equal(archive_save(scene.archive, &saved, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	/* It is given up. */
	assert_false(archive_has_news(scene.archive));
	assert_int_equal(loaded(&scene, NULL, NULL), 0);
	scene_release(&scene);
}

/* Many records are held until they can be saved, wherever they lie. */
static void test_large_without_a_folder(void **state)
{
	const size_t records = 1000;
	struct scene scene = scene_of(records);
	bool saved;

	(void)state;
	scratch_write_text(scratch_path(scene.folder, "label"), "a file is in the way");
	archive_keep_take(scene.archive, grown(&scene, &scene.log_id, 0, 1, 1 + records));
	archive_accept(scene.archive);
	assert_int_equal(unlink(scratch_path(scene.folder, "label")), 0);
	assert_int_equal(archive_save(scene.archive, &saved, NULL), 0);
	assert_int_equal(loaded(&scene, NULL, NULL), records);
	scene_release(&scene);
}

/* ---- Torture ---- */

static int load_once(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct store_position position;
	struct package_log *log = NULL;
	struct archive *archive = NULL;
	int verdict = archive_open(scene->folder, "label", &archive, flt);

	if (!verdict)
		verdict = archive_load_package(archive, &scene->name, NULL, &log, &position, NULL, flt);
	if (!verdict)
		assert_non_null(log);
	package_log_unref(log);
	archive_close(archive);
	return verdict;
}

static int copy_once(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct api_log log;
	int verdict = archive_copy_records(scene->archive, &scene->log_id, &scene->forge.records[1].id, &log, flt);

	if (!verdict) {
		assert_int_equal(log.count, 1);
		api_log_release(&log);
	}
	return verdict;
}

struct saving {
	struct scene *scene;
	struct api_record record;
};

static int save_once(void *context, struct fault *flt)
{
	struct saving *saving = context;
	struct archive *archive = saving->scene->archive;
	struct archive_growth *growth = NULL;
	uint64_t end;
	bool saved;
	int verdict = archive_growth_new(archive, &saving->scene->log_id, 0, &growth, flt);

	if (!verdict)
		verdict = archive_growth_add(growth, &saving->record, &end, flt);
	if (verdict) {
		archive_growth_free(growth);
		return verdict;
	}
	archive_keep_take(archive, growth);
	archive_accept(archive);
	return archive_save(archive, &saved, flt);
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();
	struct saving saving = {&scene, received(&scene, 1)};

	(void)state;
	torture(save_once, &saving);
	assert_int_equal(loaded(&scene, NULL, NULL), 1);
	torture(load_once, &scene);
	torture(copy_once, &scene);
	buf_release(&saving.record.content);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_up_to_a_head),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_other_log),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_shorter_never_replaces_longer),
		cmocka_unit_test(test_part_replaces_nothing),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_lock),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_large_without_a_folder),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
