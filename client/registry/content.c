/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which contents have verified, and the tasks that others join: content.h. What a task does: content_download.c and
 * content_sizes.c.
 */
#include "content_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DOWNLOADS 16 /* at once; well below the connections of the loop, so that other requests are never held up */
#define SIZES 8      /* questions for sizes at once */

int content_new(const struct content_options *options, struct content **out, struct fault *flt)
{
	struct content *content = calloc(1, sizeof(*content));
	int r;

	if (!content)
		return fault_no_memory(flt);
	r = digest_hash_init(&content->hash, flt);
	if (r) {
		free(content);
		return r;
	}
	content->options = *options;
	content->gates[CONTENT_FETCH].most = DOWNLOADS;
	content->gates[CONTENT_SIZE].most = SIZES;
	pthread_mutex_init(&content->mutex, NULL);
	pthread_cond_init(&content->gone, NULL);
	*out = content;
	return 0;
}

bool content_is_closing(struct content *content)
{
	bool closing;

	pthread_mutex_lock(&content->mutex);
	closing = content->closing;
	pthread_mutex_unlock(&content->mutex);
	return closing;
}

struct store *content_store(struct content *content)
{
	return content->options.store;
}

/* ---- Entries. The mutex is held ---- */

static struct content_entry **bucket_of(struct content *content, const struct digest *digest)
{
	return &content->buckets[digest_hash_of(&content->hash, digest) & (CONTENT_BUCKETS - 1)];
}

static struct content_entry *find_entry(struct content *content, const struct digest *digest)
{
	struct content_entry *entry = *bucket_of(content, digest);

	while (entry && !digest_equals(&entry->digest, digest))
		entry = entry->next;
	return entry;
}

struct content_entry *content_entry_add(struct content *content, const struct digest *digest)
{
	struct content_entry **bucket = bucket_of(content, digest);
	struct content_entry *entry = find_entry(content, digest);

	if (entry)
		return entry;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->digest = *digest;
	entry->next = *bucket;
	*bucket = entry;
	return entry;
}

static bool is_idle(const struct content_entry *entry)
{
	return !entry->tasks[CONTENT_FETCH] && !entry->tasks[CONTENT_SIZE] && !entry->fresh;
}

/* Take an entry away if it says nothing any more. */
void content_entry_drop(struct content *content, struct content_entry *entry)
{
	struct content_entry **link = bucket_of(content, &entry->digest);

	if (entry->verified || !is_idle(entry))
		return;
	while (*link != entry)
		link = &(*link)->next;
	*link = entry->next;
	free(entry);
}

static void set_verified(struct content *content, struct content_entry *entry, bool verified)
{
	if (entry->verified && !verified)
		content->verified--;
	else if (!entry->verified && verified)
		content->verified++;
	entry->verified = verified;
}

/*
 * Forget one that nobody is busy with: it would be hashed again. The keyed hash makes the order as good as a random
 * one.
 */
static void forget_one(struct content *content)
{
	for (unsigned i = 0; i < CONTENT_BUCKETS; i++) {
		struct content_entry *entry = content->buckets[content->hand++ & (CONTENT_BUCKETS - 1)];

		while (entry && !(entry->verified && is_idle(entry)))
			entry = entry->next;
		if (entry) {
			set_verified(content, entry, false);
			content_entry_drop(content, entry);
			return;
		}
	}
}

/* A file with these facts, open at `fd`, which it takes over; NULL without memory. */
static struct content_file *new_file(int fd, const struct content_facts *facts)
{
	struct content_file *file = malloc(sizeof(*file));

	if (!file) {
		close(fd);
		return NULL;
	}
	atomic_init(&file->references, 1);
	file->fd = fd;
	file->size = facts->size;
	file->facts = *facts;
	return file;
}

void content_accept_take(struct content_task *task, int fd, const struct content_facts *facts)
{
	struct content_file *file = new_file(fd, facts), *former;
	struct content *content = task->content;

	pthread_mutex_lock(&content->mutex);
	if (content->verified >= CAP_VERIFIED)
		forget_one(content);
	set_verified(content, task->entry, true);
	task->entry->facts = *facts;
	former = task->entry->fresh;
	task->entry->fresh = file;
	task->entry->notifying_thread = pthread_self();
	pthread_mutex_unlock(&content->mutex);
	content_file_unref(former);
	store_remember_size(content->options.store, &task->digest, facts->size);
}

void content_let_go(struct content *content, const struct digest *digest)
{
	struct content_file *file = NULL;
	struct content_entry *entry;

	pthread_mutex_lock(&content->mutex);
	entry = find_entry(content, digest);
	if (entry) {
		file = entry->fresh;
		entry->fresh = NULL;
		content_entry_drop(content, entry);
	}
	pthread_mutex_unlock(&content->mutex);
	content_file_unref(file);
}

static void free_entries(struct content *content)
{
	struct content_entry *next;

	for (unsigned i = 0; i < CONTENT_BUCKETS; i++) {
		for (struct content_entry *entry = content->buckets[i]; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
}

void content_free(struct content *content)
{
	if (!content)
		return;
	content_end_tasks(content);
	free_entries(content);
	pthread_cond_destroy(&content->gone);
	pthread_mutex_destroy(&content->mutex);
	free(content);
}

/* ---- Verified files ---- */

int content_look(int fd, struct content_facts *out, struct fault *flt)
{
	struct stat status;

	if (fstat(fd, &status))
		return fault_system(flt, errno, "looking at a content");
	*out = (struct content_facts){
		.device = status.st_dev,
		.inode = status.st_ino,
		.size = (uint64_t)status.st_size,
		.modified = status.st_mtim,
		.changed = status.st_ctim,
	};
	return 0;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool content_facts_equal(const struct content_facts *a, const struct content_facts *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       is_same_time(a->modified, b->modified) && is_same_time(a->changed, b->changed);
}

/*
 * What is known of a content that verified.
 * @param fresh  may be NULL; a reference to its file, if it came just now, by this thread; else NULL
 */
static bool find_facts(struct content *content, const struct digest *digest, struct content_facts *out,
		       struct content_file **fresh)
{
	const struct content_entry *entry;
	bool verified;

	pthread_mutex_lock(&content->mutex);
	entry = find_entry(content, digest);
	verified = entry && entry->verified;
	if (verified)
		*out = entry->facts;
	if (fresh)
		*fresh = entry && entry->fresh && pthread_equal(entry->notifying_thread, pthread_self()) ?
				 content_file_ref(entry->fresh) :
				 NULL;
	pthread_mutex_unlock(&content->mutex);
	return verified;
}

/* Forget a content whose file is gone or another, unless somebody has verified the new one meanwhile. */
static void forget(struct content *content, const struct digest *digest, const struct content_facts *facts)
{
	struct content_entry *entry;

	pthread_mutex_lock(&content->mutex);
	entry = find_entry(content, digest);
	if (entry && entry->verified && content_facts_equal(&entry->facts, facts)) {
		set_verified(content, entry, false);
		content_entry_drop(content, entry);
	}
	pthread_mutex_unlock(&content->mutex);
}

/*
 * Open the file if it verified here and was not touched since. A change within one tick of the file system's clock,
 * after the hashing, is beyond what can be seen.
 * @param out  a reference; NULL if there is none
 */
static int open_verified(struct content *content, const struct digest *digest, struct content_file **out,
			 struct fault *flt)
{
	struct content_facts facts, now;
	int opened = -1;
	uint64_t size;
	int r;

	if (!find_facts(content, digest, &facts, out) || *out)
		return 0;
	r = store_open_content(content->options.store, digest, &opened, &size, flt);
	if (!r && opened >= 0)
		r = content_look(opened, &now, flt);
	if (r)
		goto close;
	if (opened < 0 || !content_facts_equal(&facts, &now)) {
		forget(content, digest, &facts);
		goto close;
	}
	*out = new_file(opened, &facts);
	return *out ? 0 : fault_no_memory(flt);

close:
	if (opened >= 0)
		close(opened);
	return r;
}

struct content_file *content_find(struct content *content, const struct digest *digest)
{
	struct content_file *file;

	return open_verified(content, digest, &file, NULL) ? NULL : file;
}

/* One that lost its name has another time of change, and stays what it is. */
bool content_file_is_intact(const struct content_file *file)
{
	const struct content_facts *facts = &file->facts;
	struct stat status;

	return !fstat(file->fd, &status) && (uint64_t)status.st_size == facts->size &&
	       is_same_time(status.st_mtim, facts->modified) &&
	       (!status.st_nlink || is_same_time(status.st_ctim, facts->changed));
}

struct content_file *content_file_ref(struct content_file *file)
{
	atomic_fetch_add_explicit(&file->references, 1, memory_order_relaxed);
	return file;
}

void content_file_unref(struct content_file *file)
{
	if (!file || atomic_fetch_sub_explicit(&file->references, 1, memory_order_acq_rel) > 1)
		return;
	close(file->fd);
	free(file);
}

/* ---- What callers want ---- */

void content_fetch(struct content *content, const struct digest *digest, struct waiter *waiter)
{
	struct content_file *file;
	struct fault flt = {0};

	if (!open_verified(content, digest, &file, &flt) && !file) {
		content_join(content, CONTENT_FETCH, digest, waiter);
		return;
	}
	if (file)
		atomic_fetch_add(&content->counters.hits, 1);
	content_file_unref(file);
	content_tell(content, waiter, &flt);
}

bool content_find_size(struct content *content, const struct digest *digest, uint64_t *size)
{
	struct content_facts facts;

	if (!find_facts(content, digest, &facts, NULL))
		return store_find_size(content->options.store, digest, size);
	*size = facts.size;
	return true;
}

void content_fetch_size(struct content *content, const struct digest *digest, struct waiter *waiter)
{
	const struct fault none = {0};
	uint64_t size;

	if (content_find_size(content, digest, &size))
		content_tell(content, waiter, &none);
	else
		content_join(content, CONTENT_SIZE, digest, waiter);
}

void content_prefetch_sizes(struct content *content, const struct digest *digests, size_t count)
{
	uint64_t size;

	for (size_t i = 0; i < count; i++)
		if (!content_find_size(content, &digests[i], &size))
			content_queue_ahead(content, &digests[i]);
	content_let_in(content, CONTENT_SIZE);
}

void content_count(struct content *content, struct content_counters *out)
{
	struct content_counters_kept *kept = &content->counters;

	*out = (struct content_counters){
		.downloads_running = atomic_load(&kept->running),
		.downloads_done = atomic_load(&kept->done),
		.downloads_failed = atomic_load(&kept->failed),
		.bytes_received = atomic_load(&kept->received),
		.cache_hits = atomic_load(&kept->hits),
	};
}
