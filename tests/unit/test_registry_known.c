/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Packages that a registry's view lets go of: which ones, and that they come back as they would after a restart.
 */
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/registry/registry.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"
#include "verify/hex.h"

static const char *const packages[] = {"test:good", "test:other", "test:victim"};
#define PACKAGES (sizeof(packages) / sizeof(packages[0]))

struct scene {
	struct fake_registry *fake;
	char *folder;
	char registries[512], contents[512], own[512];
	struct registry *registry;
	const char *needed; /* a package */
	bool is_late;       /* it is from the second question on */
	unsigned questions;
	atomic_uint failures;
};

static bool is_needed(void *user, const struct name *package)
{
	struct scene *scene = user;

	return !strcmp(package->text, scene->needed) && (!scene->is_late || scene->questions++);
}

static void failed(void *user, const struct fault *flt)
{
	struct scene *scene = user;

	assert_int_not_equal(flt->verdict, 0);
	atomic_fetch_add(&scene->failures, 1);
}

/* A registry that is to keep one package, and has all of them in its view. */
static void scene_begin(struct scene *scene, const char *needed, bool is_late, unsigned timeout)
{
	struct fault faults[PACKAGES] = {0};
	struct name names[PACKAGES];

	*scene = (struct scene){.fake = fake_registry_new(), .folder = scratch_new(), .needed = needed,
				.is_late = is_late};
	snprintf(scene->registries, sizeof(scene->registries), "%s/registries", scene->folder);
	snprintf(scene->contents, sizeof(scene->contents), "%s/content", scene->folder);
	snprintf(scene->own, sizeof(scene->own), "%s/own", scene->folder);

	const struct registry_options options = {
		.url = *fake_registry_url(scene->fake),
		.registries_dir = scene->registries,
		.content_dir = scene->contents,
		.own_dir = scene->own,
		.timeout = timeout,
		.is_needed = is_needed,
		.known = 1,
		.rest = 1,
		.failed = failed,
		.user = scene,
	};

	for (size_t i = 0; i < PACKAGES; i++) {
		fake_registry_release(scene->fake, packages[i], "1.0.0");
		names[i] = forge_name(packages[i]);
	}
	fake_registry_sign(scene->fake);
	assert_int_equal(registry_open(&options, &scene->registry, NULL), 0);
	assert_int_equal(registry_refresh(scene->registry, NULL), 0);
	assert_int_equal(registry_add(scene->registry, names, PACKAGES, faults), 0);
}

static void scene_init(struct scene *scene, const char *needed, unsigned timeout)
{
	scene_begin(scene, needed, false, timeout);
}

static void scene_release(struct scene *scene)
{
	registry_close(scene->registry);
	fake_registry_free(scene->fake);
	scratch_free(scene->folder);
}

/* Nothing is let go before the ledger can prove that it came back whole. */
static void let_go(struct scene *scene)
{
	size_t count;

	assert_int_equal(registry_list(scene->registry, NULL), 0);
	do {
		struct view *view = registry_view(scene->registry);

		count = view->packages.count;
		view_unref(view);
		sched_yield();
	} while (count > 1);
}

/* How many releases a view has of a package, without a look that would keep it there. */
static size_t releases_in(const struct view *view, const char *text)
{
	struct name name = forge_name(text);
	struct digest log_id = name_log_id(&name);
	const struct view_package *package = view_trie_find(&view->packages, &log_id);
	size_t count = 0;

	if (package)
		package_log_releases(package->log, &count);
	return count;
}

static size_t releases(struct scene *scene, const char *text)
{
	struct view *view = registry_view(scene->registry);
	size_t count = releases_in(view, text);

	view_unref(view);
	return count;
}

static int add(struct scene *scene, const char *text, struct fault *flt)
{
	struct name name = forge_name(text);

	return registry_add(scene->registry, &name, 1, flt);
}

/* Who is needed stays; who holds an older view has all of it still. */
static void test_needed(void **state)
{
	(void)state;
	for (size_t i = 0; i < PACKAGES; i++) {
		struct scene scene;
		struct view *old;

		scene_init(&scene, packages[i], 60);
		old = registry_view(scene.registry);
		let_go(&scene);
		for (size_t j = 0; j < PACKAGES; j++) {
			assert_int_equal(releases(&scene, packages[j]), i == j);
			assert_int_equal(releases_in(old, packages[j]), 1);
		}
		view_unref(old);
		scene_release(&scene);
	}
}

/* A package that begins to be needed while it is let go is put back, into the view that follows. */
static void test_needed_late(void **state)
{
	const clock_ms end = clock_now() + 20000;

	(void)state;
	for (size_t i = 0; i < PACKAGES; i++) {
		struct scene scene;
		size_t count;

		scene_begin(&scene, packages[i], true, 60);
		let_go(&scene);
		do {
			count = releases(&scene, packages[i]);
			sched_yield();
		} while (!count && clock_left(end));
		assert_int_equal(count, 1);
		scene_release(&scene);
	}
}

/* Without the ledger nobody could tell later that an archived log is whole. */
static void test_no_ledger(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene, "test:nothing", 60);
	for (int i = 0; i < 20; i++)
		assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	for (size_t i = 0; i < PACKAGES; i++)
		assert_int_equal(releases(&scene, packages[i]), 1);
	scene_release(&scene);
}

/* It comes back without the network, as often as it is wanted. */
static void test_back(void **state)
{
	static const char *const calls[] = {"v1/fetch/checkpoint", "v1/fetch/logs", "v1/proof/inclusion"};
	struct scene scene;

	(void)state;
	scene_init(&scene, "test:good", 60);
	let_go(&scene);
	fake_registry_gather(scene.fake, "", 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(add(&scene, "test:victim", NULL), 0);
		assert_int_equal(add(&scene, "test:other", NULL), 0);
		let_go(&scene);
	}
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		assert_int_equal(fake_registry_count(scene.fake, calls[i]), 0);
	assert_int_equal(atomic_load(&scene.failures), 0);
	scene_release(&scene);
}

/* What it gained meanwhile is fetched when it is wanted, and not before. */
static void test_growth(void **state)
{
	struct scene scene;
	unsigned logs;

	(void)state;
	scene_init(&scene, "test:good", 60);
	let_go(&scene);
	fake_registry_release(scene.fake, "test:victim", "1.1.0");
	fake_registry_sign(scene.fake);
	logs = fake_registry_count(scene.fake, "v1/fetch/logs");
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), logs);
	scene.needed = "test:victim";
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	assert_int_equal(releases(&scene, "test:victim"), 2);
	scene_release(&scene);
}

static void flip_a_bit(const struct scene *scene, const char *text)
{
	struct name name = forge_name(text);
	struct digest log_id = name_log_id(&name);
	char file[DIGEST_TEXT_SIZE], path[CAP_URL + 1024];
	unsigned char byte;
	int fd;

	hex_encode(digest_span(&log_id), file);
	snprintf(path, sizeof(path), "%s/%s/records/%s", scene->own, fake_registry_url(scene->fake)->label, file);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, 100), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, 100), 1);
	close(fd);
}

/* It is proven anew: what was damaged meanwhile is not shown, and fetched again if the registry is there. */
static void test_damage(void **state)
{
	struct fault flt = {0};
	struct scene scene;

	(void)state;
	scene_init(&scene, "test:good", 1);
	let_go(&scene);
	flip_a_bit(&scene, "test:victim");
	fake_registry_gather(scene.fake, "v1/fetch/logs", 1000);
	assert_int_equal(add(&scene, "test:victim", &flt), WARG_UNDECIDED);
	assert_int_equal(releases(&scene, "test:victim"), 0);
	assert_true(atomic_load(&scene.failures) > 0);
	fake_registry_gather(scene.fake, "", 0);
	scene.needed = "test:victim";
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	assert_int_equal(releases(&scene, "test:victim"), 1);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needed),
		cmocka_unit_test(test_needed_late),
		cmocka_unit_test(test_no_ledger),
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
