/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * How large a content is, before it is fetched: what the cache or the registry says, else one HEAD to a source. All of
 * these are claims; what has verified corrects them (content_accept_take()).
 */
#include "content_parts.h"

#include <string.h>
#include <unistd.h>

static void remember(struct content_task *task, uint64_t size)
{
	store_remember_size(content_store(task->content), &task->digest, size);
	content_complete(task, 0);
}

static void ask_next(struct content_task *task);

static void answered(struct http_exchange *exchange)
{
	struct content_task *task = exchange->user;
	struct fault flt = {0};
	int r = content_end_exchange(task, &flt);

	if (!r && exchange->has_length && exchange->length <= CAP_CONTENT) {
		remember(task, exchange->length);
		return;
	}
	if (!r && exchange->has_length)
		fault_undecided(&flt, FAULT_LIMIT, "larger than %llu bytes", CAP_CONTENT);
	else if (!r)
		fault_undecided(&flt, FAULT_REFUSED, "the source does not tell the size");
	if (!r) {
		http_url_fault_at(span_of_text(exchange->url), &flt);
		fault_blame(&flt, FAULT_BY_SOURCE);
	}
	content_note(task, &flt);
	if (flt.kind == FAULT_CANCELLED || flt.kind == FAULT_SYSTEM) {
		content_complete(task, flt.verdict);
		return;
	}
	task->at++;
	ask_next(task);
}

static void ask_next(struct content_task *task)
{
	clock_ms now = clock_now(), due = now + task->content->options.timeout;

	if (task->at == task->sources.count || (task->at && task->until <= now)) {
		content_complete(task, task->fault.verdict);
		return;
	}
	task->exchange = (struct http_exchange){
		.method = HTTP_HEAD,
		.url = task->sources.sources[task->at].url,
		.follow = true,
		.cap = CAP_CONTENT,
		.deadline = due < task->until ? due : task->until,
		.done = answered,
	};
	content_start_exchange(task);
}

static void told_sources(struct content_task *task, int verdict)
{
	const struct api_sources *sources = &task->sources;

	if (verdict) {
		content_complete(task, verdict);
		return;
	}
	for (size_t i = 0; i < sources->count; i++) {
		if (sources->sources[i].has_size && sources->sources[i].size <= CAP_CONTENT) {
			remember(task, sources->sources[i].size);
			return;
		}
	}
	ask_next(task);
}

void content_begin_size(struct content_task *task)
{
	struct store *store = content_store(task->content);
	uint64_t size = 0;
	int fd = -1;

	/* A fetch may have found it out in the meantime. */
	if (store_find_size(store, &task->digest, &size)) {
		content_complete(task, 0);
		return;
	}
	if (!store_open_content(store, &task->digest, &fd, &size, NULL) && fd >= 0) {
		close(fd);
		if (size <= CAP_CONTENT) {
			remember(task, size);
			return;
		}
	}
	task->until = clock_now() + 2 * task->content->options.timeout;
	content_ask_sources(task, told_sources);
}
