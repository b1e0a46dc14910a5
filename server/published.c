/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Records are rows by their place in the registry's log; a log is a row with its end (see published.h).
 */
#include "published.h"

#include <inttypes.h>
#include <string.h>

#include "statement.h"
#include "verify/name.h"

/* ---- Writing ---- */

/* The log's row, with one record more. */
static int grow_log(struct database *database, const struct published_record *record, struct fault *flt)
{
	static const char text[] = "INSERT INTO logs (log_id, length, head) VALUES (?, 1, ?)"
				   " ON CONFLICT (log_id) DO UPDATE SET length = length + 1, head = excluded.head";
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, &record->log_id);
	statement_put_number(statement, 2, record->registry_index);
	return statement_run(statement, flt);
}

static int put_record(struct database *database, const struct published_record *record, struct fault *flt)
{
	static const char text[] = "INSERT INTO records (registry_index, log, record_id, key_id, signature, content)"
				   " SELECT ?, id, ?, ?, ?, ? FROM logs WHERE log_id = ?";
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, record->registry_index);
	statement_put_digest(statement, 2, &record->record_id);
	statement_put_digest(statement, 3, &record->envelope.key_id);
	statement_put_span(statement, 4, record->envelope.signature);
	statement_put_span(statement, 5, record->envelope.content);
	statement_put_digest(statement, 6, &record->log_id);
	return statement_run(statement, flt);
}

int published_append(struct database *database, const struct published_record *record, struct fault *flt)
{
	uint64_t length = 0;
	int r = published_length(database, &length, flt);

	if (!r && record->registry_index != length)
		r = fault_invalid(flt, "the place %" PRIu64 " is not the end of a log of %" PRIu64 " records",
				  record->registry_index, length);
	if (!r)
		r = grow_log(database, record, flt);
	return r ? r : put_record(database, record, flt);
}

int published_put_checkpoint(struct database *database, const struct published_checkpoint *checkpoint,
			     struct fault *flt)
{
	static const char text[] = "INSERT OR REPLACE INTO checkpoints"
				   " (log_length, log_root, map_root, map_node, timestamp, key_id, signature)"
				   " VALUES (?, ?, ?, ?, ?, ?, ?)";
	const struct checkpoint *contents = &checkpoint->checkpoint.contents;
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, contents->log_length);
	statement_put_digest(statement, 2, &contents->log_root);
	statement_put_digest(statement, 3, &contents->map_root);
	statement_put_number(statement, 4, checkpoint->map.node);
	statement_put_number(statement, 5, contents->timestamp);
	statement_put_digest(statement, 6, &checkpoint->checkpoint.key_id);
	statement_put_span(statement, 7, span_of_text(checkpoint->checkpoint.signature));
	return statement_run(statement, flt);
}

/* ---- Reading ---- */

int published_length(struct database *database, uint64_t *out, struct fault *flt)
{
	/* The index of a lost record stays taken: a signed checkpoint includes it. */
	static const char text[] = "SELECT max(coalesce((SELECT max(registry_index) + 1 FROM records), 0),"
				   " coalesce((SELECT max(log_length) FROM checkpoints), 0))";
	bool found;

	return statement_ask(database, text, &found, out, flt);
}

static int read_signature(struct statement *statement, int column, char out[static CAP_SIGNATURE_TEXT + 1],
			  struct fault *flt)
{
	struct span text = statement_span(statement, column);

	if (text.length > CAP_SIGNATURE_TEXT || memchr(text.data, 0, text.length))
		return fault_invalid(flt, "the database has a signature that is none");
	memcpy(out, text.data, text.length);
	out[text.length] = 0;
	return 0;
}

#define CHECKPOINT "SELECT log_length, log_root, map_root, map_node, timestamp, key_id, signature FROM checkpoints"

static int read_checkpoint(struct statement *statement, struct published_checkpoint *out, struct fault *flt)
{
	struct published_checkpoint found = {0};
	struct checkpoint *contents = &found.checkpoint.contents;
	int r;

	contents->log_length = statement_number(statement, 0);
	r = statement_digest(statement, 1, &contents->log_root, flt);
	if (!r)
		r = statement_digest(statement, 2, &contents->map_root, flt);
	found.map = (struct map_root){statement_number(statement, 3), contents->map_root};
	contents->timestamp = statement_number(statement, 4);
	if (!r)
		r = statement_digest(statement, 5, &found.checkpoint.key_id, flt);
	if (!r)
		r = read_signature(statement, 6, found.checkpoint.signature, flt);
	if (!r)
		*out = found;
	return r;
}

int published_checkpoint_at(struct database *database, uint64_t length, struct published_checkpoint *out,
			    struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, CHECKPOINT " WHERE log_length = ?", &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, length);
	r = statement_find(statement, "no checkpoint had this length", flt);
	if (!r)
		r = read_checkpoint(statement, out, flt);
	statement_end(statement);
	return r;
}

int published_last_checkpoint(struct database *database, struct published_checkpoint *out, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, CHECKPOINT " ORDER BY log_length DESC LIMIT 1", &statement, flt);

	if (r)
		return r;
	r = statement_find(statement, "there is no checkpoint", flt);
	if (!r)
		r = read_checkpoint(statement, out, flt);
	statement_end(statement);
	return r;
}

/* A row that begins with a log's length and its head. */
static struct published_log read_log(struct statement *row, const struct digest *log_id)
{
	const struct digest operator = name_operator_log_id();

	return (struct published_log){
		.kind = digest_equals(log_id, &operator) ? RECORD_OPERATOR : RECORD_PACKAGE,
		.length = statement_number(row, 0),
		.head = statement_number(row, 1),
	};
}

int published_find_log(struct database *database, const struct digest *log_id, struct published_log *out,
		       struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, "SELECT length, head FROM logs WHERE log_id = ?", &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	r = statement_find(statement, "there is no such log", flt);
	if (!r)
		*out = read_log(statement, log_id);
	statement_end(statement);
	return r;
}

int published_find_record(struct database *database, const struct digest *log_id, const struct digest *record_id,
			  uint64_t *registry_index, struct fault *flt)
{
	static const char text[] = "SELECT registry_index FROM records"
				   " WHERE log = (SELECT id FROM logs WHERE log_id = ?) AND record_id = ?";
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	statement_put_digest(statement, 2, record_id);
	r = statement_find(statement, "there is no such record", flt);
	if (!r)
		*registry_index = statement_number(statement, 0);
	statement_end(statement);
	return r;
}

static int read_record(struct statement *statement, struct published_record *out, struct fault *flt)
{
	int r;

	out->registry_index = statement_number(statement, 0);
	r = statement_digest(statement, 1, &out->record_id, flt);
	if (!r)
		r = statement_digest(statement, 2, &out->envelope.key_id, flt);
	out->envelope.signature = statement_span(statement, 3);
	out->envelope.content = statement_span(statement, 4);
	return r;
}

/* Whom a walk hands records to. */
struct record_walk {
	struct published_record record; /* its log id, where that is no column */
	bool has_log_id; /* it is the last column */
	int (*take)(void *user, const struct published_record *record, struct fault *flt);
	void *user;
};

static int take_record(void *user, struct statement *row, struct fault *flt)
{
	struct record_walk *walk = user;
	int r = read_record(row, &walk->record, flt);

	if (!r && walk->has_log_id)
		r = statement_digest(row, 5, &walk->record.log_id, flt);
	return r ? r : walk->take(walk->user, &walk->record, flt);
}

int published_walk(struct database *database, const struct digest *log_id, uint64_t first, uint64_t length,
		   uint64_t limit, int (*take)(void *user, const struct published_record *record, struct fault *flt),
		   void *user, struct fault *flt)
{
	static const char text[] = "SELECT registry_index, record_id, key_id, signature, content FROM records"
				   " WHERE log = (SELECT id FROM logs WHERE log_id = ?)"
				   " AND registry_index >= ? AND registry_index < ? ORDER BY registry_index LIMIT ?";
	struct record_walk walk = {.record.log_id = *log_id, .take = take, .user = user};
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	statement_put_number(statement, 2, first);
	statement_put_number(statement, 3, length);
	statement_put_number(statement, 4, limit);
	return statement_each(statement, take_record, &walk, flt);
}

/* Walk over a whole log, and check its row against its records. */
struct whole_walk {
	enum record_kind kind;
	uint64_t count, last;
	int (*take)(void *user, const struct published_record *record, struct fault *flt);
	void *user;
};

static int take_whole(void *user, const struct published_record *record, struct fault *flt)
{
	struct whole_walk *walk = user;
	const struct digest id = record_id(walk->kind, record->envelope.content);

	walk->count++;
	walk->last = record->registry_index;
	if (digest_equals(&id, &record->record_id))
		return walk->take(walk->user, record, flt);
	fault_invalid(flt, "its content has another id");
	fault_at(flt, "record %" PRIu64, record->registry_index);
	return WARG_INVALID;
}

int published_walk_whole(struct database *database, const struct digest *log_id,
			 int (*take)(void *user, const struct published_record *record, struct fault *flt), void *user,
			 struct fault *flt)
{
	struct published_log log = {0};
	struct whole_walk walk = {.take = take, .user = user};
	struct fault own = {0};
	bool found;
	int r = fault_unless_absent(published_find_log(database, log_id, &log, &own), &own, &found, flt);

	walk.kind = log.kind;
	if (!r && found)
		r = published_walk(database, log_id, 0, CAP_LOG_LENGTH, CAP_LOG_LENGTH, take_whole, &walk, flt);
	if (!r && (walk.count != log.length || (log.length && walk.last != log.head)))
		r = fault_invalid(flt,
				  "its row has as head the record %" PRIu64 ", and its length %" PRIu64
				  ": it has %" PRIu64 ", up to the record %" PRIu64,
				  log.head, log.length, walk.count, walk.last);
	return r;
}

int published_walk_all(struct database *database,
		       int (*take)(void *user, const struct published_record *record, struct fault *flt), void *user,
		       struct fault *flt)
{
	static const char text[] = "SELECT registry_index, record_id, key_id, signature, content, log_id FROM records"
				   " JOIN logs ON logs.id = records.log ORDER BY registry_index";
	struct record_walk walk = {.has_log_id = true, .take = take, .user = user};
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	return r ? r : statement_each(statement, take_record, &walk, flt);
}

struct checkpoint_walk {
	int (*take)(void *user, const struct published_checkpoint *checkpoint, struct fault *flt);
	void *user;
};

static int take_checkpoint(void *user, struct statement *row, struct fault *flt)
{
	const struct checkpoint_walk *walk = user;
	struct published_checkpoint checkpoint;
	int r = read_checkpoint(row, &checkpoint, flt);

	return r ? r : walk->take(walk->user, &checkpoint, flt);
}

int published_walk_checkpoints(struct database *database,
			       int (*take)(void *user, const struct published_checkpoint *checkpoint,
					   struct fault *flt),
			       void *user, struct fault *flt)
{
	struct checkpoint_walk walk = {take, user};
	struct statement *statement;
	int r = statement_use(database, CHECKPOINT " ORDER BY log_length", &statement, flt);

	return r ? r : statement_each(statement, take_checkpoint, &walk, flt);
}

struct log_walk {
	int (*take)(void *user, const struct digest *log_id, const struct published_log *log, struct fault *flt);
	void *user;
};

static int take_log(void *user, struct statement *row, struct fault *flt)
{
	const struct log_walk *walk = user;
	struct digest log_id;
	struct published_log log;
	int r = statement_digest(row, 2, &log_id, flt);

	if (r)
		return r;
	log = read_log(row, &log_id);
	return walk->take(walk->user, &log_id, &log, flt);
}

int published_walk_logs(struct database *database,
			int (*take)(void *user, const struct digest *log_id, const struct published_log *log,
				    struct fault *flt),
			void *user, struct fault *flt)
{
	struct log_walk walk = {take, user};
	struct statement *statement;
	int r = statement_use(database, "SELECT length, head, log_id FROM logs ORDER BY log_id", &statement, flt);

	return r ? r : statement_each(statement, take_log, &walk, flt);
}

int published_leaf(struct database *database, uint64_t registry_index, uint64_t length, struct merkle_map_entry *out,
		   bool *is_head, struct fault *flt)
{
	static const char text[] = "SELECT log_id, record_id, EXISTS (SELECT 1 FROM records AS later"
				   " WHERE later.log = records.log AND later.registry_index > records.registry_index"
				   " AND later.registry_index < ?)"
				   " FROM records JOIN logs ON logs.id = records.log WHERE registry_index = ?";
	struct merkle_map_entry found = {0};
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, length);
	statement_put_number(statement, 2, registry_index);
	r = statement_find(statement, "the log is shorter", flt);
	if (!r)
		r = statement_digest(statement, 0, &found.log_id, flt);
	if (!r)
		r = statement_digest(statement, 1, &found.record_id, flt);
	if (!r) {
		*is_head = !statement_number(statement, 2);
		*out = found;
	}
	statement_end(statement);
	return r;
}

static int append_entry(void *user, struct statement *row, struct fault *flt)
{
	struct merkle_map_entry entry;
	struct buf *out = user;
	int r = statement_digest(row, 0, &entry.log_id, flt);

	if (!r)
		r = statement_digest(row, 1, &entry.record_id, flt);
	if (!r)
		r = buf_append(out, digest_span(&entry.log_id), flt);
	return r ? r : buf_append(out, digest_span(&entry.record_id), flt);
}

int published_ledger(struct database *database, uint64_t first, uint64_t end, struct buf *out, struct fault *flt)
{
	static const char text[] = "SELECT log_id, record_id FROM records JOIN logs ON logs.id = records.log"
				   " WHERE registry_index >= ? AND registry_index < ? ORDER BY registry_index";
	size_t before = out->length;
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, first);
	statement_put_number(statement, 2, end);
	r = statement_each(statement, append_entry, out, flt);
	if (r)
		out->length = before;
	return r;
}
