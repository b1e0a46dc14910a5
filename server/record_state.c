/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A record is in one of two places (see record_state.h).
 */
#include "record_state.h"

#include <stdio.h>
#include <stdlib.h>

#include "package_names.h"

void record_state_release(struct record_state *standing)
{
	free(standing->missing);
	*standing = (struct record_state){0};
}

static int read_submitted(struct database *database, const struct digest *log_id, const struct digest *record_id,
			  struct record_state *out, struct fault *flt)
{
	struct waiting_state submitted;
	int r = waiting_find(database, log_id, record_id, &submitted, flt);

	if (r)
		return r;
	if (!submitted.is_rejected) {
		out->state = RECORD_STATE_SOURCING;
		out->lacking = submitted.lacking;
		return 0;
	}
	out->state = RECORD_STATE_REJECTED;
	snprintf(out->reason, sizeof(out->reason), "%s", submitted.reason);
	return 0;
}

static int find_log(struct database *database, const struct digest *log_id, bool *found, struct fault *flt)
{
	struct fault own = {0};
	struct buf name;
	int r;

	buf_init(&name, CAP_NAME_CARRIED);
	r = package_names_find_text(database, log_id, &name, &own);
	buf_release(&name);
	return fault_unless_absent(r, &own, found, flt);
}

int record_state_find(struct database *database, const struct digest *log_id, const struct digest *record_id,
		      struct record_state *out, bool *has_log, struct fault *flt)
{
	struct record_state found = {.state = RECORD_STATE_PUBLISHED};
	struct fault own = {0};
	int r = published_find_record(database, log_id, record_id, &found.registry_index, &own);

	if (own.kind == FAULT_ABSENT) {
		own = (struct fault){0};
		r = read_submitted(database, log_id, record_id, &found, &own);
	}
	if (!r) {
		*out = found;
		return 0;
	}
	if (own.kind == FAULT_ABSENT)
		find_log(database, log_id, has_log, &own);
	if (flt)
		*flt = own;
	return r;
}

int record_state_read(struct database *database, const struct digest *log_id, const struct digest *record_id,
		      struct record_state *out, bool *has_log, struct fault *flt)
{
	struct record_state found;
	int r = record_state_find(database, log_id, record_id, &found, has_log, flt);

	if (!r && found.state == RECORD_STATE_SOURCING)
		r = waiting_missing(database, log_id, record_id, &found.missing, &found.missing_count, flt);
	if (!r)
		*out = found;
	return r;
}
