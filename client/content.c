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

static struct content_entry *find_or_add_entry(struct content *content, const struct digest *digest)
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
	return !entry->tasks[CONTENT_FETCH] && !entry->tasks[CONTENT_SIZE];
}

/* Take an entry away if it says nothing any more. */
static void drop_if_empty(struct content *content, struct content_entry *entry)
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

/* Forget one that nobody is busy with: it would be hashed again. The keyed hash makes the order as good as a random one. */
static void forget_one(struct content *content)
{
	for (unsigned i = 0; i < CONTENT_BUCKETS; i++) {
		struct content_entry *entry = content->buckets[content->hand++ & (CONTENT_BUCKETS - 1)];

		while (entry && !(entry->verified && is_idle(entry)))
			entry = entry->next;
		if (entry) {
			set_verified(content, entry, false);
			drop_if_empty(content, entry);
			return;
		}
	}
}

void content_accept(struct content_task *task, const struct content_facts *facts)
{
	struct content *content = task->content;

	pthread_mutex_lock(&content->mutex);
	if (content->verified >= CAP_VERIFIED)
		forget_one(content);
	set_verified(content, task->entry, true);
	task->entry->facts = *facts;
	pthread_mutex_unlock(&content->mutex);
	store_remember_size(content->options.store, &task->digest, facts->size);
}

/* ---- Queues and gates. The mutex is held ---- */

static void enqueue(struct content_queue *queue, struct content_task *task)
{
	task->queue = queue;
	task->next = NULL;
	task->previous = queue->last;
	if (queue->last)
		queue->last->next = task;
	else
		queue->first = task;
	queue->last = task;
	queue->count++;
}

static void dequeue(struct content_task *task)
{
	struct content_queue *queue = task->queue;

	if (task->previous)
		task->previous->next = task->next;
	else
		queue->first = task->next;
	if (task->next)
		task->next->previous = task->previous;
	else
		queue->last = task->previous;
	queue->count--;
	task->queue = NULL;
}

static struct content_task *next_in_line(const struct content_gate *gate)
{
	return gate->wanted.first ? gate->wanted.first : gate->ahead.first;
}

/*
 * Let in who may begin. A task that is over at once comes back here from within its beginning: only the outermost call goes
 * round, so that the stack stays flat.
 */
static void let_in(struct content *content, enum content_kind kind)
{
	struct content_gate *gate = &content->gates[kind];
	struct content_task *task;

	pthread_mutex_lock(&content->mutex);
	if (gate->letting_in) {
		pthread_mutex_unlock(&content->mutex);
		return;
	}
	gate->letting_in = true;
	while (!content->closing && gate->running < gate->most && (task = next_in_line(gate))) {
		dequeue(task);
		gate->running++;
		pthread_mutex_unlock(&content->mutex);
		if (kind == CONTENT_FETCH)
			content_begin_fetch(task);
		else
			content_begin_size(task);
		pthread_mutex_lock(&content->mutex);
	}
	gate->letting_in = false;
	if (content->closing)
		pthread_cond_broadcast(&content->gone);
	pthread_mutex_unlock(&content->mutex);
}

/* ---- Tasks ---- */

/* The mutex is held. @return NULL without memory */
static struct content_task *add_task(struct content *content, struct content_entry *entry, enum content_kind kind)
{
	struct content_task *task = kind == CONTENT_FETCH ? content_new_fetch() : calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->content = content;
	task->entry = entry;
	task->kind = kind;
	task->digest = entry->digest;
	task->references = 1;
	buf_init(&task->url, CAP_URL + 1);
	entry->tasks[kind] = task;
	content->tasks++;
	return task;
}

/* The mutex is held. */
static void unref_task(struct content_task *task)
{
	struct content *content = task->content;

	if (--task->references)
		return;
	free(task);
	if (!--content->tasks)
		pthread_cond_broadcast(&content->gone);
}

/* Take the task off its entry: whoever comes now starts anew. The mutex is held. */
static void detach(struct content_task *task)
{
	task->landed = true;
	task->entry->tasks[task->kind] = NULL;
	drop_if_empty(task->content, task->entry);
}

/* Tell those who wait, after detach(). */
static void tell(struct content_task *task)
{
	flight_land(task->content->options.airport, &task->flight, task->fault.verdict, &task->fault);
}

static void count_end(struct content_task *task)
{
	if (task->kind == CONTENT_FETCH && task->fault.verdict)
		atomic_fetch_add(&task->content->counters.failed, 1);
}

void content_land(struct content_task *task, int verdict)
{
	struct content *content = task->content;
	enum content_kind kind = task->kind;
	char digest[DIGEST_TEXT_SIZE];

	if (verdict) {
		digest_format(&task->digest, digest);
		fault_at(&task->fault, "content %s", digest);
	} else {
		task->fault = (struct fault){0};
	}
	api_sources_release(&task->sources);
	count_end(task);
	pthread_mutex_lock(&content->mutex);
	detach(task);
	content->gates[kind].running--;
	pthread_mutex_unlock(&content->mutex);
	tell(task);
	/* The reference that is given up last keeps content_free() waiting. */
	let_in(content, kind);
	pthread_mutex_lock(&content->mutex);
	unref_task(task);
	pthread_mutex_unlock(&content->mutex);
}

/* A verdict for one waiter, by the same rules as if there had been work. */
static void tell_one(struct content *content, struct waiter *waiter, const struct fault *flt)
{
	struct flight flight = {0};

	flight_join(content->options.airport, &flight, waiter);
	flight_land(content->options.airport, &flight, flt->verdict, flt);
}

/* The task for the digest, found or made and in its queue, with one more reference. The mutex is held. */
static struct content_task *find_or_add_task(struct content *content, enum content_kind kind,
					     const struct digest *digest, struct content_queue *queue,
					     struct fault *flt)
{
	struct content_entry *entry;
	struct content_task *task;

	if (content->closing) {
		fault_undecided(flt, FAULT_CANCELLED, "the registry is being closed");
		return NULL;
	}
	entry = find_or_add_entry(content, digest);
	task = entry ? entry->tasks[kind] : NULL;
	if (entry && !task) {
		task = add_task(content, entry, kind);
		if (task)
			enqueue(queue, task);
		else
			drop_if_empty(content, entry);
	}
	if (!task) {
		fault_no_memory(flt);
		return NULL;
	}
	if (task->queue && queue == &content->gates[kind].wanted && task->queue != queue) {
		dequeue(task);
		enqueue(queue, task);
	}
	task->references++;
	return task;
}

/* Join the task for this digest, or start it. */
static void join(struct content *content, enum content_kind kind, const struct digest *digest, struct waiter *waiter)
{
	struct content_task *task;
	struct fault flt = {0};
	bool landed;

	pthread_mutex_lock(&content->mutex);
	task = find_or_add_task(content, kind, digest, &content->gates[kind].wanted, &flt);
	pthread_mutex_unlock(&content->mutex);
	if (!task) {
		tell_one(content, waiter, &flt);
		return;
	}
	flight_join(content->options.airport, &task->flight, waiter);
	pthread_mutex_lock(&content->mutex);
	landed = task->landed;
	pthread_mutex_unlock(&content->mutex);
	/* It may have landed between the two locks: then nobody else would tell this waiter. */
	if (landed)
		tell(task);
	let_in(content, kind);
	pthread_mutex_lock(&content->mutex);
	unref_task(task);
	pthread_mutex_unlock(&content->mutex);
}

/* ---- Closing ---- */

/* Land what has not begun. The mutex is held, and given up in between. */
static void land_queued(struct content *content, struct content_queue *queue)
{
	struct content_task *task;

	while ((task = queue->first)) {
		dequeue(task);
		fault_undecided(&task->fault, FAULT_CANCELLED, "the registry is being closed");
		detach(task);
		pthread_mutex_unlock(&content->mutex);
		tell(task);
		pthread_mutex_lock(&content->mutex);
		unref_task(task);
	}
}

static void cancel_exchanges(struct content *content)
{
	for (unsigned i = 0; i < CONTENT_BUCKETS; i++) {
		for (struct content_entry *entry = content->buckets[i]; entry; entry = entry->next) {
			for (unsigned kind = 0; kind < CONTENT_KINDS; kind++) {
				struct content_task *task = entry->tasks[kind];

				if (task && task->exchanging)
					http_cancel(content->options.api.http, &task->exchange);
			}
		}
	}
}

static bool is_busy(const struct content *content)
{
	return content->tasks || content->gates[CONTENT_FETCH].letting_in || content->gates[CONTENT_SIZE].letting_in;
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
	pthread_mutex_lock(&content->mutex);
	content->closing = true;
	for (unsigned kind = 0; kind < CONTENT_KINDS; kind++) {
		land_queued(content, &content->gates[kind].wanted);
		land_queued(content, &content->gates[kind].ahead);
	}
	cancel_exchanges(content);
	while (is_busy(content))
		pthread_cond_wait(&content->gone, &content->mutex);
	pthread_mutex_unlock(&content->mutex);
	free_entries(content);
	pthread_cond_destroy(&content->gone);
	pthread_mutex_destroy(&content->mutex);
	free(content);
}

/* ---- Exchanges ---- */

void content_start_exchange(struct content_task *task)
{
	struct content *content = task->content;
	bool closing;

	task->exchange.user = task;
	/* Under the lock, so that whoever closes either is seen here, or sees the exchange and cancels it. */
	pthread_mutex_lock(&content->mutex);
	closing = content->closing;
	task->exchanging = !closing;
	if (!closing)
		http_start(content->options.api.http, &task->exchange);
	pthread_mutex_unlock(&content->mutex);
	if (closing) {
		task->exchange.verdict = fault_undecided(&task->exchange.fault, FAULT_CANCELLED,
							 "the registry is being closed");
		task->exchange.done(&task->exchange);
	}
}

/* What a source means by its status. */
static int check_status(const struct http_exchange *exchange, struct fault *flt)
{
	int status = exchange->status;
	int r;

	if (status == 200 || status == 206)
		return 0;
	if (status == 401 || status == 403)
		r = fault_undecided(flt, FAULT_LOGIN, "the source wants a login (status %d)", status);
	else if (status == 429 || status == 502 || status == 503 || status == 504)
		r = fault_undecided(flt, FAULT_UNREACHABLE, "the source cannot serve now (status %d)", status);
	else
		r = fault_undecided(flt, FAULT_REFUSED, "the source does not give it (status %d)", status);
	fault_at(flt, "%.*s", (int)strcspn(exchange->url, "?#"), exchange->url);
	fault_blame(flt, FAULT_BY_SOURCE);
	return r;
}

int content_end_exchange(struct content_task *task, struct fault *flt)
{
	struct http_exchange *exchange = &task->exchange;
	int r = exchange->verdict;

	pthread_mutex_lock(&task->content->mutex);
	task->exchanging = false;
	pthread_mutex_unlock(&task->content->mutex);
	if (r)
		*flt = exchange->fault;
	else
		r = check_status(exchange, flt);
	if (r == WARG_INVALID || flt->kind == FAULT_LIMIT)
		fault_blame(flt, FAULT_BY_SOURCE);
	http_exchange_release(exchange);
	return r;
}

static void sources_answered(struct http_exchange *exchange)
{
	struct content_task *task = exchange->user;
	struct content *content = task->content;
	int r = exchange->verdict;

	pthread_mutex_lock(&content->mutex);
	task->exchanging = false;
	pthread_mutex_unlock(&content->mutex);
	if (r)
		task->fault = exchange->fault;
	else
		r = api_sources_decode(&content->options.api, &task->digest, exchange, &task->sources, &task->fault);
	/* A content that a log names exists: who does not give it refuses. */
	if (task->fault.kind == FAULT_ABSENT)
		task->fault.kind = FAULT_REFUSED;
	http_exchange_release(exchange);
	buf_release(&task->url);
	if (r)
		content_land(task, r);
	else
		task->have_sources(task);
}

void content_ask_sources(struct content_task *task, void (*have_sources)(struct content_task *task))
{
	const struct content_options *options = &task->content->options;
	int r;

	task->have_sources = have_sources;
	task->exchange = (struct http_exchange){0};
	r = api_sources_request(&options->api, &task->digest, &task->exchange, &task->url, &task->fault);
	if (r) {
		buf_release(&task->url);
		content_land(task, r);
		return;
	}
	task->exchange.deadline = clock_now() + options->timeout;
	task->exchange.done = sources_answered;
	content_start_exchange(task);
}

void content_note(struct content_task *task, const struct fault *flt)
{
	if (!task->fault.verdict || (task->fault.verdict != WARG_INVALID && flt->verdict == WARG_INVALID))
		task->fault = *flt;
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

static bool find_facts(struct content *content, const struct digest *digest, struct content_facts *out)
{
	const struct content_entry *entry;
	bool verified;

	pthread_mutex_lock(&content->mutex);
	entry = find_entry(content, digest);
	verified = entry && entry->verified;
	if (verified)
		*out = entry->facts;
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
		drop_if_empty(content, entry);
	}
	pthread_mutex_unlock(&content->mutex);
}

/*
 * Open the file if it verified here and was not touched since. A change within one tick of the file system's clock, after
 * the hashing, is beyond what can be seen.
 * @param fd  -1 if there is none
 */
static int open_verified(struct content *content, const struct digest *digest, int *fd, uint64_t *size,
			 struct fault *flt)
{
	struct content_facts facts, now;
	int opened = -1;
	int r;

	*fd = -1;
	if (!find_facts(content, digest, &facts))
		return 0;
	r = store_open_content(content->options.store, digest, &opened, size, flt);
	if (!r && opened >= 0)
		r = content_look(opened, &now, flt);
	if (r)
		goto close;
	if (opened < 0 || !content_facts_equal(&facts, &now)) {
		forget(content, digest, &facts);
		goto close;
	}
	*fd = opened;
	return 0;

close:
	if (opened >= 0)
		close(opened);
	return r;
}

struct content_file *content_find(struct content *content, const struct digest *digest)
{
	struct content_file *file;
	uint64_t size = 0;
	int fd = -1;

	if (open_verified(content, digest, &fd, &size, NULL) || fd < 0)
		return NULL;
	file = malloc(sizeof(*file));
	if (!file) {
		close(fd);
		return NULL;
	}
	atomic_init(&file->references, 1);
	file->fd = fd;
	file->size = size;
	return file;
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
	struct fault flt = {0};
	uint64_t size;
	int fd;

	if (!open_verified(content, digest, &fd, &size, &flt) && fd < 0) {
		join(content, CONTENT_FETCH, digest, waiter);
		return;
	}
	if (fd >= 0) {
		atomic_fetch_add(&content->counters.hits, 1);
		close(fd);
	}
	tell_one(content, waiter, &flt);
}

bool content_find_size(struct content *content, const struct digest *digest, uint64_t *size)
{
	struct content_facts facts;

	if (!find_facts(content, digest, &facts))
		return store_find_size(content->options.store, digest, size);
	*size = facts.size;
	return true;
}

void content_fetch_size(struct content *content, const struct digest *digest, struct waiter *waiter)
{
	const struct fault none = {0};
	uint64_t size;

	if (content_find_size(content, digest, &size))
		tell_one(content, waiter, &none);
	else
		join(content, CONTENT_SIZE, digest, waiter);
}

void content_prefetch_sizes(struct content *content, const struct digest *digests, size_t count)
{
	struct content_queue *ahead = &content->gates[CONTENT_SIZE].ahead;
	struct content_task *task;
	uint64_t size;
	bool full = false;

	for (size_t i = 0; i < count && !full; i++) {
		if (content_find_size(content, &digests[i], &size))
			continue;
		pthread_mutex_lock(&content->mutex);
		full = ahead->count >= CAP_SIZES_AHEAD;
		task = full ? NULL : find_or_add_task(content, CONTENT_SIZE, &digests[i], ahead, NULL);
		if (task)
			unref_task(task);
		pthread_mutex_unlock(&content->mutex);
	}
	let_in(content, CONTENT_SIZE);
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
