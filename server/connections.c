/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A list, and a thread that checks it every second (see connections.h).
 */
#include "connections.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "client/base/thread.h"

#define EVERY 1 /* seconds */

struct connection {
	struct connections *connections;
	int fd;
	_Atomic clock_ms due;
	struct connection *next, **link;
};

struct connections {
	pthread_t thread;
	_Atomic bool needs_trim;
	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t changed;
	struct connection *first;
	bool ending;
};

/*
 * Called with the mutex, so that the descriptor still belongs to the connection. The connection's thread then sees the
 * end of the stream, and closes it.
 */
static void cut_off_late(struct connections *connections, clock_ms now)
{
	for (struct connection *connection = connections->first; connection; connection = connection->next) {
		if (atomic_load(&connection->due) > now)
			continue;
		atomic_store(&connection->due, CLOCK_NEVER);
		shutdown(connection->fd, SHUT_RDWR);
	}
}

void connections_cut_off(struct connections *connections)
{
	pthread_mutex_lock(&connections->mutex);
	cut_off_late(connections, CLOCK_NEVER - 1);
	pthread_mutex_unlock(&connections->mutex);
}

void connections_trim(struct connections *connections)
{
	atomic_store(&connections->needs_trim, true);
}

/* Called with the mutex, which it releases and takes again. */
static void give_back(struct connections *connections)
{
	if (!atomic_exchange(&connections->needs_trim, false))
		return;
	pthread_mutex_unlock(&connections->mutex);
	malloc_trim(0);
	pthread_mutex_lock(&connections->mutex);
}

/* Without connections it sleeps until connection_add(). */
static void *watch(void *argument)
{
	struct connections *connections = argument;
	struct timespec until;

	pthread_mutex_lock(&connections->mutex);
	while (!connections->ending) {
		give_back(connections);
		if (!connections->first && !connections->ending) {
			pthread_cond_wait(&connections->changed, &connections->mutex);
			continue;
		}
		cut_off_late(connections, clock_now());
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += EVERY;
		while (!connections->ending &&
		       !pthread_cond_timedwait(&connections->changed, &connections->mutex, &until))
			;
	}
	pthread_mutex_unlock(&connections->mutex);
	return NULL;
}

int connections_new(struct connections **out, struct fault *flt)
{
	struct connections *connections = calloc(1, sizeof(*connections));
	int error;

	if (!connections)
		return fault_no_memory(flt);
	pthread_mutex_init(&connections->mutex, NULL);
	thread_condition_init(&connections->changed);
	error = thread_start(&connections->thread, watch, connections);
	if (!error) {
		*out = connections;
		return 0;
	}
	pthread_cond_destroy(&connections->changed);
	pthread_mutex_destroy(&connections->mutex);
	free(connections);
	return fault_system(flt, error, "the thread that watches connections cannot be started");
}

void connections_free(struct connections *connections)
{
	if (!connections)
		return;
	pthread_mutex_lock(&connections->mutex);
	connections->ending = true;
	pthread_cond_signal(&connections->changed);
	pthread_mutex_unlock(&connections->mutex);
	pthread_join(connections->thread, NULL);
	pthread_cond_destroy(&connections->changed);
	pthread_mutex_destroy(&connections->mutex);
	free(connections);
}

struct connection *connections_add(struct connections *connections, int fd, clock_ms due)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	connection->connections = connections;
	connection->fd = fd;
	atomic_init(&connection->due, due);
	pthread_mutex_lock(&connections->mutex);
	connection->next = connections->first;
	connection->link = &connections->first;
	if (connection->next)
		connection->next->link = &connection->next;
	else
		pthread_cond_signal(&connections->changed);
	connections->first = connection;
	pthread_mutex_unlock(&connections->mutex);
	return connection;
}

void connection_remove(struct connection *connection)
{
	struct connections *connections = connection ? connection->connections : NULL;

	if (!connection)
		return;
	pthread_mutex_lock(&connections->mutex);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	pthread_mutex_unlock(&connections->mutex);
	free(connection);
}

void connection_set_due(struct connection *connection, clock_ms due)
{
	atomic_store(&connection->due, due);
}
