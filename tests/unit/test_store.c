/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* A registry's folder: state files, contents in the making, sizes: store.h. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/store/store.h"
#include "data.h"
#include "scratch.h"
#include "torture.h"
#include "verify/hex.h"

#define LABEL "127.0.0.1-18741"
#define RECORDED "tests/data/valid/state-reference/"
#define HELLO "package-logs/sha256/68723f392b3e5384037a39ed80bc517e0e6d18049ab8338676e82d4108d7fba3"
#define OTHER "package-logs/sha256/a1f75b7106294a14d4e21e4291922d16d663ff4b817ea950cc686bb4b8015675"

struct place {
	char *path;
	char registries[4096], registry[4096], content[4096], own[4096];
	struct store *store;
};

static void open_store(struct place *place)
{
	struct fault flt = {0};

	assert_int_equal(store_open(place->registries, place->content, place->own, LABEL, &place->store, &flt), 0);
}

static int set_up(void **state)
{
	static struct place place;

	place.path = scratch_new();
	strcpy(place.registries, scratch_path(place.path, "cache/registries"));
	strcpy(place.registry, scratch_path(place.registries, LABEL));
	strcpy(place.content, scratch_path(place.path, "cache/content"));
	strcpy(place.own, scratch_path(place.path, "own"));
	open_store(&place);
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

/* Put a recorded state file where the reference would have it. */
static void put_recorded(const struct place *place, const char *name)
{
	char path[400];
	struct buf text;

	snprintf(path, sizeof(path), RECORDED "%s", name);
	text = data_read(path);
	scratch_write(scratch_path(place->registry, name), buf_span(&text));
	buf_release(&text);
}

static bool is_as_recorded(const struct place *place, const char *name)
{
	struct buf ours, theirs;
	char path[400];
	bool same;

	snprintf(path, sizeof(path), RECORDED "%s", name);
	theirs = data_read(path);
	ours = data_read(scratch_path(place->registry, name));
	same = span_equals(buf_span(&ours), buf_span(&theirs));
	buf_release(&ours);
	buf_release(&theirs);
	return same;
}

static struct name name_of(const char *text)
{
	struct name name;

	assert_int_equal(name_parse(span_of_text(text), &name, NULL), 0);
	return name;
}

/* All that was recorded, loaded from a store that has it. */
struct loaded {
	struct signed_checkpoint checkpoint;
	struct operator_log *operator;
	struct package_log *hello;
	struct store_package package;
	struct store_update update;
};

static void load_recorded(struct place *place, struct loaded *out)
{
	struct name name = name_of("test:hello");
	struct fault flt = {0};
	bool found = false;

	put_recorded(place, "checkpoint");
	put_recorded(place, "operator.log");
	put_recorded(place, HELLO);
	assert_int_equal(store_load_checkpoint(place->store, &out->checkpoint, &found, &flt), 0);
	assert_true(found);
	out->update = (struct store_update){.checkpoint = &out->checkpoint, .packages = &out->package,
					    .package_count = 1};
	assert_int_equal(store_load_operator(place->store, &out->operator, &out->update.operator_position, &flt), 0);
	assert_non_null(out->operator);
	assert_int_equal(store_load_package(place->store, &name, &out->hello, &out->package.position, &flt), 0);
	assert_non_null(out->hello);
	out->package.log = out->hello;
	out->update.operator = out->operator;
}

static void release(struct loaded *loaded)
{
	operator_log_unref(loaded->operator);
	package_log_unref(loaded->hello);
}

static void remove_state(struct place *place)
{
	assert_int_equal(unlink(scratch_path(place->registry, "checkpoint")), 0);
	assert_int_equal(unlink(scratch_path(place->registry, "operator.log")), 0);
	assert_int_equal(unlink(scratch_path(place->registry, HELLO)), 0);
}

static bool save(struct place *place, const struct loaded *loaded)
{
	struct fault flt = {0};
	bool written = false;

	assert_int_equal(store_save(place->store, &loaded->update, &written, &flt), 0);
	return written;
}

static bool has_all(const struct place *place)
{
	return is_as_recorded(place, "checkpoint") && is_as_recorded(place, "operator.log") &&
	       is_as_recorded(place, HELLO);
}

/* ---- State files ---- */

static void test_labels(void **state)
{
	static const char *const bad[] = {"", ".", "..", "a/b", "/", "../x"};
	struct place *place = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fault flt = {0};
		struct store *store = NULL;

		assert_int_equal(store_open(place->registries, place->content, place->own, bad[i], &store, &flt),
				 WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_MISUSE);
		assert_null(store);
	}
}

static void test_nothing_there(void **state)
{
	struct place *place = *state;
	struct signed_checkpoint checkpoint;
	struct store_position position;
	struct operator_log *operator = NULL;
	struct package_log *package = NULL;
	struct name name = name_of("test:hello"), *names = NULL;
	struct fault flt = {0};
	size_t count = 7;
	bool found = true;

	assert_int_equal(store_load_checkpoint(place->store, &checkpoint, &found, &flt), 0);
	assert_false(found);
	assert_int_equal(store_load_operator(place->store, &operator, &position, &flt), 0);
	assert_null(operator);
	assert_int_equal(store_load_package(place->store, &name, &package, &position, &flt), 0);
	assert_null(package);
	assert_int_equal(store_list_packages(place->store, &names, &count, &flt), 0);
	assert_int_equal(count, 0);
	free(names);
}

/* What the reference wrote, written again by us, is the same byte for byte, and nothing else lies there. */
static void test_save(void **state)
{
	struct place *place = *state;
	struct loaded loaded;

	load_recorded(place, &loaded);
	remove_state(place);
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	assert_int_equal(scratch_count(place->registry), 4); /* with package-logs and .lock */
	assert_int_equal(scratch_count(scratch_path(place->registry, "package-logs/sha256")), 1);
	release(&loaded);
}

static void test_newer_is_left(void **state)
{
	struct place *place = *state;
	struct loaded loaded;

	load_recorded(place, &loaded);
	loaded.checkpoint.contents.log_length--;
	loaded.update.operator_position.token[0] = 'x';
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	/* The same length at an earlier time is no news either. */
	loaded.checkpoint.contents.log_length++;
	loaded.checkpoint.contents.timestamp--;
	assert_true(save(place, &loaded));
	assert_true(is_as_recorded(place, "checkpoint"));
	release(&loaded);
}

/* Impossible stored state: a record with two indices, or past the end; an unsigned checkpoint. */
static void test_impossible_is_not_newer(void **state)
{
	static const int64_t places[] = {1, 1000};
	struct place *place = *state;
	struct loaded loaded;

	load_recorded(place, &loaded);
	loaded.update.signer = loaded.operator;
	for (size_t i = 0; i < 2; i++) {
		struct store_position right = loaded.package.position;
		struct signed_checkpoint signed_one = loaded.checkpoint;

		remove_state(place);
		loaded.package.position.registry_index += places[i];
		loaded.checkpoint.contents.log_length += places[i];
		assert_true(save(place, &loaded));
		loaded.package.position = right;
		loaded.checkpoint = signed_one;
		assert_false(has_all(place));
		assert_true(save(place, &loaded));
		assert_true(is_as_recorded(place, HELLO));
		assert_true(is_as_recorded(place, "checkpoint"));
	}
	release(&loaded);
}

/*
 * Half files, as the reference leaves while it writes, and rubbish of all kinds: not there, or invalid, and written
 * over.
 */
static void test_rubbish(void **state)
{
	static const struct {
		const char *text;
		int verdict;
	} cases[] = {{"", 0}, {"{\"contents\":", 0}, {"nonsense", 0}, {"\xff\xfe", 0}, {"[]", WARG_INVALID},
		     {"{\"name\":\"test:other\"}", WARG_INVALID}, {"{\"name\":1}", WARG_INVALID}};
	struct place *place = *state;
	struct name name = name_of("test:hello");
	struct loaded loaded;

	load_recorded(place, &loaded);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct store_position position;
		struct signed_checkpoint checkpoint;
		struct package_log *log = NULL;
		struct fault flt = {0};
		bool found = false;

		scratch_write_text(scratch_path(place->registry, HELLO), cases[i].text);
		scratch_write_text(scratch_path(place->registry, "checkpoint"), cases[i].text);
		assert_int_equal(store_load_package(place->store, &name, &log, &position, &flt), cases[i].verdict);
		assert_null(log);
		if (cases[i].verdict) {
			assert_int_equal(flt.party, FAULT_BY_CACHE);
			assert_non_null(strstr(flt.where, "test:hello"));
		}
		flt = (struct fault){0};
		assert_int_equal(store_load_checkpoint(place->store, &checkpoint, &found, &flt), cases[i].verdict);
		assert_false(found);
		assert_true(save(place, &loaded));
		assert_true(has_all(place));
	}
	release(&loaded);
}

/* Deeper than we read: not there, and no reason to write nothing any more. */
static void test_deep_rubbish(void **state)
{
	struct place *place = *state;
	struct loaded loaded;
	char deep[200];

	load_recorded(place, &loaded);
	memset(deep, '[', 100);
	memset(deep + 100, ']', 99);
	deep[199] = '\0';
	scratch_write_text(scratch_path(place->registry, HELLO), deep);
	scratch_write_text(scratch_path(place->registry, "operator.log"), deep);
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	release(&loaded);
}

static void test_planted(void **state)
{
	struct place *place = *state;
	struct loaded loaded;

	load_recorded(place, &loaded);
	remove_state(place);
	scratch_write_text(scratch_path(place->path, "victim"), "safe");
	assert_int_equal(symlink(scratch_path(place->path, "victim"), scratch_path(place->registry, "checkpoint")), 0);
	assert_int_equal(symlink(scratch_path(place->path, "victim"), scratch_path(place->registry, HELLO)), 0);
	assert_int_equal(mkfifo(scratch_path(place->registry, "operator.log"), 0666), 0);
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	assert_true(scratch_holds(scratch_path(place->path, "victim"), "safe"));
	release(&loaded);
}

/* A part of what is to be written leaves the checkpoint as it is, which must not be ahead of the rest. */
static void test_part(void **state)
{
	struct place *place = *state;
	struct loaded loaded;

	load_recorded(place, &loaded);
	remove_state(place);
	loaded.update.is_part = true;
	assert_true(save(place, &loaded));
	assert_true(is_as_recorded(place, HELLO));
	assert_int_equal(access(scratch_path(place->registry, "checkpoint"), F_OK), -1);
	assert_int_equal(access(scratch_path(place->registry, "operator.log"), F_OK), -1);
	loaded.update.is_part = false;
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	/* A log that was loaded is written only where the stored file has another one, or is missing. */
	loaded.package.position.is_kept = true;
	assert_int_equal(unlink(scratch_path(place->registry, HELLO)), 0);
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	loaded.checkpoint.contents.timestamp++;
	assert_true(save(place, &loaded));
	assert_true(is_as_recorded(place, HELLO));
	release(&loaded);
}

/*
 * A power failure leaves files empty that were not synced. The reference fails on each of them, so they go with the
 * next save; what is no file of ours stays.
 */
static void test_emptied(void **state)
{
	static const char *const kept[] = {"package-logs/sha256/.empty", OTHER "/file"};
	struct place *place = *state;
	struct loaded loaded;

	load_recorded(place, &loaded);
	scratch_write_text(scratch_path(place->registry, HELLO), "");
	scratch_write_text(scratch_path(place->registry, kept[0]), "");
	scratch_write_text(scratch_path(place->registry, kept[1]), "");
	loaded.update.package_count = 0;
	assert_true(save(place, &loaded));
	assert_int_equal(access(scratch_path(place->registry, HELLO), F_OK), -1);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(access(scratch_path(place->registry, kept[i]), F_OK), 0);
	release(&loaded);
}

static void test_folder_in_the_way(void **state)
{
	struct place *place = *state;
	struct loaded loaded;
	struct fault flt = {0};
	bool written = false;

	load_recorded(place, &loaded);
	assert_int_equal(unlink(scratch_path(place->registry, "operator.log")), 0);
	assert_int_equal(mkdir(scratch_path(place->registry, "operator.log"), 0777), 0);
	assert_int_equal(store_save(place->store, &loaded.update, &written, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EISDIR);
	assert_false(written);
	release(&loaded);
}

/* Names are listed; what does not parse or lies under another's name is passed over. */
static void test_list(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct name *names = NULL;
	size_t count = 0;

	put_recorded(place, HELLO);
	put_recorded(place, OTHER);
	scratch_write_text(scratch_path(place->registry, "package-logs/sha256/.hidden"), "{\"name\":\"a:b\"}");
	scratch_write_text(scratch_path(place->registry, "package-logs/sha256/elsewhere"), "{\"name\":\"a:b\"}");
	scratch_write_text(scratch_path(place->registry, "package-logs/sha256/half"), "{\"name\":");
	assert_int_equal(mkdir(scratch_path(place->registry, "package-logs/sha256/folder"), 0777), 0);
	assert_int_equal(store_list_packages(place->store, &names, &count, &flt), 0);
	assert_int_equal(count, 2);
	assert_true(!strcmp(names[0].text, "test:hello") != !strcmp(names[1].text, "test:hello"));
	free(names);
}

/** Packages that were visited. */
struct visited {
	size_t logs, unreadable;
	struct ecdsa_public_key *key; /* the first one's */
	bool is_shared;               /* the second's is that one */
};

static int count_package(void *user, const struct name *name, const struct package_log *log, struct fault *flt)
{
	struct visited *visited = user;
	struct ecdsa_public_key *key;

	(void)flt;
	if (!log) {
		assert_string_equal(name->text, "test:hello");
		visited->unreadable++;
		return 0;
	}
	assert_string_equal(package_log_name_text(log), name->text);
	key = package_log_keys(log)->keys[0].key;
	visited->is_shared = visited->key == key;
	visited->key = key;
	visited->logs++;
	return 0;
}

static int end_at_once(void *user, const struct name *name, const struct package_log *log, struct fault *flt)
{
	size_t *count = user;

	(void)name;
	(void)log;
	(void)flt;
	++*count;
	return WARG_UNDECIDED;
}

/* All packages are loaded in one go, with each key parsed once; of what cannot be read there is the name. */
static void test_each_package(void **state)
{
	struct place *place = *state;
	struct visited visited = {0};
	struct fault flt = {0};
	size_t count = 0;

	put_recorded(place, HELLO);
	put_recorded(place, OTHER);
	scratch_write_text(scratch_path(place->registry, "package-logs/sha256/half"), "{\"name\":");
	assert_int_equal(store_each_package(place->store, count_package, &visited, &flt), 0);
	assert_int_equal(visited.logs, 2);
	assert_int_equal(visited.unreadable, 0);
	assert_true(visited.is_shared);
	assert_int_equal(store_each_package(place->store, end_at_once, &count, &flt), WARG_UNDECIDED);
	assert_int_equal(count, 1);
	scratch_write_text(scratch_path(place->registry, HELLO), "{\"name\":\"test:hello\",\"state\":7}");
	visited = (struct visited){0};
	assert_int_equal(store_each_package(place->store, count_package, &visited, &flt), 0);
	assert_int_equal(visited.logs, 1);
	assert_int_equal(visited.unreadable, 1);
}

/* ---- The lock ---- */

/* A process that holds a lock until a byte comes, or until nobody is left to send one. */
static pid_t hold(const char *path, int *end)
{
	int ready[2], stop[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);

		close(stop[1]);
		if (flock(fd, LOCK_EX) || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(stop[0], &byte, 1) < 0);
	}
	close(ready[1]);
	close(stop[0]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*end = stop[1];
	return child;
}

static void let_go(pid_t child, int end)
{
	int status;

	assert_int_equal(write(end, "x", 1), 1);
	close(end);
	assert_int_equal(waitpid(child, &status, 0), child);
}

static void test_locked(void **state)
{
	struct place *place = *state;
	struct loaded loaded;
	pid_t child;
	int end;

	load_recorded(place, &loaded);
	remove_state(place);
	child = hold(scratch_path(place->registry, ".lock"), &end);
	assert_false(save(place, &loaded));
	assert_int_equal(access(scratch_path(place->registry, "checkpoint"), F_OK), -1);
	let_go(child, end);
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	release(&loaded);
}

/* The reference's `reset` removes the lock file while it holds it; whoever comes then makes a new one. */
static void test_reset_under_us(void **state)
{
	struct place *place = *state;
	struct loaded loaded;
	pid_t child;
	int end;

	load_recorded(place, &loaded);
	child = hold(scratch_path(place->registry, ".lock"), &end);
	scratch_free(strdup(place->registry));
	assert_true(save(place, &loaded));
	assert_true(has_all(place));
	let_go(child, end);
	release(&loaded);
}

/* Whether some descriptor of this process is open on a file of this name. */
static bool is_open(const char *name)
{
	DIR *folder = opendir("/proc/self/fd");
	char target[4096];
	struct dirent *entry;
	bool found = false;

	assert_non_null(folder);
	while (!found && (entry = readdir(folder))) {
		ssize_t length = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);

		target[length < 0 ? 0 : length] = '\0';
		found = strstr(target, name) != NULL;
	}
	closedir(folder);
	return found;
}

struct saving {
	struct place *place;
	struct loaded loaded;
	atomic_int over;
};

static void *save_on_thread(void *argument)
{
	struct saving *saving = argument;
	bool written = save(saving->place, &saving->loaded);

	atomic_store(&saving->over, 1);
	return written ? argument : NULL;
}

/* Whoever waited for a lock file that is another's by then has locked nothing. */
static void test_reset_while_waiting(void **state)
{
	struct saving saving = {.place = *state};
	const char *registry = saving.place->registry;
	int first_end, second_end;
	void *written = NULL;
	pid_t first, second;
	pthread_t thread;

	load_recorded(saving.place, &saving.loaded);
	first = hold(scratch_path(registry, ".lock"), &first_end);
	assert_int_equal(pthread_create(&thread, NULL, save_on_thread, &saving), 0);
	while (!is_open("/.lock") && !atomic_load(&saving.over))
		sched_yield();
	assert_int_equal(unlink(scratch_path(registry, ".lock")), 0);
	second = hold(scratch_path(registry, ".lock"), &second_end);
	let_go(first, first_end);
	assert_int_equal(pthread_join(thread, &written), 0);
	assert_null(written);
	let_go(second, second_end);
	assert_true(save(saving.place, &saving.loaded));
	release(&saving.loaded);
}

/* ---- Contents ---- */

#define DIGITS "0102030000000000000000000000000000000000000000000000000000000000"
static const struct digest digest = {{1, 2, 3}};
#define CONTENT "sha256/0102030000000000000000000000000000000000000000000000000000000000"

static void test_keep(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct temp_file temp;
	uint64_t size = 0, bytes = 0, files = 0;
	int fd = -1;

	assert_int_equal(store_open_content(place->store, &digest, &fd, &size, &flt), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(store_new_temp(place->store, &temp, &flt), 0);
	assert_int_equal(write(temp.fd, "content", 7), 7);
	assert_int_equal(store_open_content(place->store, &digest, &fd, &size, &flt), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(store_keep_temp(place->store, &temp, &digest, &flt), 0);
	close(temp.fd);
	assert_int_equal(store_open_content(place->store, &digest, &fd, &size, &flt), 0);
	assert_true(fd >= 0);
	assert_int_equal(size, 7);
	close(fd);
	assert_int_equal(scratch_count(scratch_path(place->content, "temp")), 0);
	scratch_write_text(scratch_path(place->content, "sha256/stray"), "not counted");
	assert_int_equal(store_measure_contents(place->store, &bytes, &files, &flt), 0);
	assert_int_equal(bytes, 7);
	assert_int_equal(files, 1);
	assert_int_equal(store_remove_content(place->store, &digest, &flt), 0);
	assert_int_equal(store_remove_content(place->store, &digest, &flt), 0);
	assert_int_equal(access(scratch_path(place->content, CONTENT), F_OK), -1);
}

static void test_keep_over(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct temp_file temp;

	assert_int_equal(mkdir(scratch_path(place->content, CONTENT), 0777), 0);
	assert_int_equal(store_new_temp(place->store, &temp, &flt), 0);
	assert_int_equal(store_keep_temp(place->store, &temp, &digest, &flt), 0);
	close(temp.fd);
	assert_int_equal(unlink(scratch_path(place->content, CONTENT)), 0);
	/* A folder with something in it is not ours to remove. */
	scratch_write_text(scratch_path(place->content, CONTENT "/inside"), "x");
	assert_int_equal(store_new_temp(place->store, &temp, &flt), 0);
	assert_int_equal(store_keep_temp(place->store, &temp, &digest, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	assert_int_equal(temp.fd, -1);
	assert_int_equal(scratch_count(scratch_path(place->content, "temp")), 0);
}

static void test_cleared_under_us(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct temp_file temp;

	assert_int_equal(store_new_temp(place->store, &temp, &flt), 0);
	scratch_free(strdup(place->content));
	assert_int_equal(store_keep_temp(place->store, &temp, &digest, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, ENOENT);
	assert_int_equal(store_new_temp(place->store, &temp, &flt), 0);
	assert_int_equal(store_keep_temp(place->store, &temp, &digest, &flt), 0);
	close(temp.fd);
}

/* Temp files of writers who died go away, those of the living, and of others, stay. */
static void test_sweep(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct temp_file temp;
	pid_t child;
	int end;

	assert_int_equal(store_new_temp(place->store, &temp, &flt), 0);
	scratch_write_text(scratch_path(place->content, "temp/wargfs-dead"), "x");
	scratch_write_text(scratch_path(place->content, "temp/of-others"), "x");
	child = hold(scratch_path(place->content, "temp/wargfs-living"), &end);
	store_close(place->store);
	open_store(place);
	assert_int_equal(scratch_count(scratch_path(place->content, "temp")), 3);
	assert_int_equal(access(scratch_path(place->content, "temp/wargfs-dead"), F_OK), -1);
	let_go(child, end);
	close(temp.fd);
	store_close(place->store);
	open_store(place);
	assert_int_equal(scratch_count(scratch_path(place->content, "temp")), 1);
}

/* Everything goes but what somebody alive is at work on; and nothing while somebody has the contents' lock. */
static void test_clear(void **state)
{
	struct place *place = *state;
	uint64_t bytes = 77, files = 77;
	struct fault flt = {0};
	pid_t child, other;
	int end, other_end;

	scratch_write_text(scratch_path(place->content, CONTENT), "content");
	scratch_write_text(scratch_path(place->content, "sha256/stray"), "not counted");
	assert_int_equal(mkdir(scratch_path(place->content, "sha256/folder"), 0777), 0);
	scratch_write_text(scratch_path(place->content, "sha256/folder/file"), "x");
	assert_int_equal(symlink("/", scratch_path(place->content, "sha256/link")), 0);
	scratch_write_text(scratch_path(place->content, "temp/wargfs-dead"), "x");
	scratch_write_text(scratch_path(place->content, "temp/of-others"), "x");
	child = hold(scratch_path(place->content, "temp/wargfs-living"), &end);

	other = hold(scratch_path(place->content, ".lock"), &other_end);
	assert_int_equal(store_clear_contents(place->content, &bytes, &files, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.errnum, EBUSY);
	assert_int_equal(files, 77);
	assert_int_equal(access(scratch_path(place->content, CONTENT), F_OK), 0);
	let_go(other, other_end);

	flt = (struct fault){0};
	assert_int_equal(store_clear_contents(place->content, &bytes, &files, &flt), 0);
	assert_int_equal(bytes, 7);
	assert_int_equal(files, 1);
	assert_int_equal(scratch_count(scratch_path(place->content, "sha256")), 0);
	assert_int_equal(scratch_count(scratch_path(place->content, "temp")), 1);
	let_go(child, end);
}

/* Where there is nothing yet there is nothing to do. */
static void test_clear_nothing(void **state)
{
	struct place *place = *state;
	uint64_t bytes = 77, files = 77;
	struct fault flt = {0};

	assert_int_equal(store_clear_contents(scratch_path(place->path, "elsewhere"), &bytes, &files, &flt), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(files, 0);
}

/* ---- Claims ---- */

/* One has a claim, others are told how far he is; who dies has it no more. */
static void test_claims(void **state)
{
	struct store_claim ours = {-1}, other = {-1};
	struct place *place = *state;
	uint64_t received = 7;
	pid_t child;
	int end;

	assert_int_equal(store_claim_content(place->store, &digest, &ours, &received), STORE_CLAIM_OURS);
	assert_int_equal(received, 7);
	store_mark_claim(&ours, 5000000000);
	assert_int_equal(store_claim_content(place->store, &digest, &other, &received), STORE_CLAIM_OTHERS);
	assert_int_equal(received, 5000000000);
	assert_int_equal(other.fd, -1);
	store_end_claim(place->store, &digest, &ours);
	assert_int_equal(scratch_count(scratch_path(place->path, "own/downloads")), 0);

	child = hold(scratch_path(place->path, "own/downloads/" DIGITS), &end);
	assert_int_equal(store_claim_content(place->store, &digest, &ours, &received), STORE_CLAIM_OTHERS);
	let_go(child, end);
	assert_int_equal(store_claim_content(place->store, &digest, &ours, &received), STORE_CLAIM_OURS);
	/* Its folder may go away under us. */
	scratch_free(strdup(scratch_path(place->path, "own")));
	store_mark_claim(&ours, 1);
	store_end_claim(place->store, &digest, &ours);
}

/* Claims of the dead go away; a registry may be called as their folder is, and keeps what it has. */
static void test_sweep_claims(void **state)
{
	struct place *place = *state;
	struct store_claim claim;
	uint64_t received;

	assert_int_equal(store_claim_content(place->store, &digest, &claim, &received), STORE_CLAIM_OURS);
	scratch_write_text(scratch_path(place->path, "own/downloads/sizes"), "x");
	scratch_write_text(scratch_path(place->path, "own/downloads/0" DIGITS), "x");
	store_close(place->store);
	open_store(place);
	assert_int_equal(scratch_count(scratch_path(place->path, "own/downloads")), 3);
	close(claim.fd);
	store_close(place->store);
	open_store(place);
	assert_int_equal(scratch_count(scratch_path(place->path, "own/downloads")), 2);
}

static const char *taken_over; /* the file that is replaced as soon as its lock is taken */

/* Replaces the C library's. */
int flock(int fd, int how)
{
	int result = (int)syscall(SYS_flock, fd, how);

	if (!result && taken_over) {
		const char *path = taken_over;

		taken_over = NULL;
		assert_int_equal(unlink(path), 0);
		scratch_write_text(path, "new");
	}
	return result;
}

/* Between the check of a claim and its removal one process may release it, and another make a new one. */
static void test_sweep_takes_no_other(void **state)
{
	struct place *place = *state;
	const char *path = scratch_path(place->path, "own/downloads/" DIGITS);

	scratch_write_text(path, "old");
	store_close(place->store);
	taken_over = path;
	open_store(place);
	assert_null(taken_over);
	assert_true(scratch_holds(path, "new"));
}

/* ---- Sizes ---- */

#define SIZES "own/" LABEL "/sizes"
#define HEADER "wargfs sizes 2\n"

/* A line of the file, in one of several buffers used in turn. */
static const char *checked(const char *line)
{
	static char buffers[4][160];
	static unsigned turn;
	struct digest hash = digest_of(span_of_text(line));
	char digits[DIGEST_TEXT_SIZE];
	char *out = buffers[turn++ % 4];

	hex_encode(digest_span(&hash), digits);
	snprintf(out, sizeof(buffers[0]), "%s %.8s\n", line, digits);
	return out;
}

static const char *of_size(unsigned size)
{
	char line[100];

	snprintf(line, sizeof(line), DIGITS " %u", size);
	return checked(line);
}

static bool holds_sizes(const struct place *place, const char *first, const char *second)
{
	char text[400];

	snprintf(text, sizeof(text), HEADER "%s%s", first, second);
	return scratch_holds(scratch_path(place->path, SIZES), text);
}

static bool knows(struct place *place, uint64_t expected)
{
	uint64_t size = 0;

	return store_find_size(place->store, &digest, &size) && size == expected;
}

static void reopen(struct place *place)
{
	store_close(place->store);
	open_store(place);
}

static void test_sizes(void **state)
{
	struct place *place = *state;
	struct digest many = {{0}};
	uint64_t size = 0;

	assert_false(store_find_size(place->store, &digest, &size));
	store_remember_size(place->store, &digest, 5);
	store_remember_size(place->store, &digest, 5);
	assert_true(knows(place, 5));
	assert_true(holds_sizes(place, of_size(5), ""));
	store_remember_size(place->store, &digest, 6);
	assert_true(holds_sizes(place, of_size(5), of_size(6)));
	for (unsigned i = 0; i < 1000; i++) {
		many.bytes[30] = (unsigned char)(i >> 8);
		many.bytes[31] = (unsigned char)i;
		store_remember_size(place->store, &many, i);
	}
	reopen(place);
	assert_true(knows(place, 6));
	for (unsigned i = 0; i < 1000; i++) {
		many.bytes[30] = (unsigned char)(i >> 8);
		many.bytes[31] = (unsigned char)i;
		assert_true(store_find_size(place->store, &many, &size));
		assert_int_equal(size, i);
	}
}

static void test_sizes_rubbish(void **state)
{
	static const char *const lines[] = {
		"", "x", DIGITS, DIGITS " ", DIGITS " x", DIGITS " -1", DIGITS " 05", DIGITS " 5 ", DIGITS "  5",
		DIGITS " 4294967297", DIGITS " 18446744073709551617", DIGITS " 99999999999999999999999999999999999999",
		"A102030000000000000000000000000000000000000000000000000000000000 5", "102" DIGITS " 5",
		" " DIGITS " 5",
	};
	struct place *place = *state;
	char text[300];

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		uint64_t size;

		snprintf(text, sizeof(text), HEADER "%s", checked(lines[i]));
		scratch_write_text(scratch_path(place->path, SIZES), text);
		reopen(place);
		assert_false(store_find_size(place->store, &digest, &size));
		snprintf(text, sizeof(text), HEADER "%s%s", checked(lines[i]), of_size(9));
		scratch_write_text(scratch_path(place->path, SIZES), text);
		reopen(place);
		assert_true(knows(place, 9));
	}
}

/* A line with any changed byte is ignored. */
static void test_sizes_damaged(void **state)
{
	struct place *place = *state;
	const char *line = of_size(5);
	char text[300];

	for (size_t bit = 0; bit < 8 * strlen(line); bit++) {
		uint64_t size;

		snprintf(text, sizeof(text), HEADER "%s%s", line, line);
		text[strlen(HEADER) + strlen(line)] = '\0';
		text[strlen(HEADER) + bit / 8] ^= (char)(1 << bit % 8);
		scratch_write_text(scratch_path(place->path, SIZES), text);
		reopen(place);
		assert_false(store_find_size(place->store, &digest, &size));
		store_remember_size(place->store, &digest, 6);
		reopen(place);
		assert_true(knows(place, 6));
	}
}

/* A last line without an end is not taken, and not glued to. */
static void test_sizes_torn(void **state)
{
	struct place *place = *state;

	scratch_write_text(scratch_path(place->path, SIZES), HEADER DIGITS " 5 ");
	reopen(place);
	assert_false(knows(place, 5));
	store_remember_size(place->store, &digest, 77);
	reopen(place);
	assert_true(knows(place, 77));
}

/* A file of another version, or a missing one, is written anew; something that is no file does no harm. */
static void test_sizes_others(void **state)
{
	struct place *place = *state;

	scratch_write_text(scratch_path(place->path, SIZES), "wargfs sizes 1\nother\n");
	reopen(place);
	store_remember_size(place->store, &digest, 5);
	assert_true(knows(place, 5));
	assert_true(holds_sizes(place, of_size(5), ""));
	assert_int_equal(unlink(scratch_path(place->path, SIZES)), 0);
	assert_int_equal(symlink(scratch_path(place->path, "victim"), scratch_path(place->path, SIZES)), 0);
	reopen(place);
	store_remember_size(place->store, &digest, 5);
	assert_true(knows(place, 5));
	assert_int_equal(access(scratch_path(place->path, "victim"), F_OK), -1);
	scratch_free(strdup(scratch_path(place->path, "own")));
	store_remember_size(place->store, &digest, 6);
	reopen(place);
	assert_true(knows(place, 6));
}

/* Outdated lines are put up with up to a point, then the file is written anew. */
static void test_sizes_compacted(void **state)
{
	struct place *place = *state;
	struct fault flt = {0};
	struct buf text;

	buf_init(&text, 1 << 20);
	assert_int_equal(buf_append_text(&text, HEADER, &flt), 0);
	for (unsigned i = 1; i <= 1100; i++)
		assert_int_equal(buf_append_text(&text, of_size(i), &flt), 0);
	scratch_write(scratch_path(place->path, SIZES), buf_span(&text));
	buf_release(&text);
	reopen(place);
	assert_true(knows(place, 1100));
	assert_true(holds_sizes(place, of_size(1100), ""));
}

/* ---- Memory ---- */

static int open_once(void *context, struct fault *flt)
{
	struct place *place = context;
	struct store *store = NULL;
	int r = store_open(place->registries, place->content, place->own, LABEL, &store, flt);

	if (!r)
		store_close(store);
	else
		assert_null(store);
	return r;
}

static int save_once(void *context, struct fault *flt)
{
	struct saving *saving = context;
	bool written = false;
	int r;

	if (!access(scratch_path(saving->place->registry, "checkpoint"), F_OK))
		unlink(scratch_path(saving->place->registry, "checkpoint"));
	unlink(scratch_path(saving->place->registry, "operator.log"));
	unlink(scratch_path(saving->place->registry, HELLO));
	r = store_save(saving->place->store, &saving->loaded.update, &written, flt);
	assert_true(written == !r);
	return r;
}

static void test_torture(void **state)
{
	struct saving saving = {.place = *state};

	torture(open_once, *state);
	load_recorded(*state, &saving.loaded);
	torture(save_once, &saving);
	assert_true(has_all(*state));
	release(&saving.loaded);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_labels), CASE(test_nothing_there), CASE(test_save), CASE(test_newer_is_left),
		CASE(test_impossible_is_not_newer), CASE(test_part),
		CASE(test_rubbish), CASE(test_deep_rubbish), CASE(test_planted), CASE(test_emptied),
		CASE(test_folder_in_the_way),
		CASE(test_list), CASE(test_each_package), CASE(test_locked), CASE(test_reset_under_us),
		CASE(test_reset_while_waiting),
		CASE(test_keep), CASE(test_keep_over), CASE(test_cleared_under_us), CASE(test_sweep),
		CASE(test_clear), CASE(test_clear_nothing),
		CASE(test_claims), CASE(test_sweep_claims), CASE(test_sweep_takes_no_other),
		CASE(test_sizes), CASE(test_sizes_rubbish),
		CASE(test_sizes_torn), CASE(test_sizes_damaged),
		CASE(test_sizes_others), CASE(test_sizes_compacted), CASE(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
