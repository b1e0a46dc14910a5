/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is counted, by name (see metrics.h).
 */
#include "metrics.h"

static const char *const operations[METRICS_OPERATIONS] = {
	[METRICS_LOOKUP] = "lookup",   [METRICS_GETATTR] = "getattr", [METRICS_READLINK] = "readlink",
	[METRICS_OPEN] = "open",       [METRICS_READ] = "read",       [METRICS_OPENDIR] = "opendir",
	[METRICS_READDIR] = "readdir", [METRICS_XATTR] = "xattr",     [METRICS_STATFS] = "statfs",
};

const char *metrics_operation_name(enum metrics_operation operation)
{
	return operations[operation];
}
