/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Where a record stands: what a client that published it, or asks for it, is told (protocol.md section 6).
 *
 * `processing` is not among the states: what lacks nothing is decided on in the transaction that takes it.
 */
#ifndef WARG_SERVER_STANDING_H
#define WARG_SERVER_STANDING_H

#include "submitted.h"

enum standing_state { STANDING_SOURCING, STANDING_REJECTED, STANDING_PUBLISHED };

struct standing {
	enum standing_state state;
	uint64_t lacking;             /* of SOURCING: number of missing contents, at least one */
	struct digest *missing;       /* all missing contents; owned; NULL from standing_find() */
	size_t missing_count;
	char reason[CAP_MESSAGE + 1]; /* of REJECTED */
	uint64_t registry_index;      /* of PUBLISHED */
};

/** Give the memory back. */
void standing_release(struct standing *standing);

/**
 * Read where a record stands.
 * @param has_log  on FAULT_ABSENT: whether there is a package of this log, at least
 * @return 0; FAULT_ABSENT
 */
int standing_read(struct database *database, const struct digest *log_id, const struct digest *record_id,
		  struct standing *out, bool *has_log, struct fault *flt);
/** The same without the list of missing contents, which may be long. */
int standing_find(struct database *database, const struct digest *log_id, const struct digest *record_id,
		  struct standing *out, bool *has_log, struct fault *flt);

#endif
