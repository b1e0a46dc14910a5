/*
 * The tables of the database, and how older ones become these.
 */
#ifndef WARG_SERVER_SCHEMA_H
#define WARG_SERVER_SCHEMA_H

/** The version of the tables, as `PRAGMA user_version`. */
#define SCHEMA_VERSION 1

/** From each version, beginning with none, to the next one. */
extern const char *const schema_steps[SCHEMA_VERSION];

#endif
