/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Connections for reading, one for each thread that reads at a time, opened when they are needed and kept.
 */
#ifndef WARG_SERVER_READERS_H
#define WARG_SERVER_READERS_H

#include "database.h"

struct readers;

/** @param database  the writer's connection; borrowed */
int readers_new(const struct database *database, struct readers **out, struct fault *flt);
/** None may be taken. NULL is fine. */
void readers_free(struct readers *readers);

/** Take a connection, which has begun to read: all is of one moment. */
int readers_take(struct readers *readers, struct database **out, struct fault *flt);
/** Give it back. NULL is fine. */
void readers_give(struct readers *readers, struct database *database);

#endif
