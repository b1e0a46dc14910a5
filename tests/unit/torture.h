/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Every allocation failed once.
 *
 * torture() runs an operation with its first allocation failing, then with its second, and so on, until it succeeds:
 * each failure has to be WARG_UNDECIDED with a fault that says so. Leaks are for ASan to find. Covered are this
 * thread's allocations by code linked into the test (the linker's --wrap), by OpenSSL and by jansson.
 */
#ifndef WARG_TESTS_TORTURE_H
#define WARG_TESTS_TORTURE_H

#include <stddef.h>

#include "verify/fault.h"

/**
 * One try of an operation, on `context`. On failure it must undo what it set up, and check that outputs are untouched.
 */
typedef int torture_operation(void *context, struct fault *flt);

/**
 * Run `operation` until it succeeds. It runs once before that with nothing failing, for what libraries set up only
 * once.
 * @return how many allocations were failed; at least one, or the test fails
 */
size_t torture(torture_operation *operation, void *context);

/** As torture(), for operations that need no memory every time (one that joins others, say): none failed is fine. */
size_t torture_any(torture_operation *operation, void *context);

/** As torture(), with every `step`th allocation alone, for operations that take their time. 1 is torture(). */
size_t torture_some(torture_operation *operation, void *context, long step);

#endif
