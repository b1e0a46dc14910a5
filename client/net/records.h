/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Logs as they travel: whole, from the first record on. For what starts from the signatures, and believes nothing that
 * is stored.
 */
#ifndef WARG_CLIENT_RECORDS_H
#define WARG_CLIENT_RECORDS_H

#include "api.h"

/**
 * Fetch the operator's log, and a package's, as they are at `log_length`: one round trip for every CAP_REQUEST_RECORDS
 * records. Nothing is validated here.
 *
 * @param package  NULL: the operator's alone
 * @param out      the operator's log, and the package's as the only one of its packages; api_logs_release() it
 * @return 0; WARG_INVALID for an answer without end, or one that is no registry's; WARG_UNDECIDED with FAULT_ABSENT if
 *         the registry has no such package, with FAULT_LIMIT if there is more than CAP_PROOF
 */
int records_fetch(const struct api *api, clock_ms deadline, uint64_t log_length, const struct name *package,
		  struct api_logs *out, struct fault *flt);

#endif
