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
		return submitted_missing(database, log_id, record_id, &out->missing, &out->missing_count, flt);
	}
	out->state = STANDING_REJECTED;
	snprintf(out->reason, sizeof(out->reason), "%s", submitted.reason);
	return 0;
}

static int find_log(struct database *database, const struct digest *log_id, bool *found, struct fault *flt)
{
	struct fault own = {0};
	struct name name;
	int r = packages_find(database, log_id, &name, &own);

	return fault_unless_absent(r, &own, found, flt);
}

int standing_read(struct database *database, const struct digest *log_id, const struct digest *record_id,
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
