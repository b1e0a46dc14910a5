/*
 * Waiting for long work at a terminal: a bar when it takes longer than a second, and Ctrl-C to give it up in good
 * order.
 */
#ifndef WARGFS_CMD_PROGRESS_H
#define WARGFS_CMD_PROGRESS_H

#include "client/registry.h"

/** What is waited for. */
struct progress {
	struct registry *registry;
	const struct digest *content; /* whose size is the whole */
	const char *what;             /* for the bar */
};

/**
 * Wait for a blocking waiter that has joined, and destroy it as blocking_waiter_wait() does.
 * SIGINT and SIGTERM end the wait with FAULT_CANCELLED.
 */
int progress_wait(const struct progress *progress, struct blocking_waiter *blocking, struct fault *flt);

/** If a signal ended a wait, die of it now, as whoever started us expects. Else do nothing. */
void progress_die_of_signal(void);

#endif
