/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Why files could not be written (see refusals.h).
 */
#include "refusals.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 64

struct refusals {
	pthread_mutex_t mutex;
	size_t oldest;
	struct refusal {
		char path[PATH_SIZE];
		char sentence[FAULT_SENTENCE_SIZE]; /* "": this place is free */
	} list[MOST];
};

int refusals_new(struct refusals **out, struct fault *flt)
{
	struct refusals *refusals = calloc(1, sizeof(*refusals));

	if (!refusals)
		return fault_no_memory(flt);
	pthread_mutex_init(&refusals->mutex, NULL);
	*out = refusals;
	return 0;
}

void refusals_free(struct refusals *refusals)
{
	if (refusals)
		pthread_mutex_destroy(&refusals->mutex);
	free(refusals);
}

/* The mutex is held. @return NULL: there is none */
static struct refusal *find(struct refusals *refusals, const struct path *path)
{
	for (size_t i = 0; i < MOST; i++) {
		struct refusal *refusal = &refusals->list[i];

		if (refusal->sentence[0] && strcmp(refusal->path, path->text) == 0)
			return refusal;
	}
	return NULL;
}

void refusals_put(struct refusals *refusals, const struct path *path, const char *sentence)
{
	struct refusal *refusal;

	pthread_mutex_lock(&refusals->mutex);
	refusal = find(refusals, path);
	if (!refusal && sentence) {
		refusal = &refusals->list[refusals->oldest];
		refusals->oldest = (refusals->oldest + 1) % MOST;
	}
	if (refusal) {
		snprintf(refusal->path, sizeof(refusal->path), "%s", path->text);
		snprintf(refusal->sentence, sizeof(refusal->sentence), "%s", sentence ? sentence : "");
	}
	pthread_mutex_unlock(&refusals->mutex);
}

bool refusals_find(struct refusals *refusals, const struct path *path, char out[static FAULT_SENTENCE_SIZE])
{
	const struct refusal *refusal;
	bool found;

	pthread_mutex_lock(&refusals->mutex);
	refusal = find(refusals, path);
	found = refusal;
	if (found)
		snprintf(out, FAULT_SENTENCE_SIZE, "%s", refusal->sentence);
	pthread_mutex_unlock(&refusals->mutex);
	return found;
}
