/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What views say about the tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/tree.h"
#include "torture.h"
#include "views.h"

/* The place of a path. */
static struct path at(const char *text)
{
	char copy[PATH_SIZE], *rest = copy, *name;
	struct path path = path_root(), child;

	snprintf(copy, sizeof(copy), "%s", text);
	while (*text && (name = strsep(&rest, "/"))) {
		if (!path_child(&path, name, &child))
			fail_msg("cannot be: %s", text);
		path = child;
	}
	return path;
}

static enum tree_answer has(const struct view *view, const char *text)
{
	struct path path = at(text);

	return tree_has(view, &path);
}

struct row {
	const char *path;
	enum tree_answer answer;
};

static void check(const struct view *view, const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum tree_answer answer = has(view, rows[i].path);

		if (answer != rows[i].answer)
			fail_msg("%s: %d, not %d", rows[i].path, answer, rows[i].answer);
	}
}
#define CHECK(view, rows) check(view, rows, sizeof(rows) / sizeof((rows)[0]))

#define HELLO "ns:hello 0.9.0 1.0.0 -1.1.0 2.0.0-rc.1"

/* What is known of a package is known whatever else is. */
static const struct row known[] = {
	{"", TREE_YES}, {".warg", TREE_YES}, {".warg/status", TREE_YES}, {".warg/log", TREE_YES}, {".latest", TREE_YES},
	{"ns", TREE_YES}, {"ns/hello", TREE_YES}, {".latest/ns", TREE_YES}, {".warg/log/ns", TREE_YES},
	{".warg/log/ns/hello.json", TREE_YES}, {".latest/ns/hello.wasm", TREE_YES}, {"ns/hello/.yanked", TREE_YES},
	{"ns/hello/1.0.0.wasm", TREE_YES}, {"ns/hello/1.1.0.wasm", TREE_NO}, {"ns/hello/3.0.0.wasm", TREE_NO},
	{"ns/hello/latest.wasm", TREE_YES}, {"ns/hello/^1.wasm", TREE_YES}, {"ns/hello/^2.wasm", TREE_NO},
	{"ns/hello/=1.1.0.wasm", TREE_NO}, {"ns/hello/>=2.0.0-rc.wasm", TREE_YES},
	{"ns/hello/.yanked/1.1.0", TREE_YES}, {"ns/hello/.yanked/1.0.0", TREE_NO},
	{"ns/hello/.yanked/3.0.0", TREE_NO},
	{"ns/bare", TREE_YES}, {"ns/bare/latest.wasm", TREE_NO}, {".latest/ns/bare.wasm", TREE_NO},
	{".warg/log/ns/bare.json", TREE_YES},
	{".warg/proof", TREE_YES}, {".warg/proof/ns", TREE_YES}, {".warg/proof/ns/hello", TREE_YES},
	{".warg/proof/ns/bare", TREE_YES}, {".warg/proof/ns/hello/1.0.0.json", TREE_YES},
	{".warg/proof/ns/hello/1.1.0.json", TREE_YES}, {".warg/proof/ns/hello/3.0.0.json", TREE_NO},
	{".warg/receipts", TREE_YES}, {".warg/receipts/ns", TREE_YES}, {".warg/receipts/ns/hello", TREE_YES},
};

static struct view *make(const char *const *listed, bool is_complete)
{
	const struct views_words words = { VIEWS_LIST(HELLO, "ns:bare"), listed, is_complete, NULL };

	return views_make(&words);
}

static void test_no_listing(void **state)
{
	static const struct row rows[] = {
		{"other", TREE_ASK_LISTING}, {".latest/other", TREE_ASK_LISTING}, {".warg/log/other", TREE_ASK_LISTING},
		{"ns/other", TREE_ASK_PACKAGE}, {".latest/ns/other.wasm", TREE_ASK_PACKAGE},
		{".warg/log/ns/other.json", TREE_ASK_PACKAGE}, {"ns/other/1.0.0.wasm", TREE_ASK_PACKAGE},
		{"ns/other/latest.wasm", TREE_ASK_PACKAGE}, {"ns/other/^1.wasm", TREE_ASK_PACKAGE},
		{"ns/other/.yanked", TREE_ASK_PACKAGE}, {"ns/other/.yanked/1.0.0", TREE_ASK_PACKAGE},
		{".warg/proof/other", TREE_ASK_LISTING}, {".warg/proof/ns/other", TREE_ASK_PACKAGE},
		{".warg/proof/ns/other/1.0.0.json", TREE_ASK_PACKAGE},
	};
	struct view *view = make(NULL, false);

	(void)state;
	CHECK(view, known);
	CHECK(view, rows);
	view_unref(view);
}

static void test_incomplete(void **state)
{
	static const struct row rows[] = {
		{"other", TREE_UNSEEN}, {".latest/other", TREE_UNSEEN}, {"seen", TREE_YES},
		{".warg/log/seen", TREE_YES},
		{"seen/package", TREE_YES}, {".latest/seen/package.wasm", TREE_YES}, {"seen/other", TREE_ASK_PACKAGE},
		{"seen/package/1.0.0.wasm", TREE_ASK_PACKAGE}, {"seen/package/.yanked", TREE_YES},
	};
	struct view *view = make(VIEWS_LIST("seen:package", "ns:hello"), false);

	(void)state;
	CHECK(view, known);
	CHECK(view, rows);
	view_unref(view);
}

static void test_complete(void **state)
{
	static const struct row rows[] = {
		{"other", TREE_NO}, {".latest/other", TREE_NO}, {".warg/log/other", TREE_NO}, {"seen", TREE_YES},
		{"seen/other", TREE_NO}, {".latest/seen/other.wasm", TREE_NO}, {".warg/log/seen/other.json", TREE_NO},
		{"seen/package", TREE_YES}, {"seen/package/1.0.0.wasm", TREE_ASK_PACKAGE},
		{".warg/proof/other", TREE_NO}, {".warg/proof/seen/other", TREE_NO},
	};
	struct view *view = make(VIEWS_LIST("seen:package", "ns:hello", "ns:bare"), true);

	(void)state;
	CHECK(view, known);
	CHECK(view, rows);
	view_unref(view);
}

/* What went wrong with a package leaves what is there, and casts doubt on what is not. */
static void test_doubt(void **state)
{
	static const struct row rows[] = {
		{"ns/hello", TREE_YES}, {"ns/hello/1.0.0.wasm", TREE_YES}, {"ns/hello/latest.wasm", TREE_YES},
		{"ns/hello/1.1.0.wasm", TREE_DOUBT}, {"ns/hello/3.0.0.wasm", TREE_DOUBT},
		{"ns/hello/^3.wasm", TREE_DOUBT},
		{"ns/hello/.yanked/1.1.0", TREE_YES}, {"ns/hello/.yanked/1.0.0", TREE_DOUBT},
		{".latest/ns/hello.wasm", TREE_YES}, {"ns/bare/1.0.0.wasm", TREE_NO},
	};
	struct view *view = make(VIEWS_LIST("ns:hello", "ns:bare"), true);

	(void)state;
	views_spoil(view, "ns:hello");
	CHECK(view, rows);
	view_unref(view);
}

static void test_links(void **state)
{
	static const struct {
		const char *path, *target;
	} rows[] = {
		{"ns/hello/latest.wasm", "1.0.0.wasm"}, {"ns/hello/*.wasm", "1.0.0.wasm"},
		{"ns/hello/<1.wasm", "0.9.0.wasm"}, {"ns/hello/>=2.0.0-a.wasm", "2.0.0-rc.1.wasm"},
		{"ns/hello/^2.wasm", NULL}, {"ns/hello/=1.1.0.wasm", NULL}, {"ns/bare/latest.wasm", NULL},
		{".latest/ns/hello.wasm", "../../ns/hello/latest.wasm"},
		{".latest/ns/unknown.wasm", "../../ns/unknown/latest.wasm"}, {"ns/unknown/latest.wasm", NULL},
	};
	struct view *view = make(NULL, false);
	char target[PATH_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct path path = at(rows[i].path);

		assert_int_equal(tree_link(view, &path, target), rows[i].target != NULL);
		if (rows[i].target)
			assert_string_equal(target, rows[i].target);
	}
	view_unref(view);
}

/* The entries of a folder as "a b c". */
static void list(const struct view *view, const char *folder, char out[static 400])
{
	struct path parent = at(folder), path;
	struct tree_entries entries;
	size_t used = 0;

	assert_int_equal(tree_list(view, &parent, &entries, NULL), 0);
	out[0] = 0;
	for (size_t i = 0; i < entries.count; i++) {
		assert_true(path_join(&parent, entries.entries[i].kind, entries.entries[i].stem, &path));
		assert_int_equal(entries.entries[i].release != NULL, path.kind == PATH_RELEASE ||
				 path.kind == PATH_YANKED_VERSION || path.kind == PATH_PROOF);
		used += (size_t)snprintf(out + used, 400 - used, "%s%s", used ? " " : "", path_name(&path));
	}
	tree_entries_release(&entries);
}

static void test_list(void **state)
{
	static const struct {
		const char *folder, *names;
	} rows[] = {
		{"", "ns seen"}, {".latest", "ns seen"}, {".warg/log", "ns seen"}, {"ns", "bare hello other"},
		{".latest/ns", "hello.wasm other.wasm"}, {".warg/log/ns", "bare.json hello.json other.json"},
		{"ns/hello", "latest.wasm 0.9.0.wasm 1.0.0.wasm 2.0.0-rc.1.wasm"}, {"ns/hello/.yanked", "1.1.0"},
		{".warg/proof", "ns seen"}, {".warg/proof/ns", "bare hello other"}, {".warg/proof/ns/bare", ""},
		{".warg/proof/ns/hello", "0.9.0.json 1.0.0.json 1.1.0.json 2.0.0-rc.1.json"},
		{".warg/receipts", "ns seen"}, {".warg/receipts/ns", "bare hello other"},
		{".warg/receipts/ns/hello", ""},
		{"ns/bare", ""}, {"ns/bare/.yanked", ""}, {"seen", "package"}, {"ns/unknown", ""},
	};
	struct view *view = make(VIEWS_LIST("seen:package", "ns:hello", "ns:bare", "ns:other"), true);
	char names[400];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		list(view, rows[i].folder, names);
		assert_string_equal(names, rows[i].names);
	}
	list(view, ".warg", names);
	assert_non_null(strstr(names, "status checkpoint operator.json metrics"));
	view_unref(view);
}

static void test_complete_listings(void **state)
{
	struct view *view = make(VIEWS_LIST("ns:hello"), true), *partial = make(VIEWS_LIST("ns:hello"), false);
	const char *const folders[] = { "", ".latest", ".warg/log", "ns", ".latest/ns" };
	struct path path;

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		path = at(folders[i]);
		assert_true(tree_is_complete(view, &path));
		assert_false(tree_is_complete(partial, &path));
	}
	path = at("ns/hello/.yanked");
	assert_true(tree_is_complete(partial, &path));
	views_spoil(partial, "ns:hello");
	assert_false(tree_is_complete(partial, &path));
	path = at(".warg");
	assert_true(tree_is_complete(partial, &path));
	view_unref(view);
	view_unref(partial);
}

static void test_times(void **state)
{
	static const struct {
		const char *path;
		int64_t second; /* after VIEWS_SECOND; -1: not known */
	} rows[] = {
		{"ns/hello/0.9.0.wasm", 1}, {"ns/hello/1.0.0.wasm", 2}, {"ns/hello/.yanked/1.1.0", 1003},
		{"ns/hello/latest.wasm", 2}, {"ns/hello/<1.wasm", 1}, {".latest/ns/hello.wasm", 2}, {"ns/hello", 4},
		{"ns/hello/.yanked", 4}, {"ns", -1}, {".latest/ns", -1}, {"", -1}, {".warg/log/ns/hello.json", 4},
		{".warg/proof/ns/hello/1.1.0.json", 3}, {".warg/status", 9000}, {".warg/checkpoint", 8000},
		{"ns/unknown", -1}, {".latest/ns/unknown.wasm", -1},
		{".latest/ns/bare.wasm", -1}, {"other", -1}, {".warg/operator.json", -1},
	};
	struct view *view = make(NULL, false);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct path path = at(rows[i].path);
		struct record_time time = { VIEWS_SECOND - 1, 0 };

		if (tree_changed_at(view, &path, &time) != (rows[i].second >= 0) ||
		    time.seconds != VIEWS_SECOND + rows[i].second)
			fail_msg("%s: %jd", rows[i].path, (intmax_t)(time.seconds - VIEWS_SECOND));
	}
	view_unref(view);
}

/* A namespace's time needs the listing, and the log of the package with the newest record: no other log. */
static void test_times_of_namespaces(void **state)
{
	static const struct {
		uint32_t last[3]; /* of ns:bare, ns:hello, ns:unknown */
		bool is_listed;
		int64_t second; /* -1: not known */
		const char *path;
		enum tree_answer answer;
		const char *package;
	} rows[] = {
		{{7, 9, 8}, true, 4, "ns", TREE_YES, ""},
		{{7, 9, 8}, true, 4, ".warg/log/ns", TREE_YES, ""},
		{{9, 8, 7}, true, 0, ".latest/ns", TREE_YES, ""},
		{{7, 8, 9}, true, -1, "ns", TREE_ASK_PACKAGE, "ns:unknown"},
		{{7, 8, 9}, false, -1, "ns", TREE_ASK_LISTING, ""},
		{{7, 9, 8}, true, -1, "ns/unknown", TREE_ASK_PACKAGE, "ns:unknown"},
		{{7, 9, 8}, true, -1, "ns/absent", TREE_NO, "ns:absent"},
		{{7, 9, 8}, true, -1, ".latest/ns/unknown.wasm", TREE_ASK_PACKAGE, "ns:unknown"},
		{{7, 9, 8}, true, 4, "ns/hello", TREE_YES, ""},
		{{7, 9, 8}, true, -1, "empty", TREE_YES, ""}, /* such a view has no operator's log */
		{{7, 9, 8}, true, -1, "", TREE_YES, ""},
		{{7, 9, 8}, true, 9000, ".warg/status", TREE_YES, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct views_words words = {
			.packages = VIEWS_LIST("ns:hello 0.9.0 1.0.0 -1.1.0 2.0.0", "ns:bare"),
			.listed = rows[i].is_listed ? VIEWS_LIST("ns:bare", "ns:hello", "ns:unknown") : NULL,
			.is_complete = true,
			.last = rows[i].last,
		};
		struct record_time time = { VIEWS_SECOND - 1, 0 };
		struct view *view = views_make(&words);
		struct path path = at(rows[i].path);
		struct name package = {0};

		if (tree_changed_at(view, &path, &time) != (rows[i].second >= 0) ||
		    time.seconds != VIEWS_SECOND + rows[i].second)
			fail_msg("%zu: %jd", i, (intmax_t)(time.seconds - VIEWS_SECOND));
		assert_int_equal(tree_time(view, &path, &package), rows[i].answer);
		assert_string_equal(package.text, rows[i].package);
		view_unref(view);
	}
}

struct listed {
	const struct view *view;
	struct path folder;
};

static int try_list(void *context, struct fault *flt)
{
	const struct listed *listed = context;
	struct tree_entries entries = {0};
	int verdict = tree_list(listed->view, &listed->folder, &entries, flt);

	if (verdict)
		assert_null(entries.entries);
	tree_entries_release(&entries);
	return verdict;
}

static void test_torture(void **state)
{
	struct view *view = make(VIEWS_LIST("ns:hello"), true);
	struct listed listed = { view, at("ns") };

	(void)state;
	torture(try_list, &listed);
	view_unref(view);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_listing), cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_complete),   cmocka_unit_test(test_doubt),
		cmocka_unit_test(test_links),      cmocka_unit_test(test_list),
		cmocka_unit_test(test_complete_listings), cmocka_unit_test(test_times),
		cmocka_unit_test(test_times_of_namespaces),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests_name("tree", tests, NULL, NULL);
}
