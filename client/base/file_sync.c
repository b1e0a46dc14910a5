/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Syncs that several threads share (see file.h).
 */
#include "file.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder that somebody syncs, or waits for. Syncs are counted from 1 on. */
struct shared {
	dev_t device;
	ino_t number;
	unsigned users;
	bool is_running;
	uint64_t begun, done;
	uint64_t failed; /* the last one that did */
	int error;
	struct shared *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* for what follows */
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct shared *all;

/* @return NULL without memory */
static struct shared *join(const struct stat *status)
{
	struct shared *shared = all;

	while (shared && (shared->device != status->st_dev || shared->number != status->st_ino))
		shared = shared->next;
	if (!shared) {
		shared = calloc(1, sizeof(*shared));
		if (!shared)
			return NULL;
		shared->device = status->st_dev;
		shared->number = status->st_ino;
		shared->next = all;
		all = shared;
	}
	shared->users++;
	return shared;
}

static void leave(struct shared *shared)
{
	struct shared **link = &all;

	if (--shared->users)
		return;
	while (*link != shared)
		link = &(*link)->next;
	*link = shared->next;
	free(shared);
}

static void run(struct shared *shared, int folder)
{
	const uint64_t own = ++shared->begun;
	int error;

	shared->is_running = true;
	pthread_mutex_unlock(&mutex);
	/* EINVAL: as in file_sync(). */
	error = fsync(folder) && errno != EINVAL ? errno : 0;
	pthread_mutex_lock(&mutex);
	shared->is_running = false;
	shared->done = own;
	if (error) {
		shared->failed = own;
		shared->error = error;
	}
	pthread_cond_broadcast(&changed);
}

/* One that runs already may have begun before what the caller did. */
static int await_next(struct shared *shared, int folder)
{
	const uint64_t wanted = shared->begun + 1;

	while (shared->done < wanted) {
		if (shared->is_running)
			pthread_cond_wait(&changed, &mutex);
		else
			run(shared, folder);
	}
	return shared->failed >= wanted ? shared->error : 0;
}

int file_sync_shared(int folder, struct fault *flt)
{
	struct shared *shared;
	struct stat status;
	int error;

	if (fstat(folder, &status))
		return file_sync(folder, flt);
	pthread_mutex_lock(&mutex);
	shared = join(&status);
	if (!shared) {
		pthread_mutex_unlock(&mutex);
		return file_sync(folder, flt);
	}
	error = await_next(shared, folder);
	leave(shared);
	pthread_mutex_unlock(&mutex);
	return error ? fault_system(flt, error, "syncing") : 0;
}
