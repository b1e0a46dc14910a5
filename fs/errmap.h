/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * From a fault to the errno that a program sees: the one table.
 */
#ifndef WARGFS_FS_ERRMAP_H
#define WARGFS_FS_ERRMAP_H

#include "verify/fault.h"

/**
 * The errno, above 0, for a fault with a verdict.
 *
 * Never one that FUSE or the kernel would understand as something else: ENOSYS switches an operation off for good,
 * ESTALE has a path looked up again.
 */
int errmap_errno(const struct fault *flt);

#endif
