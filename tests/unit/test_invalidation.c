/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the kernel is told when one view takes the place of another: exactly what it may keep and what is otherwise now.
 * The kernel is this test: it takes what libfuse would have sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "forge.h"
#include "fs/invalidation.h"
#include "views.h"

/* ---- The kernel ---- */

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t moved;
	struct mount mount;
	char names[4096]; /* "ns/name " of every name that it was told to forget */
	char attributes[4096];
	unsigned changes; /* told to their end: the root's attributes are the last that concern everybody */
	bool held; /* it has the invalidation thread wait */
	bool waits;
} kernel = {.mutex = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static void note(char *notes, uint64_t number, const char *name)
{
	struct node *node = nodes_find(kernel.mount.nodes, number);
	size_t used = strlen(notes);

	assert_non_null(node);
	snprintf(notes + used, 4096 - used, "%s%s%s ", node->text, *node->text && *name ? "/" : "", name);
	nodes_unref(kernel.mount.nodes, node);
}

int fuse_lowlevel_notify_inval_entry(struct fuse_session *session, fuse_ino_t parent, const char *name, size_t length)
{
	(void)session;
	assert_int_equal(strlen(name), length);
	pthread_mutex_lock(&kernel.mutex);
	kernel.waits = true;
	pthread_cond_broadcast(&kernel.moved);
	while (kernel.held)
		pthread_cond_wait(&kernel.moved, &kernel.mutex);
	kernel.waits = false;
	note(kernel.names, parent, name);
	pthread_mutex_unlock(&kernel.mutex);
	return 0;
}

int fuse_lowlevel_notify_inval_inode(struct fuse_session *session, fuse_ino_t number, off_t offset, off_t length)
{
	(void)session;
	assert_int_equal(offset, -1);
	assert_int_equal(length, 0);
	pthread_mutex_lock(&kernel.mutex);
	if (number == INODE_ROOT)
		kernel.changes++;
	else
		note(kernel.attributes, number, "");
	pthread_cond_broadcast(&kernel.moved);
	pthread_mutex_unlock(&kernel.mutex);
	return 0;
}

static void hold(bool held)
{
	pthread_mutex_lock(&kernel.mutex);
	kernel.held = held;
	pthread_cond_broadcast(&kernel.moved);
	pthread_mutex_unlock(&kernel.mutex);
}

static void wait_until_it_waits(void)
{
	pthread_mutex_lock(&kernel.mutex);
	while (!kernel.waits)
		pthread_cond_wait(&kernel.moved, &kernel.mutex);
	pthread_mutex_unlock(&kernel.mutex);
}

/* ---- The mount ---- */

static const char *const folders[] = {"ns",	      "ns/a",	     "ns/a/.yanked",   "ns/b",
				      ".latest",      ".latest/ns",  ".warg",	       ".warg/log",
				      ".warg/log/ns", ".warg/proof", ".warg/proof/ns", ".warg/proof/ns/a"};
#define FOLDERS (sizeof(folders) / sizeof(folders[0]))

static struct node *enter(const char *text)
{
	char copy[PATH_SIZE], *rest = copy, *name;
	struct path path = path_root();

	snprintf(copy, sizeof(copy), "%s", text);
	while ((name = strsep(&rest, "/"))) {
		struct path folder = path;

		if (!path_child(&folder, name, &path))
			fail_msg("cannot be: %s", text);
	}
	return nodes_enter(kernel.mount.nodes, &path, NULL);
}

/* The kernel knows the folders; whoever enters more gives it back. */
static int set_up(void **state)
{
	static const struct digest key = {"a key"};
	static struct node *nodes[FOLDERS];

	assert_int_equal(nodes_new(&key, &kernel.mount.nodes, NULL), 0);
	for (size_t i = 0; i < FOLDERS; i++)
		nodes[i] = enter(folders[i]);
	assert_int_equal(invalidation_new(&kernel.mount, &kernel.mount.invalidation, NULL), 0);
	assert_int_equal(invalidation_start(kernel.mount.invalidation, NULL), 0);
	kernel.names[0] = kernel.attributes[0] = 0;
	kernel.changes = 0;
	*state = nodes;
	return 0;
}

static int tear_down(void **state)
{
	struct node **nodes = *state;

	hold(false);
	invalidation_free(kernel.mount.invalidation);
	for (size_t i = 0; i < FOLDERS; i++)
		nodes_unref(kernel.mount.nodes, nodes[i]);
	nodes_free(kernel.mount.nodes);
	return 0;
}

static struct view *make(const char *const *packages, const char *const *listed)
{
	return views_make(&(struct views_words){packages, listed, true, NULL});
}

static void change(const struct view *before, const struct view *after)
{
	invalidation_changed(kernel.mount.invalidation, before, after);
}

/* Until so many changes were told. */
static void wait_for(unsigned changes)
{
	pthread_mutex_lock(&kernel.mutex);
	while (kernel.changes < changes)
		pthread_cond_wait(&kernel.moved, &kernel.mutex);
	pthread_mutex_unlock(&kernel.mutex);
}

static int compare_words(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The words of a text sorted, each once. */
static void sort_words(char *text, char out[static 4096])
{
	char *words[200];
	size_t count = 0, used = 0;

	for (char *word; (word = strsep(&text, " "));) {
		if (*word)
			words[count++] = word;
	}
	qsort(words, count, sizeof(*words), compare_words);
	out[0] = 0;
	for (size_t i = 0; i < count; i++) {
		if (!i || strcmp(words[i - 1], words[i]) != 0)
			used += (size_t)snprintf(out + used, 4096 - used, "%s%s", used ? " " : "", words[i]);
	}
}

/* One change, and the names that have to be told, sorted. */
static void expect(struct view *before, struct view *after, const char *names)
{
	unsigned told = kernel.changes;
	char sorted[4096];

	kernel.names[0] = 0;
	change(before, after);
	wait_for(told + 1);
	sort_words(kernel.names, sorted);
	assert_string_equal(sorted, names);
}

static void expect_once(struct view *before, struct view *after, const char *names)
{
	expect(before, after, names);
	view_unref(before);
	view_unref(after);
}

/* ---- Tests ---- */

static void test_versions(void **state)
{
	(void)state;
	expect_once(make(VIEWS_LIST("ns:a 1.0.0"), NULL), make(VIEWS_LIST("ns:a 1.0.0 1.1.0"), NULL),
		    ".warg/proof/ns/a/1.1.0.json ns/a/.yanked/1.1.0 ns/a/1.1.0.wasm ns/a/latest.wasm");
	expect_once(make(VIEWS_LIST("ns:a 1.0.0"), NULL), make(VIEWS_LIST("ns:a 1.0.0 0.9.0"), NULL),
		    ".warg/proof/ns/a/0.9.0.json ns/a/.yanked/0.9.0 ns/a/0.9.0.wasm");
	expect_once(make(VIEWS_LIST("ns:a 1.0.0 0.9.0"), NULL), make(VIEWS_LIST("ns:a 1.0.0 -0.9.0"), NULL),
		    ".warg/proof/ns/a/0.9.0.json ns/a/.yanked/0.9.0 ns/a/0.9.0.wasm");
	expect_once(make(VIEWS_LIST("ns:a 1.0.0 0.9.0"), NULL), make(VIEWS_LIST("ns:a 1.0.0"), NULL),
		    ".warg/proof/ns/a/0.9.0.json ns/a/.yanked/0.9.0 ns/a/0.9.0.wasm");
	expect_once(make(VIEWS_LIST("ns:a 1.0.0"), NULL), make(VIEWS_LIST("ns:a 1.0.0"), NULL), "");
}

/* The link in /.latest comes and goes with the last release, and goes when it is found that there was none. */
static void test_link(void **state)
{
	(void)state;
	expect_once(make(VIEWS_LIST("ns:a 1.0.0"), NULL), make(VIEWS_LIST("ns:a -1.0.0"), NULL),
		    ".latest/ns/a.wasm .warg/proof/ns/a/1.0.0.json ns/a/.yanked/1.0.0 ns/a/1.0.0.wasm "
		    "ns/a/latest.wasm");
	expect_once(make(VIEWS_LIST("ns:a"), NULL), make(VIEWS_LIST("ns:a 1.0.0"), NULL),
		    ".latest/ns/a.wasm .warg/proof/ns/a/1.0.0.json ns/a/.yanked/1.0.0 ns/a/1.0.0.wasm "
		    "ns/a/latest.wasm");
	expect_once(make(NULL, NULL), make(VIEWS_LIST("ns:a"), NULL), ".latest/ns/a.wasm");
	expect_once(make(NULL, NULL), make(VIEWS_LIST("ns:a 1.0.0"), NULL), "");
}

/* Requirements that the kernel knows, and that lead elsewhere now. */
static void test_requirements(void **state)
{
	struct node *same = enter("ns/a/^1.wasm"), *moves = enter("ns/a/*.wasm"), *ends = enter("ns/b/^1.wasm");

	(void)state;
	expect_once(make(VIEWS_LIST("ns:a 1.0.0", "ns:b 1.0.0 2.0.0"), NULL),
		    make(VIEWS_LIST("ns:a 1.0.0 2.0.0", "ns:b -1.0.0 2.0.0"), NULL),
		    ".warg/proof/ns/a/2.0.0.json ns/a/*.wasm ns/a/.yanked/2.0.0 ns/a/2.0.0.wasm ns/a/latest.wasm "
		    "ns/b/1.0.0.wasm ns/b/^1.wasm");
	invalidation_stop(kernel.mount.invalidation);
	assert_non_null(strstr(kernel.attributes, "ns/a/*.wasm"));
	assert_null(strstr(kernel.attributes, "ns/a/^1.wasm"));
	nodes_unref(kernel.mount.nodes, same);
	nodes_unref(kernel.mount.nodes, moves);
	nodes_unref(kernel.mount.nodes, ends);
}

/* Whatever stands for a package has its times. */
static void test_times(void **state)
{
	struct node *link = enter(".latest/ns/a.wasm"), *log = enter(".warg/log/ns/a.json");
	char sorted[4096];

	(void)state;
	expect_once(make(VIEWS_LIST("ns:a 1.0.0"), NULL), make(VIEWS_LIST("ns:a 1.0.0"), NULL), "");
	invalidation_stop(kernel.mount.invalidation);
	sort_words(kernel.attributes, sorted);
	assert_string_equal(sorted, ".latest .latest/ns .latest/ns/a.wasm .warg .warg/log .warg/log/ns "
				    ".warg/log/ns/a.json .warg/proof .warg/proof/ns .warg/proof/ns/a "
				    "ns ns/a ns/a/.yanked");
	nodes_unref(kernel.mount.nodes, link);
	nodes_unref(kernel.mount.nodes, log);
}

#define NEW_A ".latest/ns/a.wasm .warg/log/ns/a.json .warg/proof/ns/a ns/a"

static void test_packages(void **state)
{
	(void)state;
	expect_once(make(NULL, VIEWS_LIST("ns:b")), make(NULL, VIEWS_LIST("ns:a", "ns:b")), NEW_A);
	expect_once(make(NULL, VIEWS_LIST("ns:b")), make(VIEWS_LIST("ns:a 1.0.0"), VIEWS_LIST("ns:b")), NEW_A);
	expect_once(make(NULL, VIEWS_LIST("ns:b")), make(NULL, VIEWS_LIST("ns:b")), "");
}

static void test_namespaces(void **state)
{
	(void)state;
	expect_once(make(NULL, VIEWS_LIST("ns:b")), make(NULL, VIEWS_LIST("new:a", "new:b", "ns:b")),
		    ".latest/new .warg/log/new .warg/proof/new new");
}

#define NEW_NAMESPACE ".latest/new .warg/log/new .warg/proof/new new"

/* Defined by the operator or imported from another registry: it was absent before. */
static void test_operators_namespaces(void **state)
{
	const struct record_entry entries[] = {forge_namespace("new"), forge_import("new", "other.example")};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct view *after = make(NULL, VIEWS_LIST("ns:b"));

		after->operator = forge_operator(&entries[i], 1);
		expect_once(make(NULL, VIEWS_LIST("ns:b")), after, NEW_NAMESPACE);
	}
}

/* The map has it live elsewhere now: that is no change of views, and is told between theirs. */
static void test_namespace_elsewhere(void **state)
{
	struct view *before = make(NULL, VIEWS_LIST("ns:b")), *after = make(NULL, VIEWS_LIST("ns:a", "ns:b"));
	char sorted[4096];

	(void)state;
	invalidation_namespace_changed(kernel.mount.invalidation, "new");
	wait_for(1);
	sort_words(kernel.names, sorted);
	assert_string_equal(sorted, NEW_NAMESPACE);
	expect(before, after, NEW_A);
	/* While the kernel has it wait, nothing is lost and nothing mixed up. */
	hold(true);
	kernel.names[0] = 0;
	invalidation_namespace_changed(kernel.mount.invalidation, "new");
	wait_until_it_waits();
	invalidation_namespace_changed(kernel.mount.invalidation, "old");
	change(before, after);
	hold(false);
	wait_for(5);
	sort_words(kernel.names, sorted);
	assert_non_null(strstr(sorted, ".latest/old"));
	assert_non_null(strstr(sorted, "ns/a"));
	view_unref(before);
	view_unref(after);
}

/* Without a complete listing nothing was told to be absent. */
static void test_nothing_proven(void **state)
{
	struct view *after = make(NULL, VIEWS_LIST("new:a", "ns:a", "ns:b"));

	(void)state;
	expect_once(make(NULL, NULL), view_ref(after), "");
	expect_once(views_make(&(struct views_words){NULL, VIEWS_LIST("ns:b"), false, NULL}), after, "");
}

/* A listing that was lost in between is what absences were told from all the same. */
static void test_lost_listing(void **state)
{
	struct view *first = make(NULL, VIEWS_LIST("ns:b")), *lost = make(NULL, NULL);
	struct view *last = make(NULL, VIEWS_LIST("ns:a", "ns:b"));

	(void)state;
	expect(first, lost, "");
	expect(lost, last, NEW_A);
	view_unref(first);
	view_unref(lost);
	view_unref(last);
}

/* Changes that pile up while the kernel has the invalidation thread wait. The first one is under way. */
static void pile_up(struct view *const *views, size_t count)
{
	struct view *from = make(VIEWS_LIST("ns:b 1.0.0"), NULL), *to = make(VIEWS_LIST("ns:b 1.0.0 2.0.0"), NULL);

	hold(true);
	change(from, to);
	wait_until_it_waits();
	for (size_t i = 0; i + 1 < count; i++)
		change(views[i], views[i + 1]);
	view_unref(from);
	view_unref(to);
}

static void test_merged(void **state)
{
	struct view *views[3] = {make(VIEWS_LIST("ns:a 1.0.0"), NULL), make(VIEWS_LIST("ns:a 1.0.0 1.1.0"), NULL),
				 make(VIEWS_LIST("ns:a 1.0.0 1.1.0 1.2.0"), NULL)};

	(void)state;
	pile_up(views, 3);
	hold(false);
	wait_for(2);
	assert_non_null(strstr(kernel.names, "ns/a/1.1.0.wasm"));
	assert_non_null(strstr(kernel.names, "ns/a/1.2.0.wasm"));
	invalidation_stop(kernel.mount.invalidation);
	assert_int_equal(kernel.changes, 2);
	for (size_t i = 0; i < 3; i++)
		view_unref(views[i]);
}

/* What the kernel may have learned in between, of a package that only came then, is not passed over. */
static void test_not_merged(void **state)
{
	struct view *views[3] = {make(NULL, NULL), make(VIEWS_LIST("ns:a 1.0.0"), NULL),
				 make(VIEWS_LIST("ns:a 1.0.0 1.1.0"), NULL)};

	(void)state;
	pile_up(views, 3);
	hold(false);
	wait_for(3);
	assert_non_null(strstr(kernel.names, "ns/a/1.1.0.wasm"));
	assert_non_null(strstr(kernel.names, "ns/a/latest.wasm"));
	for (size_t i = 0; i < 3; i++)
		view_unref(views[i]);
}

/* Nor what it may have been told to be absent from a complete listing that came in between. */
static void check_not_merged_listing(struct view *first)
{
	struct view *views[3] = {first, make(NULL, VIEWS_LIST("ns:b")), make(NULL, VIEWS_LIST("ns:a", "ns:b"))};

	pile_up(views, 3);
	hold(false);
	wait_for(3);
	assert_non_null(strstr(kernel.names, " ns/a "));
	for (size_t i = 0; i < 3; i++)
		view_unref(views[i]);
}

static void test_not_merged_listing(void **state)
{
	(void)state;
	check_not_merged_listing(make(NULL, NULL));
}

static void test_not_merged_incomplete(void **state)
{
	(void)state;
	check_not_merged_listing(views_make(&(struct views_words){NULL, VIEWS_LIST("ns:b"), false, NULL}));
}

/* What was not told when it ends is dropped. */
static void test_dropped(void **state)
{
	struct view *views[3] = {make(NULL, NULL), make(VIEWS_LIST("ns:a 1.0.0"), NULL),
				 make(VIEWS_LIST("ns:a 1.0.0 1.1.0"), NULL)};

	(void)state;
	pile_up(views, 3);
	for (size_t i = 0; i < 3; i++)
		view_unref(views[i]);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_versions),
		TEST(test_link),
		TEST(test_requirements),
		TEST(test_packages),
		TEST(test_times),
		TEST(test_namespaces),
		TEST(test_operators_namespaces),
		TEST(test_namespace_elsewhere),
		TEST(test_merged),
		TEST(test_nothing_proven),
		TEST(test_lost_listing),
		TEST(test_not_merged),
		TEST(test_not_merged_listing),
		TEST(test_dropped),
		TEST(test_not_merged_incomplete),
	};

	return cmocka_run_group_tests_name("notifier", tests, NULL, NULL);
}
