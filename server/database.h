/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
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

/** Its name in the data folder. */
#define DATABASE_FILE "registry.db"

/**
 * Open for writing. Makes a missing folder, as folder_open(), and missing tables, and upgrades older ones.
 * @return 0; WARG_UNDECIDED with FAULT_EXISTS if another server has the folder; FAULT_LIMIT if it was written by a
 *         later version of this program; WARG_INVALID if the file is no database of ours
 */
int database_open(const char *data_dir, struct database **out, struct fault *flt);

/** Open for reading what is there: makes nothing, and takes no lock. */
int database_open_reading(const char *data_dir, struct database **out, struct fault *flt);
/** The same in the folder of an open database, even if it has been moved. */
int database_reopen_reading(const struct database *database, struct database **out, struct fault *flt);

/**
 * Open for occasional writes, also while a server has the folder. The two processes' write transactions exclude each
 * other, so nothing changes within a transaction of the server.
 * @return 0; FAULT_ABSENT: there is no registry
 */
int database_open_beside(const char *data_dir, struct database **out, struct fault *flt);
/** The same in the folder of an open database. */
int database_reopen_writing(const struct database *database, struct database **out, struct fault *flt);

/** Its folder. Borrowed. */
int database_folder(const struct database *database);

/** What was begun and not committed is rolled back. NULL is fine. */
void database_close(struct database *database);

/**
 * Begin: to write, or to read all that follows from one snapshot.
 *
 * A full disk, a folder that may only be read: FAULT_SYSTEM with ENOSPC, EROFS or EIO, here and in whatever writes;
 * roll back then, and the connection is as good as before.
 */
int database_begin(struct database *database, struct fault *flt);
/** Begin to read. If something is to be written after all, EBUSY if others have written since. */
int database_begin_reading(struct database *database, struct fault *flt);
/** Keep all since database_begin(), synced. After a fault nothing is kept; roll back. */
int database_commit(struct database *database, struct fault *flt);
/** Forget all since database_begin(). Fine if there is nothing. */
void database_rollback(struct database *database);

#endif
