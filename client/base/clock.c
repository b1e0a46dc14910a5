/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Time: clock.h.
 */
#include "clock.h"

#include <limits.h>
#include <time.h>

clock_ms clock_now(void)
{
	struct timespec now;

	/* Cannot fail: the clock is always there, and the pointer is ours. */
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (clock_ms)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

clock_ms clock_in_seconds(uint64_t seconds)
{
	clock_ms now = clock_now();

	if (seconds > (uint64_t)(CLOCK_NEVER - now - 1) / 1000)
		return CLOCK_NEVER;
	return now + (clock_ms)seconds * 1000;
}

int clock_left(clock_ms deadline)
{
	clock_ms now = clock_now();

	if (deadline <= now)
		return 0;
	return deadline - now < INT_MAX ? (int)(deadline - now) : INT_MAX;
}
