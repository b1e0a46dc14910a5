/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The requests of a task, and what goes wrong with them (see content_parts.h).
 */
#include "content_parts.h"

#include <string.h>

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
	http_url_fault_at(span_of_text(exchange->url), flt);
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
		fault_pass(&exchange->fault, flt);
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
	task->told_sources(task, r);
}

void content_ask_sources(struct content_task *task, void (*told)(struct content_task *task, int verdict))
{
	const struct content_options *options = &task->content->options;
	int r;

	task->told_sources = told;
	task->exchange = (struct http_exchange){0};
	r = api_sources_request(&options->api, &task->digest, &task->exchange, &task->url, &task->fault);
	if (r) {
		buf_release(&task->url);
		told(task, r);
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
