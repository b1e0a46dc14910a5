/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a server counts since its start, for /metrics. Counting costs one relaxed addition.
 */
#ifndef WARG_SERVER_COUNTERS_H
#define WARG_SERVER_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#define COUNTERS_ROUTES 20  /* more than there are */
#define COUNTERS_CLASSES 6  /* of statuses, by their first digit */

/** Zeroed at the start. */
struct counters {
	_Atomic uint64_t requests[COUNTERS_ROUTES][COUNTERS_CLASSES];
	_Atomic uint64_t records; /* published */
	_Atomic uint64_t commits;
	_Atomic uint64_t bytes_received; /* of contents */
	_Atomic uint64_t connections;    /* open now */
};

static inline void counters_add(_Atomic uint64_t *counter, uint64_t count)
{
	atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

static inline uint64_t counters_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
