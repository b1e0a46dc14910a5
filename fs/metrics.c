/*
 * What is counted, by name (see metrics.h).
 */
#include "metrics.h"

static const char *const operations[METRICS_OPERATIONS] = {
	[METRICS_LOOKUP] = "lookup",   [METRICS_GETATTR] = "getattr", [METRICS_READLINK] = "readlink",
	[METRICS_OPEN] = "open",       [METRICS_READ] = "read",       [METRICS_OPENDIR] = "opendir",
	[METRICS_READDIR] = "readdir", [METRICS_XATTR] = "xattr",     [METRICS_STATFS] = "statfs",
};

static const char *const faults[FAULT_SYSTEM + 1] = {
	[FAULT_NONE] = "none",       [FAULT_FORGED] = "forged",       [FAULT_UNREACHABLE] = "unreachable",
	[FAULT_TIMEOUT] = "timeout", [FAULT_LOGIN] = "login",         [FAULT_REFUSED] = "refused",
	[FAULT_DENIED] = "denied",   [FAULT_NO_KEY] = "no_key",       [FAULT_ABSENT] = "absent",
	[FAULT_EXISTS] = "exists",   [FAULT_LIMIT] = "limit",         [FAULT_CANCELLED] = "cancelled",
	[FAULT_MISUSE] = "misuse",   [FAULT_SYSTEM] = "system",
};

const char *metrics_operation_name(enum metrics_operation operation)
{
	return operations[operation];
}

const char *metrics_fault_name(enum fault_kind kind)
{
	return faults[kind];
}
