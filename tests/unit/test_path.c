/*
 * Names in the mount: what can be one, and what they are taken apart to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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
	assert_string_equal(release.text, "some-ns/a-package/1.0.0-rc.1+b.2");
	assert_true(span_is(path_version(&release), "1.0.0-rc.1+b.2"));
	assert_true(span_is(path_namespace(&release), "some-ns"));
	assert_string_equal(name.text, "some-ns:a-package");
	assert_int_equal(name.colon, 7);
	assert_int_equal(latest.kind, PATH_LATEST);
	assert_string_equal(latest.text, "some-ns/a-package/latest.wasm");
	assert_int_equal(package.kind, PATH_PACKAGE);
	assert_string_equal(package.text, "some-ns/a-package");
	assert_string_equal(path_package(&package).text, "some-ns:a-package");
	assert_int_equal(namespace.kind, PATH_NAMESPACE);
	assert_string_equal(namespace.text, "some-ns");
	assert_int_equal(root.kind, PATH_ROOT);
	assert_string_equal(root.text, "");
	assert_int_equal(above.kind, PATH_ROOT);
}

static void test_impossible(void **state)
{
	static const char *const no_parts[] = { "", ".", "..", ".Trash", ".git", "Foo", "a_b", "a--b", "-a", "a-", "1a",
						"x/..", "a:b", "a@b", "a b", "a.wasm", "\xc3\xa9", "a\n" };
	static const char *const no_files[] = { "", ".wasm", "1.0.wasm", "1.0.0", "1.0.0.WASM", "v1.0.0.wasm",
						"01.0.0.wasm", "1.0.0.wasm.wasm ", "1.0.0.wasm~", "Latest.wasm",
						"latest", ".1.0.0.wasm", "^1.0.wasm", "1.0.0/.wasm", "*.wasm" };
	struct path root = path_root(), namespace = at("a", NULL, NULL), package = at("a", "b", NULL), out;
	struct path release = at("a", "b", "1.0.0.wasm");

	(void)state;
	for (size_t i = 0; i < sizeof(no_parts) / sizeof(no_parts[0]); i++) {
		assert_false(path_child(&root, no_parts[i], &out));
		assert_false(path_child(&namespace, no_parts[i], &out));
	}
	for (size_t i = 0; i < sizeof(no_files) / sizeof(no_files[0]); i++) {
		if (path_child(&package, no_files[i], &out))
			fail_msg("can be: %s", no_files[i]);
	}
	assert_false(path_child(&release, "a", &out));
}

/* Every name is as long as it can be. */
static void test_longest(void **state)
{
	char part[CAP_NAME_PART + 2], file[PATH_FILE_NAME_SIZE + 1];
	struct path namespace, package, release, root = path_root();

	(void)state;
	memset(part, 'a', CAP_NAME_PART);
	part[CAP_NAME_PART] = 0;
	snprintf(file, sizeof(file), "1.0.0-%0*d.wasm", CAP_VERSION - 6, 0);
	memset(file + 6, 'b', CAP_VERSION - 6);
	assert_true(path_child(&root, part, &namespace));
	assert_true(path_child(&namespace, part, &package));
	assert_true(path_child(&package, file, &release));
	assert_int_equal(strlen(release.text), 2 * CAP_NAME_PART + CAP_VERSION + 2);
	assert_int_equal(path_version(&release).length, CAP_VERSION);
	assert_int_equal(strlen(path_package(&release).text), 2 * CAP_NAME_PART + 1);

	strcat(part, "a");
	assert_false(path_child(&root, part, &namespace));
	memmove(file + 7, file + 6, strlen(file) - 5);
	assert_false(path_child(&package, file, &release));
}

static void test_file_name(void **state)
{
	char name[PATH_FILE_NAME_SIZE];

	(void)state;
	path_file_name("1.0.0+a", name);
	assert_string_equal(name, "1.0.0+a.wasm");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_file_name),
	};

	return cmocka_run_group_tests_name("path", tests, NULL, NULL);
}
