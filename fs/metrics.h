/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What a mount counts since its start. Counting costs one relaxed addition, and nothing waits for it.
 */
#ifndef WARGFS_FS_METRICS_H
#define WARGFS_FS_METRICS_H

#include "verify/fault.h"

#include <stdatomic.h>
#include <stdint.h>

/** What the kernel asks for. */
enum metrics_operation {
	METRICS_LOOKUP,
	METRICS_GETATTR,
	METRICS_READLINK,
	METRICS_OPEN,
	METRICS_READ,
	METRICS_OPENDIR,
	METRICS_READDIR,
	METRICS_XATTR,
	METRICS_STATFS,
	METRICS_OPERATIONS /* how many there are */
};

/** Zeroed at the start. */
struct metrics {
	_Atomic uint64_t operations[METRICS_OPERATIONS];
	_Atomic uint64_t faults[FAULT_SYSTEM + 1]; /* by enum fault_kind */
	_Atomic uint64_t bytes_read;
};

/** What an operation is called. */
const char *metrics_operation_name(enum metrics_operation operation);

static inline void metrics_add(_Atomic uint64_t *counter, uint64_t count)
{
	atomic_fetch_add_explicit(counter, count, memory_order_relaxed);
}

static inline uint64_t metrics_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static inline void metrics_count(struct metrics *metrics, enum metrics_operation operation)
{
	metrics_add(&metrics->operations[operation], 1);
}

#endif
