/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Receipts: kept, found, listed, and read as a stranger's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/receipts.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

struct scene {
	char *folder;
	struct receipts *receipts;
	struct name name;
};

static struct scene scene_new(void)
{
	struct scene scene = {.folder = scratch_new(), .name = forge_name("test:some")};

	assert_int_equal(receipts_open(scene.folder, "label", &scene.receipts, NULL), 0);
	return scene;
}

static void scene_release(struct scene *scene)
{
	receipts_close(scene->receipts);
	scratch_free(scene->folder);
}

static void put(struct scene *scene, const char *id, const char *text)
{
	struct digest digest = digest_of(span_of_text(id));

	assert_int_equal(receipts_put(scene->receipts, &scene->name, &digest, span_of_text(text), NULL), 0);
}

/* @return whether there is one, with exactly this text */
static bool has(struct scene *scene, const char *id, const char *text)
{
	struct digest digest = digest_of(span_of_text(id));
	struct buf read;
	bool found, same;

	buf_init(&read, CAP_PROOF);
	assert_int_equal(receipts_read(scene->receipts, &scene->name, &digest, &read, &found, NULL), 0);
	same = found && span_is(buf_span(&read), text);
	buf_release(&read);
	return same;
}

static size_t count(struct scene *scene)
{
	struct digest *ids = NULL;
	size_t found;

	assert_int_equal(receipts_list(scene->receipts, &scene->name, &ids, &found, NULL), 0);
	free(ids);
	return found;
}

static void test_kept(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	assert_false(has(&scene, "a", "1"));
	assert_int_equal(count(&scene), 0);
	put(&scene, "a", "1");
	put(&scene, "b", "2");
	put(&scene, "a", "3");
	assert_true(has(&scene, "a", "3"));
	assert_true(has(&scene, "b", "2"));
	assert_int_equal(count(&scene), 2);
	scene.name = forge_name("test:other");
	assert_int_equal(count(&scene), 0);
	assert_false(has(&scene, "a", "3"));
	/* They outlive who wrote them. */
	receipts_close(scene.receipts);
	assert_int_equal(receipts_open(scene.folder, "label", &scene.receipts, NULL), 0);
	scene.name = forge_name("test:some");
	assert_true(has(&scene, "a", "3"));
	scene_release(&scene);
}

/* Links, and whatever else lies there, are none. */
static void test_planted(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	put(&scene, "a", "1");
	scratch_write_text(scratch_path(scene.folder, "elsewhere"), "secret");
	assert_int_equal(symlink(scratch_path(scene.folder, "elsewhere"),
				 scratch_path(scene.folder, "label/receipts/test/some/"
			"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d.json")), 0);
	scratch_write_text(scratch_path(scene.folder, "label/receipts/test/some/README"), "x");
	assert_false(has(&scene, "b", "secret"));
	assert_int_equal(count(&scene), 1);
	scene_release(&scene);
}

static int try_put(void *context, struct fault *flt)
{
	struct scene *scene = context;
	struct digest digest = digest_of(span_of_text("a"));
	struct digest *ids = NULL;
	size_t listed;
	int r = receipts_put(scene->receipts, &scene->name, &digest, span_of_text("1"), flt);

	if (!r)
		r = receipts_list(scene->receipts, &scene->name, &ids, &listed, flt);
	free(ids);
	return r;
}

static void test_torture(void **state)
{
	struct scene scene = scene_new();

	(void)state;
	torture(try_put, &scene);
	scene_release(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_planted),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
