/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A temporary table, by place (see import_table.h).
 */
#include "import_table.h"

#include <inttypes.h>
#include <stdlib.h>

#include "database_parts.h"
#include "statement.h"

static int put_entry(struct database *database, uint64_t place, const struct api_ledger_entry *entry, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, "INSERT INTO temp.imported (place, log_id, record_id) VALUES (?, ?, ?)",
			      &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, place);
	statement_put_digest(statement, 2, &entry->log_id);
	statement_put_digest(statement, 3, &entry->record_id);
	return statement_run(statement, flt);
}

int import_table_begin(struct database *database, uint64_t first, const struct api_ledger_entry *entries, size_t count,
		       struct fault *flt)
{
	int r = database_run(database,
			     "CREATE TEMP TABLE IF NOT EXISTS imported (place INTEGER PRIMARY KEY,"
			     " log_id BLOB NOT NULL, record_id BLOB NOT NULL, key_id BLOB, signature BLOB,"
			     " content BLOB);"
			     "CREATE INDEX IF NOT EXISTS temp.imported_logs ON imported (log_id, place)",
			     flt);

	for (size_t i = 0; i < count && !r; i++)
		r = put_entry(database, first + i, &entries[i], flt);
	return r;
}

int import_table_end(struct database *database, struct fault *flt)
{
	return database_run(database, "DELETE FROM temp.imported", flt);
}

int import_table_logs(struct database *database, struct digest **out, size_t *count, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, "SELECT DISTINCT log_id FROM temp.imported", &statement, flt);

	return r ? r : statement_gather(statement, out, count, flt);
}

/* The place of a log's next record, and which one is to come. */
static int find_next(struct database *database, const struct digest *log_id, uint64_t *place, struct digest *record_id,
		     struct fault *flt)
{
	static const char text[] = "SELECT place, record_id FROM temp.imported WHERE log_id = ? AND content IS NULL"
				   " ORDER BY place LIMIT 1";
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	r = statement_find(statement, "the ledger has no more records of it", flt);
	if (!r) {
		*place = statement_number(statement, 0);
		r = statement_digest(statement, 1, record_id, flt);
	}
	statement_end(statement);
	return r;
}

int import_table_put(struct database *database, const struct published_record *record, struct fault *flt)
{
	const struct record_envelope *envelope = &record->envelope;
	struct statement *statement;
	struct digest expected;
	struct fault own = {0};
	uint64_t place = 0;
	int r = find_next(database, &record->log_id, &place, &expected, &own);

	if (own.kind == FAULT_ABSENT)
		return fault_invalid(flt, "%s", own.what);
	if (r && flt)
		*flt = own;
	if (!r && (!digest_equals(&expected, &record->record_id) || record->registry_index != place))
		r = fault_invalid(flt, "the ledger has another record at %" PRIu64, place);
	if (!r)
		r = statement_use(database,
				  "UPDATE temp.imported SET key_id = ?, signature = ?, content = ?"
				  " WHERE place = ?",
				  &statement, flt);
	if (r)
		return r;
	statement_put_digest(statement, 1, &envelope->key_id);
	statement_put_span(statement, 2, envelope->signature);
	statement_put_span(statement, 3, envelope->content);
	statement_put_number(statement, 4, place);
	return statement_run(statement, flt);
}

static int read_row(struct statement *statement, struct published_record *out, struct fault *flt)
{
	int r;

	out->registry_index = statement_number(statement, 0);
	out->envelope.signature = statement_span(statement, 4);
	out->envelope.content = statement_span(statement, 5);
	if (!out->envelope.content.data)
		return fault_invalid(flt, "the record %" PRIu64 " did not come with its log", out->registry_index);
	r = statement_digest(statement, 1, &out->log_id, flt);
	if (!r)
		r = statement_digest(statement, 2, &out->record_id, flt);
	return r ? r : statement_digest(statement, 3, &out->envelope.key_id, flt);
}

struct taker {
	int (*take)(void *user, const struct published_record *record, struct fault *flt);
	void *user;
};

static int take_row(void *user, struct statement *row, struct fault *flt)
{
	const struct taker *taker = user;
	struct published_record record = {0};
	int r = read_row(row, &record, flt);

	return r ? r : taker->take(taker->user, &record, flt);
}

int import_table_walk(struct database *database, uint64_t first, uint64_t limit,
		      int (*take)(void *user, const struct published_record *record, struct fault *flt), void *user,
		      struct fault *flt)
{
	static const char text[] = "SELECT place, log_id, record_id, key_id, signature, content FROM temp.imported"
				   " WHERE place >= ? ORDER BY place LIMIT ?";
	struct taker taker = {take, user};
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, first);
	statement_put_number(statement, 2, limit);
	return statement_each(statement, take_row, &taker, flt);
}
