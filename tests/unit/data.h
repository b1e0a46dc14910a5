/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Files of tests/data, for tests. They are found from the checkout's top folder, where tests run.
 */
#ifndef WARG_TESTS_DATA_H
#define WARG_TESTS_DATA_H

#include "verify/buf.h"

/** The whole file; the test fails without it. Give it back with buf_release(). */
struct buf data_read(const char *path);

/** Take the text up to `separator`, or up to the end, off the front of `rest`. @return false when there is none left */
bool data_next(struct span *rest, char separator, struct span *out);

#endif
