/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The words behind -o.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "fs/mount_options.h"
#include "torture.h"

static void test_usual(void **state)
{
	struct mount_options options;

	(void)state;
	mount_options_init(&options);
	assert_int_equal(mount_options_parse(&options, "", NULL), 0);
	assert_int_equal(mount_options_parse(&options, "ro,,default_permissions,", NULL), 0);
	assert_int_equal(options.timeout, 30);
	assert_int_equal(options.refresh, 60);
	assert_int_equal(options.max_age, 0);
	assert_false(options.offline);
	assert_int_equal(options.uid, getuid());
	assert_int_equal(options.gid, getgid());
	assert_int_equal(options.umask, 0);
	assert_int_equal(options.passed.length, 0);
	mount_options_release(&options);
}

static void test_taken(void **state)
{
	struct mount_options options;

	(void)state;
	mount_options_init(&options);
	assert_int_equal(mount_options_parse(&options, "timeout=5,nosuid,refresh=0,uid=12,allow_other", NULL), 0);
	assert_false(options.offline);
	assert_int_equal(mount_options_parse(&options, "max_age=90,offline", NULL), 0);
	assert_int_equal(mount_options_parse(&options, "gid=4294967294,umask=027,noatime,timeout=7", NULL), 0);
	assert_int_equal(mount_options_parse(&options, "fsname=a,auto_unmount,fsname=b c,remount", NULL), 0);
	assert_int_equal(mount_options_parse(&options, "nofail,_netdev,noauto,x-a=b,X-c,comment=,relatime", NULL), 0);
	assert_string_equal(options.fsname, "b c");
	assert_true(options.remount && !options.debug && !options.only_root);
	assert_int_equal(options.timeout, 7);
	assert_int_equal(options.refresh, 0);
	assert_int_equal(options.max_age, 90);
	assert_true(options.offline);
	assert_int_equal(options.uid, 12);
	assert_int_equal(options.gid, 4294967294);
	assert_int_equal(options.umask, 027);
	assert_true(span_is(buf_span(&options.passed), ",nosuid,allow_other,noatime,auto_unmount"));
	mount_options_release(&options);
}

/* Who says nothing writes nothing; the last word counts. */
static void test_writing(void **state)
{
	static const struct {
		const char *text;
		bool writable, yank, by_rename, fits;
	} rows[] = {
		{ "", false, false, false, true },
		{ "rw", true, false, false, true },
		{ "writable", true, false, false, true },
		{ "rw,ro", false, false, false, true },
		{ "ro,rw,yank", true, true, false, true },
		{ "yank", false, true, false, false },
		{ "yank,rw,ro", false, true, false, false },
		{ "rw,offline", true, false, false, false },
		{ "offline", false, false, false, true },
		{ "rw,publish=rename", true, false, true, true },
		{ "rw,publish=close", true, false, false, true },
		{ "publish=rename,publish=close", false, false, false, true },
		{ "publish=rename", false, false, true, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mount_options options;

		mount_options_init(&options);
		assert_int_equal(mount_options_parse(&options, rows[i].text, NULL), 0);
		assert_int_equal(options.writable, rows[i].writable);
		assert_int_equal(options.yank, rows[i].yank);
		assert_int_equal(options.publish_by_rename, rows[i].by_rename);
		assert_int_equal(mount_options_check(&options, NULL), rows[i].fits ? 0 : WARG_UNDECIDED);
		mount_options_release(&options);
	}
}

static void test_has(void **state)
{
	static const char *const known[] = { "ro", "rw", "writable", "yank", "timeout=5", "timeout=never", "uid=",
					     "allow_other", "_netdev", "x-a", "fsname=" };
	static const char *const unknown[] = { "", "timeout", "ro=1", "r", "allow_others",
					       "netdev", "x", "fsname", "Ro" };

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		assert_true(mount_options_has(known[i]));
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		assert_false(mount_options_has(unknown[i]));
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *names;
	} rows[] = {
		{ "rw=1", "rw=..." },          { "offline=1", "offline=..." }, { "max_age=x", "max_age" },
		{ "timeout", "timeout" },      { "timeout=", "timeout=" },    { "timeout=0", "timeout=" },
		{ "timeout=-1", "timeout=" },  { "timeout=1s", "timeout=" },  { "timeout= 1", "timeout=" },
		{ "timeout=+1", "timeout=" },  { "uid=root", "uid=" },        { "uid=4294967295", "uid=" },
		{ "publish=", "publish=" },    { "publish", "publish" },      { "publish=renamed", "renamed" },
		{ "umask=8", "octal" },        { "umask=1000", "octal" },     { "umask=", "octal" },
		{ "gid=99999999999999999999", "gid=" },
		{ "refresh=31536001", "refresh=" },
		{ "nosuidx", "nosuidx" },      { "ro=1", "ro=..." },          { "ro,fsname=", "fsname=" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mount_options options;
		struct fault flt = {0};

		mount_options_init(&options);
		assert_int_equal(mount_options_parse(&options, rows[i].text, &flt), WARG_UNDECIDED);
		assert_int_equal(flt.kind, FAULT_MISUSE);
		if (!strstr(flt.what, rows[i].names))
			fail_msg("%s: %s", rows[i].text, flt.what);
		mount_options_release(&options);
	}
}

/* What mount(2) takes is a page, however often a word is repeated. */
static void test_too_long(void **state)
{
	struct mount_options options;
	struct fault flt = {0};
	unsigned words = 0;

	(void)state;
	mount_options_init(&options);
	while (words < 1000 && mount_options_parse(&options, "nosuid", &flt) == 0)
		words++;
	assert_int_equal(words, 4096 / 7);
	assert_int_equal(flt.kind, FAULT_LIMIT);
	mount_options_release(&options);
}

static int try_parse(void *context, struct fault *flt)
{
	struct mount_options options;
	int verdict;

	(void)context;
	mount_options_init(&options);
	verdict = mount_options_parse(&options, "timeout=5,nosuid,fsname=x,allow_root,debug", flt);
	mount_options_release(&options);
	return verdict;
}

static void test_no_memory(void **state)
{
	(void)state;
	torture(try_parse, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_usual),   cmocka_unit_test(test_taken),    cmocka_unit_test(test_has),
		cmocka_unit_test(test_writing),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_too_long), cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests_name("mount_options", tests, NULL, NULL);
}
