/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is chosen of what a kernel can do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fuse_init.h"

/* A kernel that opens nothing by itself has its files opened by us, and whoever may write has, too. */
static void test_opening(void **state)
{
	static const struct {
		unsigned capable;
		bool writable, opens;
	} rows[] = {
		{0, false, true},
		{FUSE_CAP_NO_OPEN_SUPPORT, false, false},
		{~(unsigned)FUSE_CAP_NO_OPEN_SUPPORT, false, true},
		{~0u, false, false},
		{~0u, true, true},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fuse_conn_info connection = {.capable = rows[i].capable};
		struct mount mount = {.options.writable = rows[i].writable};

		fuse_init_choose(&mount, &connection);
		assert_int_equal(mount.opens, rows[i].opens);
		assert_int_equal(connection.want & ~connection.capable, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_opening)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
