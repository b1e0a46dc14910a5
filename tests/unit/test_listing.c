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
#include "torture.h"

static struct http *http;

struct scene {
	struct fake_registry *fake;
	struct api api;
	struct listing *listing;
};

static struct scene scene_new(void)
{
	struct scene scene = {.fake = fake_registry_new()};

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
	fake_registry_free(scene->fake);
}

/* Bring the scene's listing to the registry's checkpoint, which nobody lies about here. */
static int update(struct scene *scene, const struct name *known, size_t known_count, struct fault *flt)
{
	struct signed_checkpoint checkpoint;
	struct listing *next;
	int verdict;

	assert_int_equal(api_fetch_checkpoint(&scene->api, clock_in_seconds(60), &checkpoint, NULL), 0);
	verdict = listing_update(&scene->api, scene->listing, &checkpoint.contents, known, known_count,
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
	assert_int_equal(scene.listing->roots.length, 5);
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
	assert_int_equal(scene.listing->roots.length, 6);
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
	assert_int_equal(scene.listing->roots.length, 0);
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

static int update_once(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct signed_checkpoint checkpoint;
	struct listing *next = NULL;
	int verdict;

	verdict = api_fetch_checkpoint(&scene->api, clock_in_seconds(60), &checkpoint, flt);
	if (!verdict)
		verdict = listing_update(&scene->api, scene->listing, &checkpoint.contents, NULL, 0,
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
		cmocka_unit_test(test_torture),
	};
	int failed;

	if (http_new(&http, NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	http_free(http);
	return failed;
}
