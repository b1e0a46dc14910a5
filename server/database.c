/*
 * The connection: opening, tables, transactions, faults (see database.h).
 */
#include "database_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/file.h"
#include "schema.h"
#include "statement.h"

#define FILE_NAME "registry.db"
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

static int connect(struct database *database, const char *data_dir, int flags, struct fault *flt)
{
	char path[PATH_MAX];
	int length = snprintf(path, sizeof(path), "%s/" FILE_NAME, data_dir);

	if (length < 0 || (size_t)length >= sizeof(path))
		return fault_system(flt, ENAMETOOLONG, "%.150s", data_dir);
	flags |= SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
	if (sqlite3_open_v2(path, &database->handle, flags, NULL) != SQLITE_OK)
		return database->handle ? database_fault(database, path, flt) : fault_no_memory(flt);
	sqlite3_extended_result_codes(database->handle, 1);
	sqlite3_busy_timeout(database->handle, PATIENCE);
	return database_run(database, "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
				      "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-8192", flt);
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
	int r;

	if (mkdir(data_dir, 0700) && errno != EEXIST && errno != ENOENT)
		return fault_system(flt, errno, "%.150s", data_dir);
	r = file_open_top(data_dir, &database->folder, flt);
	if (!r)
		r = file_claim(database->folder, LOCK_NAME, &database->lock, NULL, flt);
	if (!r && database->lock < 0)
		r = fault_undecided(flt, FAULT_EXISTS, "another server has %.150s", data_dir);
	return r;
}

int database_open(const char *data_dir, struct database **out, struct fault *flt)
{
	struct database *database = new_database();
	int r;

	if (!database)
		return fault_no_memory(flt);
	r = take_folder(database, data_dir, flt);
	if (!r)
		r = connect(database, data_dir, SQLITE_OPEN_CREATE, flt);
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

int database_open_reading(const char *data_dir, struct database **out, struct fault *flt)
{
	struct database *database = new_database();
	uint64_t version = 0;
	int r;

	if (!database)
		return fault_no_memory(flt);
	r = connect(database, data_dir, 0, flt);
	if (!r)
		r = database_run(database, "PRAGMA query_only=ON", flt);
	if (!r)
		r = check_version(database, &version, flt);
	if (!r && version == 0)
		r = fault_undecided(flt, FAULT_ABSENT, "there is no registry in %.150s", data_dir);
	if (r)
		database_close(database);
	else
		*out = database;
	return r;
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
	return database_run(database, database->lock >= 0 ? "BEGIN IMMEDIATE" : "BEGIN", flt);
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
