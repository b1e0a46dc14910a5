/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Time as deadlines need it, and as records need it.
 */
#ifndef WARG_CLIENT_CLOCK_H
#define WARG_CLIENT_CLOCK_H

#include <stdint.h>

/** A point in time on CLOCK_MONOTONIC, in milliseconds: what every deadline is. */
typedef int64_t clock_ms;

/** A deadline that never passes. */
#define CLOCK_NEVER INT64_MAX

/** Now. */
clock_ms clock_now(void);

/** The deadline `seconds` from now; CLOCK_NEVER if that cannot be told in a clock_ms. */
clock_ms clock_in_seconds(uint64_t seconds);

/** Milliseconds until `deadline`, 0 if it has passed, at most INT_MAX: what poll() takes. */
int clock_left(clock_ms deadline);

#endif
