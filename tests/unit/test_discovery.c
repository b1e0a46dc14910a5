/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The pin of a URL: written at the first contact, checked later, and robust against damaged files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/store/discovery.h"
#include "client/store/trust.h"
#include "forge.h"
#include "scratch.h"
#include "torture.h"

static struct http_url url_of(const char *text)
{
	struct http_url url;

	assert_int_equal(http_url_parse(text, &url, NULL), 0);
	return url;
}

static void expect(const char *folder, const struct http_url *url, const char *text)
{
	struct http_url found;

	assert_int_equal(discovery_recall(folder, url, &found, NULL), 0);
	assert_string_equal(found.text, text);
}

static const char *file_of(const char *folder, const struct http_url *url)
{
	char name[CAP_URL + 32];

	snprintf(name, sizeof(name), "%s/discovered", url->label);
	return scratch_path(folder, name);
}

/* Another registry is refused, and the pin stays. */
static void expect_refused(const char *folder, const struct http_url *url, const struct http_url *found,
			   const struct http_url *pinned)
{
	struct fault flt = {0};

	assert_int_equal(discovery_pin(folder, url, found, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_REGISTRY);
	assert_non_null(strstr(flt.where, url->text));
	assert_non_null(strstr(flt.what, found->text));
	assert_non_null(strstr(flt.what, pinned->text));
	assert_non_null(strstr(flt.what, "wargfs reset"));
	expect(folder, url, pinned->text);
}

static void test_pins(void **state)
{
	char *folder = scratch_new();
	struct http_url url = url_of("a.example"), first = url_of("b.example/deep"), second = url_of("c.example");
	struct stat status;

	(void)state;
	expect(folder, &url, "https://a.example/");
	assert_int_equal(scratch_count(folder), 0);
	assert_int_equal(discovery_pin(folder, &url, &first, NULL), 0);
	assert_int_equal(discovery_pin(folder, &url, &first, NULL), 0);
	expect(folder, &url, "https://b.example/deep/");
	expect(folder, &first, "https://b.example/deep/");
	expect_refused(folder, &url, &second, &first);
	expect_refused(folder, &url, &url, &first);
	assert_int_equal(stat(scratch_path(folder, url.label), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0700);
	assert_int_equal(discovery_forget(folder, url.label, NULL), 0);
	assert_int_equal(discovery_forget(folder, url.label, NULL), 0);
	assert_int_equal(discovery_pin(folder, &url, &second, NULL), 0);
	/* A URL pinned to itself must not lead elsewhere. */
	assert_int_equal(discovery_pin(folder, &first, &first, NULL), 0);
	expect_refused(folder, &first, &second, &first);
	scratch_free(folder);
}

/* A registry trusted before pins existed is pinned to itself. */
static void test_met_before(void **state)
{
	struct http_url url = url_of("forge.example"), other = url_of("c.example");
	struct operator_log *log = NULL;
	struct signed_checkpoint checkpoint;
	enum trust_standing standing;
	char *folder = scratch_new();
	struct trust *trust;
	struct forge forge;

	(void)state;
	forge_open(&forge, "test");
	checkpoint = forge_checkpoint(&forge, forge.count, 5000);
	assert_int_equal(operator_log_new(&log, NULL), 0);
	for (uint64_t i = 0; i < forge.count; i++) {
		struct record_envelope envelope = forge_envelope(&forge.records[i]);

		assert_int_equal(operator_log_append(log, &envelope, NULL), 0);
	}
	assert_int_equal(trust_open(folder, url.label, &trust, NULL), 0);
	assert_int_equal(trust_remember(trust, log, &checkpoint, &(struct trust_anchor){0}, &standing, NULL), 0);
	assert_int_equal(standing, TRUST_STANDS);
	trust_close(trust);
	operator_log_unref(log);
	forge_close(&forge);
	expect_refused(folder, &url, &other, &url);
	assert_int_equal(discovery_pin(folder, &url, &url, NULL), 0);
	scratch_free(folder);
}

static void expect_damaged(const char *folder, const struct http_url *url, const struct http_url *found)
{
	struct http_url out;
	struct fault flt = {0};

	assert_int_equal(discovery_recall(folder, url, &out, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
	assert_non_null(strstr(flt.where, "discovered"));
	flt = (struct fault){0};
	assert_int_equal(discovery_pin(folder, url, found, &flt), WARG_INVALID);
	assert_int_equal(flt.party, FAULT_BY_CACHE);
	assert_non_null(strstr(flt.what, "wargfs reset"));
}

/* With any bit flipped: never another URL, never the registry's fault, never a first contact. */
static void test_flipped(void **state)
{
	struct http_url url = url_of("a.example"), found = url_of("b.example:8080/deep");
	char *folder = scratch_new();
	unsigned char text[512];
	size_t length;
	FILE *file;

	(void)state;
	assert_int_equal(discovery_pin(folder, &url, &found, NULL), 0);
	file = fopen(file_of(folder, &url), "r");
	assert_non_null(file);
	length = fread(text, 1, sizeof(text), file);
	fclose(file);
	assert_true(length > 100 && length < sizeof(text));
	for (size_t bit = 0; bit < 8 * length; bit++) {
		text[bit / 8] ^= (unsigned char)(1 << bit % 8);
		scratch_write(file_of(folder, &url), (struct span){text, length});
		expect_damaged(folder, &url, &found);
		text[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < length; cut++) {
		scratch_write(file_of(folder, &url), (struct span){text, cut});
		expect_damaged(folder, &url, &found);
	}
	assert_int_equal(discovery_forget(folder, url.label, NULL), 0);
	assert_int_equal(discovery_pin(folder, &url, &found, NULL), 0);
	scratch_free(folder);
}

/* What was written before there were seals holds, and has one from the next meeting on. */
static void test_without_seal(void **state)
{
	static const char *const damaged[] = {
		"wargfs discovered 1\n", "wargfs discovered 1\nhttp://b.example:8080/deep/", "wargfs discovered 1\n\n",
		"wargfs discovered 1\nhttp://b.example/\nmore\n", "wargfs discovered 1\nno url\n",
	};
	struct http_url url = url_of("a.example"), found = url_of("b.example:8080/deep"), other = url_of("c.example");
	char *folder = scratch_new();
	char text[512] = "", before[CAP_URL + 64];
	struct http_url out;
	FILE *file;

	(void)state;
	assert_int_equal(discovery_pin(folder, &url, &found, NULL), 0);
	snprintf(before, sizeof(before), "wargfs discovered 1\n%s\n", found.text);
	scratch_write(file_of(folder, &url), span_of_text(before));
	assert_int_equal(discovery_recall(folder, &url, &out, NULL), 0);
	assert_string_equal(out.text, found.text);
	expect_refused(folder, &url, &other, &found);
	assert_int_equal(discovery_check(folder, &url, &found, NULL), 0);
	assert_int_equal(discovery_pin(folder, &url, &found, NULL), 0);
	file = fopen(file_of(folder, &url), "r");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof(text), file));
	fclose(file);
	assert_non_null(strstr(text, "wargfs discovered 2 sha256:"));
	expect_refused(folder, &url, &other, &found);
	for (size_t i = 0; i < sizeof(damaged) / sizeof(*damaged); i++) {
		scratch_write(file_of(folder, &url), span_of_text(damaged[i]));
		expect_damaged(folder, &url, &found);
	}
	scratch_free(folder);
}

/* A symbolic link in place of the file is ignored, even to /dev/zero. */
static void test_planted(void **state)
{
	struct http_url url = url_of("a.example"), found = url_of("b.example");
	char *folder = scratch_new();

	(void)state;
	assert_int_equal(discovery_pin(folder, &url, &found, NULL), 0);
	assert_int_equal(unlink(file_of(folder, &url)), 0);
	assert_int_equal(symlink("/dev/zero", file_of(folder, &url)), 0);
	expect(folder, &url, url.text);
	assert_int_equal(discovery_pin(folder, &url, &found, NULL), 0);
	expect(folder, &url, found.text);
	scratch_free(folder);
}

/* Where nothing can be kept, nothing is. */
static void test_no_folder(void **state)
{
	char *folder = scratch_new();
	struct http_url url = url_of("a.example"), found = url_of("b.example");

	(void)state;
	scratch_write_text(scratch_path(folder, url.label), "a file is in the way");
	assert_int_equal(discovery_pin(folder, &url, &found, NULL), 0);
	expect(folder, &url, "https://a.example/");
	scratch_free(folder);
}

/* A pin that is not read for want of memory is not damaged. */
struct attempt {
	const char *folder;
	struct http_url url;
};

static int try_recall(void *context, struct fault *flt)
{
	struct attempt *attempt = context;
	struct http_url found;

	return discovery_recall(attempt->folder, &attempt->url, &found, flt);
}

static void test_without_memory(void **state)
{
	char *folder = scratch_new();
	struct attempt attempt = {.folder = folder, .url = url_of("https://typed.example/")};
	struct http_url found = url_of("https://found.example/");

	(void)state;
	assert_int_equal(discovery_pin(folder, &attempt.url, &found, NULL), 0);
	torture(try_recall, &attempt);
	scratch_free(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pins),
		cmocka_unit_test(test_met_before),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_without_seal),
		cmocka_unit_test(test_planted),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
