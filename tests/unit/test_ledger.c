/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The ledger on disk, and what others may have done to it there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/store/ledger.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

#define RECORDS 700 /* two chunks that are full, and one that is not */

struct scene {
	char *folder;
	struct forge forge;
	struct ledger *ledger;
};

static void reopen(struct scene *scene)
{
	ledger_close(scene->ledger);
	assert_int_equal(ledger_open(scene->folder, "label", &scene->ledger, NULL), 0);
}

static struct scene scene_new(void)
{
	struct scene scene = {.folder = scratch_new()};

	forge_open(&scene.forge, "test");
	forge_package(&scene.forge, "test:pack", RECORDS + 100 - 1);
	reopen(&scene);
	return scene;
}

static void scene_release(struct scene *scene)
{
	ledger_close(scene->ledger);
	forge_close(&scene->forge);
	scratch_free(scene->folder);
}

static const char *file_of(const struct scene *scene)
{
	return scratch_path(scene->folder, "label/ledger");
}

/* The forge's records from `first` on. free() them */
static struct api_ledger_entry *entries_of(const struct scene *scene, uint64_t first, uint64_t end)
{
	struct api_ledger_entry *entries = calloc(end - first + 1, sizeof(*entries));

	assert_non_null(entries);
	for (uint64_t i = first; i < end; i++)
		entries[i - first] = (struct api_ledger_entry){scene->forge.records[i].log_id,
							       scene->forge.records[i].id};
	return entries;
}

static int append_to(struct scene *scene, uint64_t length, struct fault *flt)
{
	struct signed_checkpoint checkpoint = forge_checkpoint(&scene->forge, length, 1000);
	uint64_t first = ledger_length(scene->ledger);
	struct api_ledger_entry *entries = entries_of(scene, first, length);
	int verdict = ledger_append(scene->ledger, entries, length - first, &checkpoint, flt);

	if (!verdict)
		ledger_keep(scene->ledger, &checkpoint);
	free(entries);
	return verdict;
}

/* Load; a ledger that is found must have that many records. */
static int load(struct scene *scene, uint64_t length, struct fault *flt)
{
	struct signed_checkpoint checkpoint = {0};
	bool found = true;
	int verdict = ledger_load(scene->ledger, &checkpoint, &found, flt);

	assert_int_equal(found, length > 0);
	assert_int_equal(checkpoint.contents.log_length, length);
	assert_int_equal(ledger_length(scene->ledger), length);
	return verdict;
}

struct compared {
	const struct scene *scene;
	uint64_t next;
};

static int compare(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count, struct fault *flt)
{
	struct compared *compared = user;
	struct api_ledger_entry *expected = entries_of(compared->scene, index, index + count);

	(void)flt;
	assert_int_equal(index, compared->next);
	assert_true(count > 0);
	assert_memory_equal(entries, expected, count * sizeof(*entries));
	compared->next += count;
	free(expected);
	return 0;
}

/* All that is there is what the forge made. */
static void check_records(struct scene *scene, uint64_t first, uint64_t end)
{
	struct compared compared = {scene, first};

	assert_int_equal(ledger_read(scene->ledger, first, end, compare, &compared, NULL), 0);
	assert_int_equal(compared.next, end);
}

static void test_grows_over_restarts(void **state)
{
	static const uint64_t lengths[] = {1, 255, 256, 257, 512, RECORDS, RECORDS + 1};
	struct scene scene = scene_new();
	struct digest root;

	(void)state;
	assert_int_equal(load(&scene, 0, NULL), 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct signed_checkpoint checkpoint = forge_checkpoint(&scene.forge, lengths[i], 1000);

		assert_int_equal(append_to(&scene, lengths[i], NULL), 0);
		assert_false(ledger_is_in_doubt(scene.ledger));
		check_records(&scene, 0, lengths[i]);
		reopen(&scene);
		assert_int_equal(load(&scene, lengths[i], NULL), 0);
		assert_true(ledger_is_in_doubt(scene.ledger));
		root = ledger_root(scene.ledger);
		assert_true(digest_equals(&root, &checkpoint.contents.log_root));
		check_records(&scene, 0, lengths[i]);
	}
	check_records(&scene, 300, 301);
	check_records(&scene, 255, 513);
	check_records(&scene, RECORDS, RECORDS + 1);
	scene_release(&scene);
}

static void test_bounds(void **state)
{
	struct scene scene = scene_new();
	struct compared compared = {&scene, 0};
	struct fault flt = {0};

	(void)state;
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	assert_int_equal(ledger_read(scene.ledger, 0, 301, compare, &compared, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_MISUSE);
	assert_int_equal(ledger_read(scene.ledger, 300, 300, compare, &compared, NULL), 0);
	ledger_forget(scene.ledger);
	assert_int_equal(ledger_length(scene.ledger), 0);
	assert_int_equal(ledger_read(scene.ledger, 0, 1, compare, &compared, NULL), WARG_UNDECIDED);
	scene_release(&scene);
}

/* What does not lead to the root changes nothing, in memory or on disk. */
static void test_false_growth(void **state)
{
	struct scene scene = scene_new();
	struct signed_checkpoint checkpoint = forge_checkpoint(&scene.forge, 400, 1000);
	struct api_ledger_entry *entries = entries_of(&scene, 300, 400);

	(void)state;
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	entries[50].record_id.bytes[0] ^= 1;
	assert_int_equal(ledger_append(scene.ledger, entries, 100, &checkpoint, NULL), WARG_INVALID);
	assert_int_equal(ledger_append(scene.ledger, entries, 99, &checkpoint, NULL), WARG_UNDECIDED);
	assert_int_equal(ledger_length(scene.ledger), 300);
	reopen(&scene);
	assert_int_equal(load(&scene, 300, NULL), 0);
	assert_int_equal(append_to(&scene, 400, NULL), 0);
	check_records(&scene, 0, 400);
	free(entries);
	scene_release(&scene);
}

/* ---- What others do to the file ---- */

static void cut(const char *path)
{
	assert_int_equal(truncate(path, 16 + 64 * 300 - 1), 0);
}

static void change(const char *path, off_t offset, const char *text)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
	close(fd);
}

static void change_record(const char *path)
{
	change(path, 16 + 64 * 100 + 5, "x");
}

static void change_version(const char *path)
{
	change(path, 14, "2");
}

static void swap_records(const char *path)
{
	unsigned char two[128];
	int fd = open(path, O_RDWR);

	assert_int_equal(pread(fd, two, 128, 16), 128);
	assert_int_equal(pwrite(fd, two, 64, 16 + 64), 64);
	assert_int_equal(pwrite(fd, two + 64, 64, 16), 64);
	close(fd);
}

static void empty(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void make_huge(const char *path)
{
	assert_int_equal(truncate(path, (off_t)1 << 40), 0);
}

static void put_link(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/dev/zero", path), 0);
}

static void put_pipe(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0666), 0);
}

static void take_away(const char *path)
{
	assert_int_equal(unlink(path), 0);
}

static void test_damaged(void **state)
{
	static const struct {
		void (*damage)(const char *path);
		int verdict;
	} cases[] = {
		{cut, WARG_INVALID}, {change_record, WARG_INVALID}, {change_version, WARG_INVALID},
		{swap_records, WARG_INVALID}, {empty, WARG_INVALID}, {make_huge, WARG_INVALID}, {put_link, 0},
		{put_pipe, 0}, {take_away, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scene scene = scene_new();
		struct fault flt = {0};

		assert_int_equal(append_to(&scene, 300, NULL), 0);
		cases[i].damage(file_of(&scene));
		reopen(&scene);
		assert_int_equal(load(&scene, 0, &flt), cases[i].verdict);
		assert_int_equal(flt.party, cases[i].verdict ? FAULT_BY_CACHE : FAULT_BY_UNKNOWN);
		/* It is written over. */
		assert_int_equal(append_to(&scene, 310, NULL), 0);
		reopen(&scene);
		assert_int_equal(load(&scene, 310, NULL), 0);
		check_records(&scene, 0, 310);
		scene_release(&scene);
	}
}

/* Whatever byte is changed, nothing is loaded. */
static void test_every_byte(void **state)
{
	const off_t size = 16 + 64 * 20;
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(append_to(&scene, 20, NULL), 0);
	for (off_t i = 0; i < size; i++) {
		int fd = open(file_of(&scene), O_RDWR);
		unsigned char byte;

		assert_int_equal(pread(fd, &byte, 1, i), 1);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		reopen(&scene);
		assert_int_equal(load(&scene, 0, NULL), WARG_INVALID);
		byte ^= 0x10;
		assert_int_equal(pwrite(fd, &byte, 1, i), 1);
		close(fd);
	}
	reopen(&scene);
	assert_int_equal(load(&scene, 20, NULL), 0);
	scene_release(&scene);
}

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static void test_false_checkpoint(void **state)
{
	static const char *const texts[] = {
		"", "wargfs checkpoint 2\n{}", "wargfs checkpoint 1\n{",
		"wargfs checkpoint 1\n{\"contents\":{\"logLength\":2000000000,\"logRoot\":\"sha256:" ZEROS
		"\",\"mapRoot\":\"sha256:" ZEROS "\",\"timestamp\":1},\"keyId\":\"sha256:" ZEROS
		"\",\"signature\":\"ecdsa-p256:AA==\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct scene scene = scene_new();

		assert_int_equal(append_to(&scene, 300, NULL), 0);
		scratch_write_text(scratch_path(scene.folder, "label/checkpoint"), texts[i]);
		reopen(&scene);
		assert_int_equal(load(&scene, 0, NULL), WARG_INVALID);
		assert_int_equal(append_to(&scene, 300, NULL), 0);
		reopen(&scene);
		assert_int_equal(load(&scene, 300, NULL), 0);
		scene_release(&scene);
	}
}

/* A checkpoint that was signed anew takes the place of the one before; nothing else does. */
static void test_keeps_the_time(void **state)
{
	struct scene scene = scene_new();
	struct signed_checkpoint checkpoint = forge_checkpoint(&scene.forge, 300, 2000), there;
	struct signed_checkpoint others[] = {forge_checkpoint(&scene.forge, 300, 1500),
					     forge_checkpoint(&scene.forge, 299, 3000),
					     forge_checkpoint(&scene.forge, 301, 3000)};
	bool found;

	(void)state;
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	ledger_keep(scene.ledger, &checkpoint);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		ledger_keep(scene.ledger, &others[i]);
	reopen(&scene);
	assert_int_equal(ledger_load(scene.ledger, &there, &found, NULL), 0);
	assert_int_equal(there.contents.log_length, 300);
	assert_int_equal(there.contents.timestamp, 2000);
	scene_release(&scene);
}

/* What is behind the records that the checkpoint speaks of, after a crash say, is written over. */
static void test_torn_tail(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	change(file_of(&scene), 16 + 64 * 300, "half of a record");
	reopen(&scene);
	assert_int_equal(load(&scene, 300, NULL), 0);
	assert_int_equal(append_to(&scene, 400, NULL), 0);
	reopen(&scene);
	assert_int_equal(load(&scene, 400, NULL), 0);
	scene_release(&scene);
}

/* Damaged after it was proven: what was changed is not handed out, and the ledger is given up. */
static void test_damaged_meanwhile(void **state)
{
	struct scene scene = scene_new();
	struct compared compared = {&scene, 0};
	struct fault flt = {0};

	(void)state;
	assert_int_equal(append_to(&scene, 600, NULL), 0);
	change(file_of(&scene), 16 + 64 * 300, "x");
	assert_int_equal(ledger_read(scene.ledger, 0, 600, compare, &compared, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
	assert_int_equal(compared.next, 256);
	assert_true(ledger_is_in_doubt(scene.ledger));
	assert_int_equal(ledger_length(scene.ledger), 0);
	assert_int_equal(append_to(&scene, 600, NULL), 0);
	check_records(&scene, 0, 600);
	reopen(&scene);
	assert_int_equal(load(&scene, 600, NULL), 0);
	scene_release(&scene);
}

/* ---- Others who work there ---- */

static void test_two_on_one_folder(void **state)
{
	struct scene first = scene_new(), second = first;

	(void)state;
	second.ledger = NULL;
	reopen(&second);
	assert_int_equal(append_to(&first, 300, NULL), 0);
	/* The second began before the first wrote, and comes to the same, and further. */
	assert_int_equal(append_to(&second, 400, NULL), 0);
	assert_int_equal(append_to(&first, 500, NULL), 0);
	assert_int_equal(append_to(&second, 450, NULL), 0);
	check_records(&first, 0, 500);
	check_records(&second, 0, 450);
	/* What is kept is the longest. */
	reopen(&second);
	assert_int_equal(load(&second, 500, NULL), 0);
	ledger_close(second.ledger);
	scene_release(&first);
}

/* The folder is removed under us: nothing is lost for us, and it is made again. */
static void test_removed(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	assert_int_equal(unlink(file_of(&scene)), 0);
	assert_int_equal(unlink(scratch_path(scene.folder, "label/checkpoint")), 0);
	assert_int_equal(rmdir(scratch_path(scene.folder, "label")), 0);
	check_records(&scene, 0, 300);
	assert_int_equal(append_to(&scene, 400, NULL), 0);
	check_records(&scene, 0, 400);
	reopen(&scene);
	assert_int_equal(load(&scene, 400, NULL), 0);
	scene_release(&scene);
}

/* A file that has another name as well is somebody's, and is not written to. */
static void test_hard_link(void **state)
{
	struct scene scene = scene_new();
	struct stat status;

	(void)state;
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	assert_int_equal(link(file_of(&scene), scratch_path(scene.folder, "somebody")), 0);
	reopen(&scene);
	assert_int_equal(load(&scene, 300, NULL), 0);
	assert_int_equal(append_to(&scene, 400, NULL), 0);
	assert_int_equal(stat(scratch_path(scene.folder, "somebody"), &status), 0);
	assert_int_equal(status.st_size, 16 + 64 * 300);
	reopen(&scene);
	assert_int_equal(load(&scene, 400, NULL), 0);
	scene_release(&scene);
}

static int take_name(void *user, struct span text, struct fault *flt)
{
	struct name name;

	if (!name_parse(text, &name, NULL))
		return name_list_add(user, &name, flt);
	assert_true(span_is(text, "Not:A-Name"));
	return 0;
}

/* Names are stored in their order, however many there are; those before `first` are stored already. */
static void test_many_names(void **state)
{
	struct name_list names = {0}, loaded = {0};
	struct scene scene = scene_new();
	char text[64];

	(void)state;
	assert_false(ledger_has_more_names(scene.ledger));
	for (unsigned i = 0; i < 60000; i++) {
		struct name name;

		snprintf(text, sizeof(text), "test:a-name-of-some-length-%c%u", 'a' + i % 26, i);
		assert_int_equal(name_parse(span_of_text(text), &name, NULL), 0);
		assert_int_equal(name_list_add(&names, &name, NULL), 0);
		if (i == 9)
			ledger_keep_names(scene.ledger, &names, 0, (struct span){0});
	}
	ledger_keep_names(scene.ledger, &names, 10, span_of_text("Not:A-Name\n"));
	assert_true(ledger_has_more_names(scene.ledger));
	assert_int_equal(ledger_load_names(scene.ledger, take_name, &loaded, NULL), 0);
	assert_false(ledger_has_more_names(scene.ledger));
	assert_int_equal(loaded.count, names.count);
	assert_int_equal(loaded.length, names.length);
	assert_memory_equal(loaded.texts, names.texts, names.length);
	name_list_release(&loaded);
	name_list_release(&names);
	scene_release(&scene);
}

/* A file of names that is larger than any of ours is not read, and is replaced by the next names. */
static void test_names_past_cap(void **state)
{
	struct scene scene = scene_new();
	struct name_list names = {0}, loaded = {0};
	struct name name = forge_name("test:one");
	char *path = strdup(scratch_path(scene.folder, "label/names"));
	struct stat status;

	(void)state;
	assert_int_equal(name_list_add(&names, &name, NULL), 0);
	ledger_keep_names(scene.ledger, &names, 0, (struct span){0});
	assert_int_equal(truncate(path, CAP_FILE_NAMES + 1), 0);
	assert_int_equal(ledger_load_names(scene.ledger, take_name, &loaded, NULL), 0);
	assert_int_equal(loaded.count, 0);
	ledger_keep_names(scene.ledger, &names, 0, (struct span){0});
	assert_int_equal(stat(path, &status), 0);
	assert_in_range(status.st_size, 1, 100);
	assert_int_equal(ledger_load_names(scene.ledger, take_name, &loaded, NULL), 0);
	assert_int_equal(loaded.count, 1);
	name_list_release(&loaded);
	name_list_release(&names);
	free(path);
	scene_release(&scene);
}

/* Where nothing can be written, all of it works but for the keeping. */
static void test_no_folder(void **state)
{
	struct scene scene = scene_new();
	struct name_list names = {0}, loaded = {0};
	struct name name = forge_name("test:pack");

	(void)state;
	scratch_write_text(scratch_path(scene.folder, "label"), "a file is in the way");
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	assert_int_equal(append_to(&scene, RECORDS, NULL), 0);
	check_records(&scene, 0, RECORDS);
	assert_int_equal(name_list_add(&names, &name, NULL), 0);
	ledger_keep_names(scene.ledger, &names, 0, (struct span){0});
	assert_int_equal(ledger_load_names(scene.ledger, take_name, &loaded, NULL), 0);
	assert_int_equal(loaded.count, 0);
	name_list_release(&names);
	reopen(&scene);
	assert_int_equal(load(&scene, 0, NULL), 0);
	/* Once it can be, it is kept. */
	assert_int_equal(append_to(&scene, 300, NULL), 0);
	assert_int_equal(unlink(scratch_path(scene.folder, "label")), 0);
	assert_int_equal(append_to(&scene, 400, NULL), 0);
	reopen(&scene);
	assert_int_equal(load(&scene, 400, NULL), 0);
	check_records(&scene, 0, 400);
	scene_release(&scene);
}

/* ---- Torture ---- */

static int use_once(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct signed_checkpoint checkpoint;
	struct ledger *ledger = NULL;
	struct name_list names = {0};
	bool found;
	int verdict = ledger_open(scene->folder, "label", &ledger, flt);

	if (!verdict)
		verdict = ledger_load(ledger, &checkpoint, &found, flt);
	if (!verdict)
		verdict = ledger_load_names(ledger, take_name, &names, flt);
	name_list_release(&names);
	ledger_close(ledger);
	return verdict;
}

struct prepared {
	struct ledger *ledger;
	struct signed_checkpoint checkpoint;
	struct api_ledger_entry *entries;
};

static int append_once(void *context, struct fault *flt)
{
	struct prepared *prepared = context;
	int verdict;

	ledger_forget(prepared->ledger);
	verdict = ledger_append(prepared->ledger, prepared->entries, RECORDS, &prepared->checkpoint, flt);
	assert_int_equal(ledger_length(prepared->ledger), verdict ? 0 : RECORDS);
	return verdict;
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();
	struct name name = forge_name("test:pack");
	struct name_list names = {0};

	(void)state;
	assert_int_equal(append_to(&scene, RECORDS, NULL), 0);
	assert_int_equal(name_list_add(&names, &name, NULL), 0);
	ledger_keep_names(scene.ledger, &names, 0, span_of_text("Not:A-Name\n"));
	name_list_release(&names);
	torture(use_once, &scene);
	scene_release(&scene);
}

static void test_torture_append(void **state)
{
	struct scene scene = scene_new();
	struct prepared prepared = {.ledger = scene.ledger};

	(void)state;
	prepared.checkpoint = forge_checkpoint(&scene.forge, RECORDS, 1000);
	prepared.entries = entries_of(&scene, 0, RECORDS);
	torture(append_once, &prepared);
	free(prepared.entries);
	check_records(&scene, 0, RECORDS);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grows_over_restarts),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_false_growth),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_false_checkpoint),
		cmocka_unit_test(test_keeps_the_time),
		cmocka_unit_test(test_torn_tail),
		cmocka_unit_test(test_damaged_meanwhile),
		cmocka_unit_test(test_two_on_one_folder),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_hard_link),
		cmocka_unit_test(test_no_folder), cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_names_past_cap),
		cmocka_unit_test(test_torture),
		cmocka_unit_test(test_torture_append),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
