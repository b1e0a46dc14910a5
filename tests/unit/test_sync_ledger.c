/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Updates that the ledger leads: they ask for what changed, and a lie is found as it is without a ledger.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/store/ledger_parts.h"
#include "client/sync/sync.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

static struct http *http;

/* A view with a listing and three known packages, at the registry's checkpoint. */
struct scene {
	struct fake_registry *fake;
	struct api api;
	char *folder;
	struct ledger *ledger;
	struct view *view;
};

static const char *const known[] = {"test:good", "test:victim", "test:fine"};

static clock_ms soon(void)
{
	return clock_in_seconds(60);
}

static void put_listing(struct scene *scene)
{
	listing_unref(scene->view->listing);
	scene->view->listing = NULL;
	assert_int_equal(listing_update(&scene->api, scene->ledger, NULL, &scene->view->checkpoint,
					&(struct listing_known){.packages = &scene->view->packages}, soon(),
					&scene->view->listing, NULL), 0);
	ledger_keep(scene->ledger, &scene->view->checkpoint);
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new(), .folder = scratch_new()};
	struct sync_wanted wanted[3];

	scene.api = (struct api){.http = http, .url = fake_registry_url(scene.fake)};
	assert_int_equal(ledger_open(scene.folder, "label", &scene.ledger, NULL), 0);
	for (size_t i = 0; i < 3; i++) {
		fake_registry_release(scene.fake, known[i], "1.0.0");
		wanted[i] = (struct sync_wanted){.name = forge_name(known[i])};
	}
	fake_registry_sign(scene.fake);
	assert_int_equal(sync_refresh(&scene.api, NULL, NULL, NULL, wanted, 3, soon(), &scene.view, NULL, NULL), 0);
	assert_int_equal(scene.view->packages.count, 3);
	put_listing(&scene);
	fake_registry_gather(scene.fake, "", 0);
	return scene;
}

static void scene_release(struct scene *scene)
{
	view_unref(scene->view);
	ledger_close(scene->ledger);
	scratch_free(scene->folder);
	fake_registry_free(scene->fake);
}

static int refresh(struct scene *scene, struct sync_refused *refused, struct fault *flt)
{
	struct view *next;
	int verdict = sync_refresh(&scene->api, NULL, scene->ledger, scene->view, NULL, 0, soon(), &next, refused, flt);

	if (!verdict) {
		view_unref(scene->view);
		scene->view = next;
	}
	return verdict;
}

static const struct view_package *find(const struct view *view, const char *text)
{
	struct name name = forge_name(text);

	return view_find(view, &name);
}

static size_t releases(const struct view *view, const char *text)
{
	const struct view_package *package = find(view, text);
	size_t count = 0;

	if (package)
		package_log_releases(package->log, &count);
	return count;
}

/* What came to the registry since it last forgot its counts. */
static void check_requests(const struct scene *scene, unsigned logs, unsigned inclusion, unsigned consistency)
{
	assert_int_equal(fake_registry_count(scene->fake, "v1/fetch/checkpoint"), 1);
	assert_int_equal(fake_registry_count(scene->fake, "v1/fetch/logs"), logs);
	assert_int_equal(fake_registry_count(scene->fake, "v1/proof/inclusion"), inclusion);
	assert_int_equal(fake_registry_count(scene->fake, "v1/proof/consistency"), consistency);
}

/* ---- The honest registry ---- */

/* Packages that did not change are neither asked for nor touched. */
static void test_one_changed(void **state)
{
	struct scene scene = scene_new();
	struct view *before = view_ref(scene.view);

	(void)state;
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_release(scene.fake, "test:good", "1.2.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	check_requests(&scene, 1, 1, 0);
	assert_int_equal(releases(scene.view, "test:good"), 3);
	assert_int_equal(releases(before, "test:good"), 1);
	assert_ptr_equal(find(scene.view, "test:victim"), find(before, "test:victim"));
	assert_ptr_equal(find(scene.view, "test:fine"), find(before, "test:fine"));
	assert_true(view_package_is_current(find(scene.view, "test:fine")));
	assert_int_equal(scene.view->listing->length, scene.view->checkpoint.contents.log_length);
	assert_int_equal(scene.view->listing->names.count, 4);
	assert_true(scene.view->listing->complete);
	view_unref(before);
	scene_release(&scene);
}

/* Growth that is expected comes beside the checkpoint, and names that are known are not asked for. */
static void test_growth_expected(void **state)
{
	struct scene scene = scene_new();
	struct sync_wanted wanted = {.name = forge_name("test:new")};
	struct view *next;

	(void)state;
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	ledger_expect_growth(scene.ledger);
	assert_int_equal(sync_refresh(&scene.api, NULL, scene.ledger, scene.view, &wanted, 1, soon(), &next, NULL,
				      NULL), 0);
	check_requests(&scene, 1, 1, 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	assert_int_equal(releases(next, "test:good"), 2);
	assert_int_equal(releases(next, "test:new"), 1);
	assert_true(next->listing->complete);
	view_unref(scene.view);
	scene.view = next;
	/* What did not come is no fault, and the one after it comes from where the last part was. */
	ledger_expect_growth(scene.ledger);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	fake_registry_release(scene.fake, "test:good", "1.2.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(releases(scene.view, "test:good"), 3);
	scene_release(&scene);
}

/* Records that no checkpoint comes for are kept for the next one, but not without end. */
static void test_growth_unsigned(void **state)
{
	const unsigned some = CAP_REQUEST_RECORDS * 3 / 4;
	struct scene scene = scene_new();
	char version[20];

	(void)state;
	for (unsigned i = 1; i <= 4 * some; i++) {
		snprintf(version, sizeof(version), "2.0.%u", i);
		fake_registry_release(scene.fake, "test:good", version);
		if (i % some)
			continue;
		ledger_expect_growth(scene.ledger);
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
	}
	assert_int_equal(scene.ledger->spool.end - scene.ledger->spool.first, 2 * some);
	fake_registry_sign(scene.fake);
	ledger_expect_growth(scene.ledger);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	assert_int_equal(scene.view->listing->length, scene.view->checkpoint.contents.log_length);
	scene_release(&scene);
}

static void hang(struct server_connection *connection, const struct server_request *request, void *user)
{
	(void)request;
	atomic_fetch_add((atomic_uint *)user, 1);
	server_hang(connection);
}

/* Growth that does not come beside one checkpoint holds up no other. */
static void test_growth_hangs(void **state)
{
	struct scene scene = scene_new();
	struct signed_checkpoint newest;
	atomic_uint asked = 0;

	(void)state;
	server_on(fake_registry_server(scene.fake), "/ledger.bin", hang, &asked);
	for (int i = 0; i < 3; i++) {
		ledger_expect_growth(scene.ledger);
		assert_int_equal(ledger_fetch_checkpoint(scene.ledger, &scene.api, clock_in_seconds(2), &newest, NULL),
				 0);
	}
	assert_int_equal(atomic_load(&asked), 1);
	server_release(fake_registry_server(scene.fake));
	scene_release(&scene);
}

/*
 * What came beside a checkpoint came from where the last part was once, unasked: if it is wrong, the registry's list is
 * asked for before that is called a lie.
 */
static void test_growth_from_elsewhere(void **state)
{
	struct scene scene = scene_new();
	struct signed_checkpoint newest;
	struct listing *listing;

	(void)state;
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	fake_registry_lie(scene.fake, LIE_LEDGER_CHANGED, NULL);
	ledger_expect_growth(scene.ledger);
	assert_int_equal(ledger_fetch_checkpoint(scene.ledger, &scene.api, soon(), &newest, NULL), 0);
	assert_int_equal(scene.ledger->spool.end, newest.contents.log_length);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(listing_update(&scene.api, scene.ledger, scene.view->listing, &newest, NULL, soon(), &listing,
					NULL), 0);
	assert_int_equal(listing->length, newest.contents.log_length);
	listing_unref(listing);
	scene_release(&scene);
}

/* Growth is asked for where the last part was. If it is not there, or what is there is wrong, the parts are listed. */
static void test_tail_elsewhere(void **state)
{
	static const char *const urls[] = {NULL, "nothing.bin", "rubbish.bin"};
	unsigned char rubbish[64 * 100] = {0};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct scene scene = scene_new();
		struct buf *url = &scene.ledger->tail.url;

		server_on_answer(fake_registry_server(scene.fake), "/rubbish.bin", 200,
				 (struct span){rubbish, sizeof(rubbish)});
		if (urls[i]) {
			url->length -= sizeof("ledger.bin");
			assert_int_equal(buf_append(url, (struct span){(const unsigned char *)urls[i],
								       strlen(urls[i]) + 1}, NULL), 0);
		}
		fake_registry_release(scene.fake, "test:good", "1.1.0");
		fake_registry_sign(scene.fake);
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
		check_requests(&scene, 1, 1, 0);
		assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), urls[i] ? 1 : 0);
		assert_int_equal(releases(scene.view, "test:good"), 2);
		assert_int_equal(scene.view->listing->length, scene.view->checkpoint.contents.log_length);
		scene_release(&scene);
	}
}

/* A checkpoint with nothing of interest: the ledger's growth, the names of new packages, and a proof of its map. */
static void test_nothing_of_interest(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	check_requests(&scene, 0, 1, 0);
	assert_int_equal(scene.view->packages.count, 3);
	scene_release(&scene);
}

/* The operator's log is asked for when it grew, and only then. */
static void test_operator_changed(void **state)
{
	struct scene scene = scene_new();
	size_t count;

	(void)state;
	fake_registry_import(scene.fake, "other", "registry.example");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	check_requests(&scene, 1, 1, 0);
	operator_log_namespaces(scene.view->operator, &count);
	assert_int_equal(count, 2);
	fake_registry_gather(scene.fake, "", 0);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	check_requests(&scene, 1, 1, 0);
	scene_release(&scene);
}

/* A ledger that is ahead of the view, as after a checkpoint that was refused, does not prove growth from the view. */
static void test_ledger_ahead(void **state)
{
	struct signed_checkpoint newest;
	struct scene scene = scene_new();
	struct listing *ahead;

	(void)state;
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(api_fetch_checkpoint(&scene.api, soon(), &newest, NULL), 0);
	assert_int_equal(listing_update(&scene.api, scene.ledger, scene.view->listing, &newest, NULL, soon(), &ahead,
					NULL), 0);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	check_requests(&scene, 1, 1, 1);
	assert_int_equal(releases(scene.view, "test:good"), 2);
	listing_unref(ahead);
	scene_release(&scene);
}

/* ---- The registry lies ---- */

/* The ledger is a lie, or none is given: the update does without. */
static void test_false_ledger(void **state)
{
	static const enum fake_lie lies[] = {LIE_LEDGER_SHORT, LIE_LEDGER_REORDERED, LIE_LEDGER_CHANGED,
					     LIE_LEDGER_NONE};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_new();

		fake_registry_release(scene.fake, "test:good", "1.1.0");
		fake_registry_release(scene.fake, "test:victim", "1.1.0");
		fake_registry_sign(scene.fake);
		fake_registry_lie(scene.fake, lies[i / 2], "test:victim");
		if (i % 2)
			ledger_expect_growth(scene.ledger);
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
		/* The last part may come in spite of there being no list. */
		if (lies[i / 2] == LIE_LEDGER_NONE) {
			assert_int_equal(fake_registry_count(scene.fake, "v1/proof/consistency"), 0);
			assert_int_equal(releases(scene.view, "test:good"), 2);
			scene_release(&scene);
			continue;
		}
		assert_int_equal(fake_registry_count(scene.fake, "v1/proof/inclusion"), 1);
		assert_int_equal(fake_registry_count(scene.fake, "v1/proof/consistency"), 1);
		assert_int_equal(releases(scene.view, "test:good"), 2);
		assert_null(scene.view->listing);
		scene_release(&scene);
	}
}

/* The victim's log is lied about: it keeps what was proven, and the fault; the others come. */
static void test_false_log(void **state)
{
	static const enum fake_lie lies[] = {LIE_OTHER_LOG, LIE_WITHHELD, LIE_EMPTY, LIE_ABSENT, LIE_RECORD, LIE_INDEX,
					     LIE_INDEX_PAST, LIE_INDEX_ORDER};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		struct scene scene = scene_new();

		fake_registry_release(scene.fake, "test:good", "1.1.0");
		fake_registry_release(scene.fake, "test:victim", "1.1.0");
		fake_registry_release(scene.fake, "test:victim", "1.2.0");
		fake_registry_sign(scene.fake);
		fake_registry_lie(scene.fake, lies[i], "test:victim");
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
		assert_int_equal(releases(scene.view, "test:good"), 2);
		assert_int_equal(releases(scene.view, "test:victim"), 1);
		assert_int_equal(view_package_fault(find(scene.view, "test:victim"))->verdict, WARG_INVALID);
		/* With the same checkpoint, and the truth, it comes. */
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
		assert_int_equal(releases(scene.view, "test:victim"), 3);
		assert_int_equal(view_package_fault(find(scene.view, "test:victim"))->verdict, 0);
		scene_release(&scene);
	}
}

/* What a restart would find is the checkpoint of the view, whatever was offered since. */
static void check_kept(const struct scene *scene)
{
	struct signed_checkpoint kept;
	struct ledger *again;
	bool found;

	assert_int_equal(ledger_open(scene->folder, "label", &again, NULL), 0);
	assert_int_equal(ledger_load(again, &kept, &found, NULL), 0);
	assert_true(found);
	assert_true(checkpoint_same_state(&kept.contents, &scene->view->checkpoint.contents));
	ledger_close(again);
}

/* The operator signs a map that is none: the checkpoint is not believed, with and without news of interest. */
static void test_false_map(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	fake_registry_release(scene.fake, "test:new", "1.1.0");
	fake_registry_sign(scene.fake);
	fake_registry_lie(scene.fake, LIE_MAP_ROOT, NULL);
	assert_int_equal(refresh(&scene, NULL, NULL), WARG_INVALID);
	check_kept(&scene);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), WARG_INVALID);
	check_kept(&scene);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	assert_int_equal(releases(scene.view, "test:good"), 2);
	scene_release(&scene);
}

/* A package that failed is asked for again at a later checkpoint that has nothing new of it, or more. */
static void test_failed_again(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		struct scene scene = scene_new();

		fake_registry_release(scene.fake, "test:victim", "1.1.0");
		fake_registry_sign(scene.fake);
		fake_registry_lie(scene.fake, LIE_WITHHELD, "test:victim");
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
		assert_int_equal(releases(scene.view, "test:victim"), 1);
		fake_registry_lie(scene.fake, LIE_NONE, NULL);
		fake_registry_release(scene.fake, more ? "test:victim" : "test:good", "1.2.0");
		fake_registry_sign(scene.fake);
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
		assert_int_equal(releases(scene.view, "test:victim"), 2 + (size_t)more);
		assert_int_equal(releases(scene.view, "test:good"), 2 - (size_t)more);
		assert_int_equal(view_package_fault(find(scene.view, "test:victim"))->verdict, 0);
		scene_release(&scene);
	}
}

/* A package that fails was proven at the checkpoint before, also if that was none that changed it. */
static void test_failed_later(void **state)
{
	struct scene scene = scene_new();
	uint64_t length;

	(void)state;
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	length = scene.view->checkpoint.contents.log_length;
	fake_registry_lie(scene.fake, LIE_WITHHELD, "test:victim");
	for (int i = 0; i < 2; i++) {
		fake_registry_release(scene.fake, "test:victim", i ? "1.2.0" : "1.1.0");
		fake_registry_sign(scene.fake);
		assert_int_equal(refresh(&scene, NULL, NULL), 0);
		assert_false(view_package_is_current(find(scene.view, "test:victim")));
		assert_int_equal(find(scene.view, "test:victim")->log_length, length);
	}
	scene_release(&scene);
}

/* A checkpoint of another branch is found out, and is evidence, although the ledger is asked first. */
static void test_fork(void **state)
{
	struct fake_registry *other = fake_registry_new();
	struct sync_refused refused;
	struct scene scene = scene_new();
	struct api api = scene.api;

	(void)state;
	for (int i = 0; i < 4; i++) {
		char version[16];

		snprintf(version, sizeof(version), "2.%d.0", i);
		fake_registry_release(other, "test:good", version);
	}
	fake_registry_sign(other);
	scene.api.url = fake_registry_url(other);
	assert_int_equal(refresh(&scene, &refused, NULL), WARG_INVALID);
	assert_int_equal(refused.contradiction, SYNC_INCONSISTENT);
	operator_log_unref(refused.operator);
	assert_int_equal(releases(scene.view, "test:good"), 1);
	/* Nothing of the other branch proves anything here. */
	scene.api = api;
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	assert_int_equal(releases(scene.view, "test:good"), 2);
	fake_registry_free(other);
	scene_release(&scene);
}

/* A ledger that does not come, be it its list or its parts, keeps no update from its end. */
static void test_ledger_hangs(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct scene scene = scene_new();
		atomic_uint asked = 0;
		struct view *next;

		fake_registry_release(scene.fake, "test:good", "1.1.0");
		fake_registry_sign(scene.fake);
		if (i)
			buf_release(&scene.ledger->tail.url);
		else
			server_on(fake_registry_server(scene.fake), "/ledger.bin", hang, &asked);
		fake_registry_gather(scene.fake, "v1/ledger", i ? 2 : 0);
		assert_int_equal(sync_refresh(&scene.api, NULL, scene.ledger, scene.view, NULL, 0,
					      clock_in_seconds(2), &next, NULL, NULL), 0);
		assert_int_equal(releases(next, "test:good"), 2);
		assert_null(next->listing);
		fake_registry_gather(scene.fake, "", 0);
		view_unref(next);
		scene_release(&scene);
	}
}

/* As after a restart. */
static void reopen(struct scene *scene)
{
	struct signed_checkpoint kept;
	bool found;

	ledger_close(scene->ledger);
	assert_int_equal(ledger_open(scene->folder, "label", &scene->ledger, NULL), 0);
	assert_int_equal(ledger_load(scene->ledger, &kept, &found, NULL), 0);
	assert_true(found);
}

/* The branch that is refused is not put in the place of what lies on disk. */
static void test_fork_after_restart(void **state)
{
	struct fake_registry *other = fake_registry_new();
	struct scene scene = scene_new();
	struct api api = scene.api;

	(void)state;
	reopen(&scene);
	for (int i = 0; i < 4; i++) {
		char version[16];

		snprintf(version, sizeof(version), "2.%d.0", i);
		fake_registry_release(other, "test:good", version);
	}
	fake_registry_sign(other);
	scene.api.url = fake_registry_url(other);
	assert_int_equal(refresh(&scene, NULL, NULL), WARG_INVALID);
	check_kept(&scene);
	scene.api = api;
	for (int i = 0; i < 4; i++) {
		char version[16];

		snprintf(version, sizeof(version), "3.%d.0", i);
		fake_registry_release(scene.fake, "test:good", version);
	}
	fake_registry_sign(scene.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	check_requests(&scene, 1, 1, 0);
	assert_int_equal(releases(scene.view, "test:good"), 5);
	assert_true(scene.view->listing->complete);
	fake_registry_free(other);
	scene_release(&scene);
}

/*
 * A checkpoint is refused for another one's sake than the view's: the ledger finds the way back from its branch.
 * @param has_names  false: the names that are new on the branch do not come, so that the update does without the ledger
 */
static void come_back_from_branch(bool has_names)
{
	struct scene scene = scene_new(), honest = scene_new();
	struct signed_checkpoint newest;
	struct listing *listing;

	fake_registry_release(honest.fake, "test:fine", "1.1.0");
	fake_registry_sign(honest.fake);
	assert_int_equal(api_fetch_checkpoint(&honest.api, soon(), &scene.view->held[1], NULL), 0);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, has_names ? "test:good" : "test:new", "1.2.0");
	fake_registry_sign(scene.fake);
	if (!has_names)
		server_on_answer(fake_registry_server(scene.fake), "/v1/fetch/names", 500, span_of_text("{}"));
	assert_int_equal(refresh(&scene, NULL, NULL), WARG_INVALID);
	assert_int_equal(ledger_length(scene.ledger), scene.view->checkpoint.contents.log_length + 2);
	check_kept(&scene);
	scene.api = honest.api;
	for (int i = 0; i < 4; i++) {
		char version[16];

		snprintf(version, sizeof(version), "3.%d.0", i);
		fake_registry_release(honest.fake, "test:victim", version);
	}
	fake_registry_sign(honest.fake);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	assert_int_equal(releases(scene.view, "test:good"), 1);
	assert_int_equal(releases(scene.view, "test:fine"), 2);
	assert_int_equal(releases(scene.view, "test:victim"), 5);
	assert_int_equal(api_fetch_checkpoint(&honest.api, soon(), &newest, NULL), 0);
	assert_int_equal(listing_update(&scene.api, scene.ledger, NULL, &newest, NULL, soon(), &listing, NULL), 0);
	assert_true(listing->complete);
	listing_unref(listing);
	scene_release(&honest);
	scene_release(&scene);
}

static void test_back_from_branch(void **state)
{
	(void)state;
	come_back_from_branch(true);
	come_back_from_branch(false);
}

/* The ledger's file is damaged while names are fetched. */
static void damage(struct server_connection *connection, const struct server_request *request, int status,
		   struct span body, void *user)
{
	char head[200];
	int fd;

	if (strstr(request->target, "/names")) {
		fd = open(user, O_WRONLY);
		assert_int_equal(pwrite(fd, "damage", 6, 16 + 64 * 100), 6);
		close(fd);
	}
	snprintf(head, sizeof(head), "HTTP/1.1 %d Fine\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n"
		 "connection: close\r\n\r\n", status, body.length);
	server_write_text(connection, head);
	server_write(connection, body);
}

/* Then it does not tell which logs grew: all are asked for. */
static void test_damaged_meanwhile(void **state)
{
	struct scene scene = scene_new();
	char *path;

	(void)state;
	assert_true(asprintf(&path, "%s/label/ledger", scene.folder) > 0);
	for (int i = 0; i < 300; i++) {
		char version[16];

		snprintf(version, sizeof(version), "2.%d.0", i);
		fake_registry_release(scene.fake, i < 150 ? "test:good" : "test:new", version);
	}
	fake_registry_sign(scene.fake);
	server_on_answering(fake_registry_server(scene.fake), damage, path);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	check_requests(&scene, 1, 1, 0);
	assert_int_equal(releases(scene.view, "test:good"), 151);
	assert_int_equal(scene.view->packages.count, 3);
	assert_int_equal(ledger_length(scene.ledger), 0);
	scene_release(&scene);
	free(path);
}

/* ---- Memory ---- */

/* A package that there was no memory for says so, and stays what it was. */
static void check_good(const struct view *view)
{
	const struct view_package *good = find(view, "test:good");

	assert_int_equal(releases(view, "test:good"), view_package_is_current(good) ? 2 : 1);
	if (!view_package_is_current(good))
		assert_int_equal(view_package_fault(good)->verdict, WARG_UNDECIDED);
}

static int refresh_anew(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct signed_checkpoint kept;
	struct ledger *ledger = NULL;
	struct view *next;
	bool found;
	int verdict = ledger_open(scene->folder, "label", &ledger, flt);

	if (!verdict)
		verdict = ledger_load(ledger, &kept, &found, flt);
	if (!verdict)
		verdict = sync_refresh(&scene->api, NULL, ledger, scene->view, NULL, 0, soon(), &next, NULL, flt);
	if (!verdict) {
		check_good(next);
		assert_int_equal(releases(next, "test:fine"), 1);
		view_unref(next);
	}
	ledger_close(ledger);
	return verdict;
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	torture_some(refresh_anew, &scene, 3);
	assert_int_equal(refresh(&scene, NULL, NULL), 0);
	assert_true(scene.view->listing->complete);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_changed),
		cmocka_unit_test(test_nothing_of_interest),
		cmocka_unit_test(test_growth_expected),
		cmocka_unit_test(test_growth_unsigned),
		cmocka_unit_test(test_growth_hangs),
		cmocka_unit_test(test_growth_from_elsewhere),
		cmocka_unit_test(test_tail_elsewhere),
		cmocka_unit_test(test_operator_changed),
		cmocka_unit_test(test_ledger_ahead),
		cmocka_unit_test(test_false_ledger),
		cmocka_unit_test(test_false_log),
		cmocka_unit_test(test_false_map),
		cmocka_unit_test(test_failed_again),
		cmocka_unit_test(test_failed_later),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_after_restart),
		cmocka_unit_test(test_back_from_branch),
		cmocka_unit_test(test_ledger_hangs),
		cmocka_unit_test(test_damaged_meanwhile),
		cmocka_unit_test(test_torture),
	};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
