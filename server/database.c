/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The connection: opening, tables, transactions, faults (see database.h).
 */
#include "database_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/base/file.h"
#include "folder.h"
#include "schema.h"
#include "statement.h"

#define LOCK_NAME "lock"
#define PATIENCE 5000 /* milliseconds for a checkpoint of the WAL by another connection */

/* ---- Faults ---- */

static int system_fault(const struct database *database, int code, const char *what, struct fault *flt)
{
	int errnum = sqlite3_system_errno(database->handle);

	if (code == SQLITE_FULL)
		errnum = ENOSPC;
	else if (code == SQLITE_READONLY || code == SQLITE_PERM)
		errnum = EROFS;
	else if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
		errnum = EBUSY;
	else if (!errnum)
		errnum = EIO;
	return fault_system(flt, errnum, "%s: %s", what, sqlite3_errmsg(database->handle));
}

int database_fault(const struct database *database, const char *what, struct fault *flt)
{
	int code = sqlite3_errcode(database->handle) & 0xff;

	switch (code) {
	case SQLITE_NOMEM:
		return fault_no_memory(flt);
	case SQLITE_INTERRUPT:
		return fault_undecided(flt, FAULT_CANCELLED, "%s was interrupted", what);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_SCHEMA:
	case SQLITE_ERROR:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
		return fault_invalid(flt, "%s: %s", what, sqlite3_errmsg(database->handle));
	default:
		return system_fault(database, code, what, flt);
	}
}

int database_run(struct database *database, const char *text, struct fault *flt)
{
	if (sqlite3_exec(database->handle, text, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return database_fault(database, "the database", flt);
}

/* ---- Tables ---- */

static int check_version(struct database *database, uint64_t *version, struct fault *flt)
{
	bool found;
	int r = statement_ask(database, "PRAGMA user_version", &found, version, flt);

	if (!r && *version > SCHEMA_VERSION)
		r = fault_undecided(flt, FAULT_LIMIT, "the database was written by a later version of this program");
	return r;
}

/* Step by step, each on its own: what was cut off goes on where it was. */
static int migrate(struct database *database, struct fault *flt)
{
	uint64_t version = 0;
	int r = check_version(database, &version, flt);

	while (!r && version < SCHEMA_VERSION) {
		r = database_begin(database, flt);
		if (!r)
			r = database_run(database, schema_steps[version], flt);
		if (!r)
			r = database_commit(database, flt);
		if (r)
			database_rollback(database);
		version++;
	}
	return r;
}

/* ---- Opening ---- */

/*
 * SQLite needs a path: take the folder's current one, which has no symbolic links, and refuse one in place of the file.
 */
static int connect(struct database *database, int flags, struct fault *flt)
{
	char folder[PATH_MAX], path[PATH_MAX + sizeof("/" DATABASE_FILE)];
	int r = folder_path(database->folder, folder, flt);

	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/" DATABASE_FILE, folder);
	flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
	if (sqlite3_open_v2(path, &database->handle, flags, NULL) != SQLITE_OK)
		return database->handle ? database_fault(database, path, flt) : fault_no_memory(flt);
	sqlite3_extended_result_codes(database->handle, 1);
	sqlite3_busy_timeout(database->handle, PATIENCE);
	return database_run(database, "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
				      "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-2048", flt);
}

static struct database *new_database(void)
{
	struct database *database = calloc(1, sizeof(*database));

	if (database)
		database->folder = database->lock = -1;
	return database;
}

/* Nobody else writes there. */
static int take_folder(struct database *database, const char *data_dir, struct fault *flt)
{
	char path[PATH_MAX];
	int r = folder_open(data_dir, true, &database->folder, flt);

	if (!r) {
		r = file_claim(database->folder, LOCK_NAME, &database->lock, NULL, flt);
		if (r)
			fault_at(flt, "%.150s", data_dir);
	}
	if (!r && database->lock < 0 && !folder_path(database->folder, path, flt))
		return folder_taken(database->folder, LOCK_NAME, path, flt);
	return r;
}

int database_open(const char *data_dir, struct database **out, struct fault *flt)
{
	struct database *database = new_database();
	int r;

	if (!database)
		return fault_no_memory(flt);
	r = take_folder(database, data_dir, flt);
	database->is_writer = true;
	if (!r)
		r = connect(database, SQLITE_OPEN_CREATE, flt);
	if (!r)
		r = database_run(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", flt);
	if (!r)
		r = migrate(database, flt);
	/* The file itself has to outlive a power cut, too. */
	if (!r)
		r = file_sync(database->folder, flt);
	if (r)
		database_close(database);
	else
		*out = database;
	return r;
}

/* What only reads has stand-ins for tables that an older version did not make. */
static int prepare_reading(struct database *database, uint64_t version, struct fault *flt)
{
	int r = 0;

	for (; !r && version < SCHEMA_VERSION; version++)
		r = database_run(database, schema_stand_ins[version], flt);
	return r ? r : database_run(database, "PRAGMA query_only=ON", flt);
}

static int prepare_writing(struct database *database, struct fault *flt)
{
	int r = database_run(database, "PRAGMA synchronous=FULL", flt);

	return r ? r : migrate(database, flt);
}

/* Open what is there. @param database  with its folder; freed on failure */
static int open_there(struct database *database, bool is_writer, struct database **out, struct fault *flt)
{
	uint64_t version = 0;
	int r = connect(database, 0, flt);

	database->is_writer = is_writer;
	if (!r)
		r = check_version(database, &version, flt);
	if (!r && version == 0)
		r = fault_undecided(flt, FAULT_ABSENT, "there is no registry here");
	if (!r)
		r = is_writer ? prepare_writing(database, flt) : prepare_reading(database, version, flt);
	if (r)
		database_close(database);
	else
		*out = database;
	return r;
}

static int open_at_path(const char *data_dir, bool is_writer, struct database **out, struct fault *flt)
{
	struct database *database = new_database();
	int r;

	if (!database)
		return fault_no_memory(flt);
	r = folder_open(data_dir, false, &database->folder, flt);
	if (r) {
		database_close(database);
		return r;
	}
	if (faccessat(database->folder, DATABASE_FILE, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT) {
		database_close(database);
		return fault_undecided(flt, FAULT_ABSENT, "there is no registry in %.150s", data_dir);
	}
	r = open_there(database, is_writer, out, flt);
	if (r)
		fault_at(flt, "%.150s", data_dir);
	return r;
}

static int open_in_same_folder(const struct database *database, bool is_writer, struct database **out,
			       struct fault *flt)
{
	struct database *other = new_database();
	int error;

	if (!other)
		return fault_no_memory(flt);
	other->folder = fcntl(database->folder, F_DUPFD_CLOEXEC, 0);
	if (other->folder >= 0)
		return open_there(other, is_writer, out, flt);
	error = errno;
	database_close(other);
	return fault_system(flt, error, "the folder of the database");
}

int database_open_reading(const char *data_dir, struct database **out, struct fault *flt)
{
	return open_at_path(data_dir, false, out, flt);
}

int database_reopen_reading(const struct database *database, struct database **out, struct fault *flt)
{
	return open_in_same_folder(database, false, out, flt);
}

int database_open_beside(const char *data_dir, struct database **out, struct fault *flt)
{
	return open_at_path(data_dir, true, out, flt);
}

int database_reopen_writing(const struct database *database, struct database **out, struct fault *flt)
{
	return open_in_same_folder(database, true, out, flt);
}

int database_folder(const struct database *database)
{
	return database->folder;
}

void database_close(struct database *database)
{
	if (!database)
		return;
	for (unsigned i = 0; i < database->statement_count; i++)
		sqlite3_finalize(database->statements[i].handle);
	sqlite3_close(database->handle);
	if (database->lock >= 0)
		file_end_claim(database->folder, LOCK_NAME, database->lock);
	if (database->folder >= 0)
		close(database->folder);
	free(database);
}

/* ---- Transactions ---- */

int database_begin(struct database *database, struct fault *flt)
{
	return database_run(database, database->is_writer ? "BEGIN IMMEDIATE" : "BEGIN", flt);
}

int database_begin_reading(struct database *database, struct fault *flt)
{
	return database_run(database, "BEGIN", flt);
}

int database_commit(struct database *database, struct fault *flt)
{
	return database_run(database, "COMMIT", flt);
}

void database_rollback(struct database *database)
{
	if (!sqlite3_get_autocommit(database->handle))
		database_run(database, "ROLLBACK", NULL);
}
