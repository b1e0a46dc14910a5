/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the fuzz targets share.
 */
#ifndef WARG_TESTS_FUZZ_H
#define WARG_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "verify/buf.h"

/** libFuzzer's entry: one input. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** A property that holds for every input; the fuzzer stops at one for which it does not. */
static inline void fuzz_require(bool holds)
{
	if (!holds)
		__builtin_trap();
}

/** A parser's verdict and fault go together, and with memory at hand a text is good or it is not. */
static inline void fuzz_require_verdict(int verdict, const struct fault *flt)
{
	fuzz_require(verdict == 0 || verdict == WARG_INVALID);
	fuzz_require(flt->verdict == verdict);
}

#endif
