/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A record is in one of two places (see standing.h).
 */
#include "standing.h"

#include <stdio.h>
#include <stdlib.h>

#include "packages.h"

void standing_release(struct standing *standing)
{
	free(standing->missing);
	*standing = (struct standing){0};
}

static int read_submitted(struct database *database, const struct digest *log_id, const struct digest *record_id,
			  struct standing *out, struct fault *flt)
{
	struct submitted_state submitted;
	int r = submitted_find(database, log_id, record_id, &submitted, flt);

	if (r)
		return r;
	if (!submitted.is_rejected) {
		out->state = STANDING_SOURCING;
		out->lacking = submitted.lacking;
		return 0;
	}
	out->state = STANDING_REJECTED;
	snprintf(out->reason, sizeof(out->reason), "%s", submitted.reason);
	return 0;
}

static int find_log(struct database *database, const struct digest *log_id, bool *found, struct fault *flt)
{
	struct fault own = {0};
	struct buf name;
	int r;

	buf_init(&name, CAP_NAME_CARRIED);
	r = packages_find_text(database, log_id, &name, &own);
	buf_release(&name);
	return fault_unless_absent(r, &own, found, flt);
}

int standing_find(struct database *database, const struct digest *log_id, const struct digest *record_id,
		  struct standing *out, bool *has_log, struct fault *flt)
{
	struct standing found = {.state = STANDING_PUBLISHED};
	struct fault own = {0};
	int r = committed_find_record(database, log_id, record_id, &found.registry_index, &own);

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

int standing_read(struct database *database, const struct digest *log_id, const struct digest *record_id,
		  struct standing *out, bool *has_log, struct fault *flt)
{
	struct standing found;
	int r = standing_find(database, log_id, record_id, &found, has_log, flt);

	if (!r && found.state == STANDING_SOURCING)
		r = submitted_missing(database, log_id, record_id, &found.missing, &found.missing_count, flt);
	if (!r)
		*out = found;
	return r;
}
