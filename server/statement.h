/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Statements of a database: bound, stepped through, read.
 */
#ifndef WARG_SERVER_STATEMENT_H
#define WARG_SERVER_STATEMENT_H

#include "database.h"
#include "verify/digest.h"

struct statement;

/**
 * A statement, made when it is first used on its connection and kept there. Nothing is bound.
 * @param text  a literal: its address is what it is known by
 */
int statement_use(struct database *database, const char *text, struct statement **out, struct fault *flt);

/** Bind what the caller keeps until the statement ends; positions count from 1. */
void statement_put_number(struct statement *statement, int position, uint64_t number);
void statement_put_span(struct statement *statement, int position, struct span bytes);
void statement_put_digest(struct statement *statement, int position, const struct digest *digest);

/** Go to the next row. @param found  false: there is none, and the statement has ended, as after a failure */
int statement_step(struct statement *statement, bool *found, struct fault *flt);
/** Go to the one row that it is to have. @return 0; FAULT_ABSENT, saying `absent`, if there is none */
int statement_find(struct statement *statement, const char *absent, struct fault *flt);
/** To the end of a statement that has no rows to give. */
int statement_run(struct statement *statement, struct fault *flt);

/** What stands in a column of the row, from 0; bytes are borrowed until the next step. */
uint64_t statement_number(struct statement *statement, int column);
struct span statement_span(struct statement *statement, int column);
/** @return 0; WARG_INVALID if it is none */
int statement_digest(struct statement *statement, int column, struct digest *out, struct fault *flt);

/**
 * To the end of a statement, with each of its rows.
 * @param take  called for each; what it reads of it lives until it returns. Non-zero ends the statement
 * @return 0, or what `take` returned
 */
int statement_each(struct statement *statement,
		   int (*take)(void *user, struct statement *row, struct fault *flt), void *user, struct fault *flt);

/**
 * All digests in the first column of a statement that has been bound, to its end.
 * @param out  free() it; NULL if there are none
 */
int statement_gather(struct statement *statement, struct digest **out, size_t *count, struct fault *flt);

/**
 * The number in the first row of a statement without parameters.
 * @param found  false: it has no rows, and `out` is 0
 */
int statement_ask(struct database *database, const char *text, bool *found, uint64_t *out, struct fault *flt);

/** Run a statement that is about one digest. @param found  whether it has a row */
int statement_ask_for(struct database *database, const char *text, const struct digest *digest, bool *found,
		      struct fault *flt);

/** Nothing more is wanted of it; whoever uses it next begins anew. */
void statement_end(struct statement *statement);

#endif
