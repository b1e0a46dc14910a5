/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What database.c and statement.c share. Not for others.
 */
#ifndef WARG_SERVER_DATABASE_PARTS_H
#define WARG_SERVER_DATABASE_PARTS_H

#include <sqlite3.h>
#include <stdbool.h>

#include "database.h"

#define DATABASE_STATEMENTS 128 /* more than the program's number of statements */

struct statement {
	struct database *database;
	const char *text; /* a literal: its address is its name */
	sqlite3_stmt *handle;
};

struct database {
	sqlite3 *handle;
	int folder;
	int lock;   /* -1: another connection has it, or it is for reading */
	bool is_writer;
	struct statement statements[DATABASE_STATEMENTS];
	unsigned statement_count;
};

/** The fault of what the connection failed at last. @return its verdict */
int database_fault(const struct database *database, const char *what, struct fault *flt);

/** Run statements without parameters and results. */
int database_run(struct database *database, const char *text, struct fault *flt);

#endif
