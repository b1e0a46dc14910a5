/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Rows of records, and of the contents that they wait for (see waiting.h).
 */
#include "waiting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "statement.h"

#define OF_RECORD " WHERE log_id = ? AND record_id = ?"

/* ---- Writing ---- */

/* A statement about one record, whose log and id are its parameters from `position` on. */
static int use_of(struct database *database, const char *text, int position, const struct digest *log_id,
		  const struct digest *record_id, struct statement **out, struct fault *flt)
{
	int r = statement_use(database, text, out, flt);

	if (r)
		return r;
	statement_put_digest(*out, position, log_id);
	statement_put_digest(*out, position + 1, record_id);
	return 0;
}

static int run_for(struct database *database, const char *text, const struct digest *content, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, content);
	return statement_run(statement, flt);
}

static int add_row(struct database *database, const struct published_record *record, size_t lacking, const char *reason,
		   uint64_t now, struct fault *flt)
{
	static const char text[] = "INSERT INTO submitted (log_id, record_id, key_id, signature, content, since,"
				   " lacking, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)";
	struct statement *statement;
	int r = use_of(database, text, 1, &record->log_id, &record->record_id, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 3, &record->envelope.key_id);
	/* The bytes of a rejected record are not needed. */
	statement_put_span(statement, 4, reason ? (struct span){0} : record->envelope.signature);
	statement_put_span(statement, 5, reason ? (struct span){0} : record->envelope.content);
	statement_put_number(statement, 6, now);
	statement_put_number(statement, 7, lacking);
	if (reason)
		statement_put_span(statement, 8, span_of_text(reason));
	return statement_run(statement, flt);
}

/* @param id  the record's row, looked up once for all: there may be ten thousand contents */
static int add_missing(struct database *database, uint64_t id, const struct digest *content, size_t place,
		       struct fault *flt)
{
	static const char text[] = "INSERT INTO missing (submitted, digest, place) VALUES (?, ?, ?)";
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, id);
	statement_put_digest(statement, 2, content);
	statement_put_number(statement, 3, place);
	r = statement_run(statement, flt);
	/* Before the content's first byte arrives, so that no stored content is without a row (garbage.h). */
	return r ? r : run_for(database, "INSERT OR IGNORE INTO received (digest) VALUES (?)", content, flt);
}

static int find_row(struct database *database, const struct digest *log_id, const struct digest *record_id,
		    uint64_t *out, struct fault *flt)
{
	struct statement *statement;
	int r = use_of(database, "SELECT id FROM submitted" OF_RECORD, 1, log_id, record_id, &statement, flt);

	if (!r)
		r = statement_find(statement, "there is no such record", flt);
	if (r)
		return r;
	*out = statement_number(statement, 0);
	statement_end(statement);
	return 0;
}

static int add_all_missing(struct database *database, const struct digest *log_id, const struct digest *record_id,
			   const struct digest *missing, size_t count, struct fault *flt)
{
	uint64_t id = 0;
	int r = count ? find_row(database, log_id, record_id, &id, flt) : 0;

	for (size_t i = 0; i < count && !r; i++)
		r = add_missing(database, id, &missing[i], i, flt);
	return r;
}

int waiting_add(struct database *database, const struct published_record *record, const struct digest *missing,
		size_t count, const char *reason, uint64_t now, struct fault *flt)
{
	int r = add_row(database, record, count, reason, now, flt);

	return r ? r : add_all_missing(database, &record->log_id, &record->record_id, missing, count, flt);
}

static int forget_missing(struct database *database, const struct digest *log_id, const struct digest *record_id,
			  struct fault *flt)
{
	struct statement *statement;
	int r = use_of(database, "DELETE FROM missing WHERE submitted = (SELECT id FROM submitted" OF_RECORD ")", 1,
		       log_id, record_id, &statement, flt);

	return r ? r : statement_run(statement, flt);
}

static int set_lacking(struct database *database, const struct digest *log_id, const struct digest *record_id,
		       int64_t lacking, struct fault *flt)
{
	struct statement *statement;
	int r = use_of(database, "UPDATE submitted SET lacking = ?" OF_RECORD, 2, log_id, record_id, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, (uint64_t)lacking);
	return statement_run(statement, flt);
}

int waiting_wait(struct database *database, const struct digest *log_id, const struct digest *record_id,
		 const struct digest *missing, size_t count, struct fault *flt)
{
	int r = forget_missing(database, log_id, record_id, flt);

	if (!r)
		r = add_all_missing(database, log_id, record_id, missing, count, flt);
	return r ? r : set_lacking(database, log_id, record_id, (int64_t)count, flt);
}

int waiting_set_aside(struct database *database, const struct digest *log_id, const struct digest *record_id,
		      struct fault *flt)
{
	return set_lacking(database, log_id, record_id, -1, flt);
}

int waiting_reject(struct database *database, const struct digest *log_id, const struct digest *record_id,
		   const char *reason, struct fault *flt)
{
	struct statement *statement;
	int r = forget_missing(database, log_id, record_id, flt);

	if (!r)
		r = use_of(database,
			   "UPDATE submitted SET lacking = 0, signature = zeroblob(0), content = zeroblob(0),"
			   " reason = ?" OF_RECORD,
			   2, log_id, record_id, &statement, flt);
	if (r)
		return r;
	statement_put_span(statement, 1, span_of_text(reason));
	return statement_run(statement, flt);
}

int waiting_published(struct database *database, const struct digest *content, struct fault *flt)
{
	return run_for(database, "DELETE FROM received WHERE digest = ?", content, flt);
}

int waiting_remove(struct database *database, const struct digest *log_id, const struct digest *record_id,
		   struct fault *flt)
{
	struct statement *statement;
	int r = use_of(database, "DELETE FROM submitted" OF_RECORD, 1, log_id, record_id, &statement, flt);

	return r ? r : statement_run(statement, flt);
}

int waiting_arrived(struct database *database, const struct digest *content, struct fault *flt)
{
	static const char fewer[] = "UPDATE submitted SET lacking = lacking - 1"
				    " WHERE id IN (SELECT submitted FROM missing WHERE digest = ?)";
	int r = run_for(database, fewer, content, flt);

	return r ? r : run_for(database, "DELETE FROM missing WHERE digest = ?", content, flt);
}

/* ---- Reading ---- */

static void read_reason(struct statement *statement, struct waiting_state *out)
{
	struct span reason = statement_span(statement, 1);

	out->is_rejected = statement_number(statement, 0);
	out->lacking = statement_number(statement, 2);
	snprintf(out->reason, sizeof(out->reason), "%.*s",
		 (int)(reason.length > CAP_MESSAGE ? CAP_MESSAGE : reason.length),
		 reason.data ? (const char *)reason.data : "");
}

int waiting_find(struct database *database, const struct digest *log_id, const struct digest *record_id,
		 struct waiting_state *out, struct fault *flt)
{
	struct statement *statement;
	int r = use_of(database, "SELECT reason IS NOT NULL, reason, lacking FROM submitted" OF_RECORD, 1, log_id,
		       record_id, &statement, flt);

	if (!r)
		r = statement_find(statement, "there is no such record", flt);
	if (r)
		return r;
	read_reason(statement, out);
	statement_end(statement);
	return 0;
}

int waiting_missing(struct database *database, const struct digest *log_id, const struct digest *record_id,
		    struct digest **out, size_t *count, struct fault *flt)
{
	static const char text[] = "SELECT digest FROM missing WHERE submitted ="
				   " (SELECT id FROM submitted" OF_RECORD ") ORDER BY place";
	struct statement *statement;
	int r = use_of(database, text, 1, log_id, record_id, &statement, flt);

	return r ? r : statement_gather(statement, out, count, flt);
}

int waiting_misses(struct database *database, const struct digest *log_id, const struct digest *record_id,
		   const struct digest *content, bool *out, struct fault *flt)
{
	static const char text[] = "SELECT 1 FROM missing WHERE submitted ="
				   " (SELECT id FROM submitted" OF_RECORD ") AND digest = ?";
	struct statement *statement;
	int r = use_of(database, text, 1, log_id, record_id, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 3, content);
	r = statement_step(statement, out, flt);
	statement_end(statement);
	return r;
}

int waiting_waits_for(struct database *database, const struct digest *content, bool *out, struct fault *flt)
{
	return statement_ask_for(database, "SELECT 1 FROM missing WHERE digest = ?", content, out, flt);
}

int waiting_waiting(struct database *database, const struct digest *log_id, struct digest *record_id, uint64_t *since,
		    struct fault *flt)
{
	static const char text[] = "SELECT record_id, since FROM submitted WHERE log_id = ? AND reason IS NULL";
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	r = statement_find(statement, "no record waits", flt);
	if (!r)
		r = statement_digest(statement, 0, record_id, flt);
	if (!r)
		*since = statement_number(statement, 1);
	statement_end(statement);
	return r;
}

static int read_record(struct statement *statement, struct published_record *out, struct buf *bytes, struct fault *flt)
{
	const struct span signature = statement_span(statement, 3), content = statement_span(statement, 4);
	int r = statement_digest(statement, 0, &out->log_id, flt);

	bytes->length = 0;
	if (!r)
		r = buf_reserve(bytes, 1, flt);
	if (!r)
		r = statement_digest(statement, 1, &out->record_id, flt);
	if (!r)
		r = statement_digest(statement, 2, &out->envelope.key_id, flt);
	if (!r)
		r = buf_append(bytes, signature, flt);
	if (!r)
		r = buf_append(bytes, content, flt);
	if (r)
		return r;
	out->envelope.signature = (struct span){bytes->data, signature.length};
	out->envelope.content = (struct span){bytes->data + signature.length, content.length};
	return 0;
}

int waiting_complete(struct database *database, struct published_record *out, struct buf *bytes, struct fault *flt)
{
	static const char text[] = "SELECT log_id, record_id, key_id, signature, content FROM submitted"
				   " WHERE reason IS NULL AND lacking = 0 ORDER BY id LIMIT 1";
	struct published_record record = {0};
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (!r)
		r = statement_find(statement, "none is complete", flt);
	if (r)
		return r;
	r = read_record(statement, &record, bytes, flt);
	statement_end(statement);
	if (!r)
		*out = record;
	return r;
}

int waiting_next(struct database *database, uint64_t *id, struct published_record *out, struct buf *bytes,
		 struct fault *flt)
{
	static const char text[] = "SELECT log_id, record_id, key_id, signature, content, id FROM submitted"
				   " WHERE reason IS NULL AND id > ? ORDER BY id LIMIT 1";
	struct published_record record = {0};
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, *id);
	r = statement_find(statement, "there are no more", flt);
	if (!r)
		r = read_record(statement, &record, bytes, flt);
	if (!r) {
		*id = statement_number(statement, 5);
		*out = record;
	}
	statement_end(statement);
	return r;
}
