/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Having contents in the cache: one that is written to a file, or many side by side.
 */
#ifndef WARGFS_CMD_FETCH_CONTENTS_H
#define WARGFS_CMD_FETCH_CONTENTS_H

#include "client/registry/registry.h"

/** A content that is wanted, and what became of it. */
struct fetch_contents_want {
	struct registry *registry;
	struct digest digest;
	uint64_t size; /* 0 until it is there */
	struct fault fault; /* verdict 0: it is there */
};

/**
 * Fetch contents, a bounded number at a time, and wait for them all; a bar shows how far that is.
 * SIGINT and SIGTERM give up those that are not there yet, with FAULT_CANCELLED.
 * @param what  for the bar
 * @return 0; the worst of their verdicts
 */
int fetch_contents_fetch(const char *what, struct fetch_contents_want *wants, size_t count);

/** If a signal ended fetch_contents_fetch(), die of it now, as whoever started us expects. Else do nothing. */
void fetch_contents_die_of_signal(void);

#endif
