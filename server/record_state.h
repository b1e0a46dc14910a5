/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Where a record stands: what a client that published it, or asks for it, is told (protocol.md section 6).
 *
 * `processing` is not among the states: what lacks nothing is decided on in the transaction that takes it.
 */
#ifndef WARG_SERVER_RECORD_STATE_H
#define WARG_SERVER_RECORD_STATE_H

#include "waiting.h"

enum record_state_state { RECORD_STATE_SOURCING, RECORD_STATE_REJECTED, RECORD_STATE_PUBLISHED };

struct record_state {
	enum record_state_state state;
	uint64_t lacking; /* of SOURCING: number of missing contents, at least one */
	struct digest *missing; /* all missing contents; owned; NULL from record_state_find() */
	size_t missing_count;
	char reason[CAP_MESSAGE + 1]; /* of REJECTED */
	uint64_t registry_index; /* of PUBLISHED */
};

/** Give the memory back. */
void record_state_release(struct record_state *standing);

/**
 * Read where a record stands.
 * @param has_log  on FAULT_ABSENT: whether there is a package of this log, at least
 * @return 0; FAULT_ABSENT
 */
int record_state_read(struct database *database, const struct digest *log_id, const struct digest *record_id,
		      struct record_state *out, bool *has_log, struct fault *flt);
/** The same without the list of missing contents, which may be long. */
int record_state_find(struct database *database, const struct digest *log_id, const struct digest *record_id,
		      struct record_state *out, bool *has_log, struct fault *flt);

#endif
