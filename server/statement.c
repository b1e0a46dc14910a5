/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Statements, each kept on its connection once it was made (see statement.h).
 */
#include "statement.h"

#include <string.h>

#include "database_parts.h"

static struct statement *find_kept(struct database *database, const char *text)
{
	for (unsigned i = 0; i < database->statement_count; i++)
		if (database->statements[i].text == text)
			return &database->statements[i];
	return NULL;
}

int statement_use(struct database *database, const char *text, struct statement **out, struct fault *flt)
{
	struct statement *statement = find_kept(database, text);
	sqlite3_stmt *handle = NULL;

	if (statement) {
		statement_end(statement);
		*out = statement;
		return 0;
	}
	if (database->statement_count == DATABASE_STATEMENTS)
		return fault_undecided(flt, FAULT_LIMIT, "more than %d statements", DATABASE_STATEMENTS);
	if (sqlite3_prepare_v3(database->handle, text, -1, SQLITE_PREPARE_PERSISTENT, &handle, NULL) != SQLITE_OK)
		return database_fault(database, "the database", flt);
	statement = &database->statements[database->statement_count++];
	*statement = (struct statement){database, text, handle};
	*out = statement;
	return 0;
}

void statement_put_number(struct statement *statement, int position, uint64_t number)
{
	sqlite3_bind_int64(statement->handle, position, (sqlite3_int64)number);
}

void statement_put_span(struct statement *statement, int position, struct span bytes)
{
	/* A NULL pointer would bind NULL. */
	sqlite3_bind_blob64(statement->handle, position, bytes.length ? bytes.data : (const unsigned char *)"",
			    bytes.length, SQLITE_STATIC);
}

void statement_put_digest(struct statement *statement, int position, const struct digest *digest)
{
	statement_put_span(statement, position, digest_span(digest));
}

int statement_step(struct statement *statement, bool *found, struct fault *flt)
{
	int code = sqlite3_step(statement->handle);
	int r = 0;

	/* Ending takes the fault away. */
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		r = database_fault(statement->database, "the database", flt);
	if (code != SQLITE_ROW)
		statement_end(statement);
	if (!r)
		*found = code == SQLITE_ROW;
	return r;
}

int statement_find(struct statement *statement, const char *absent, struct fault *flt)
{
	bool found = false;
	int r = statement_step(statement, &found, flt);

	return r || found ? r : fault_undecided(flt, FAULT_ABSENT, "%s", absent);
}

int statement_each(struct statement *statement,
		   int (*take)(void *user, struct statement *row, struct fault *flt), void *user, struct fault *flt)
{
	bool found = true;
	int r = 0;

	while (!r && found) {
		r = statement_step(statement, &found, flt);
		if (!r && found)
			r = take(user, statement, flt);
	}
	statement_end(statement);
	return r;
}

int statement_run(struct statement *statement, struct fault *flt)
{
	bool found = true;
	int r = 0;

	while (!r && found)
		r = statement_step(statement, &found, flt);
	return r;
}

uint64_t statement_number(struct statement *statement, int column)
{
	return (uint64_t)sqlite3_column_int64(statement->handle, column);
}

struct span statement_span(struct statement *statement, int column)
{
	const unsigned char *data = sqlite3_column_blob(statement->handle, column);

	return (struct span){data, data ? (size_t)sqlite3_column_bytes(statement->handle, column) : 0};
}

int statement_digest(struct statement *statement, int column, struct digest *out, struct fault *flt)
{
	struct span bytes = statement_span(statement, column);

	if (bytes.length != DIGEST_SIZE)
		return fault_invalid(flt, "the database has %zu bytes where a digest should be", bytes.length);
	memcpy(out->bytes, bytes.data, DIGEST_SIZE);
	return 0;
}

static int append_digest(void *user, struct statement *row, struct fault *flt)
{
	struct digest digest;
	int r = statement_digest(row, 0, &digest, flt);

	return r ? r : buf_append(user, digest_span(&digest), flt);
}

int statement_gather(struct statement *statement, struct digest **out, size_t *count, struct fault *flt)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, SIZE_MAX);
	r = statement_each(statement, append_digest, &bytes, flt);
	if (r) {
		buf_release(&bytes);
		return r;
	}
	*count = bytes.length / DIGEST_SIZE;
	*out = (void *)bytes.data;
	return 0;
}

int statement_ask_for(struct database *database, const char *text, const struct digest *digest, bool *found,
		      struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, digest);
	r = statement_step(statement, found, flt);
	statement_end(statement);
	return r;
}

int statement_ask(struct database *database, const char *text, bool *found, uint64_t *out, struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(database, text, &statement, flt);

	if (!r)
		r = statement_step(statement, found, flt);
	if (r)
		return r;
	*out = *found ? statement_number(statement, 0) : 0;
	statement_end(statement);
	return 0;
}

void statement_end(struct statement *statement)
{
	sqlite3_reset(statement->handle);
	sqlite3_clear_bindings(statement->handle);
}
