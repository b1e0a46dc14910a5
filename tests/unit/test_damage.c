/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A disk that lies, bit by bit: every bit of every file of cache and state is flipped, alone, over a small registry.
 *
 * Each flip is checked three times. Offline: what is shown is right, or missing. Online: everything is right, and the
 * registry is accused of nothing. Offline again: the file has healed. Only the trust file, which cannot be fetched
 * again, does not heal: there the fault names the file. All of this runs twice: with a registry that has grown since
 * the files were written, and with one that has not.
 *
 * WARGFS_DAMAGE_STEP=1 flips every bit, which takes an hour (make damage); by default it is one of each STEP bits.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/registry/registry_parts.h"
#include "client/store/discovery.h"
#include "data.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"

#define TIMEOUT 60
/* Bits: a prime, so that the steps reach every bit of a byte. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STEP 1009
#else
#define STEP 211
#endif
#define FILES 32
#define NAMES 2
#define COMPLAINTS 10 /* that are printed */

/* fsync() does nothing here: the test needs no crash safety, and would wait for the disk at each flip. */
int fsync(int fd)
{
	(void)fd;
	return 0;
}

/* ---- The scene ---- */

struct file {
	char path[512];
	struct buf bytes;
};

struct scene {
	struct fake_registry *fake;
	char *folder;
	char registries[512], contents[512], own[512], state[512];
	struct stage {
		struct file files[FILES];
		size_t count;
		struct buf seen; /* the registry's expected view at that time */
	} before, now;
	struct registry *registry;
	/* Of the last registry opened. */
	pthread_mutex_t mutex;
	struct fault accused;   /* the first fault that accuses the registry, or speaks of memory */
	unsigned cache_faults;  /* how many blame the cache */
	unsigned complaints;
};

static const char *const names[NAMES] = {"test:good", "test:victim"};

static void note(struct scene *scene, const struct fault *flt)
{
	bool is_wrong = flt->verdict && (flt->party == FAULT_BY_REGISTRY || flt->errnum == ENOMEM);

	pthread_mutex_lock(&scene->mutex);
	if (is_wrong && !scene->accused.verdict)
		scene->accused = *flt;
	if (flt->verdict && flt->party == FAULT_BY_CACHE)
		scene->cache_faults++;
	pthread_mutex_unlock(&scene->mutex);
}

static void failed(void *user, const struct fault *flt)
{
	note(user, flt);
}

static int open_it(struct scene *scene, bool offline, struct fault *flt)
{
	struct registry_options options = {
		.url = *fake_registry_url(scene->fake),
		.registries_dir = scene->registries,
		.content_dir = scene->contents,
		.own_dir = scene->own,
		.state_dir = scene->state,
		.timeout = TIMEOUT,
		.starts_from_cache = true,
		.offline = offline,
		.failed = failed,
		.user = scene,
	};
	struct fault start = {0};
	int verdict;

	scene->accused = (struct fault){0};
	scene->cache_faults = 0;
	verdict = registry_open(&options, &scene->registry, flt);
	if (verdict) {
		note(scene, flt);
		scene->registry = NULL;
		return verdict;
	}
	registry_start_fault(scene->registry, &start);
	note(scene, &start);
	return 0;
}

static void close_it(struct scene *scene)
{
	registry_close(scene->registry);
	scene->registry = NULL;
}

/* ---- What is seen ---- */

static void see_package(const struct view *view, const char *text, struct buf *out)
{
	struct name name = forge_name(text);
	const struct view_package *package = view_find(view, &name);
	const struct package_release *releases;
	char digits[2][DIGEST_TEXT_SIZE];
	size_t count;

	if (!package)
		return;
	digest_format(&package_log_head(package->log)->record_id, digits[0]);
	assert_int_equal(buf_append_format(out, NULL, "%s at %llu, %s\n", text,
					   (unsigned long long)package->registry_index, digits[0]), 0);
	releases = package_log_releases(package->log, &count);
	for (size_t i = 0; i < count; i++) {
		digest_format(&releases[i].content, digits[0]);
		digest_format(&releases[i].record_id, digits[1]);
		assert_int_equal(buf_append_format(out, NULL, "  %s %s by %s%s\n", releases[i].version, digits[0],
						   digits[1], releases[i].yank ? ", yanked" : ""), 0);
	}
}

/* The whole view, as text; missing parts are omitted. */
static void see(struct registry *registry, struct buf *out)
{
	struct view *view = registry_view(registry);

	buf_init(out, 1 << 20);
	if (view->checkpoint.contents.log_length)
		assert_int_equal(buf_append_format(out, NULL, "checkpoint of %llu records, operator at %llu\n",
						   (unsigned long long)view->checkpoint.contents.log_length,
						   (unsigned long long)view->operator_position.registry_index), 0);
	for (size_t i = 0; i < NAMES; i++)
		see_package(view, names[i], out);
	for (size_t i = 0; view->listing && i < view->listing->names.count; i++)
		assert_int_equal(buf_append_format(out, NULL, "listed: %s\n",
						   name_list_text(&view->listing->names, i)), 0);
	view_unref(view);
}

/* Request everything. @return the first fault, if there is one */
static struct fault ask_for_all(struct scene *scene, bool offline)
{
	struct name wanted[NAMES];
	struct fault faults[NAMES] = {0}, flt = {0};

	for (size_t i = 0; i < NAMES; i++)
		wanted[i] = forge_name(names[i]);
	/* First the listing: names are stored in the order of the requests. */
	if (offline)
		registry_add(scene->registry, wanted, NAMES, faults);
	else if (!registry_list(scene->registry, &flt))
		registry_update(scene->registry, wanted, NAMES, faults, &flt);
	for (size_t i = 0; i < NAMES; i++) {
		note(scene, &faults[i]);
		if (!flt.verdict)
			flt = faults[i];
	}
	note(scene, &flt);
	if (!offline && !flt.verdict && registry_list(scene->registry, &flt))
		note(scene, &flt);
	return flt;
}

/* Whether every line of `part` is one of `whole`. */
static bool is_part(const struct buf *part, const struct buf *whole)
{
	struct span rest = buf_span(part);

	while (rest.length) {
		size_t length = (const unsigned char *)memchr(rest.data, '\n', rest.length) - rest.data + 1;

		if (!memmem(whole->data, whole->length, rest.data, length))
			return false;
		rest.data += length;
		rest.length -= length;
	}
	return true;
}

/* ---- Files ---- */

static struct stage *walked;

static int keep_file(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	struct file *file = &walked->files[walked->count];

	(void)status;
	(void)walk;
	if (type != FTW_F)
		return 0;
	assert_true(walked->count < FILES);
	snprintf(file->path, sizeof(file->path), "%s", path);
	file->bytes = data_read(path);
	walked->count++;
	return 0;
}

static int remove_file(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	return walk->level ? remove(path) : 0;
}

/* Restore all files, and flip one bit of one. */
static void lay_out(const struct scene *scene, const struct stage *stage, size_t flipped, size_t bit)
{
	assert_int_equal(nftw(scene->folder, remove_file, 16, FTW_DEPTH | FTW_PHYS), 0);
	for (size_t i = 0; i < stage->count; i++) {
		const struct file *file = &stage->files[i];

		if (i == flipped)
			file->bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
		scratch_write(file->path, buf_span(&file->bytes));
		if (i == flipped)
			file->bytes.data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	}
}

/* Use the registry once, and keep a copy of the files that it leaves. */
static void keep_stage(struct scene *scene, struct stage *stage)
{
	struct digest content = digest_of(span_of_text("a content"));
	struct fault flt = {0};

	assert_int_equal(open_it(scene, false, &flt), 0);
	flt = ask_for_all(scene, false);
	assert_int_equal(flt.verdict, 0);
	see(scene->registry, &stage->seen);
	store_remember_size(registry_store(scene->registry), &content, 9);
	close_it(scene);
	walked = stage;
	assert_int_equal(nftw(scene->folder, keep_file, 16, FTW_PHYS), 0);
}

static void scene_init(struct scene *scene)
{
	*scene = (struct scene){.fake = fake_registry_new(), .folder = scratch_new()};
	pthread_mutex_init(&scene->mutex, NULL);
	snprintf(scene->registries, sizeof(scene->registries), "%s/registries", scene->folder);
	snprintf(scene->contents, sizeof(scene->contents), "%s/content", scene->folder);
	snprintf(scene->own, sizeof(scene->own), "%s/own", scene->folder);
	snprintf(scene->state, sizeof(scene->state), "%s/state", scene->folder);
	fake_registry_release(scene->fake, "test:good", "1.0.0");
	fake_registry_release(scene->fake, "test:victim", "1.0.0");
	fake_registry_release(scene->fake, "test:good", "1.1.0");
	fake_registry_sign(scene->fake);
	keep_stage(scene, &scene->before);
	fake_registry_release(scene->fake, "test:good", "1.2.0");
	fake_registry_yank(scene->fake, "test:good", "1.0.0");
	fake_registry_import(scene->fake, "other", "other.example");
	fake_registry_sign(scene->fake);
	keep_stage(scene, &scene->now);
}

static void stage_release(struct stage *stage)
{
	for (size_t i = 0; i < stage->count; i++)
		buf_release(&stage->files[i].bytes);
	buf_release(&stage->seen);
}

static void scene_release(struct scene *scene)
{
	stage_release(&scene->before);
	stage_release(&scene->now);
	fake_registry_free(scene->fake);
	scratch_free(scene->folder);
	pthread_mutex_destroy(&scene->mutex);
}

/* ---- Looking ---- */

/* The trust file cannot be fetched again: the fault must name and blame it. */
static bool is_honest(const struct scene *scene, const struct fault *flt, const struct file *file)
{
	return strstr(file->path, "/state/") && flt->party == FAULT_BY_CACHE &&
	       strstr(flt->where, file->path + strlen(scene->folder)) != NULL;
}

/* One is enough to fail; the first ones are told. */
static void complain(struct scene *scene, const struct file *file, size_t bit, const char *when,
		     const struct fault *flt, const struct buf *seen)
{
	char sentence[FAULT_SENTENCE_SIZE] = "";

	if (scene->complaints++ >= COMPLAINTS)
		return;
	if (flt && flt->verdict)
		fault_sentence(flt, sentence);
	print_error("%s: %s, byte %zu, bit %zu: %s\n%.*s", when, file->path + strlen(scene->folder), bit / 8, bit % 8,
		    sentence, seen ? (int)seen->length : 0, seen ? (const char *)seen->data : "");
}

/*
 * Check the registry as it is now.
 * @param whole   the expected view
 * @param is_all  the whole view is required, not only a part
 * @return whether the registry opens at all
 */
static bool look(struct scene *scene, const struct file *file, size_t bit, bool offline, const struct buf *whole,
		 bool is_all, const char *when)
{
	struct fault flt = {0};
	struct buf seen;

	if (open_it(scene, offline, &flt)) {
		if (!is_honest(scene, &flt, file))
			complain(scene, file, bit, when, &flt, NULL);
		return false;
	}
	flt = ask_for_all(scene, offline);
	see(scene->registry, &seen);
	close_it(scene);
	if (scene->accused.verdict)
		complain(scene, file, bit, when, &scene->accused, NULL);
	if (is_all && flt.verdict && is_honest(scene, &flt, file)) {
		buf_release(&seen);
		return false;
	}
	if (is_all && flt.verdict)
		complain(scene, file, bit, when, &flt, NULL);
	if (is_all ? !span_equals(buf_span(&seen), buf_span(whole)) : !is_part(&seen, whole))
		complain(scene, file, bit, when, NULL, &seen);
	buf_release(&seen);
	return true;
}

static void flip(struct scene *scene, const struct stage *stage, size_t index, size_t bit)
{
	const struct file *file = &stage->files[index];

	lay_out(scene, stage, index, bit);
	if (!look(scene, file, bit, true, &stage->seen, false, "offline"))
		return;
	lay_out(scene, stage, index, bit);
	if (look(scene, file, bit, false, &scene->now.seen, true, "online"))
		look(scene, file, bit, true, &scene->now.seen, true, "healed");
}

/* Without a flip: the reference for the comparisons. */
static void check_unflipped(struct scene *scene, const struct stage *stage)
{
	const struct file *none = &stage->files[0];

	lay_out(scene, stage, FILES, 0);
	look(scene, none, 0, true, &stage->seen, true, "offline");
	assert_int_equal(scene->cache_faults, 0);
	look(scene, none, 0, false, &scene->now.seen, true, "online");
	assert_int_equal(scene->cache_faults, 0);
	look(scene, none, 0, true, &scene->now.seen, true, "healed");
	assert_int_equal(scene->cache_faults, 0);
	assert_int_equal(scene->complaints, 0);
}

static void flip_some(struct scene *scene, const struct stage *stage, size_t step)
{
	size_t at = 0, flips = 0;

	for (size_t i = 0; i < stage->count; i++) {
		for (; at < stage->files[i].bytes.length * 8; at += step, flips++)
			flip(scene, stage, i, at);
		at -= stage->files[i].bytes.length * 8;
	}
	print_message("%zu bits flipped in %zu files\n", flips, stage->count);
}

static void test_every_bit(void **state)
{
	const char *asked = getenv("WARGFS_DAMAGE_STEP");
	size_t step = asked ? strtoul(asked, NULL, 10) : STEP;
	struct scene scene;

	(void)state;
	assert_true(step > 0);
	scene_init(&scene);
	check_unflipped(&scene, &scene.before);
	check_unflipped(&scene, &scene.now);
	flip_some(&scene, &scene.before, step);
	flip_some(&scene, &scene.now, step);
	assert_int_equal(scene.complaints, 0);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_bit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
