/*
 * The registry's state on disk: one SQLite file in the data folder, in WAL mode, where a commit is synced before it is
 * reported. With statement.h the only door to SQLite.
 *
 * One connection writes, and has the folder's lock for as long as it is open; any number read, each in a snapshot of
 * its own. A connection belongs to one thread at a time.
 */
#ifndef WARG_SERVER_DATABASE_H
#define WARG_SERVER_DATABASE_H

#include "verify/fault.h"

struct database;

/**
 * Open for writing: makes the folder (0700) and the tables where they are missing, brings older ones up to date.
 * @return 0; WARG_UNDECIDED with FAULT_EXISTS if another server has the folder; FAULT_LIMIT if it was written by a
 *         later version of this program; WARG_INVALID if the file is no database of ours
 */
int database_open(const char *data_dir, struct database **out, struct fault *flt);

/** Open for reading what is there: makes nothing, and takes no lock. */
int database_open_reading(const char *data_dir, struct database **out, struct fault *flt);

/** What was begun and not committed is rolled back. NULL is fine. */
void database_close(struct database *database);

/**
 * Begin: to write, or to read all that follows from one snapshot.
 *
 * A full disk, a folder that may only be read: FAULT_SYSTEM with ENOSPC, EROFS or EIO, here and in whatever writes;
 * roll back then, and the connection is as good as before.
 */
int database_begin(struct database *database, struct fault *flt);
/** Keep all since database_begin(), synced. After a fault nothing is kept; roll back. */
int database_commit(struct database *database, struct fault *flt);
/** Forget all since database_begin(). Fine if there is nothing. */
void database_rollback(struct database *database);

#endif
