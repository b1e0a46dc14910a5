/*
 * The loop: which exchanges are under way, and when each is over (see http.h). What one exchange does is
 * http_request.c.
 *
 * All live exchanges are on one list, under the lock. Anybody may put one at its end or mark one as cancelled; only the
 * loop's thread takes one off, so it may hold on to any while the lock is free.
 */
#include "http_parts.h"
#include "thread.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CONNECTIONS 64     /* open at a time; exchanges beyond that wait for their turn */
#define IDLE_CONNECTIONS 8 /* kept for the next exchange: each costs memory, TLS most */

struct http {
	CURLM *multi;
	pthread_t thread;
	pthread_mutex_t mutex;
	struct http_exchange *first, *last;
	bool stopped; /* whatever is live is cancelled */
	bool closing; /* and the thread ends after the last one */
	atomic_bool offline;
};

/* The one behind `exchange`, or the first; and whether nobody wants it any more. */
static struct http_exchange *live_after(struct http *http, const struct http_exchange *exchange, bool *cancelled)
{
	struct http_exchange *next;

	pthread_mutex_lock(&http->mutex);
	next = exchange ? exchange->next : http->first;
	*cancelled = next && (next->cancelled || http->stopped);
	pthread_mutex_unlock(&http->mutex);
	return next;
}

static void unlist(struct http *http, struct http_exchange *exchange)
{
	pthread_mutex_lock(&http->mutex);
	if (exchange->previous)
		exchange->previous->next = exchange->next;
	else
		http->first = exchange->next;
	if (exchange->next)
		exchange->next->previous = exchange->previous;
	else
		http->last = exchange->previous;
	pthread_mutex_unlock(&http->mutex);
}

static void end(struct http *http, struct http_exchange *exchange)
{
	struct http_request *request = exchange->handle;

	if (request) {
		curl_multi_remove_handle(http->multi, request->easy);
		http_request_free(request);
		exchange->handle = NULL;
	}
	unlist(http, exchange);
	exchange->done(exchange);
}

static void give_up(struct http *http, struct http_exchange *exchange, enum fault_kind kind, const char *why)
{
	exchange->verdict = fault_undecided(&exchange->fault, kind, "%s", why);
	http_fault_at(exchange);
	fault_blame(&exchange->fault, kind == FAULT_TIMEOUT ? FAULT_BY_NETWORK : FAULT_BY_USER);
	end(http, exchange);
}

/* Returns whether it is under way now. */
static bool begin(struct http *http, struct http_exchange *exchange)
{
	struct http_request *request;

	exchange->verdict = http_request_new(exchange, &request, &exchange->fault);
	if (!exchange->verdict) {
		exchange->handle = request;
		if (!curl_multi_add_handle(http->multi, request->easy))
			return true;
		exchange->verdict = fault_no_memory(&exchange->fault);
	}
	http_fault_at(exchange);
	end(http, exchange);
	return false;
}

/* When it is to be given up: at its deadline, or when its silence has lasted too long. */
static clock_ms due_of(const struct http_exchange *exchange)
{
	const struct http_request *request = exchange->handle;

	if (exchange->stall && request && request->heard < exchange->deadline - exchange->stall)
		return request->heard + exchange->stall;
	return exchange->deadline;
}

/* Begin what came, end what is late or not wanted any more. Returns when the next will be late. */
static clock_ms attend(struct http *http)
{
	struct http_exchange *exchange, *next;
	clock_ms now = clock_now(), due = CLOCK_NEVER;
	bool cancelled, next_cancelled;

	for (exchange = live_after(http, NULL, &cancelled); exchange; exchange = next, cancelled = next_cancelled) {
		next = live_after(http, exchange, &next_cancelled);
		if (cancelled)
			give_up(http, exchange, FAULT_CANCELLED, "the request was cancelled");
		else if (atomic_load(&http->offline))
			give_up(http, exchange, FAULT_UNREACHABLE, "offline: nothing is fetched");
		else if (exchange->deadline <= now)
			give_up(http, exchange, FAULT_TIMEOUT, "no answer before the deadline");
		else if (due_of(exchange) <= now)
			give_up(http, exchange, FAULT_TIMEOUT, "nothing came for too long");
		else if ((exchange->handle || begin(http, exchange)) && due_of(exchange) < due)
			due = due_of(exchange);
	}
	return due;
}

/* What curl is through with. */
static void harvest(struct http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		struct http_request *request = NULL;
		CURL *easy = message->easy_handle;
		CURLcode code = message->data.result;

		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
		if (http_request_over(request, code)) {
			end(http, request->exchange);
			continue;
		}
		curl_multi_remove_handle(http->multi, easy);
		if (curl_multi_add_handle(http->multi, easy)) {
			request->exchange->verdict = fault_no_memory(&request->exchange->fault);
			end(http, request->exchange);
		}
	}
}

static bool is_over(struct http *http)
{
	bool over;

	pthread_mutex_lock(&http->mutex);
	over = http->closing && !http->first;
	pthread_mutex_unlock(&http->mutex);
	return over;
}

static void *run(void *argument)
{
	struct http *http = argument;
	int running;

	for (;;) {
		clock_ms due = attend(http);

		curl_multi_perform(http->multi, &running);
		harvest(http);
		if (is_over(http))
			return NULL;
		curl_multi_poll(http->multi, NULL, 0, clock_left(due), NULL);
	}
}

static CURLcode curl_started;

static void start_curl(void)
{
	curl_started = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int http_new(struct http **out, struct fault *flt)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct http *http;
	int error;

	pthread_once(&once, start_curl);
	if (curl_started)
		return fault_undecided(flt, FAULT_LIMIT, "curl does not start: %s", curl_easy_strerror(curl_started));
	http = calloc(1, sizeof(*http));
	if (!http)
		return fault_no_memory(flt);
	http->multi = curl_multi_init();
	if (!http->multi) {
		free(http);
		return fault_no_memory(flt);
	}
	curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS);
	curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS);
	pthread_mutex_init(&http->mutex, NULL);
	/* No signals, also as TLS writes to sockets without MSG_NOSIGNAL. */
	error = thread_start(&http->thread, run, http);
	if (error) {
		pthread_mutex_destroy(&http->mutex);
		curl_multi_cleanup(http->multi);
		free(http);
		return fault_system(flt, error, "the thread for requests cannot be started");
	}
	*out = http;
	return 0;
}

static void stop(struct http *http, bool closing)
{
	pthread_mutex_lock(&http->mutex);
	http->stopped = true;
	http->closing = closing;
	pthread_mutex_unlock(&http->mutex);
	curl_multi_wakeup(http->multi);
}

void http_stop(struct http *http)
{
	stop(http, false);
}

void http_go_offline(struct http *http)
{
	atomic_store(&http->offline, true);
}

void http_free(struct http *http)
{
	if (!http)
		return;
	stop(http, true);
	pthread_join(http->thread, NULL);
	pthread_mutex_destroy(&http->mutex);
	curl_multi_cleanup(http->multi);
	free(http);
}

void http_start(struct http *http, struct http_exchange *exchange)
{
	exchange->handle = NULL;
	exchange->next = NULL;
	pthread_mutex_lock(&http->mutex);
	exchange->cancelled = false;
	exchange->previous = http->last;
	if (http->last)
		http->last->next = exchange;
	else
		http->first = exchange;
	http->last = exchange;
	pthread_mutex_unlock(&http->mutex);
	curl_multi_wakeup(http->multi);
}

void http_cancel(struct http *http, struct http_exchange *exchange)
{
	struct http_exchange *live;

	pthread_mutex_lock(&http->mutex);
	for (live = http->first; live && live != exchange; live = live->next)
		;
	if (live)
		live->cancelled = true;
	pthread_mutex_unlock(&http->mutex);
	if (live)
		curl_multi_wakeup(http->multi);
}

/* ---- For those who may wait ---- */

struct crowd {
	pthread_mutex_t mutex;
	pthread_cond_t over;
	size_t left;
};

static void one_less(struct http_exchange *exchange)
{
	struct crowd *crowd = exchange->user;

	pthread_mutex_lock(&crowd->mutex);
	if (!--crowd->left)
		pthread_cond_signal(&crowd->over);
	pthread_mutex_unlock(&crowd->mutex);
}

void http_run(struct http *http, struct http_exchange *const *exchanges, size_t count)
{
	struct crowd crowd = { .left = count };

	pthread_mutex_init(&crowd.mutex, NULL);
	pthread_cond_init(&crowd.over, NULL);
	for (size_t i = 0; i < count; i++) {
		exchanges[i]->done = one_less;
		exchanges[i]->user = &crowd;
		http_start(http, exchanges[i]);
	}
	pthread_mutex_lock(&crowd.mutex);
	while (crowd.left)
		pthread_cond_wait(&crowd.over, &crowd.mutex);
	pthread_mutex_unlock(&crowd.mutex);
	pthread_cond_destroy(&crowd.over);
	pthread_mutex_destroy(&crowd.mutex);
}

void http_exchange_release(struct http_exchange *exchange)
{
	buf_release(&exchange->received);
}
