/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The log of a mount or a server: one sentence per event, to stderr or syslog, rate-limited.
 */
#ifndef WARGFS_FS_LOG_H
#define WARGFS_FS_LOG_H

#include "verify/fault.h"

#include <stdbool.h>
#include <stdint.h>

struct log;

/** A log to stderr. @param who  prefix of its lines; borrowed */
int log_new(const char *who, struct log **out, struct fault *flt);
/** NULL is fine. */
void log_free(struct log *log);

/** From now on to syslog. */
void log_to_syslog(struct log *log);

/**
 * Log a fault. The same sentence again within a minute is not repeated, nor are more than LOG_BURST a minute in all;
 * how many were left out is said afterwards.
 * @param where  path in the mount; "" for none
 */
#define LOG_BURST 30
void log_fault(struct log *log, const char *where, const struct fault *flt);

/** Log a rare sentence that is no fault. */
void log_note(struct log *log, const char *sentence);

/** The fault that was met last, logged or not. @return whether there is one */
bool log_last(struct log *log, char out[static FAULT_SENTENCE_SIZE], int64_t *when);

#endif
