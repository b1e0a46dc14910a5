/*
 * The daemon's log: one sentence an event, to stderr or to syslog, never a flood.
 */
#ifndef WARGFS_FS_LOG_H
#define WARGFS_FS_LOG_H

#include "verify/fault.h"

#include <stdbool.h>
#include <stdint.h>

struct log;

/** A log to stderr. */
int log_new(struct log **out, struct fault *flt);
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

/** The fault that was met last, logged or not. @return whether there is one */
bool log_last(struct log *log, char out[static FAULT_SENTENCE_SIZE], int64_t *when);

#endif
