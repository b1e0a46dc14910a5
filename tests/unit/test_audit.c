/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The audit against registries whose map is, and is not, the one that their log makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "client/sync/audit.h"
#include "forge.h"
#include "scratch.h"

#define FIRST 300 /* records: more than a piece of the ledger */
#define THEN 600

struct scene {
	char *folder;
	struct forge forge;
	struct ledger *ledger;
	struct audit *audit;

	pthread_mutex_t mutex;
	pthread_cond_t heard;
	unsigned verdicts; /* heard of */
	struct signed_checkpoint judged;
	struct digest map_root;
	bool agrees;
	struct fault fault;
};

static void judged(void *user, const struct signed_checkpoint *checkpoint, const struct digest *map_root, bool agrees)
{
	struct scene *scene = user;

	pthread_mutex_lock(&scene->mutex);
	scene->judged = *checkpoint;
	scene->map_root = *map_root;
	scene->agrees = agrees;
	scene->verdicts++;
	pthread_cond_signal(&scene->heard);
	pthread_mutex_unlock(&scene->mutex);
}

static void failed(void *user, const struct fault *flt)
{
	struct scene *scene = user;

	pthread_mutex_lock(&scene->mutex);
	scene->fault = *flt;
	scene->verdicts++;
	pthread_cond_signal(&scene->heard);
	pthread_mutex_unlock(&scene->mutex);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	struct audit_options options = { .judged = judged, .failed = failed, .user = scene };

	assert_non_null(scene);
	scene->folder = scratch_new();
	pthread_mutex_init(&scene->mutex, NULL);
	pthread_cond_init(&scene->heard, NULL);
	forge_open(&scene->forge, "test");
	forge_package(&scene->forge, "test:first", FIRST / 2);
	forge_package(&scene->forge, "test:second", FIRST / 2);
	forge_package(&scene->forge, "test:first", THEN - FIRST);
	assert_int_equal(ledger_open(scene->folder, "label", &scene->ledger, NULL), 0);
	options.ledger = scene->ledger;
	assert_int_equal(audit_new(&options, &scene->audit, NULL), 0);
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	audit_free(scene->audit);
	ledger_close(scene->ledger);
	forge_close(&scene->forge);
	pthread_cond_destroy(&scene->heard);
	pthread_mutex_destroy(&scene->mutex);
	scratch_free(scene->folder);
	free(scene);
	return 0;
}

static void grow(struct scene *scene, uint64_t length)
{
	struct signed_checkpoint checkpoint = forge_checkpoint(&scene->forge, length, 1000);
	uint64_t first = ledger_length(scene->ledger);
	struct api_ledger_entry *entries = calloc(length - first + 1, sizeof(*entries));

	assert_non_null(entries);
	for (uint64_t i = first; i < length; i++)
		entries[i - first] = (struct api_ledger_entry){ scene->forge.records[i].log_id,
								scene->forge.records[i].id };
	assert_int_equal(ledger_append(scene->ledger, entries, length - first, &checkpoint, NULL), 0);
	free(entries);
}

/* Have it judged, and wait until it was. */
static void want(struct scene *scene, const struct signed_checkpoint *checkpoint)
{
	unsigned before;

	pthread_mutex_lock(&scene->mutex);
	before = scene->verdicts;
	audit_want(scene->audit, checkpoint);
	while (scene->verdicts == before)
		pthread_cond_wait(&scene->heard, &scene->mutex);
	pthread_mutex_unlock(&scene->mutex);
}

static void test_agrees(void **state)
{
	static const uint64_t lengths[] = { 1, 2, FIRST, FIRST, FIRST + 1, THEN };
	struct audit_progress progress;
	struct scene *scene = *state;

	audit_look(scene->audit, &progress);
	assert_int_equal(progress.judged, 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct signed_checkpoint checkpoint = forge_checkpoint(&scene->forge, lengths[i], 1000);

		grow(scene, lengths[i]);
		want(scene, &checkpoint);
		assert_true(scene->agrees);
		assert_int_equal(scene->judged.contents.log_length, lengths[i]);
		audit_look(scene->audit, &progress);
		assert_int_equal(progress.judged, lengths[i]);
		assert_int_equal(progress.rebuilt, lengths[i]);
		assert_true(progress.agrees);
	}
	assert_int_equal(scene->verdicts, sizeof(lengths) / sizeof(lengths[0]));
}

/* The map that it should have is told; what comes later may agree, and the lie stays one. */
static void test_contradicts(void **state)
{
	struct scene *scene = *state;
	struct signed_checkpoint lie = forge_checkpoint(&scene->forge, FIRST, 1000);
	struct signed_checkpoint honest = forge_checkpoint(&scene->forge, THEN, 1000);
	struct digest truth = lie.contents.map_root;
	struct audit_progress progress;

	lie.contents.map_root = forge_checkpoint(&scene->forge, FIRST - 1, 1000).contents.map_root;
	grow(scene, THEN);
	want(scene, &lie);
	assert_false(scene->agrees);
	assert_true(digest_equals(&scene->judged.contents.map_root, &lie.contents.map_root));
	assert_true(digest_equals(&scene->map_root, &truth));
	want(scene, &honest);
	assert_true(scene->agrees);
	audit_look(scene->audit, &progress);
	assert_int_equal(progress.judged, THEN);
	assert_false(progress.agrees);
}

/* One that the ledger does not lead to accuses nobody, and spoils nothing. */
static void test_other_ledger(void **state)
{
	struct scene *scene = *state;
	struct signed_checkpoint other = forge_checkpoint(&scene->forge, FIRST, 1000);
	struct signed_checkpoint honest = other;

	grow(scene, FIRST);
	other.contents.log_root = forge_checkpoint(&scene->forge, 2, 1000).contents.log_root;
	want(scene, &other);
	assert_int_equal(scene->fault.verdict, WARG_UNDECIDED);
	assert_non_null(strstr(scene->fault.where, "audit of the map at length 300"));
	other = forge_checkpoint(&scene->forge, THEN, 1000);
	want(scene, &other);
	assert_int_equal(scene->fault.verdict, WARG_UNDECIDED);
	want(scene, &honest);
	assert_true(scene->agrees);
	/* A shorter one: what was read is read again. */
	honest = forge_checkpoint(&scene->forge, 2, 1000);
	want(scene, &honest);
	assert_true(scene->agrees);
	assert_int_equal(scene->judged.contents.log_length, 2);
}

/* What was read before may be gone when the ledger was fetched anew. */
static void test_fetched_anew(void **state)
{
	struct scene *scene = *state;
	struct signed_checkpoint first = forge_checkpoint(&scene->forge, FIRST, 1000);
	struct signed_checkpoint then = forge_checkpoint(&scene->forge, THEN, 1000);

	grow(scene, FIRST);
	want(scene, &first);
	ledger_forget(scene->ledger);
	grow(scene, THEN);
	want(scene, &then);
	assert_true(scene->agrees);
	assert_int_equal(scene->judged.contents.log_length, THEN);
}

/* The end does not wait for what is under way, nor for what waits. */
static void test_end(void **state)
{
	struct scene *scene = *state;
	struct signed_checkpoint checkpoint = forge_checkpoint(&scene->forge, THEN, 1000);

	grow(scene, THEN);
	audit_want(scene->audit, &checkpoint);
	audit_want(scene->audit, &checkpoint);
	audit_free(scene->audit);
	scene->audit = NULL;
	audit_free(NULL);
	assert_int_equal(scene->fault.verdict, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_agrees), TEST(test_contradicts), TEST(test_other_ledger), TEST(test_fetched_anew),
		TEST(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
