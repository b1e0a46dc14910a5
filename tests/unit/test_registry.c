/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The registry: wants, rounds, the view that is swapped in, the store behind it, and an end that comes promptly.
 */
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/base/file.h"
#include "client/registry/registry_parts.h"
#include "client/sync/proof.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"

#define TIMEOUT 60

struct scene {
	struct fake_registry *fake;
	char *folder;
	char registries[512], contents[512], own[512], state[512];
	unsigned refresh; /* seconds between looks */
	bool remembers; /* whether what outlives the cache is kept */
	struct registry *registry;
	atomic_uint changes, failures;
};

static void changed(void *user, const struct view *before, const struct view *after)
{
	struct scene *scene = user;

	assert_ptr_not_equal(before, after);
	atomic_fetch_add(&scene->changes, 1);
}

static void failed(void *user, const struct fault *flt)
{
	struct scene *scene = user;

	assert_int_not_equal(flt->verdict, 0);
	atomic_fetch_add(&scene->failures, 1);
}

static void open_it(struct scene *scene, unsigned timeout)
{
	struct registry_options options = {
		.url = *fake_registry_url(scene->fake),
		.registries_dir = scene->registries,
		.content_dir = scene->contents,
		.own_dir = scene->own,
		.state_dir = scene->remembers ? scene->state : NULL,
		.timeout = timeout,
		.refresh = scene->refresh,
		.changed = changed,
		.failed = failed,
		.user = scene,
	};

	assert_int_equal(registry_open(&options, &scene->registry, NULL), 0);
}

static void reopen(struct scene *scene)
{
	registry_close(scene->registry);
	open_it(scene, TIMEOUT);
}

static void scene_init(struct scene *scene, unsigned timeout)
{
	*scene = (struct scene){.fake = fake_registry_new(), .folder = scratch_new()};
	snprintf(scene->registries, sizeof(scene->registries), "%s/registries", scene->folder);
	snprintf(scene->contents, sizeof(scene->contents), "%s/content", scene->folder);
	snprintf(scene->own, sizeof(scene->own), "%s/own", scene->folder);
	snprintf(scene->state, sizeof(scene->state), "%s/state", scene->folder);
	fake_registry_release(scene->fake, "test:good", "1.0.0");
	fake_registry_release(scene->fake, "test:victim", "1.0.0");
	fake_registry_sign(scene->fake);
	open_it(scene, timeout);
}

static void scene_release(struct scene *scene)
{
	registry_close(scene->registry);
	fake_registry_free(scene->fake);
	scratch_free(scene->folder);
}

static size_t releases(struct registry *registry, const char *text)
{
	struct view *view = registry_view(registry);
	struct name name = forge_name(text);
	const struct view_package *package = view_find(view, &name);
	size_t count = 0;

	if (package)
		package_log_releases(package->log, &count);
	view_unref(view);
	return count;
}

static int add(struct scene *scene, const char *text, struct fault *flt)
{
	struct name name = forge_name(text);

	return registry_add(scene->registry, &name, 1, flt);
}

/* ---- A disk that is busy ---- */

static struct disk {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_stuck;    /* fsync() does not come back */
	unsigned waiting; /* those that do not */
} disk = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};

/* Replaces the C library's. */
int fsync(int fd)
{
	pthread_mutex_lock(&disk.mutex);
	disk.waiting++;
	pthread_cond_broadcast(&disk.changed);
	while (disk.is_stuck)
		pthread_cond_wait(&disk.changed, &disk.mutex);
	disk.waiting--;
	pthread_mutex_unlock(&disk.mutex);
	return (int)syscall(SYS_fsync, fd);
}

static void stick(bool is_stuck)
{
	pthread_mutex_lock(&disk.mutex);
	disk.is_stuck = is_stuck;
	pthread_cond_broadcast(&disk.changed);
	pthread_mutex_unlock(&disk.mutex);
}

static void wait_for_sync(void)
{
	pthread_mutex_lock(&disk.mutex);
	while (!disk.waiting)
		pthread_cond_wait(&disk.changed, &disk.mutex);
	pthread_mutex_unlock(&disk.mutex);
}

/* Nobody who asks waits for what was learned before to be on disk; at the end it is there. */
static void test_nobody_waits_for_the_disk(void **state)
{
	struct package_log *log = NULL;
	struct store_position position;
	struct name name = forge_name("test:victim");
	struct scene scene;

	(void)state;
	scene_init(&scene, 5);
	stick(true);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	wait_for_sync();
	assert_false(registry_is_saved(scene.registry));
	assert_int_equal(registry_list(scene.registry, NULL), 0);
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	stick(false);
	reopen(&scene);
	assert_true(ledger_is_stored(scene.registry->ledger));
	assert_int_equal(store_load_package(registry_store(scene.registry), &name, &log, &position, NULL), 0);
	assert_non_null(log);
	package_log_unref(log);
	scene_release(&scene);
}

/* ---- Incomplete answers ---- */

/** The first so many pages of logs are served whole, all others break off. */
static atomic_uint pages_left;

static void break_logs(struct server_connection *connection, const struct server_request *request, int status,
		       struct span body, void *user)
{
	bool is_page = !strcmp(request->target, "/v1/fetch/logs"), is_broken = is_page && !atomic_load(&pages_left);
	char head[200];

	(void)user;
	if (is_page && !is_broken)
		atomic_fetch_sub(&pages_left, 1);
	snprintf(head, sizeof(head), "HTTP/1.1 %d Fine\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n"
		 "connection: close\r\n\r\n", status, body.length);
	server_write_text(connection, head);
	server_write(connection, (struct span){body.data, is_broken ? body.length / 2 : body.length});
}

/* A log of four pages, two served at a time, is complete after the second attempt, also after a restart. */
static void test_log_in_parts(void **state)
{
	char version[20];

	(void)state;
	for (int restarts = 0; restarts < 2; restarts++) {
		struct fault flt = {0};
		struct scene scene;

		scene_init(&scene, TIMEOUT);
		atomic_store(&pages_left, 1000);
		server_on_answering(fake_registry_server(scene.fake), break_logs, NULL);
		for (int i = 0; i < 11; i++) {
			snprintf(version, sizeof(version), "0.%d.0", i);
			fake_registry_release(scene.fake, "test:long", version);
		}
		fake_registry_sign(scene.fake);
		assert_int_equal(registry_refresh(scene.registry, NULL), 0);
		fake_registry_page(scene.fake, 3);
		atomic_store(&pages_left, 2);
		assert_int_equal(add(&scene, "test:long", &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_UNREACHABLE);
		/* The received part is not shown. */
		assert_int_equal(releases(scene.registry, "test:long"), 0);
		if (restarts) {
			reopen(&scene);
			atomic_store(&pages_left, 1000);
			assert_int_equal(registry_refresh(scene.registry, NULL), 0);
		}
		atomic_store(&pages_left, 2);
		assert_int_equal(add(&scene, "test:long", NULL), 0);
		assert_int_equal(releases(scene.registry, "test:long"), 11);
		scene_release(&scene);
	}
}

/* ---- Trust ---- */

/* A registry that was verified once, with something remembered of it. */
static void trusting_scene_init(struct scene *scene)
{
	scene_init(scene, TIMEOUT);
	scene->remembers = true;
	reopen(scene);
	assert_int_equal(registry_refresh(scene->registry, NULL), 0);
}

/* How many files of evidence there are that begin with `charge`. */
static size_t count_evidence(const struct scene *scene, const char *charge)
{
	const char *path = trust_evidence_folder(registry_trust(scene->registry));
	DIR *folder = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(folder);
	while ((entry = readdir(folder)))
		count += strncmp(entry->d_name, charge, strlen(charge)) == 0;
	closedir(folder);
	return count;
}

static void expect_refused(struct scene *scene, const char *words)
{
	struct fault flt = {0};

	assert_int_equal(registry_refresh(scene->registry, &flt), WARG_INVALID);
	if (!strstr(flt.what, words))
		fail_msg("refused for another reason than '%s': %s", words, flt.what);
}

/* The cache was emptied, and the registry goes back in time: it is held to its word all the same. */
static void test_rollback_after_reset(void **state)
{
	struct scene scene;

	(void)state;
	trusting_scene_init(&scene);
	registry_close(scene.registry);
	assert_int_equal(file_remove_tree(AT_FDCWD, scene.registries, NULL), 0);
	fake_registry_lie(scene.fake, LIE_ROLLBACK, NULL);
	open_it(&scene, TIMEOUT);
	expect_refused(&scene, "a rollback");
	assert_int_equal(count_evidence(&scene, "rollback-"), 1);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	scene_release(&scene);
}

/* What the operator signed twice with different words is not forgotten when it speaks the truth again. */
static void test_fork_latches(void **state)
{
	struct scene scene;

	(void)state;
	trusting_scene_init(&scene);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	fake_registry_lie(scene.fake, LIE_LOG_ROOT, NULL);
	expect_refused(&scene, "a fork");
	assert_int_equal(count_evidence(&scene, "fork-"), 1);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	expect_refused(&scene, "seen to fork");
	assert_int_equal(releases(scene.registry, "test:good"), 1);
	reopen(&scene);
	expect_refused(&scene, "seen to fork");
	assert_int_equal(trust_forget(registry_trust(scene.registry), NULL), 0);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(count_evidence(&scene, "fork-"), 1);
	scene_release(&scene);
}

/* A log that did not grow out of the one before. */
static void test_inconsistent(void **state)
{
	struct scene scene;

	(void)state;
	trusting_scene_init(&scene);
	fake_registry_release(scene.fake, "test:good", "1.0.1");
	fake_registry_sign(scene.fake);
	fake_registry_lie(scene.fake, LIE_CONSISTENCY_HASH, NULL);
	assert_int_equal(registry_refresh(scene.registry, NULL), WARG_INVALID);
	assert_int_equal(count_evidence(&scene, "inconsistent-"), 1);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	scene_release(&scene);
}

/* ---- Growing ---- */

static void test_nothing_before_the_first_checkpoint(void **state)
{
	struct scene scene;
	struct view *view;

	(void)state;
	scene_init(&scene, TIMEOUT);
	view = registry_view(scene.registry);
	assert_int_equal(view->checkpoint.contents.log_length, 0);
	view_unref(view);
	assert_int_equal(server_requests(fake_registry_server(scene.fake)), 0);
	scene_release(&scene);
}

/* A package that is wanted brings the checkpoint with it. */
static void test_want(void **state)
{
	struct scene scene;
	struct fault flt = {0};

	(void)state;
	scene_init(&scene, TIMEOUT);
	assert_int_equal(add(&scene, "test:good", &flt), 0);
	assert_int_equal(releases(scene.registry, "test:good"), 1);
	assert_int_equal(add(&scene, "test:nothing", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_true(atomic_load(&scene.changes) > 0);
	scene_release(&scene);
}

/* A refresh and what is wanted of it cost the round trips of one; a package that fails fails alone. */
static void test_update_in_one_go(void **state)
{
	const struct name names[] = {forge_name("test:good"), forge_name("test:nothing"), forge_name("test:victim")};
	struct fault faults[3] = {0}, flt = {0};
	struct scene scene;

	(void)state;
	scene_init(&scene, TIMEOUT);
	fake_registry_lie(scene.fake, LIE_RECORD, "test:victim");
	assert_int_equal(registry_update(scene.registry, names, 3, faults, &flt), 0);
	assert_int_equal(faults[0].verdict, 0);
	assert_int_equal(faults[1].kind, FAULT_ABSENT);
	assert_int_equal(faults[2].verdict, WARG_INVALID);
	assert_int_equal(releases(scene.registry, "test:good"), 1);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);

	reopen(&scene);
	fake_registry_gather(scene.fake, "v1/fetch/logs", 0);
	memset(faults, 0, sizeof(faults));
	assert_int_equal(registry_update(scene.registry, &names[2], 1, &faults[2], &flt), 0);
	assert_int_equal(faults[2].verdict, 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/checkpoint"), 1);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), 1);
	assert_int_equal(fake_registry_count(scene.fake, "v1/proof/inclusion"), 1);

	fake_registry_lie(scene.fake, LIE_GARBAGE, NULL);
	assert_int_equal(registry_update(scene.registry, names, 1, faults, &flt), WARG_INVALID);
	scene_release(&scene);
}

#define MANY 130

/* Update MANY packages. @return the requests for logs that it took */
static unsigned update_many(struct scene *scene, const struct name names[static MANY])
{
	struct fault faults[MANY] = {0}, flt = {0};
	unsigned before = fake_registry_count(scene->fake, "v1/fetch/logs");

	assert_int_equal(registry_update(scene->registry, names, MANY, faults, &flt), 0);
	for (size_t i = 0; i < MANY; i++)
		assert_int_equal(faults[i].verdict, 0);
	return fake_registry_count(scene->fake, "v1/fetch/logs") - before;
}

/* MANY packages, known, with a stored ledger. */
static void scene_init_of_many(struct scene *scene, struct name names[static MANY])
{
	scene_init(scene, TIMEOUT);
	for (size_t i = 0; i < MANY; i++) {
		char text[20];

		snprintf(text, sizeof(text), "test:many%zu", i);
		names[i] = forge_name(text);
		fake_registry_release(scene->fake, text, "1.0.0");
	}
	fake_registry_sign(scene->fake);
	assert_true(update_many(scene, names) > 2);
	assert_int_equal(registry_list(scene->registry, NULL), 0);
	reopen(scene);
}

/* With a stored ledger only what has changed is asked for; if the registry tells no ledger, all is. */
static void test_update_of_many(void **state)
{
	struct name names[MANY];
	struct scene scene;

	(void)state;
	scene_init_of_many(&scene, names);
	assert_int_equal(update_many(&scene, names), 1); /* the operator's */
	fake_registry_release(scene.fake, "test:many7", "1.1.0");
	fake_registry_sign(scene.fake);
	reopen(&scene);
	assert_int_equal(update_many(&scene, names), 2);
	assert_int_equal(releases(scene.registry, "test:many7"), 2);
	assert_int_equal(releases(scene.registry, "test:many8"), 1);

	fake_registry_release(scene.fake, "test:many8", "1.1.0");
	fake_registry_sign(scene.fake);
	fake_registry_lie(scene.fake, LIE_LEDGER_SHORT, NULL);
	reopen(&scene);
	assert_true(update_many(&scene, names) > 2);
	assert_int_equal(releases(scene.registry, "test:many8"), 2);
	scene_release(&scene);
}

/* @return how many releases a package that the update calls good has */
static size_t count_good(struct scene *scene, const struct name *name, const struct fault *flt)
{
	return flt->verdict ? 2 : releases(scene->registry, name->text);
}

/*
 * Whatever the registry lies about, no change is hidden: each package has all its releases, or a fault. And once it
 * turns honest, all are there.
 */
static void test_update_of_many_lied_to(void **state)
{
	static const enum fake_lie lies[] = {
		LIE_LOG_ROOT, LIE_MAP_ROOT, LIE_ROLLBACK, LIE_CONSISTENCY_HASH, LIE_PROOFS_FEWER, LIE_PROOFS_OTHER,
		LIE_MAP_FEWER, LIE_PROOFS_REFUSED, LIE_OTHER_LOG, LIE_WITHHELD, LIE_EMPTY, LIE_ABSENT, LIE_INDEX,
		LIE_TOKENS, LIE_NAMES_SWAPPED, LIE_LEDGER_SHORT, LIE_LEDGER_REORDERED, LIE_LEDGER_CHANGED,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct fault faults[MANY] = {0}, flt = {0};
		struct name names[MANY];
		struct scene scene;

		scene_init_of_many(&scene, names);
		fake_registry_release(scene.fake, names[7].text, "1.1.0");
		fake_registry_release(scene.fake, names[8].text, "1.1.0");
		fake_registry_sign(scene.fake);
		fake_registry_lie(scene.fake, lies[i], names[7].text);
		if (!registry_update(scene.registry, names, MANY, faults, &flt)) {
			assert_int_equal(count_good(&scene, &names[7], &faults[7]), 2);
			assert_int_equal(count_good(&scene, &names[8], &faults[8]), 2);
		}
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		update_many(&scene, names);
		assert_int_equal(releases(scene.registry, names[7].text), 2);
		assert_int_equal(releases(scene.registry, names[8].text), 2);
		assert_int_equal(releases(scene.registry, names[9].text), 1);
		assert_int_equal(registry_list(scene.registry, &flt), 0);
		scene_release(&scene);
	}
}

static void test_refresh(void **state)
{
	struct scene scene;
	struct fault flt = {0};
	unsigned changes;

	(void)state;
	scene_init(&scene, TIMEOUT);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(releases(scene.registry, "test:good"), 2);
	/* Signed anew: no reader could tell. */
	changes = atomic_load(&scene.changes);
	fake_registry_sign(scene.fake);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(atomic_load(&scene.changes), changes);

	fake_registry_lie(scene.fake, LIE_ROLLBACK, NULL);
	assert_int_equal(registry_refresh(scene.registry, &flt), WARG_INVALID);
	memset(&flt, 0, sizeof(flt));
	registry_last_fault(scene.registry, &flt);
	assert_int_equal(flt.verdict, WARG_INVALID);
	assert_int_equal(releases(scene.registry, "test:good"), 2);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	registry_last_fault(scene.registry, &flt);
	assert_int_equal(flt.verdict, 0);
	scene_release(&scene);
}

/* One that failed is tried again when it is wanted again, at the same checkpoint too. */
/* Milliseconds until the updater looks by itself. Nobody writes that until then, once a refresh has landed. */
static int until_next_look(const struct scene *scene)
{
	return clock_left(scene->registry->next_refresh);
}

/* A registry that says when it wants to be asked again is not asked before. */
static void test_next_look(void **state)
{
	static const char busy[] = "HTTP/1.1 503 Busy\r\nretry-after: 1800\r\ncontent-length: 0\r\n\r\n";
	struct fault flt = {0};
	struct scene scene;

	(void)state;
	scene_init(&scene, TIMEOUT);
	scene.refresh = 600;
	reopen(&scene);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_in_range(until_next_look(&scene), 500000, 600000);
	server_on_bytes(fake_registry_server(scene.fake), "/v1/fetch/checkpoint", span_of_text(busy));
	assert_int_equal(registry_refresh(scene.registry, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_UNREACHABLE);
	assert_in_range(until_next_look(&scene), 1700000, 1800000);
	scene_release(&scene);
}

static void test_bad_package(void **state)
{
	struct scene scene;
	struct fault flt = {0};

	(void)state;
	scene_init(&scene, TIMEOUT);
	fake_registry_lie(scene.fake, LIE_RECORD, "test:victim");
	assert_int_equal(add(&scene, "test:victim", &flt), WARG_INVALID);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(add(&scene, "test:victim", NULL), 0);

	fake_registry_release(scene.fake, "test:victim", "1.1.0");
	fake_registry_sign(scene.fake);
	fake_registry_lie(scene.fake, LIE_WITHHELD, "test:victim");
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(atomic_load(&scene.failures), 1);
	assert_int_equal(releases(scene.registry, "test:victim"), 1);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	assert_int_equal(releases(scene.registry, "test:victim"), 2);
	scene_release(&scene);
}

#define CROWD 40

/* A crowd of wants costs as many round trips as one. */
static void test_crowd(void **state)
{
	struct scene scene;
	struct name names[CROWD];
	struct fault faults[CROWD] = {0};

	(void)state;
	scene_init(&scene, TIMEOUT);
	for (size_t i = 0; i < CROWD; i++) {
		char text[32];

		snprintf(text, sizeof(text), "test:p%zu", i / 2); /* each twice */
		if (i % 2 == 0)
			fake_registry_release(scene.fake, text, "1.0.0");
		names[i] = forge_name(text);
	}
	fake_registry_sign(scene.fake);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(registry_add(scene.registry, names, CROWD, faults), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), 1);
	assert_int_equal(fake_registry_count(scene.fake, "v1/proof/inclusion"), 1);
	scene_release(&scene);
}

/* ---- Listing ---- */

static void test_listing(void **state)
{
	struct scene scene;
	struct fault flt = {0};
	struct view *view;

	(void)state;
	scene_init(&scene, TIMEOUT);
	assert_int_equal(registry_list(scene.registry, NULL), 0);
	view = registry_view(scene.registry);
	assert_true(view->listing->complete);
	assert_int_equal(view->listing->names.count, 2);
	view_unref(view);
	/* What it does not have needs no request. */
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(add(&scene, "test:nothing", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_ABSENT);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), 0);
	/* It goes along with the checkpoint. */
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	view = registry_view(scene.registry);
	assert_non_null(view->listing);
	assert_int_equal(view->listing->names.count, 3);
	assert_int_equal(view->listing->length, view->checkpoint.contents.log_length);
	view_unref(view);
	scene_release(&scene);
}

/* A name that the registry withholds is asked for once in a round, and again in the next one. */
static void test_listing_withheld(void **state)
{
	struct scene scene;
	struct view *view;

	(void)state;
	scene_init(&scene, TIMEOUT);
	assert_int_equal(registry_list(scene.registry, NULL), 0);
	fake_registry_release(scene.fake, "test:late", "1.0.0");
	fake_registry_sign(scene.fake);
	fake_registry_lie(scene.fake, LIE_NAMES_WITHHELD, "test:late");
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	view = registry_view(scene.registry);
	assert_false(view->listing->complete);
	view_unref(view);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	view = registry_view(scene.registry);
	assert_true(view->listing->complete);
	assert_int_equal(view->listing->names.count, 3);
	view_unref(view);
	scene_release(&scene);
}

/* A ledger that lies costs what it lies about: not the checkpoint, the packages, or what was listed before. */
static void test_listing_that_fails(void **state)
{
	struct scene scene;
	struct view *view;

	(void)state;
	scene_init(&scene, TIMEOUT);
	assert_int_equal(registry_list(scene.registry, NULL), 0);
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	fake_registry_lie(scene.fake, LIE_LEDGER_CHANGED, NULL);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(registry_list(scene.registry, NULL), WARG_INVALID);
	view = registry_view(scene.registry);
	assert_int_equal(view->listing->names.count, 2);
	assert_false(view->listing->complete);
	view_unref(view);
	assert_int_equal(add(&scene, "test:new", NULL), 0);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	/* Without being asked for, and without another checkpoint. */
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	view = registry_view(scene.registry);
	assert_int_equal(view->listing->names.count, 3);
	assert_true(view->listing->complete);
	view_unref(view);
	scene_release(&scene);
}

/* ---- The store ---- */

static void test_store(void **state)
{
	struct package_log *log = NULL;
	struct store_position position;
	struct name name = forge_name("test:good");
	struct scene scene;

	(void)state;
	scene_init(&scene, TIMEOUT);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	reopen(&scene);
	assert_int_equal(store_load_package(registry_store(scene.registry), &name, &log, &position, NULL), 0);
	assert_non_null(log);
	package_log_unref(log);
	/* Nothing of it is shown before it was proven; then only what is new is fetched. */
	assert_int_equal(releases(scene.registry, "test:good"), 0);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	assert_int_equal(releases(scene.registry, "test:good"), 2);
	/* A rollback is one in the next process too. */
	reopen(&scene);
	fake_registry_lie(scene.fake, LIE_ROLLBACK, NULL);
	assert_int_equal(registry_refresh(scene.registry, NULL), WARG_INVALID);
	scene_release(&scene);
}

/* A file in the registry's folder. @return free() it */
static char *path_of(const struct scene *scene, const char *file)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s/%s", scene->registries, fake_registry_url(scene->fake)->label, file) > 0);
	return path;
}

static void write_into(const struct scene *scene, const char *file, const char *text)
{
	char *path = path_of(scene, file);

	scratch_write_text(path, text);
	free(path);
}

/* Files that are broken, or contradict each other, are as good as none. */
static void test_broken_store(void **state)
{
	static const char *const files[] = {"checkpoint", "operator.log"};
	static const char *const texts[] = {"", "{", "{}", "[]", "{\"state\":7}"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		for (size_t j = 0; j < sizeof(texts) / sizeof(texts[0]); j++) {
			struct scene scene;

			scene_init(&scene, TIMEOUT);
			assert_int_equal(add(&scene, "test:good", NULL), 0);
			registry_close(scene.registry);
			write_into(&scene, files[i], texts[j]);
			open_it(&scene, TIMEOUT);
			assert_int_equal(add(&scene, "test:good", NULL), 0);
			assert_int_equal(releases(scene.registry, "test:good"), 1);
			scene_release(&scene);
		}
	}
}

/* The reference holds the lock for its whole life: nothing is written then, everything else goes on. */
static void test_locked_store(void **state)
{
	struct package_log *log = NULL;
	struct store_position position;
	struct name name = forge_name("test:good");
	struct scene scene;
	char *path;
	int lock;

	(void)state;
	scene_init(&scene, TIMEOUT);
	write_into(&scene, ".lock", "");
	path = path_of(&scene, ".lock");
	lock = open(path, O_RDWR | O_CLOEXEC);
	free(path);
	assert_true(lock >= 0);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	assert_int_equal(store_load_package(registry_store(scene.registry), &name, &log, &position, NULL), 0);
	assert_null(log);
	close(lock);
	/* At the end at the latest it is written. */
	reopen(&scene);
	assert_int_equal(store_load_package(registry_store(scene.registry), &name, &log, &position, NULL), 0);
	assert_non_null(log);
	package_log_unref(log);
	scene_release(&scene);
}

/* ---- Waiting, leaving, the end ---- */

static void hang(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	(void)user;
	server_hang(connection);
}

/* @return whether the checkpoint came, in so many seconds, without the ledger */
static bool comes_without_ledger(unsigned timeout)
{
	struct scene scene;
	bool came;

	scene_init(&scene, timeout);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(registry_list(scene.registry, NULL), 0);
	assert_int_equal(add(&scene, "test:good", &(struct fault){0}), 0);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	server_on(fake_registry_server(scene.fake), "/ledger.bin", hang, NULL);
	registry_expect_growth(scene.registry);
	came = !registry_refresh(scene.registry, NULL);
	assert_true(!came || releases(scene.registry, "test:good") == 2);
	scene_release(&scene);
	return came;
}

/* A ledger that does not come takes a part of the time, and leaves enough for all else. */
static void test_ledger_hangs(void **state)
{
	unsigned timeout = 2;

	(void)state;
	while (!comes_without_ledger(timeout))
		assert_in_range(timeout *= 2, 4, 64);
}

struct told {
	struct waiter waiter;
	pthread_mutex_t mutex;
	pthread_cond_t came;
	bool is_done;
	int verdict;
	enum fault_kind kind;
};

static void told_done(struct waiter *waiter, int verdict, const struct fault *flt)
{
	struct told *told = (struct told *)waiter;

	pthread_mutex_lock(&told->mutex);
	told->is_done = true;
	told->verdict = verdict;
	told->kind = verdict ? flt->kind : FAULT_NONE;
	pthread_cond_signal(&told->came);
	pthread_mutex_unlock(&told->mutex);
}

static void told_init(struct told *told, clock_ms deadline)
{
	*told = (struct told){.waiter = {.done = told_done, .deadline = deadline}};
	pthread_mutex_init(&told->mutex, NULL);
	pthread_cond_init(&told->came, NULL);
}

static void told_wait(struct told *told)
{
	pthread_mutex_lock(&told->mutex);
	while (!told->is_done)
		pthread_cond_wait(&told->came, &told->mutex);
	pthread_mutex_unlock(&told->mutex);
	pthread_cond_destroy(&told->came);
	pthread_mutex_destroy(&told->mutex);
}

/* The network hangs: the end comes all the same, and everybody who waits is told. */
static void test_close_while_the_network_hangs(void **state)
{
	struct told refresh, package, listing, late;
	struct name name = forge_name("test:good");
	struct scene scene;

	(void)state;
	scene_init(&scene, 100000);
	server_on(fake_registry_server(scene.fake), "/v1/fetch/checkpoint", hang, NULL);
	told_init(&refresh, CLOCK_NEVER);
	registry_want_refresh(scene.registry, &refresh.waiter);
	server_wait_for(fake_registry_server(scene.fake), 1);
	told_init(&package, CLOCK_NEVER);
	told_init(&listing, CLOCK_NEVER);
	told_init(&late, clock_now());
	registry_want_package(scene.registry, &name, &package.waiter);
	registry_want_listing(scene.registry, &listing.waiter);
	/* A deadline of its own, whatever the round does. */
	registry_want_package(scene.registry, &name, &late.waiter);
	told_wait(&late);
	assert_int_equal(late.kind, FAULT_TIMEOUT);
	registry_close(scene.registry);
	scene.registry = NULL;
	told_wait(&refresh);
	told_wait(&package);
	told_wait(&listing);
	assert_int_equal(refresh.kind, FAULT_CANCELLED);
	assert_int_equal(package.kind, FAULT_CANCELLED);
	assert_int_equal(listing.kind, FAULT_CANCELLED);
	scene_release(&scene);
}

/* An optional want sends nothing to an unreachable registry, and fails at once. */
static void test_spare(void **state)
{
	const struct name names[] = { forge_name("test:good"), forge_name("test:victim") };
	struct told told;
	struct scene scene;
	unsigned logs;

	(void)state;
	scene_init(&scene, 1);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	told_init(&told, CLOCK_NEVER);
	registry_want_spare(scene.registry, NULL, 0, &told.waiter);
	told_wait(&told);
	assert_int_equal(told.kind, FAULT_NONE);
	fake_registry_gather(scene.fake, "v1/fetch/checkpoint", 1000);
	assert_int_equal(registry_refresh(scene.registry, NULL), WARG_UNDECIDED);
	logs = fake_registry_count(scene.fake, "v1/fetch/logs");
	told_init(&told, CLOCK_NEVER);
	registry_want_spare(scene.registry, names, 2, &told.waiter);
	told_wait(&told);
	assert_int_equal(told.kind, FAULT_TIMEOUT);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/logs"), logs);
	/* Packages that no caller waits for are fetched along. */
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	told_init(&told, CLOCK_NEVER);
	registry_want_spare(scene.registry, names, 2, &told.waiter);
	told_wait(&told);
	assert_int_equal(told.kind, FAULT_NONE);
	assert_int_equal(releases(scene.registry, "test:victim"), 1);
	scene_release(&scene);
}

#define LONG 900 /* records that have more than CAP_AHEAD bytes */

/* Wants packages of which the first one is waited for. @return how often logs were asked for */
static unsigned want_ahead(struct scene *scene, const struct name *names, size_t count)
{
	unsigned before = fake_registry_count(scene->fake, "v1/fetch/logs");
	struct told told;

	told_init(&told, CLOCK_NEVER);
	registry_want_spare(scene->registry, names, count, &told.waiter);
	told_wait(&told);
	assert_int_equal(told.kind, FAULT_NONE);
	return fake_registry_count(scene->fake, "v1/fetch/logs") - before;
}

/*
 * A long log is not brought while nobody waits for it, neither over the network, where it is asked for once, nor from
 * the archive. Who does wait for it gets it.
 */
static void test_long_ahead(void **state)
{
	const struct name names[] = { forge_name("test:good"), forge_name("test:long"), forge_name("test:victim") };
	const struct name of_long[] = { forge_name("test:victim"), forge_name("test:long") };
	struct scene scene;
	char version[32];

	(void)state;
	scene_init(&scene, TIMEOUT);
	for (int i = 0; i < LONG; i++) {
		snprintf(version, sizeof(version), "1.0.%d", i);
		fake_registry_release(scene.fake, "test:long", version);
	}
	fake_registry_sign(scene.fake);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(want_ahead(&scene, names, 3), 1);
	assert_int_equal(releases(scene.registry, "test:good"), 1);
	assert_int_equal(releases(scene.registry, "test:victim"), 1);
	assert_int_equal(releases(scene.registry, "test:long"), 0);
	assert_int_equal(want_ahead(&scene, of_long, 2), 0);
	assert_int_equal(want_ahead(&scene, &names[1], 1), 1);
	assert_int_equal(releases(scene.registry, "test:long"), LONG);
	reopen(&scene);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	want_ahead(&scene, names, 3);
	assert_int_equal(releases(scene.registry, "test:victim"), 1);
	assert_int_equal(releases(scene.registry, "test:long"), 0);
	assert_int_equal(add(&scene, "test:long", NULL), 0);
	assert_int_equal(releases(scene.registry, "test:long"), LONG);
	assert_int_equal(atomic_load(&scene.failures), 0);
	scene_release(&scene);
}

/* A round that hangs ends by itself, and the next one is a good one. */
static void test_round_that_hangs_ends(void **state)
{
	struct scene scene;
	struct fault flt = {0};

	(void)state;
	scene_init(&scene, 1);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	fake_registry_gather(scene.fake, "v1/fetch/logs", 1000);
	assert_int_equal(add(&scene, "test:good", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_TIMEOUT);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	scene_release(&scene);
}

static void test_leave(void **state)
{
	struct name name = forge_name("test:good");
	struct told leaver, early;
	struct scene scene;

	(void)state;
	scene_init(&scene, TIMEOUT);
	fake_registry_gather(scene.fake, "v1/fetch/checkpoint", 1000);
	told_init(&leaver, CLOCK_NEVER);
	registry_want_package(scene.registry, &name, &leaver.waiter);
	assert_true(registry_leave(scene.registry, &leaver.waiter));
	assert_false(registry_leave(scene.registry, &leaver.waiter));
	assert_false(leaver.is_done);
	/* Left before it was wanted. */
	told_init(&early, CLOCK_NEVER);
	assert_false(registry_leave(scene.registry, &early.waiter));
	registry_want_package(scene.registry, &name, &early.waiter);
	told_wait(&early);
	assert_int_equal(early.kind, FAULT_CANCELLED);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(add(&scene, "test:good", NULL), 0);
	scene_release(&scene);
}

/* ---- Threads ---- */

/* The number of threads that do not block SIGTERM. */
static unsigned count_hearing(void)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;
	unsigned hearing = 0;

	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		char path[300], line[256];
		unsigned long long blocked = 0;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/task/%s/status", entry->d_name);
		file = entry->d_name[0] == '.' ? NULL : fopen(path, "r");
		while (file && fgets(line, sizeof(line), file))
			if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
				hearing += !(blocked >> (SIGTERM - 1) & 1);
		if (file)
			fclose(file);
	}
	closedir(tasks);
	return hearing;
}

/* Our threads block all signals, which are for the program's own threads. */
static void test_threads_hear_no_signals(void **state)
{
	struct scene scene;
	unsigned before;

	(void)state;
	scene_init(&scene, TIMEOUT);
	registry_close(scene.registry);
	before = count_hearing();
	open_it(&scene, TIMEOUT);
	assert_int_equal(count_hearing(), before);
	scene_release(&scene);
}

/* ---- Two branches ---- */

/*
 * Two processes with one state, each with a server that shows another branch of one registry: both servers give the
 * same answers until the test changes one.
 */
struct branches {
	struct scene scenes[2];
};

static void open_branch(struct scene *scene, const char *folder, unsigned number)
{
	struct registry_options options = {
		.folder = number ? "right" : "left",
		.trusted_as = "shared",
		.timeout = TIMEOUT,
		.failed = failed,
		.user = scene,
	};

	*scene = (struct scene){.fake = fake_registry_new(), .remembers = true};
	snprintf(scene->registries, sizeof(scene->registries), "%s/registries", folder);
	snprintf(scene->contents, sizeof(scene->contents), "%s/content", folder);
	snprintf(scene->own, sizeof(scene->own), "%s/own", folder);
	snprintf(scene->state, sizeof(scene->state), "%s/state", folder);
	fake_registry_release(scene->fake, "test:good", "1.0.0");
	fake_registry_release(scene->fake, "test:victim", "1.0.0");
	fake_registry_sign(scene->fake);
	options.url = *fake_registry_url(scene->fake);
	options.registries_dir = scene->registries;
	options.content_dir = scene->contents;
	options.own_dir = scene->own;
	options.state_dir = scene->state;
	assert_int_equal(registry_open(&options, &scene->registry, NULL), 0);
	assert_int_equal(registry_refresh(scene->registry, NULL), 0);
}

/* @param longer  how many records longer the second branch is */
static void branches_init(struct branches *branches, char *folder, unsigned longer)
{
	for (unsigned i = 0; i < 2; i++)
		open_branch(&branches->scenes[i], folder, i);
	branches->scenes[0].folder = folder;
	fake_registry_release(branches->scenes[0].fake, "test:good", "1.1.0");
	fake_registry_release(branches->scenes[1].fake, "test:victim", "1.1.0");
	for (unsigned i = 0; i < longer; i++) {
		char version[16];

		snprintf(version, sizeof(version), "1.2.%u", i);
		fake_registry_release(branches->scenes[1].fake, "test:victim", version);
	}
	for (unsigned i = 0; i < 2; i++)
		fake_registry_sign(branches->scenes[i].fake);
}

static void branches_release(struct branches *branches)
{
	for (unsigned i = 0; i < 2; i++) {
		registry_close(branches->scenes[i].registry);
		fake_registry_free(branches->scenes[i].fake);
	}
	scratch_free(branches->scenes[0].folder);
}

static int refresh_branch(struct branches *branches, unsigned number)
{
	return registry_refresh(branches->scenes[number].registry, NULL);
}

/*
 * Both processes stop believing the registry for good, and there is evidence: the two checkpoints, and, if their
 * lengths differ, the ledger of the longer one.
 */
static void expect_latched(struct branches *branches, bool is_longer)
{
	assert_int_equal(count_evidence(&branches->scenes[0], is_longer ? "fork-5-6-" : "fork-5-5-"), 1 + is_longer);
	assert_int_equal(scratch_count(trust_evidence_folder(registry_trust(branches->scenes[0].registry))),
			 1 + is_longer);
	for (unsigned i = 0; i < 2; i++)
		expect_refused(&branches->scenes[i], "seen to fork");
}

static int lock_state(const struct branches *branches)
{
	int folder = open(scratch_path(branches->scenes[0].state, "shared"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(folder >= 0);
	assert_int_equal(flock(folder, LOCK_EX), 0);
	return folder;
}

/* One after the other: the second process sees the fork, with the lock or without. */
static void test_branches(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct branches branches;
		int lock = -1;

		branches_init(&branches, scratch_new(), i % 2);
		assert_int_equal(refresh_branch(&branches, 0), 0);
		if (i / 2)
			lock = lock_state(&branches);
		expect_refused(&branches.scenes[1], "a fork");
		assert_int_equal(releases(branches.scenes[1].registry, "test:victim"), 0);
		expect_latched(&branches, i % 2);
		if (lock >= 0)
			close(lock);
		branches_release(&branches);
	}
}

/* The anchor is compared again after a view was built: the other process may have changed it meanwhile. */
static void test_branches_at_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct branches branches;
		struct told told;

		branches_init(&branches, scratch_new(), i);
		fake_registry_gather(branches.scenes[1].fake, "v1/proof/inclusion", 1000);
		told_init(&told, CLOCK_NEVER);
		registry_want_refresh(branches.scenes[1].registry, &told.waiter);
		while (!fake_registry_count(branches.scenes[1].fake, "v1/proof/inclusion"))
			sched_yield();
		assert_int_equal(refresh_branch(&branches, 0), 0);
		fake_registry_gather(branches.scenes[1].fake, "", 0);
		told_wait(&told);
		assert_int_equal(told.verdict, WARG_INVALID);
		expect_latched(&branches, i);
		branches_release(&branches);
	}
}

/* Both accepted their branch while the anchor could not be written: the fork is found once it can. */
static void test_branches_under_a_lock(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct branches branches;
		int lock;

		branches_init(&branches, scratch_new(), i);
		lock = lock_state(&branches);
		assert_int_equal(refresh_branch(&branches, 0), 0);
		assert_int_equal(refresh_branch(&branches, 1), 0);
		close(lock);
		assert_int_equal(refresh_branch(&branches, 0), 0);
		expect_refused(&branches.scenes[1], "a fork");
		expect_latched(&branches, i);
		branches_release(&branches);
	}
}

/* One log and two processes: no accusation, and the highest checkpoint becomes the anchor. */
static void test_one_branch(void **state)
{
	struct branches branches;
	struct trust_anchor anchor;
	char *folder = scratch_new();

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		open_branch(&branches.scenes[i], folder, i);
	branches.scenes[0].folder = folder;
	for (unsigned i = 0; i < 2; i++) {
		fake_registry_release(branches.scenes[i].fake, "test:good", "1.1.0");
		fake_registry_sign(branches.scenes[i].fake);
	}
	assert_int_equal(refresh_branch(&branches, 0), 0);
	fake_registry_release(branches.scenes[1].fake, "test:good", "1.2.0");
	fake_registry_sign(branches.scenes[1].fake);
	assert_int_equal(refresh_branch(&branches, 1), 0);
	assert_int_equal(trust_load(registry_trust(branches.scenes[0].registry), &anchor, NULL), 0);
	assert_int_equal(anchor.checkpoint.contents.log_length, 6);
	assert_string_equal(anchor.evidence, "");
	/* The other process is behind the anchor now. */
	expect_refused(&branches.scenes[0], "a rollback");
	branches_release(&branches);
}

/* ---- Proofs ---- */

static struct registry_proof *find_proof(const struct scene *scene, const char *version, uint64_t least)
{
	struct name name = forge_name("test:victim");

	return registry_find_proof(scene->registry, &name, version, least);
}

static enum fault_kind want_proof(const struct scene *scene, const char *text, const char *version)
{
	struct name name = forge_name(text);
	struct told told;

	told_init(&told, CLOCK_NEVER);
	registry_want_proof(scene->registry, &name, version, &told.waiter);
	told_wait(&told);
	return told.kind;
}

/* A document that holds, and that stays for the next one who asks; one of another checkpoint is made anew. */
static void test_proof(void **state)
{
	struct release_proof_finding finding;
	struct registry_proof *made, *again;
	struct scene scene;
	struct proof proof;

	(void)state;
	scene_init(&scene, TIMEOUT);
	assert_int_equal(want_proof(&scene, "test:victim", "1.0.0"), FAULT_ABSENT); /* the view has it not yet */
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	assert_null(find_proof(&scene, "1.0.0", 0));
	assert_int_equal(want_proof(&scene, "test:victim", "1.0.0"), FAULT_NONE);
	made = find_proof(&scene, "1.0.0", 4);
	assert_non_null(made);
	assert_int_equal(proof_parse(buf_span(&made->text), &proof, NULL), 0);
	assert_int_equal(proof_check(&proof, &finding, NULL), 0);
	proof_release(&proof);
	assert_null(find_proof(&scene, "1.0.0", 5));
	assert_int_equal(want_proof(&scene, "test:victim", "1.1.0"), FAULT_ABSENT);
	assert_int_equal(want_proof(&scene, "test:nobody", "1.0.0"), FAULT_ABSENT);

	fake_registry_release(scene.fake, "test:victim", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(want_proof(&scene, "test:victim", "1.0.0"), FAULT_NONE);
	again = find_proof(&scene, "1.0.0", 5);
	assert_non_null(again);
	assert_ptr_not_equal(again, made);
	registry_proof_unref(again);
	registry_proof_unref(made);
	scene_release(&scene);
}

static void test_proof_that_lies(void **state)
{
	struct scene scene;

	(void)state;
	scene_init(&scene, TIMEOUT);
	/* In a round of its own: a proof of the victim and the operator would be kept, and used. */
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	fake_registry_lie(scene.fake, LIE_PROOFS_OTHER, "test:victim");
	assert_int_equal(want_proof(&scene, "test:victim", "1.0.0"), FAULT_FORGED);
	assert_null(find_proof(&scene, "1.0.0", 0));
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(want_proof(&scene, "test:victim", "1.0.0"), FAULT_NONE);
	scene_release(&scene);
}

/* A crowd for one release is one fetch, and those for others stay a few. */
static void test_proofs_of_many(void **state)
{
	struct name name = forge_name("test:victim");
	unsigned before, fetched, kept = 0;
	struct told told[40];
	struct scene scene;
	char version[16];

	(void)state;
	scene_init(&scene, TIMEOUT);
	for (int i = 0; i < 30; i++) {
		snprintf(version, sizeof(version), "2.0.%d", i);
		fake_registry_release(scene.fake, "test:victim", version);
	}
	fake_registry_sign(scene.fake);
	/* In a round of its own: a proof of the victim and the operator would be kept, and used. */
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	before = fake_registry_count(scene.fake, "v1/proof/inclusion");
	fake_registry_gather(scene.fake, "v1/proof/inclusion", 2);
	for (int i = 0; i < 40; i++) {
		told_init(&told[i], CLOCK_NEVER);
		snprintf(version, sizeof(version), "2.0.%d", i == 20 ? 1 : 0);
		registry_want_proof(scene.registry, &name, version, &told[i].waiter);
	}
	for (int i = 0; i < 40; i++) {
		told_wait(&told[i]);
		assert_int_equal(told[i].kind, FAULT_NONE);
	}
	fetched = fake_registry_count(scene.fake, "v1/proof/inclusion");
	assert_int_equal(fetched, 2); /* counts were forgotten when the gathering began */
	assert_true(before > 0);
	fake_registry_gather(scene.fake, "", 0);
	for (int i = 0; i < 30; i++) {
		snprintf(version, sizeof(version), "2.0.%d", i);
		assert_int_equal(want_proof(&scene, "test:victim", version), FAULT_NONE);
	}
	for (int i = 0; i < 30; i++) {
		struct registry_proof *proof;

		snprintf(version, sizeof(version), "2.0.%d", i);
		proof = find_proof(&scene, version, 0);
		kept += proof != NULL;
		registry_proof_unref(proof);
	}
	assert_int_equal(kept, 16);
	scene_release(&scene);
}

/* While the network hangs: deadlines are kept, the updater is not held up, and the end comes all the same. */
static void test_proof_while_the_network_hangs(void **state)
{
	struct name name = forge_name("test:victim");
	struct told late, leaver, waits;
	struct scene scene;

	(void)state;
	scene_init(&scene, 100000);
	/* In a round of its own: a proof of the victim and the operator would be kept, and used. */
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	assert_int_equal(add(&scene, "test:victim", NULL), 0);
	fake_registry_gather(scene.fake, "v1/proof/inclusion", 1000);
	told_init(&late, clock_now());
	told_init(&leaver, CLOCK_NEVER);
	told_init(&waits, CLOCK_NEVER);
	registry_want_proof(scene.registry, &name, "1.0.0", &waits.waiter);
	registry_want_proof(scene.registry, &name, "1.0.0", &late.waiter);
	registry_want_proof(scene.registry, &name, "1.0.0", &leaver.waiter);
	told_wait(&late);
	assert_int_equal(late.kind, FAULT_TIMEOUT);
	assert_true(registry_leave(scene.registry, &leaver.waiter));
	assert_int_equal(registry_refresh(scene.registry, NULL), 0);
	registry_close(scene.registry);
	scene.registry = NULL;
	told_wait(&waits);
	assert_int_equal(waits.kind, FAULT_CANCELLED);
	fake_registry_gather(scene.fake, "", 0);
	scene_release(&scene);
}

/* ---- Many at once ---- */

#define THREADS 4
#define TURNS 25

static void *crowd(void *argument)
{
	struct scene *scene = argument;

	for (size_t i = 0; i < TURNS; i++) {
		struct told told[3], proof;
		struct name name;
		char text[32];
		struct view *view;

		snprintf(text, sizeof(text), "test:p%zu", i % 7);
		name_parse(span_of_text(text), &name, NULL);
		for (size_t j = 0; j < 3; j++)
			told_init(&told[j], registry_deadline(scene->registry));
		registry_want_package(scene->registry, &name, &told[0].waiter);
		if (i % 5 == 0)
			registry_want_refresh(scene->registry, &told[1].waiter);
		else
			registry_want_listing(scene->registry, &told[1].waiter);
		registry_want_package(scene->registry, &name, &told[2].waiter);
		if (registry_leave(scene->registry, &told[2].waiter))
			told[2].is_done = true;
		told_init(&proof, registry_deadline(scene->registry));
		registry_want_proof(scene->registry, &name, "1.0.0", &proof.waiter);
		if (i % 3 == 0 && registry_leave(scene->registry, &proof.waiter))
			proof.is_done = true;
		told_wait(&proof);
		view = registry_view(scene->registry);
		view_find(view, &name);
		view_unref(view);
		for (size_t j = 0; j < 3; j++)
			told_wait(&told[j]);
		if (told[0].verdict)
			return scene;
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	pthread_t threads[THREADS];
	struct scene scene;
	void *bad;

	(void)state;
	scene_init(&scene, TIMEOUT);
	for (size_t i = 0; i < 7; i++) {
		char text[32];

		snprintf(text, sizeof(text), "test:p%zu", i);
		fake_registry_release(scene.fake, text, "1.0.0");
	}
	fake_registry_sign(scene.fake);
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, crowd, &scene), 0);
	fake_registry_release(scene.fake, "test:p3", "1.1.0");
	fake_registry_sign(scene.fake);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ledger_hangs),
		cmocka_unit_test(test_log_in_parts),
		cmocka_unit_test(test_update_in_one_go),
		cmocka_unit_test(test_update_of_many),
		cmocka_unit_test(test_update_of_many_lied_to),
		cmocka_unit_test(test_rollback_after_reset),
		cmocka_unit_test(test_fork_latches),
		cmocka_unit_test(test_inconsistent),
		cmocka_unit_test(test_nothing_before_the_first_checkpoint),
		cmocka_unit_test(test_want),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_next_look),
		cmocka_unit_test(test_bad_package),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_listing),
		cmocka_unit_test(test_listing_withheld),
		cmocka_unit_test(test_listing_that_fails),
		cmocka_unit_test(test_store),
		cmocka_unit_test(test_nobody_waits_for_the_disk),
		cmocka_unit_test(test_broken_store),
		cmocka_unit_test(test_locked_store),
		cmocka_unit_test(test_close_while_the_network_hangs),
		cmocka_unit_test(test_round_that_hangs_ends),
		cmocka_unit_test(test_spare),
		cmocka_unit_test(test_long_ahead),
		cmocka_unit_test(test_leave),
		cmocka_unit_test(test_threads_hear_no_signals),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_branches_at_once),
		cmocka_unit_test(test_branches_under_a_lock),
		cmocka_unit_test(test_one_branch),
		cmocka_unit_test(test_proof),
		cmocka_unit_test(test_proof_that_lies),
		cmocka_unit_test(test_proofs_of_many),
		cmocka_unit_test(test_proof_while_the_network_hangs),
		cmocka_unit_test(test_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
