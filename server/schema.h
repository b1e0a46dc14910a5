/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The tables of the database, and how older ones become these.
 */
#ifndef WARG_SERVER_SCHEMA_H
#define WARG_SERVER_SCHEMA_H

/** The version of the tables, as `PRAGMA user_version`. */
#define SCHEMA_VERSION 3

/** From each version, beginning with none, to the next one. */
extern const char *const schema_steps[SCHEMA_VERSION];

/**
 * Temporary empty tables that replace a migration step's on a read-only connection to an older database. None for the
 * first step: there is no registry then.
 */
extern const char *const schema_stand_ins[SCHEMA_VERSION];

#endif
