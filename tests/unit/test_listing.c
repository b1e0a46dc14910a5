/*
 * Listings against a registry that lies about its ledger and its names.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/listing.h"
#include "fake_registry.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

static struct http *http;

struct scene {
	struct fake_registry *fake;
	struct api api;
	char *folder;
	struct ledger *ledger;
	struct listing *listing;
};

static void open_ledger(struct scene *scene)
{
	assert_int_equal(ledger_open(scene->folder, "label", &scene->ledger, NULL), 0);
}

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new(), .folder = scratch_new()};

	open_ledger(&scene);
	scene.api = (struct api){.http = http, .url = fake_registry_url(scene.fake)};
	fake_registry_release(scene.fake, "test:good", "1.0.0");
	fake_registry_release(scene.fake, "test:victim", "1.0.0");
	fake_registry_release(scene.fake, "test-two:fine", "1.0.0");
	fake_registry_sign(scene.fake);
	return scene;
}

static void scene_release(struct scene *scene)
{
	listing_unref(scene->listing);
	ledger_close(scene->ledger);
	scratch_free(scene->folder);
	fake_registry_free(scene->fake);
}

/* As after a restart: nothing but what lies on disk. */
static void restart(struct scene *scene, int loaded)
{
	struct signed_checkpoint checkpoint;
	bool found;

	listing_unref(scene->listing);
	scene->listing = NULL;
	ledger_close(scene->ledger);
	open_ledger(scene);
	assert_int_equal(ledger_load(scene->ledger, &checkpoint, &found, NULL), loaded);
	fake_registry_gather(scene->fake, "", 0);
}

/* Bring the scene's listing to the registry's checkpoint, which nobody lies about here. */
static int update(struct scene *scene, const struct name *known, size_t known_count, struct fault *flt)
{
	struct signed_checkpoint checkpoint;
	struct listing *next;
	int verdict;

	assert_int_equal(api_fetch_checkpoint(&scene->api, clock_in_seconds(60), &checkpoint, NULL), 0);
	verdict = listing_update(&scene->api, scene->ledger, scene->listing, &checkpoint, known, known_count,
				 clock_in_seconds(60), &next, flt);
	if (!verdict) {
		listing_unref(scene->listing);
		scene->listing = next;
	}
	return verdict;
}

static bool has(const struct scene *scene, const char *text)
{
	struct name name = forge_name(text);

	return listing_has(scene->listing, &name);
}

static void test_complete(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->count, 3);
	assert_int_equal(scene.listing->log_count, 3);
	assert_int_equal(scene.listing->length, 5);
	assert_string_equal(scene.listing->names[0].text, "test-two:fine");
	assert_string_equal(scene.listing->names[1].text, "test:good");
	assert_string_equal(scene.listing->names[2].text, "test:victim");
	assert_true(has(&scene, "test:good"));
	assert_false(has(&scene, "test:goo"));
	assert_int_equal(listing_first_in(scene.listing, span_of_text("test")), 1);
	assert_int_equal(listing_first_in(scene.listing, span_of_text("test-two")), 0);
	assert_int_equal(listing_first_in(scene.listing, span_of_text("zebra")), 3);
	scene_release(&scene);
}

/* Only the growth is fetched, and only new names are asked for. */
static void test_growth(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_sign(scene.fake);
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(scene.listing->length, 6);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	assert_true(has(&scene, "test:new"));
	assert_true(scene.listing->complete);

	/* Nothing new: nothing is asked. */
	fake_registry_gather(scene.fake, "", 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(scene.listing->count, 4);
	scene_release(&scene);
}

/* The ledger runs past the checkpoint: what is not under it yet is not listed. */
static void test_cut_at_the_checkpoint(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	fake_registry_release(scene.fake, "test:later", "1.0.0");
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_false(has(&scene, "test:later"));
	assert_int_equal(scene.listing->count, 3);
	scene_release(&scene);
}

static void test_lies(void **state)
{
	static const enum fake_lie lies[] = {LIE_LEDGER_SHORT, LIE_LEDGER_REORDERED, LIE_LEDGER_CHANGED,
					     LIE_NAMES_SWAPPED};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		for (int grown = 0; grown < 2; grown++) {
			struct scene scene = scene_new();
			struct listing *before;
			struct fault flt = {0};

			if (grown) {
				assert_int_equal(update(&scene, NULL, 0, NULL), 0);
				fake_registry_release(scene.fake, "test:one", "1.0.0");
				fake_registry_release(scene.fake, "test:two", "1.0.0");
				fake_registry_sign(scene.fake);
			}
			before = scene.listing;
			fake_registry_lie(scene.fake, lies[i], NULL);
			assert_int_equal(update(&scene, NULL, 0, &flt), WARG_INVALID);
			assert_int_equal(flt.party, FAULT_BY_REGISTRY);
			assert_ptr_equal(scene.listing, before);
			fake_registry_lie(scene.fake, LIE_NONE, NULL);
			assert_int_equal(update(&scene, NULL, 0, NULL), 0);
			assert_true(scene.listing->complete);
			assert_int_equal(scene.listing->count, grown ? 5 : 3);
			scene_release(&scene);
		}
	}
}

static void test_names_withheld(void **state)
{
	struct scene scene = scene_new();
	struct name known = forge_name("test:victim");

	(void)state;
	fake_registry_lie(scene.fake, LIE_NAMES_WITHHELD, "test:victim");
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_false(scene.listing->complete);
	assert_int_equal(scene.listing->count, 2);
	assert_int_equal(scene.listing->log_count, 3);
	/* Known otherwise, it needs not be told. */
	assert_int_equal(update(&scene, &known, 1, NULL), 0);
	assert_true(scene.listing->complete);
	assert_true(has(&scene, "test:victim"));
	scene_release(&scene);
}

static void test_no_ledger(void **state)
{
	struct scene scene = scene_new();
	struct name known[] = {forge_name("test:victim"), forge_name("test:good"), forge_name("test:victim")};

	(void)state;
	fake_registry_lie(scene.fake, LIE_LEDGER_NONE, NULL);
	assert_int_equal(update(&scene, known, 3, NULL), 0);
	assert_false(scene.listing->complete);
	assert_int_equal(scene.listing->count, 2);
	assert_int_equal(scene.listing->length, 0);
	fake_registry_lie(scene.fake, LIE_NONE, NULL);
	assert_int_equal(update(&scene, known, 2, NULL), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->count, 3);
	scene_release(&scene);
}

/* A name that is known, and of no log under this checkpoint, is not listed. */
static void test_known_but_not_there(void **state)
{
	struct scene scene = scene_new();
	struct name known = forge_name("test:elsewhere");

	(void)state;
	assert_int_equal(update(&scene, &known, 1, NULL), 0);
	assert_true(scene.listing->complete);
	assert_false(has(&scene, "test:elsewhere"));
	scene_release(&scene);
}

/* What lies on disk is gone on from: nothing is fetched twice, over restarts, and each log's last record is known. */
static void test_restart(void **state)
{
	const struct listing_log *log;
	struct scene scene = scene_new();
	struct name name = forge_name("test:good");
	struct digest id = name_log_id(&name);

	(void)state;
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->count, 3);
	log = listing_find_log(scene.listing, &id);
	assert_non_null(log);
	assert_int_equal(log->last, 2);
	assert_true(scene.listing->operator_last < 2);

	fake_registry_release(scene.fake, "test:good", "1.1.0");
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(listing_find_log(scene.listing, &id)->last, 5);
	assert_int_equal(scene.listing->count, 4);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/ledger"), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	assert_int_equal(scene.listing->count, 4);
	assert_int_equal(scene.listing->length, 7);
	scene_release(&scene);
}

/* A ledger of another registry, proven there, lies in the folder: it is fetched anew, and nobody is accused. */
static void test_false_ledger(void **state)
{
	struct scene scene = scene_new(), other = scene_new();
	struct ledger *ours = scene.ledger;

	(void)state;
	fake_registry_release(scene.fake, "test:more", "1.0.0");
	fake_registry_sign(scene.fake);
	assert_int_equal(update(&other, NULL, 0, NULL), 0);
	restart(&other, 0);
	scene.ledger = other.ledger;
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_true(scene.listing->complete);
	assert_int_equal(scene.listing->count, 4);
	scene.ledger = ours;
	/* It was written over. */
	restart(&other, 0);
	assert_int_equal(ledger_length(other.ledger), 6);
	scene_release(&scene);
	scene_release(&other);
}

/* Names that lie on disk are believed where they hash to a log, and nowhere else. */
static void test_false_names(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	scratch_write_text(scratch_path(scene.folder, "label/names"),
			   "wargfs names 1\ntest:invented\ntest:good\n\n:::\ntest:victi");
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	assert_false(has(&scene, "test:invented"));
	assert_true(has(&scene, "test:victim"));
	assert_int_equal(scene.listing->count, 3);
	/* The torn line did not swallow the next one. */
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	assert_int_equal(scene.listing->count, 3);
	/* One of another version is written anew. */
	scratch_write_text(scratch_path(scene.folder, "label/names"), "wargfs names 2\ntest:good\n");
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 1);
	restart(&scene, 0);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	assert_int_equal(fake_registry_count(scene.fake, "v1/fetch/names"), 0);
	scene_release(&scene);
}

static int update_once(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct signed_checkpoint checkpoint;
	struct listing *next = NULL;
	int verdict;

	verdict = api_fetch_checkpoint(&scene->api, clock_in_seconds(60), &checkpoint, flt);
	if (!verdict)
		verdict = listing_update(&scene->api, scene->ledger, scene->listing, &checkpoint, NULL, 0,
					 clock_in_seconds(60), &next, flt);
	listing_unref(next);
	return verdict;
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	torture(update_once, &scene);
	assert_int_equal(update(&scene, NULL, 0, NULL), 0);
	fake_registry_release(scene.fake, "test:new", "1.0.0");
	fake_registry_sign(scene.fake);
	torture(update_once, &scene);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_complete),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_cut_at_the_checkpoint),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_names_withheld),
		cmocka_unit_test(test_no_ledger),
		cmocka_unit_test(test_known_but_not_there),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_false_ledger),
		cmocka_unit_test(test_false_names),
		cmocka_unit_test(test_torture),
	};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
