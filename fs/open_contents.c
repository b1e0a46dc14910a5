/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Contents that are held open (see open_contents.h): few enough to look at each.
 */
#include "open_contents.h"

#include <pthread.h>
#include <stdlib.h>

struct open_contents {
	pthread_mutex_t mutex;
	struct place {
		struct content_file *file; /* a reference; NULL: nothing is held here */
		struct digest digest;
		clock_ms read_at;
	} places[OPEN_CONTENTS_MOST];
};

int open_contents_new(struct open_contents **out, struct fault *flt)
{
	struct open_contents *held = calloc(1, sizeof(*held));

	if (!held)
		return fault_no_memory(flt);
	pthread_mutex_init(&held->mutex, NULL);
	*out = held;
	return 0;
}

void open_contents_free(struct open_contents *held)
{
	if (!held)
		return;
	for (size_t i = 0; i < OPEN_CONTENTS_MOST; i++)
		content_file_unref(held->places[i].file);
	pthread_mutex_destroy(&held->mutex);
	free(held);
}

/* The mutex is held, here and in the next one. NULL: there is none. */
static struct place *find(struct open_contents *held, const struct digest *digest)
{
	for (size_t i = 0; i < OPEN_CONTENTS_MOST; i++) {
		struct place *place = &held->places[i];

		if (place->file && digest_equals(&place->digest, digest))
			return place;
	}
	return NULL;
}

/* Where there is room, or else what was not read for the longest time. */
static struct place *find_room(struct open_contents *held)
{
	struct place *oldest = &held->places[0];

	for (size_t i = 0; oldest->file && i < OPEN_CONTENTS_MOST; i++) {
		struct place *place = &held->places[i];

		if (!place->file || place->read_at < oldest->read_at)
			oldest = place;
	}
	return oldest;
}

static void drop(struct open_contents *held, const struct digest *digest, const struct content_file *file)
{
	struct content_file *dropped = NULL;
	struct place *place;

	pthread_mutex_lock(&held->mutex);
	place = find(held, digest);
	if (place && place->file == file) {
		dropped = place->file;
		place->file = NULL;
	}
	pthread_mutex_unlock(&held->mutex);
	content_file_unref(dropped);
}

struct content_file *open_contents_find(struct open_contents *held, const struct digest *digest)
{
	struct content_file *file = NULL;
	struct place *place;

	pthread_mutex_lock(&held->mutex);
	place = find(held, digest);
	if (place) {
		place->read_at = clock_now();
		file = content_file_ref(place->file);
	}
	pthread_mutex_unlock(&held->mutex);
	if (!file || content_file_is_intact(file))
		return file;
	drop(held, digest, file);
	content_file_unref(file);
	return NULL;
}

void open_contents_keep(struct open_contents *held, const struct digest *digest, struct content_file *file)
{
	struct content_file *former;
	struct place *place;

	pthread_mutex_lock(&held->mutex);
	place = find(held, digest);
	if (!place)
		place = find_room(held);
	former = place->file;
	*place = (struct place){content_file_ref(file), *digest, clock_now()};
	pthread_mutex_unlock(&held->mutex);
	content_file_unref(former);
}

void open_contents_let_go(struct open_contents *held, clock_ms now)
{
	struct content_file *files[OPEN_CONTENTS_MOST];
	size_t count = 0;

	pthread_mutex_lock(&held->mutex);
	for (size_t i = 0; i < OPEN_CONTENTS_MOST; i++) {
		struct place *place = &held->places[i];

		if (place->file && place->read_at <= now - OPEN_CONTENTS_SECONDS * 1000) {
			files[count++] = place->file;
			place->file = NULL;
		}
	}
	pthread_mutex_unlock(&held->mutex);
	while (count)
		content_file_unref(files[--count]);
}
