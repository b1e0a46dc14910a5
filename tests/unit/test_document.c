/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The texts of documents that are made from a view alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/document.h"
#include "torture.h"
#include "views.h"

struct scene {
	struct mount mount;
	struct view *view;
	struct path path;
	struct buf text;
};

static int set_up(void **state)
{
	static struct scene scene;

	scene = (struct scene){0};
	scene.view = views_make(&(struct views_words){ VIEWS_LIST("ns:a 1.0.0 -1.1.0"), NULL, false, NULL });
	buf_init(&scene.text, DOCUMENT_MOST);
	*state = &scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	view_unref(scene->view);
	buf_release(&scene->text);
	return 0;
}

static int render(struct scene *scene, enum path_kind kind, const char *text, struct fault *flt)
{
	scene->path = (struct path){ .kind = kind };
	strcpy(scene->path.text, text);
	return document_render(&scene->mount, scene->view, &scene->path, &scene->text, flt);
}

static void test_yanked(void **state)
{
	static const char expected[] =
		"package: ns:a\n"
		"version: 1.1.0\n"
		"yanked-by: sha256:%s\n"
		"yanked-at: 2023-11-14T22:30:02.000000007Z\n"
		"released-by: sha256:%s\n"
		"released-at: 2023-11-14T22:13:22Z\n"
		"record: sha256:%s\n";
	const char *const texts[] = { "who yanked", "who released", "-1.1.0" };
	char digests[3][DIGEST_TEXT_SIZE], whole[1024];
	struct scene *scene = *state;

	for (size_t i = 0; i < 3; i++) {
		struct digest digest = digest_of(span_of_text(texts[i]));

		digest_format(&digest, digests[i]);
	}
	snprintf(whole, sizeof(whole), expected, digests[0] + 7, digests[1] + 7, digests[2] + 7);
	assert_int_equal(render(scene, PATH_YANKED_VERSION, "ns/a/.yanked/1.1.0", NULL), 0);
	assert_true(span_is(buf_span(&scene->text), whole));
}

static void test_checkpoint(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(render(scene, PATH_CHECKPOINT, ".warg/checkpoint", NULL), 0);
	assert_int_equal(scene->text.data[0], '{');
	assert_memory_equal(scene->text.data + scene->text.length - 2, "}\n", 2);
}

/* What the view does not have is no lie of anybody's. */
static void test_unknown(void **state)
{
	static const struct {
		enum path_kind kind;
		const char *text;
	} rows[] = {
		{PATH_YANKED_VERSION, "ns/a/.yanked/1.0.0"}, {PATH_YANKED_VERSION, "ns/a/.yanked/3.0.0"},
		{PATH_YANKED_VERSION, "ns/b/.yanked/1.0.0"}, {PATH_LOG, ".warg/log/ns/b.json"},
		{PATH_OPERATOR, ".warg/operator.json"}, {PATH_RELEASE, "ns/a/1.0.0.wasm"},
	};
	struct scene *scene = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault flt = {0};

		assert_int_equal(render(scene, rows[i].kind, rows[i].text, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.verdict, WARG_UNDECIDED);
		assert_int_equal(scene->text.length, 0);
	}
}

static int try_render(void *context, struct fault *flt)
{
	struct scene *scene = context;

	buf_release(&scene->text);
	return document_render(&scene->mount, scene->view, &scene->path, &scene->text, flt);
}

static void test_torture(void **state)
{
	struct scene *scene = *state;

	assert_int_equal(render(scene, PATH_YANKED_VERSION, "ns/a/.yanked/1.1.0", NULL), 0);
	torture(try_render, scene);
	assert_int_equal(render(scene, PATH_CHECKPOINT, ".warg/checkpoint", NULL), 0);
	torture(try_render, scene);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_yanked),
		TEST(test_checkpoint),
		TEST(test_unknown),
		TEST(test_torture),
	};

	return cmocka_run_group_tests_name("document", tests, NULL, NULL);
}
