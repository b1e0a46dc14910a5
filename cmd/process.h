/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Repairs inherited state that would break a process: closed standard descriptors, blocked or ignored signals, and
 * limits.
 */
#ifndef WARGFS_CMD_PROCESS_H
#define WARGFS_CMD_PROCESS_H

/**
 * Call it once, before any file is opened or thread started. Opens missing descriptors 0 to 2, so that no later file
 * gets such a number; reading and writing those fails. Unblocks all signals and resets those that we handle. Ignores
 * SIGXFSZ, so that a write past RLIMIT_FSIZE fails with EFBIG instead of killing the process.
 */
void process_begin(void);

/**
 * Close every descriptor above 2 except those in `kept`, some of which may be -1. For long-running processes: an
 * inherited descriptor would keep a lock held or a pipe open.
 * @param count  at most PROCESS_KEPT
 */
void process_close_others(const int *kept, unsigned count);
#define PROCESS_KEPT 8

#endif
