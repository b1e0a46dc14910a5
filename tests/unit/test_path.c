/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Names in the mount: what can be one, and what they are taken apart to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fs/path.h"

static struct path at(const char *first, const char *second, const char *third)
{
	const char *names[] = { first, second, third };
	struct path path = path_root(), child;

	for (size_t i = 0; i < 3 && names[i]; i++) {
		if (!path_child(&path, names[i], &child))
			fail_msg("cannot be: %s", names[i]);
		path = child;
	}
	return path;
}

static void test_parts(void **state)
{
	struct path release = at("some-ns", "a-package", "1.0.0-rc.1+b.2.wasm");
	struct path latest = at("some-ns", "a-package", "latest.wasm");
	struct path package = path_parent(&release), namespace = path_parent(&package);
	struct path root = path_parent(&namespace), above = path_parent(&root);
	struct name name = path_package(&release);

	(void)state;
	assert_int_equal(release.kind, PATH_RELEASE);
	assert_string_equal(release.text, "some-ns/a-package/1.0.0-rc.1+b.2.wasm");
	assert_true(span_is(path_stem(&release), "1.0.0-rc.1+b.2"));
	assert_true(span_is(path_namespace(&release), "some-ns"));
	assert_string_equal(path_name(&release), "1.0.0-rc.1+b.2.wasm");
	assert_string_equal(name.text, "some-ns:a-package");
	assert_int_equal(name.colon, 7);
	assert_int_equal(latest.kind, PATH_LATEST);
	assert_string_equal(latest.text, "some-ns/a-package/latest.wasm");
	assert_int_equal(package.kind, PATH_PACKAGE);
	assert_string_equal(package.text, "some-ns/a-package");
	assert_string_equal(path_package(&package).text, "some-ns:a-package");
	assert_string_equal(path_of_package(&name).text, package.text);
	assert_int_equal(path_of_package(&name).kind, PATH_PACKAGE);
	assert_int_equal(namespace.kind, PATH_NAMESPACE);
	assert_string_equal(namespace.text, "some-ns");
	assert_int_equal(root.kind, PATH_ROOT);
	assert_string_equal(root.text, "");
	assert_int_equal(above.kind, PATH_ROOT);
}

/* Every kind: its path, its type, what it is of; and back up to the root. */
#define RECORD "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"

static void test_kinds(void **state)
{
	static const struct {
		const char *path;
		enum path_kind kind;
		mode_t type;
		const char *namespace, *package, *stem;
	} rows[] = {
		{"ns", PATH_NAMESPACE, S_IFDIR, "ns", NULL, "ns"},
		{"ns/p-q", PATH_PACKAGE, S_IFDIR, "ns", "ns:p-q", "p-q"},
		{"ns/p/1.0.0.wasm", PATH_RELEASE, S_IFREG, "ns", "ns:p", "1.0.0"},
		{"ns/p/latest.wasm", PATH_LATEST, S_IFLNK, "ns", "ns:p", "latest.wasm"},
		{"ns/p/^1.2.wasm", PATH_REQUIREMENT, S_IFLNK, "ns", "ns:p", "^1.2"},
		{"ns/p/>=1, <2.wasm", PATH_REQUIREMENT, S_IFLNK, "ns", "ns:p", ">=1, <2"},
		{"ns/p/.yanked", PATH_YANKED, S_IFDIR, "ns", "ns:p", ".yanked"},
		{"ns/p/.yanked/1.0.0", PATH_YANKED_VERSION, S_IFREG, "ns", "ns:p", "1.0.0"},
		{".latest", PATH_LINKS, S_IFDIR, NULL, NULL, ".latest"},
		{".latest/ns", PATH_LINKS_NAMESPACE, S_IFDIR, "ns", NULL, "ns"},
		{".latest/ns/p-q.wasm", PATH_LINK, S_IFLNK, "ns", "ns:p-q", "p-q"},
		{".warg", PATH_WARG, S_IFDIR, NULL, NULL, ".warg"},
		{".warg/status", PATH_STATUS, S_IFREG, NULL, NULL, "status"},
		{".warg/checkpoint", PATH_CHECKPOINT, S_IFREG, NULL, NULL, "checkpoint"},
		{".warg/operator.json", PATH_OPERATOR, S_IFREG, NULL, NULL, "operator.json"},
		{".warg/metrics", PATH_METRICS, S_IFREG, NULL, NULL, "metrics"},
		{".warg/log", PATH_LOGS, S_IFDIR, NULL, NULL, "log"},
		{".warg/log/ns", PATH_LOGS_NAMESPACE, S_IFDIR, "ns", NULL, "ns"},
		{".warg/log/ns/p-q.json", PATH_LOG, S_IFREG, "ns", "ns:p-q", "p-q"},
		{".warg/proof", PATH_PROOFS, S_IFDIR, NULL, NULL, "proof"},
		{".warg/proof/ns", PATH_PROOFS_NAMESPACE, S_IFDIR, "ns", NULL, "ns"},
		{".warg/proof/ns/p-q", PATH_PROOFS_PACKAGE, S_IFDIR, "ns", "ns:p-q", "p-q"},
		{".warg/proof/ns/p-q/1.0.0+b.json", PATH_PROOF, S_IFREG, "ns", "ns:p-q", "1.0.0+b"},
		{".warg/receipts", PATH_RECEIPTS, S_IFDIR, NULL, NULL, "receipts"},
		{".warg/receipts/ns", PATH_RECEIPTS_NAMESPACE, S_IFDIR, "ns", NULL, "ns"},
		{".warg/receipts/ns/p-q", PATH_RECEIPTS_PACKAGE, S_IFDIR, "ns", "ns:p-q", "p-q"},
		{".warg/receipts/ns/p-q/" RECORD ".json", PATH_RECEIPT, S_IFREG, "ns", "ns:p-q", RECORD},
		{"ns/p/.1.0.0.wasm.XyZ", PATH_STAGED, S_IFREG, "ns", "ns:p", ".1.0.0.wasm.XyZ"},
		{"ns/p/a.wasm", PATH_STAGED, S_IFREG, "ns", "ns:p", "a.wasm"},
		{".publish", PATH_TRANSACTIONS, S_IFDIR, NULL, NULL, ".publish"},
		{".publish/ns", PATH_TRANSACTIONS_NAMESPACE, S_IFDIR, "ns", NULL, "ns"},
		{".publish/ns/p-q", PATH_TRANSACTION, S_IFDIR, "ns", "ns:p-q", "p-q"},
		{".publish/ns/p-q/1.0.0+b.wasm", PATH_ENTRY, S_IFREG, "ns", "ns:p-q", "1.0.0+b"},
		{".publish/ns/p-q/latest.wasm", PATH_ENTRY_STAGED, S_IFREG, "ns", "ns:p-q", "latest.wasm"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct path path = path_root(), folder, joined;
		char copy[128], *rest = copy, *name;

		snprintf(copy, sizeof(copy), "%s", rows[i].path);
		while ((name = strsep(&rest, "/"))) {
			folder = path;
			if (!path_child(&folder, name, &path))
				fail_msg("cannot be: %s", rows[i].path);
		}
		assert_string_equal(path.text, rows[i].path);
		assert_int_equal(path.kind, rows[i].kind);
		assert_int_equal(path_type(path.kind), rows[i].type);
		assert_true(span_is(path_stem(&path), rows[i].stem));
		assert_int_equal(path_has_namespace(path.kind), rows[i].namespace != NULL);
		assert_int_equal(path_has_package(path.kind), rows[i].package != NULL);
		if (rows[i].namespace)
			assert_true(span_is(path_namespace(&path), rows[i].namespace));
		if (rows[i].package)
			assert_string_equal(path_package(&path).text, rows[i].package);
		assert_true(path_join(&folder, path.kind, path_stem(&path), &joined));
		assert_memory_equal(&joined, &path, sizeof(path));
		joined = folder;
		assert_true(path_join(&joined, path.kind, path_stem(&path), &joined));
		assert_memory_equal(&joined, &path, sizeof(path));
		joined = path_parent(&path);
		assert_memory_equal(&joined, &folder, sizeof(folder));
		assert_int_equal(path_folder(path.kind), folder.kind);
		if (path_type(path.kind) == S_IFDIR || path_is_called_package(path.kind)) {
			struct name whose = { "ns:a", 2 };

			if (path_has_package(path.kind))
				whose = path_package(&path);
			assert_true(path_of(path.kind, rows[i].namespace ? &whose : NULL, &joined));
			assert_memory_equal(&joined, &path, sizeof(path));
		}
	}
}

/* A package's name says nothing of the folders that programs make in it. */
static void test_of_no_name(void **state)
{
	static const enum path_kind kinds[] = {PATH_STAGED_FOLDER, PATH_STAGED, PATH_ENTRY_FOLDER, PATH_RELEASE};
	const struct name name = {"ns:a", 2};
	struct path path;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		assert_false(path_of(kinds[i], &name, &path));
}

/* What is found by name alone beside others like it. */
static void test_fixed(void **state)
{
	enum path_kind kind = path_next_fixed(PATH_WARG, PATH_ROOT);

	(void)state;
	assert_int_equal(kind, PATH_STATUS);
	for (unsigned count = 0; kind < PATH_KINDS; kind = path_next_fixed(PATH_WARG, kind))
		assert_true(++count < 20);
	assert_int_equal(path_next_fixed(PATH_YANKED, PATH_ROOT), PATH_KINDS);
}

/* Every requirement of Cargo's grammar that is no version is a link; a version is a file. */
static void test_requirements(void **state)
{
	static const char *const requirements[] = { "^1.2", "~0.3", "1", "1.2", "*", "1.*", "=1.0.0", ">=1.0.0-rc.1",
						    ">=1, <2", "1.0.0, 2", "<3", "^1.0.0-a" };
	struct path package = at("a", "b", NULL), out;
	char name[64];

	(void)state;
	for (size_t i = 0; i < sizeof(requirements) / sizeof(requirements[0]); i++) {
		snprintf(name, sizeof(name), "%s.wasm", requirements[i]);
		if (!path_child(&package, name, &out) || out.kind != PATH_REQUIREMENT)
			fail_msg("no requirement: %s", name);
	}
	assert_true(path_child(&package, "1.0.0-rc.1.wasm", &out));
	assert_int_equal(out.kind, PATH_RELEASE);
}

static void test_impossible(void **state)
{
	static const char *const no_parts[] = { "", ".", "..", ".Trash", ".git", "Foo", "a_b", "a--b", "-a", "a-", "1a",
						"x/..", "a:b", "a@b", "a b", "a.wasm", "\xc3\xa9", "a\n", ".yanked",
						".warg ", ".Warg", ".latest." };
	static const char *const no_files[] = { "", ".wasm", "1.0.0", "1.0.0.WASM", "v1.0.0.wasm", "01.0.0.wasm",
						"1.0.0.wasm.wasm ", "1.0.0.wasm~", "Latest.wasm", "latest",
						".1.0.0.wasm", "1.0.0/.wasm", "^.wasm", "1.0.0.0.wasm", "a.wasm", "*",
						"1,.wasm", ".warg", ".latest", ".yanked/", "^1\n.wasm" };
	struct path root = path_root(), namespace = at("a", NULL, NULL), package = at("a", "b", NULL), out;
	struct path release = at("a", "b", "1.0.0.wasm"), yanked = at("a", "b", ".yanked");
	struct path links = at(".latest", "a", NULL), logs = at(".warg", "log", "a"), warg = at(".warg", NULL, NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(no_parts) / sizeof(no_parts[0]); i++) {
		assert_false(path_child(&root, no_parts[i], &out));
		assert_false(path_child(&namespace, no_parts[i], &out));
	}
	assert_false(path_child(&namespace, ".warg", &out));
	for (size_t i = 0; i < sizeof(no_files) / sizeof(no_files[0]); i++) {
		if (path_child(&package, no_files[i], &out) && !path_is_draft(out.kind))
			fail_msg("can be: %s", no_files[i]);
	}
	assert_false(path_child(&release, "a", &out));
	assert_false(path_child(&yanked, "1.0.0.wasm", &out));
	assert_false(path_child(&yanked, "^1", &out));
	assert_false(path_child(&links, "b", &out));
	assert_false(path_child(&links, "b.json", &out));
	assert_false(path_child(&links, ".wasm", &out));
	assert_false(path_child(&logs, "b.wasm", &out));
	assert_false(path_child(&logs, "b", &out));
	assert_false(path_child(&warg, "a", &out));
	assert_false(path_child(&warg, "", &out));
}

/* What may be written is any name that can be shown; what was written under a name goes by that name. */
static void test_staged(void **state)
{
	static const char *const no_names[] = { "", ".", "..", "a\nb", "a\x7f", "a/b", "\x1b[2J", "a\xff",
						"a\xc2\x9b", "\xe2\x80\xae" };
	struct path package = at("a", "b", NULL), release = at("a", "b", "1.0.0.wasm"), out;
	struct path transaction = at(".publish", "a", "b"), yanked = at("a", "b", ".yanked");

	(void)state;
	for (size_t i = 0; i < sizeof(no_names) / sizeof(no_names[0]); i++) {
		assert_false(path_child(&package, no_names[i], &out));
		assert_false(path_child(&transaction, no_names[i], &out));
	}
	assert_true(path_as_draft(&release, &out));
	assert_int_equal(out.kind, PATH_STAGED);
	assert_string_equal(out.text, release.text);
	assert_true(path_child(&transaction, "1.0.0.wasm", &out));
	assert_true(path_as_draft(&out, &out));
	assert_int_equal(out.kind, PATH_ENTRY_STAGED);
	assert_false(path_as_draft(&package, &out));
	assert_true(path_child(&yanked, "1.0.0", &out));
	assert_false(path_as_draft(&out, &out));
	assert_true(path_is_for_writing(PATH_TRANSACTIONS) && path_is_for_writing(PATH_STAGED));
	assert_false(path_is_for_writing(PATH_PROOF) || path_is_for_writing(PATH_RELEASE));
}

/* Every name is as long as it can be. */
static void test_longest(void **state)
{
	char part[CAP_NAME_PART + 2], file[NAME_MAX + 2];
	struct path namespace, package, release, yanked, root = path_root(), out;

	(void)state;
	memset(part, 'a', CAP_NAME_PART);
	part[CAP_NAME_PART] = 0;
	snprintf(file, sizeof(file), "1.0.0-%0*d.wasm", CAP_VERSION - 6, 0);
	memset(file + 6, 'b', CAP_VERSION - 6);
	assert_true(path_child(&root, part, &namespace));
	assert_true(path_child(&namespace, part, &package));
	assert_true(path_child(&package, file, &release));
	assert_int_equal(strlen(release.text), 2 * CAP_NAME_PART + NAME_MAX + 2);
	assert_int_equal(path_stem(&release).length, CAP_VERSION);
	assert_int_equal(strlen(path_package(&release).text), 2 * CAP_NAME_PART + 1);
	assert_true(path_child(&package, ".yanked", &yanked));
	assert_true(path_join(&yanked, PATH_YANKED_VERSION, path_stem(&release), &out));

	strcat(part, "a");
	assert_false(path_child(&root, part, &namespace));
	memmove(file + 7, file + 6, strlen(file) - 5);
	assert_false(path_child(&package, file, &release));
}

/* A package whose name has no room for what would follow it. */
static void test_too_long(void **state)
{
	struct path links = at(".latest", "a", NULL), out;
	char part[CAP_NAME_PART + 1], file[NAME_MAX + 8];

	(void)state;
	memset(part, 'a', CAP_NAME_PART);
	part[CAP_NAME_PART] = 0;
	assert_false(path_join(&links, PATH_LINK, span_of_text(part), &out));
	snprintf(file, sizeof(file), "%s.wasm", part);
	assert_false(path_child(&links, file, &out));
	assert_true(path_child(&links, file + 5, &out));
	assert_true(path_join(&links, PATH_LINK, span_of_text(part + 5), &out));
}

/* Folders that hold namespaces hold them as what path_child() makes of one's name. */
static void test_namespaces(void **state)
{
	static const char *const folders[] = {"", ".latest", ".warg", "log", ".warg", "proof"};
	struct path path = path_root();
	size_t count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		struct path from = *folders[i] == '.' ? path_root() : path, child;
		enum path_kind kind;

		if (*folders[i])
			assert_true(path_child(&from, folders[i], &path));
		kind = path_parts_in(path.kind);
		if (kind == PATH_KINDS)
			continue;
		assert_true(path_child(&path, "test", &child));
		assert_int_equal(child.kind, kind);
		assert_true(path_is_called_namespace(kind));
		assert_true(path_is_called_package(path_parts_in(kind)));
		count++;
	}
	assert_int_equal(count, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_namespaces),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_staged),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_of_no_name),
		cmocka_unit_test(test_requirements),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
