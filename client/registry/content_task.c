/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Tasks: what joins them, when they begin and how they are completed (see content_parts.h).
 */
#include "content_parts.h"

#include <stdlib.h>

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
 * Let in who may begin. A task that is over at once comes back here from within its beginning: only the outermost call
 * goes round, so that the stack stays flat.
 */
void content_let_in(struct content *content, enum content_kind kind)
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
	task->finished = true;
	task->entry->tasks[task->kind] = NULL;
	content_entry_drop(task->content, task->entry);
}

/* Tell those who wait, after detach(). */
static void tell(struct content_task *task)
{
	completion_finish(task->content->options.deadlines, &task->completion, task->fault.verdict, &task->fault);
}

static void count_end(struct content_task *task)
{
	if (task->kind == CONTENT_FETCH && task->fault.verdict)
		atomic_fetch_add(&task->content->counters.failed, 1);
}

void content_complete(struct content_task *task, int verdict)
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
	if (!--content->gates[kind].running && kind == CONTENT_FETCH)
		content_free_blocks(content);
	pthread_mutex_unlock(&content->mutex);
	tell(task);
	if (kind == CONTENT_FETCH)
		content_let_go(content, &task->digest);
	/* The reference that is given up last keeps content_free() waiting. */
	content_let_in(content, kind);
	pthread_mutex_lock(&content->mutex);
	unref_task(task);
	pthread_mutex_unlock(&content->mutex);
}

/* A verdict for one waiter, by the same rules as if there had been work. */
void content_tell(struct content *content, struct waiter *waiter, const struct fault *flt)
{
	struct completion completion = {0};

	completion_join(content->options.deadlines, &completion, waiter);
	completion_finish(content->options.deadlines, &completion, flt->verdict, flt);
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
	entry = content_entry_add(content, digest);
	task = entry ? entry->tasks[kind] : NULL;
	if (entry && !task) {
		task = add_task(content, entry, kind);
		if (task)
			enqueue(queue, task);
		else
			content_entry_drop(content, entry);
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
void content_join(struct content *content, enum content_kind kind, const struct digest *digest, struct waiter *waiter)
{
	struct content_task *task;
	struct fault flt = {0};
	bool finished;

	pthread_mutex_lock(&content->mutex);
	task = find_or_add_task(content, kind, digest, &content->gates[kind].wanted, &flt);
	pthread_mutex_unlock(&content->mutex);
	if (!task) {
		content_tell(content, waiter, &flt);
		return;
	}
	completion_join(content->options.deadlines, &task->completion, waiter);
	pthread_mutex_lock(&content->mutex);
	finished = task->finished;
	pthread_mutex_unlock(&content->mutex);
	/* The task may have been completed between the two locks: then only this call can complete the waiter. */
	if (finished)
		tell(task);
	content_let_in(content, kind);
	pthread_mutex_lock(&content->mutex);
	unref_task(task);
	pthread_mutex_unlock(&content->mutex);
}

void content_queue_ahead(struct content *content, const struct digest *digest)
{
	struct content_queue *ahead = &content->gates[CONTENT_SIZE].ahead;
	struct content_task *task = NULL;

	pthread_mutex_lock(&content->mutex);
	if (ahead->count < CAP_SIZES_AHEAD)
		task = find_or_add_task(content, CONTENT_SIZE, digest, ahead, NULL);
	if (task)
		unref_task(task);
	pthread_mutex_unlock(&content->mutex);
}

/* ---- Closing ---- */

/* Complete tasks that have not begun. The mutex is held, and released in between. */
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

void content_end_tasks(struct content *content)
{
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
}
