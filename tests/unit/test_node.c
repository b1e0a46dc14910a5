/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Inode numbers, and the table of nodes behind them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/node.h"
#include "torture.h"

static const struct digest key = { "a key" }, other_key = { "another" };
static const struct digest content = { "bytes" }, other_content = { "other bytes" };

static struct path package_path(unsigned number)
{
	struct path path = { .kind = PATH_PACKAGE };

	snprintf(path.text, sizeof(path.text), "ns/p%u", number);
	return path;
}

static const struct path release = { PATH_RELEASE, "ns/p/1.0.0.wasm" };

static void test_numbers(void **state)
{
	const struct path root = { PATH_ROOT, "" }, namespace = { PATH_NAMESPACE, "a" };
	const struct path package = { PATH_PACKAGE, "ns/p" }, latest = { PATH_LATEST, "ns/p/1.0.0" };
	uint64_t number = inode_number(&key, &release, &content, 0);

	(void)state;
	assert_int_equal(inode_number(&key, &root, NULL, 0), INODE_ROOT);
	assert_int_equal(inode_number(&key, &release, &content, 0), number);
	assert_int_not_equal(inode_number(&key, &release, &other_content, 0), number);
	assert_int_not_equal(inode_number(&other_key, &release, &content, 0), number);
	assert_int_not_equal(inode_number(&key, &release, &content, 1), number);
	assert_int_not_equal(inode_number(&key, &latest, NULL, 0), number);
	assert_int_not_equal(inode_number(&key, &package, NULL, 0), inode_number(&key, &namespace, NULL, 0));
	for (unsigned i = 0; i < 1000; i++) {
		struct path path = package_path(i);

		number = inode_number(&key, &path, NULL, 0);
		assert_true(number > INODE_ROOT && number <= INT64_MAX);
	}
}

static struct nodes *new_nodes(void)
{
	struct nodes *nodes = NULL;

	assert_int_equal(nodes_new(&key, &nodes, NULL), 0);
	return nodes;
}

/* Whatever stands for a package tells that the kernel knows it; a namespace does not, nor does another package. */
static void test_package(void **state)
{
	static const enum path_kind kinds[] = {PATH_PACKAGE, PATH_LINK, PATH_LOG, PATH_PROOFS_PACKAGE};
	struct nodes *nodes = new_nodes();
	struct name name, other;

	(void)state;
	assert_int_equal(name_parse(span_of_text("a:b"), &name, NULL), 0);
	assert_int_equal(name_parse(span_of_text("a:c"), &other, NULL), 0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct node *node, *above;
		struct path path, folder;

		assert_true(path_of(kinds[i], &name, &path));
		folder = path_parent(&path);
		above = nodes_enter(nodes, &folder, NULL);
		assert_false(nodes_have_package(nodes, &name));
		node = nodes_enter(nodes, &path, NULL);
		assert_true(nodes_have_package(nodes, &name));
		assert_false(nodes_have_package(nodes, &other));
		nodes_unref(nodes, node);
		nodes_unref(nodes, above);
	}
	nodes_free(nodes);
}

static void test_life(void **state)
{
	struct nodes *nodes = new_nodes();
	struct node *node = nodes_enter(nodes, &release, &content), *again;
	uint64_t number = node->number;

	(void)state;
	assert_int_equal(number, nodes_number(nodes, &release, &content));
	assert_ptr_equal(nodes_enter(nodes, &release, &content), node);
	assert_ptr_equal(nodes_find(nodes, number), node);
	assert_null(nodes_find_path(nodes, &release, &other_content));
	nodes_look_up(nodes, node);
	nodes_look_up(nodes, node);
	for (unsigned i = 0; i < 3; i++)
		nodes_unref(nodes, node);

	/* The kernel knows it still. */
	again = nodes_find_path(nodes, &release, &content);
	assert_ptr_equal(again, node);
	nodes_forget(nodes, number, 1);
	nodes_forget(nodes, number, 1);

	/* We do still. */
	assert_ptr_equal(nodes_find(nodes, number), node);
	nodes_unref(nodes, again);
	nodes_unref(nodes, node);
	assert_null(nodes_find(nodes, number));

	/* What the kernel never knew is no harm. */
	nodes_forget(nodes, number, 7);
	nodes_forget(nodes, INODE_ROOT, 1000000);
	node = nodes_find(nodes, INODE_ROOT);
	assert_non_null(node);
	assert_int_equal(node_path(node).kind, PATH_ROOT);
	nodes_unref(nodes, node);
	nodes_free(nodes);
}

static void test_many(void **state)
{
	struct nodes *nodes = new_nodes();

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		struct path path = package_path(i);
		struct node *node = nodes_enter(nodes, &path, NULL);

		nodes_look_up(nodes, node);
		nodes_unref(nodes, node);
	}
	for (unsigned i = 0; i < 5000; i++) {
		struct path path = package_path(i);
		struct node *node = nodes_find_path(nodes, &path, NULL);

		assert_non_null(node);
		assert_string_equal(node->text, path.text);
		nodes_unref(nodes, node);
		nodes_forget(nodes, node->number, i % 2);
		node = nodes_find_path(nodes, &path, NULL);
		assert_int_equal(node != NULL, i % 2 == 0);
		nodes_unref(nodes, node);
	}
	nodes_free(nodes);
}

/* The nodes of one kind among many. */
static void test_collect(void **state)
{
	const struct path requirements[] = { { PATH_REQUIREMENT, "ns/p/^1.wasm" },
					     { PATH_REQUIREMENT, "ns/p/*.wasm" } };
	struct nodes *nodes = new_nodes();
	struct node *kept[102], **found;

	(void)state;
	assert_int_equal(nodes_collect(nodes, PATH_REQUIREMENT, &found), 0);
	assert_null(found);
	for (unsigned i = 0; i < 100; i++) {
		struct path path = package_path(i);

		kept[i] = nodes_enter(nodes, &path, NULL);
	}
	for (unsigned i = 0; i < 2; i++)
		kept[100 + i] = nodes_enter(nodes, &requirements[i], NULL);
	assert_int_equal(nodes_collect(nodes, PATH_REQUIREMENT, &found), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(found[i] == kept[100] || found[i] == kept[101]);
		nodes_unref(nodes, found[i]);
	}
	assert_ptr_not_equal(found[0], found[1]);
	free(found);
	for (unsigned i = 0; i < 102; i++)
		nodes_unref(nodes, kept[i]);
	assert_int_equal(nodes_collect(nodes, PATH_REQUIREMENT, &found), 0);
	assert_null(found);
	nodes_free(nodes);
}

static void test_errors(void **state)
{
	struct nodes *nodes = new_nodes();
	struct node *node = nodes_enter(nodes, &release, &content);
	char sentence[FAULT_SENTENCE_SIZE] = "untouched";

	(void)state;
	assert_false(nodes_error(nodes, node, sentence));
	assert_string_equal(sentence, "untouched");
	nodes_set_error(nodes, node, "first");
	nodes_set_error(nodes, node, "second");
	assert_true(nodes_error(nodes, node, sentence));
	assert_string_equal(sentence, "second");
	nodes_set_error(nodes, node, NULL);
	assert_false(nodes_error(nodes, node, sentence));
	nodes_unref(nodes, node);
	nodes_free(nodes);
}

/* Each folder above has the last error below it, until that error is cleared, or an access succeeds. */
static void test_errors_above(void **state)
{
	struct nodes *nodes = new_nodes();
	struct path folder = path_parent(&release), above = path_parent(&folder), root = path_root();
	struct node *file = nodes_enter(nodes, &release, &content), *package = nodes_enter(nodes, &folder, NULL);
	struct node *namespace = nodes_enter(nodes, &above, NULL), *top = nodes_enter(nodes, &root, NULL);
	struct node *up[] = {package, namespace, top};
	char sentence[FAULT_SENTENCE_SIZE];

	(void)state;
	nodes_set_error(nodes, file, "of the file");
	for (size_t i = 0; i < 3; i++) {
		assert_true(nodes_error(nodes, up[i], sentence));
		assert_string_equal(sentence, "of the file");
	}
	/* A success in the folder does not clear the error of the file. */
	nodes_set_error(nodes, package, NULL);
	assert_true(nodes_error(nodes, package, sentence));
	/* The namespace has a newer error, which stays. */
	nodes_set_error(nodes, namespace, "of the namespace");
	nodes_set_error(nodes, file, NULL);
	assert_false(nodes_error(nodes, file, sentence) || nodes_error(nodes, package, sentence));
	assert_true(nodes_error(nodes, top, sentence));
	assert_string_equal(sentence, "of the namespace");
	nodes_set_error(nodes, namespace, NULL);
	assert_false(nodes_error(nodes, namespace, sentence) || nodes_error(nodes, top, sentence));
	nodes_set_error(nodes, file, "again");
	nodes_clear_error(nodes, package);
	assert_true(nodes_error(nodes, file, sentence));
	for (size_t i = 0; i < 3; i++)
		assert_false(nodes_error(nodes, up[i], sentence));
	nodes_unref(nodes, file);
	for (size_t i = 0; i < 3; i++)
		nodes_unref(nodes, up[i]);
	nodes_free(nodes);
}

static const struct buf *set_document(struct node *node, const char *words)
{
	struct buf text;

	buf_init(&text, 100);
	assert_int_equal(buf_append_text(&text, words, NULL), 0);
	return node_set_document(node, &text);
}

static void test_documents(void **state)
{
	const struct path status = { PATH_STATUS, ".warg/status" };
	struct nodes *nodes = new_nodes();
	uint64_t number = nodes_number(nodes, &status, NULL);
	struct node *first = nodes_enter(nodes, &status, NULL), *second, *third;
	const struct buf *text;

	(void)state;
	/* Nobody asked yet: the next one gets the same. */
	assert_int_equal(first->number, number);
	assert_null(node_document(first));
	assert_ptr_equal(nodes_enter(nodes, &status, NULL), first);
	nodes_unref(nodes, first);

	/* The first text stays. */
	atomic_store(&first->asked, true);
	text = set_document(first, "one");
	assert_ptr_equal(node_document(first), text);
	assert_ptr_equal(set_document(first, "two"), text);
	assert_memory_equal(text->data, "one", 3);

	/* Who comes then gets another node, which is shown with the same number. */
	second = nodes_enter(nodes, &status, NULL);
	assert_ptr_not_equal(second, first);
	assert_int_not_equal(second->number, number);
	assert_null(node_document(second));
	assert_int_equal(nodes_number(nodes, &status, NULL), number);
	assert_ptr_equal(nodes_find_path(nodes, &status, NULL), second);
	nodes_unref(nodes, second);
	atomic_store(&second->asked, true);
	third = nodes_enter(nodes, &status, NULL);
	assert_ptr_not_equal(third, first);
	assert_ptr_not_equal(third, second);
	assert_ptr_equal(nodes_find(nodes, first->number), first);
	nodes_unref(nodes, first);
	nodes_unref(nodes, second);
	nodes_unref(nodes, third);
	nodes_unref(nodes, first);
	assert_int_equal(nodes_number(nodes, &status, NULL), number);

	/* Releases have nothing of the kind. */
	first = nodes_enter(nodes, &release, &content);
	atomic_store(&first->asked, true);
	assert_ptr_equal(nodes_enter(nodes, &release, &content), first);
	nodes_unref(nodes, first);
	nodes_unref(nodes, first);
	nodes_free(nodes);
}

/* A folder that was removed and made again is another node with the same number to be shown. */
static void test_retired(void **state)
{
	struct nodes *nodes = new_nodes();
	const struct path package = package_path(1);
	struct node *first, *second;

	(void)state;
	nodes_retire(nodes, &package);
	first = nodes_enter(nodes, &package, NULL);
	assert_int_equal(first->shown, first->number);
	nodes_retire(nodes, &package);
	assert_null(nodes_find_path(nodes, &package, NULL));
	second = nodes_enter(nodes, &package, NULL);
	assert_ptr_not_equal(second, first);
	assert_int_equal(second->shown, first->number);
	assert_int_equal(nodes_number(nodes, &package, NULL), first->number);
	assert_ptr_equal(nodes_find(nodes, first->number), first);
	nodes_unref(nodes, first);
	nodes_unref(nodes, second);
	nodes_free(nodes);
}

static int try_nodes(void *context, struct fault *flt)
{
	struct nodes *nodes = NULL;
	int verdict = nodes_new(context, &nodes, flt);

	nodes_free(nodes);
	return verdict;
}

static void test_no_memory(void **state)
{
	struct digest own = key;

	(void)state;
	torture(try_nodes, &own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_life),
		cmocka_unit_test(test_package),   cmocka_unit_test(test_many),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_errors_above),  cmocka_unit_test(test_collect), cmocka_unit_test(test_documents),
		cmocka_unit_test(test_retired),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("node", tests, NULL, NULL);
}
