/*
 * What URLs stood for, and what others may have made of the file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/discovery.h"
#include "scratch.h"

static struct http_url url_of(const char *text)
{
	struct http_url url;

	assert_int_equal(http_url_parse(text, &url, NULL), 0);
	return url;
}

static void expect(const char *folder, const struct http_url *url, const char *text)
{
	struct http_url found = discovery_recall(folder, url);

	assert_string_equal(found.text, text);
}

static void test_remembers(void **state)
{
	char *folder = scratch_new();
	struct http_url url = url_of("a.example"), first = url_of("b.example/deep"), second = url_of("c.example");
	struct stat status;

	(void)state;
	expect(folder, &url, "https://a.example/");
	/* That it stands for itself goes without saying. */
	discovery_remember(folder, &url, &url);
	assert_int_equal(scratch_count(folder), 0);
	discovery_remember(folder, &url, &first);
	expect(folder, &url, "https://b.example/deep/");
	expect(folder, &first, "https://b.example/deep/");
	discovery_remember(folder, &url, &second);
	expect(folder, &url, "https://c.example/");
	discovery_remember(folder, &url, &url);
	expect(folder, &url, "https://a.example/");
	assert_int_equal(stat(scratch_path(folder, url.label), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	scratch_free(folder);
}

static void test_false_files(void **state)
{
	static const char *const texts[] = {
		"", "wargfs discovered 2\nhttps://b.example/\n", "wargfs discovered 1\n", "wargfs discovered 1\n\n",
		"wargfs discovered 1\nhttps://b.example/", "wargfs discovered 1\nftp://b.example/\n",
		"wargfs discovered 1\nhttp://b.example/\n",
		"wargfs discovered 1\nhttps://b.example/\nhttps://c.example/\n",
	};
	struct http_url url = url_of("a.example"), found = url_of("b.example");

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *folder = scratch_new();
		char name[CAP_URL + 32];

		snprintf(name, sizeof(name), "%s/discovered", url.label);
		scratch_write_text(scratch_path(folder, name), texts[i]);
		expect(folder, &url, "https://a.example/");
		discovery_remember(folder, &url, &found);
		expect(folder, &url, "https://b.example/");
		assert_int_equal(unlink(scratch_path(folder, name)), 0);
		assert_int_equal(symlink("/dev/zero", scratch_path(folder, name)), 0);
		expect(folder, &url, "https://a.example/");
		scratch_free(folder);
	}
}

/* Where nothing can be kept, nothing is. */
static void test_no_folder(void **state)
{
	char *folder = scratch_new();
	struct http_url url = url_of("a.example"), found = url_of("b.example");

	(void)state;
	scratch_write_text(scratch_path(folder, url.label), "a file is in the way");
	discovery_remember(folder, &url, &found);
	expect(folder, &url, "https://a.example/");
	scratch_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remembers),
		cmocka_unit_test(test_false_files),
		cmocka_unit_test(test_no_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
