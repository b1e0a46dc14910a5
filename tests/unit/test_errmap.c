/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The table of errnos.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/errmap.h"

static void test_kinds(void **state)
{
	static const struct {
		enum fault_kind kind;
		int errnum, expected;
	} rows[] = {
		{ FAULT_DENIED, 0, EACCES },        { FAULT_NO_KEY, 0, ENOKEY },
		{ FAULT_EXISTS, 0, EEXIST },
		{ FAULT_FORGED, 0, EBADMSG },       { FAULT_UNREACHABLE, 0, EHOSTUNREACH },
		{ FAULT_TIMEOUT, 0, ETIMEDOUT },    { FAULT_LOGIN, 0, EACCES },
		{ FAULT_REFUSED, 0, EPERM },        { FAULT_ABSENT, 0, ENOENT },
		{ FAULT_LIMIT, 0, EFBIG },          { FAULT_CANCELLED, 0, EINTR },
		{ FAULT_MISUSE, 0, EINVAL },        { FAULT_NONE, 0, EIO },
		{ FAULT_SYSTEM, ENOSPC, ENOSPC },   { FAULT_SYSTEM, ENOMEM, ENOMEM },
		{ FAULT_SYSTEM, EACCES, EACCES },   { FAULT_SYSTEM, 0, EIO },
		{ FAULT_SYSTEM, -5, EIO },          { FAULT_SYSTEM, 512, EIO },
		/* These mean something else to FUSE. */
		{ FAULT_SYSTEM, ENOSYS, EIO },      { FAULT_SYSTEM, ESTALE, EIO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct fault flt = { .verdict = WARG_UNDECIDED, .kind = rows[i].kind, .errnum = rows[i].errnum };

		assert_int_equal(errmap_errno(&flt), rows[i].expected);
	}
}

/* Whoever sent it: a lie is a lie. */
static void test_set_by_others(void **state)
{
	struct fault forged = {0}, full = {0};

	(void)state;
	fault_invalid(&forged, "a lie");
	fault_blame(&forged, FAULT_BY_CACHE);
	assert_int_equal(errmap_errno(&forged), EBADMSG);
	fault_system(&full, EDQUOT, "the disk");
	assert_int_equal(errmap_errno(&full), EDQUOT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_set_by_others),
	};

	return cmocka_run_group_tests_name("errmap", tests, NULL, NULL);
}
