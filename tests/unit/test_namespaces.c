/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which registry a namespace lives in: the map's file, and which source counts (namespaces.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/registry/namespaces.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

/* ---- The map's file ---- */

static struct namespaces load(const char *text)
{
	char *folder = scratch_new();
	const char *path = scratch_path(folder, "namespaces");
	struct namespaces map;

	if (text)
		scratch_write_text(path, text);
	assert_int_equal(namespaces_load(path, &map, NULL), 0);
	scratch_free(folder);
	return map;
}

static void test_no_map(void **state)
{
	static const char *const texts[] = {NULL, "", "{}", "{\"Not A Namespace\":\"warg.example\"}"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct namespaces map = load(texts[i]);

		assert_int_equal(map.count, 0);
		namespaces_release(&map);
	}
}

static void test_map(void **state)
{
	struct namespaces map =
		load("{\"b\":\"B.example\",\"a\":\"../../x\",\"c\":7,\"d\":\"d.example:1\",\"e\":null}");

	(void)state;
	assert_int_equal(map.count, 5);
	assert_string_equal(map.entries[0].namespace, "b");
	assert_string_equal(map.entries[0].domain, "b.example");
	assert_string_equal(map.entries[1].domain, "");
	assert_string_equal(map.entries[2].domain, "");
	assert_string_equal(map.entries[3].domain, "d.example:1");
	assert_string_equal(map.entries[4].domain, "");
	namespaces_release(&map);
}

static void test_bad_map(void **state)
{
	static const char *const texts[] = {"{", "[]", "7", "{\"a\":\"a.example\",\"a\":\"b.example\"}", "{}x", "\xff"};
	char *folder = scratch_new();

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *path = scratch_path(folder, "namespaces");
		struct namespaces map;
		struct fault flt = {0};

		scratch_write_text(path, texts[i]);
		assert_int_equal(namespaces_load(path, &map, &flt), WARG_INVALID);
		assert_int_equal(flt.party, FAULT_BY_CACHE);
		assert_non_null(strstr(flt.where, "namespaces"));
		assert_int_equal(namespaces_add(path, span_of_text("a"), "a.example", NULL), WARG_INVALID);
		assert_true(scratch_holds(path, texts[i]));
	}
	scratch_free(folder);
}

static void test_too_many(void **state)
{
	char *folder = scratch_new();
	const char *path = scratch_path(folder, "namespaces");
	struct fault flt = {0};
	struct namespaces map;
	struct buf text;

	(void)state;
	buf_init(&text, CAP_FILE_CONFIG);
	for (size_t i = 0; i <= CAP_NAMESPACE_MAP; i++)
		assert_int_equal(buf_append_format(&text, NULL, "%s\"n%zu\":\"a.example\"", i ? "," : "{", i), 0);
	assert_int_equal(buf_append_text(&text, "}", NULL), 0);
	scratch_write(path, buf_span(&text));
	buf_release(&text);
	assert_int_equal(namespaces_load(path, &map, &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	scratch_free(folder);
}

static void test_add(void **state)
{
	char *folder = scratch_new();
	const char *path = scratch_path(folder, "new/namespaces");

	(void)state;
	assert_int_equal(namespaces_add(path, span_of_text("b"), "b.example", NULL), 0);
	assert_true(scratch_holds(path, "{\"b\":\"b.example\"}"));
	assert_int_equal(namespaces_add(path, span_of_text("a"), "a.example:1", NULL), 0);
	assert_true(scratch_holds(path, "{\"b\":\"b.example\",\"a\":\"a.example:1\"}"));
	assert_int_equal(namespaces_add(path, span_of_text("b"), "other.example", NULL), 0);
	assert_true(scratch_holds(path, "{\"a\":\"a.example:1\",\"b\":\"other.example\"}"));
	scratch_free(folder);
}

/* A configured path may be a link; what it leads to is written, and the link stays. */
static void test_link(void **state)
{
	char *folder = scratch_new();
	const char *path = scratch_path(folder, "namespaces"), *target = scratch_path(folder, "elsewhere/map");
	struct namespaces map;
	struct stat seen;

	(void)state;
	scratch_write_text(target, "{\"a\":\"a.example\"}");
	assert_int_equal(symlink("elsewhere/map", path), 0);
	assert_int_equal(namespaces_load(path, &map, NULL), 0);
	assert_int_equal(map.count, 1);
	namespaces_release(&map);
	assert_int_equal(namespaces_add(path, span_of_text("b"), "b.example", NULL), 0);
	assert_true(scratch_holds(target, "{\"a\":\"a.example\",\"b\":\"b.example\"}"));
	assert_int_equal(lstat(path, &seen), 0);
	assert_true(S_ISLNK(seen.st_mode));
	scratch_free(folder);
}

/* Somebody has the folder's lock for good: that is waited for with a bound, and nothing is written. */
static void test_locked(void **state)
{
	char *folder = scratch_new();
	const char *path = scratch_path(folder, "namespaces");
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault flt = {0};

	(void)state;
	assert_true(fd >= 0 && !flock(fd, LOCK_EX));
	assert_int_equal(namespaces_add(path, span_of_text("a"), "a.example", &flt), WARG_UNDECIDED);
	assert_int_equal(flt.kind, FAULT_SYSTEM);
	assert_int_equal(access(path, F_OK), -1);
	close(fd);
	scratch_free(folder);
}

/* ---- Whose word counts ---- */

/* An operator that defines `home` and imports `import` and, nowhere, `lost`. */
static struct operator_log *new_operator(void)
{
	const struct record_entry entries[] = {forge_namespace("home"), forge_import("import", "Import.example"),
					       forge_import("lost", "../x")};

	return forge_operator(entries, 3);
}

#define MAP "{\"home\":\"a.example\",\"import\":\"b.example\",\"mapped\":\"c.example\",\"bad\":\"../x\"}"

static const struct {
	const char *namespace;
	enum namespaces_source source;
	const char *domain; /* NULL: none, though there should be one */
	bool knows_operator;
} places[] = {
	{"home", NAMESPACES_DEFINED, "", true},
	{"import", NAMESPACES_IMPORT, "import.example", true},
	{"lost", NAMESPACES_IMPORT, NULL, true},
	{"mapped", NAMESPACES_MAP, "c.example", true},
	{"bad", NAMESPACES_MAP, NULL, true},
	{"nobody", NAMESPACES_NOBODY, "", true},
	{"home", NAMESPACES_MAP, "a.example", false},
	{"import", NAMESPACES_MAP, "b.example", false},
	{"lost", NAMESPACES_NOBODY, "", false},
};

static void test_find(void **state)
{
	struct operator_log *operator = new_operator();
	struct namespaces map = load(MAP);

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct namespaces_place place;
		struct fault flt = {0};
		int r = namespaces_find(places[i].knows_operator ? operator : NULL, &map,
					span_of_text(places[i].namespace), &place, &flt);

		if (!places[i].domain) {
			assert_int_equal(r, WARG_INVALID);
			assert_int_equal(flt.party, places[i].source == NAMESPACES_MAP ? FAULT_BY_CACHE :
											  FAULT_BY_REGISTRY);
			continue;
		}
		assert_int_equal(r, 0);
		assert_int_equal(place.source, places[i].source);
		assert_string_equal(place.domain, places[i].domain);
	}
	namespaces_release(&map);
	operator_log_unref(operator);
}

static void test_list(void **state)
{
	static const struct {
		const char *namespace, *domain;
		bool overruled;
	} expected[] = {
		{"import", "import.example", false}, {"lost", "", false}, {"home", "a.example", true},
		{"import", "b.example", true}, {"mapped", "c.example", false}, {"bad", "", false},
	};
	struct operator_log *operator = new_operator();
	struct namespaces map = load(MAP);
	struct namespaces_listed *listed;
	size_t count;

	(void)state;
	assert_int_equal(namespaces_list(operator, &map, &listed, &count, NULL), 0);
	assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(listed[i].entry.namespace, expected[i].namespace);
		assert_string_equal(listed[i].entry.domain, expected[i].domain);
		assert_int_equal(listed[i].overruled, expected[i].overruled);
		assert_int_equal(listed[i].source, i < 2 ? NAMESPACES_IMPORT : NAMESPACES_MAP);
	}
	free(listed);
	namespaces_release(&map);
	operator_log_unref(operator);
}

/* ---- Every allocation failed once ---- */

static int load_it(void *path, struct fault *flt)
{
	struct namespaces map;
	int r = namespaces_load(path, &map, flt);

	if (!r)
		namespaces_release(&map);
	return r;
}

static int add_it(void *path, struct fault *flt)
{
	return namespaces_add(path, span_of_text("b"), "b.example", flt);
}

static void test_torture(void **state)
{
	char *folder = scratch_new();
	char path[512];

	(void)state;
	snprintf(path, sizeof(path), "%s/namespaces", folder);
	scratch_write_text(path, "{\"a\":\"a.example\"}");
	torture(load_it, path);
	torture(add_it, path);
	assert_true(scratch_holds(path, "{\"a\":\"a.example\",\"b\":\"b.example\"}"));
	scratch_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_map), cmocka_unit_test(test_map), cmocka_unit_test(test_bad_map),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_add), cmocka_unit_test(test_link),
		cmocka_unit_test(test_locked), cmocka_unit_test(test_find), cmocka_unit_test(test_list),
		cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
