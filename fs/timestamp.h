/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Points in time as people and programs read them.
 */
#ifndef WARGFS_FS_TIMESTAMP_H
#define WARGFS_FS_TIMESTAMP_H

#include "verify/record.h"

#define TIMESTAMP_SIZE 48

/** Write "2026-11-24T12:00:00.000000001Z" (RFC 3339), without a fraction where there is none; "" for no such time. */
void timestamp_format(struct record_time time, char out[static TIMESTAMP_SIZE]);

#endif
