/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A stack of connections (see readers.h).
 */
#include "readers.h"

#include <pthread.h>
#include <stdlib.h>

#define KEPT 32 /* more than there are threads that read */

struct readers {
	const struct database *database;
	pthread_mutex_t mutex; /* for what follows */
	struct database *idle[KEPT];
	unsigned count;
};

int readers_new(const struct database *database, struct readers **out, struct fault *flt)
{
	struct readers *readers = calloc(1, sizeof(*readers));

	if (!readers)
		return fault_no_memory(flt);
	readers->database = database;
	pthread_mutex_init(&readers->mutex, NULL);
	*out = readers;
	return 0;
}

void readers_free(struct readers *readers)
{
	if (!readers)
		return;
	while (readers->count)
		database_close(readers->idle[--readers->count]);
	pthread_mutex_destroy(&readers->mutex);
	free(readers);
}

int readers_take(struct readers *readers, struct database **out, struct fault *flt)
{
	struct database *database = NULL;
	int r = 0;

	pthread_mutex_lock(&readers->mutex);
	if (readers->count)
		database = readers->idle[--readers->count];
	pthread_mutex_unlock(&readers->mutex);
	if (!database)
		r = database_reopen_reading(readers->database, &database, flt);
	if (!r)
		r = database_begin(database, flt);
	if (r)
		database_close(database);
	else
		*out = database;
	return r;
}

void readers_give(struct readers *readers, struct database *database)
{
	if (!database)
		return;
	database_rollback(database);
	pthread_mutex_lock(&readers->mutex);
	if (readers->count < KEPT) {
		readers->idle[readers->count++] = database;
		database = NULL;
	}
	pthread_mutex_unlock(&readers->mutex);
	database_close(database);
}
