/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A table of log ids (see refused.h).
 */
#include "refused.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log_cache.h"
#include "package_names.h"
#include "statement.h"

int refused_add(struct database *database, const struct digest *log_id, const struct refused *refused,
		struct fault *flt)
{
	static const char text[] = "INSERT OR REPLACE INTO refused (log_id, registry_index, reason) VALUES (?, ?, ?)";
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	statement_put_number(statement, 2, refused->registry_index);
	statement_put_span(statement, 3, span_of_text(refused->reason));
	return statement_run(statement, flt);
}

int refused_find(struct database *database, const struct digest *log_id, struct refused *out, struct fault *flt)
{
	struct statement *statement;
	struct span reason;
	int r = statement_use(database, "SELECT registry_index, reason FROM refused WHERE log_id = ?", &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	r = statement_find(statement, "the package is not refused", flt);
	if (!r) {
		*out = (struct refused){.registry_index = statement_number(statement, 0)};
		reason = statement_span(statement, 1);
		if (reason.length)
			memcpy(out->reason, reason.data,
			       reason.length < sizeof(out->reason) ? reason.length : sizeof(out->reason) - 1);
	}
	statement_end(statement);
	return r;
}

/* ---- Reviewing ---- */

/* @param keeps  whether the log keeps all rules; what cannot be read does not */
static int review_log(struct database *database, const struct digest *log_id, bool *keeps, struct fault *flt)
{
	struct package_log *log = NULL;
	struct fault own = {0};
	struct name name;
	int r = package_names_find(database, log_id, &name, &own);

	if (!r)
		r = log_cache_load(database, &name, &log, &own);
	*keeps = !r;
	package_log_unref(log);
	if (own.errnum == ENOMEM)
		*flt = own;
	return own.errnum == ENOMEM ? r : 0;
}

static int review_all(struct database *database, const struct digest *log_ids, size_t count, struct fault *flt)
{
	bool keeps = false, found;
	int r = 0;

	for (size_t i = 0; i < count && !r; i++) {
		r = review_log(database, &log_ids[i], &keeps, flt);
		if (!r && keeps)
			r = statement_ask_for(database, "DELETE FROM refused WHERE log_id = ?", &log_ids[i], &found,
					      flt);
	}
	return r;
}

int refused_review(struct database *database, struct fault *flt)
{
	struct digest *log_ids = NULL;
	struct statement *statement;
	size_t count = 0;
	int r = statement_use(database, "SELECT log_id FROM refused LIMIT ?", &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, REFUSED_REVIEWED);
	r = statement_gather(statement, &log_ids, &count, flt);
	if (!r && count) {
		r = database_begin(database, flt);
		if (!r)
			r = review_all(database, log_ids, count, flt);
		if (!r)
			r = database_commit(database, flt);
		database_rollback(database);
	}
	free(log_ids);
	return r;
}
