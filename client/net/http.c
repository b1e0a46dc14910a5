/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The loop: which exchanges are under way, and when each is over (see http.h). What one exchange does is
 * http_request.c.
 *
 * All live exchanges are on one list, under the lock. Anybody may put one at its end or mark one as cancelled; only the
 * loop's thread takes one off, so it may hold on to any while the lock is free.
 */
#include "client/base/thread.h"
#include "client/base/workers.h"
#include "http_parts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CONNECTIONS 64     /* open at a time; exchanges beyond that wait for their turn */
#define GATEWAY_WAIT 250   /* milliseconds before the first repeat after a 502 without Retry-After; later ones double */
#define IDLE_CONNECTIONS 8 /* kept for the next exchange: each costs memory, TLS most */

struct http {
	CURLM *multi;
	pthread_t thread;
	pthread_mutex_t mutex;
	struct http_exchange *first, *last;
	bool stopped; /* whatever is live is cancelled */
	bool closing; /* and the thread ends after the last one */
	atomic_bool offline;

	/* Thread that reads tokens again; NULL until the first refused token. */
	struct workers *readers;
	struct job reading;
	bool is_reading; /* a job is queued or running */
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

	if (exchange->resumes)
		return exchange->resumes;
	if (exchange->stall && request && request->heard < exchange->deadline - exchange->stall)
		return request->heard + exchange->stall;
	return exchange->deadline;
}

/* ---- Tokens that were refused ---- */

/* An exchange whose token is to be read again, or NULL. Call with the mutex held. */
static struct http_exchange *find_to_renew(struct http *http)
{
	struct http_exchange *exchange = http->first;

	while (exchange && exchange->renewal != HTTP_TO_RENEW)
		exchange = exchange->next;
	return exchange;
}

/*
 * Mark all exchanges with the credential as renewed. Exchanges queued during `find` wait for the next run. Call with
 * the mutex held.
 */
static void turn_all(struct http *http, const struct credential *credential, int from, int to)
{
	for (struct http_exchange *exchange = http->first; exchange; exchange = exchange->next)
		if (exchange->credential == credential && (int)exchange->renewal == from)
			exchange->renewal = to;
}

/* Runs on a thread that may block on a keyring's dialogue. */
static void read_tokens(struct job *job)
{
	struct http *http = (struct http *)(void *)((char *)job - offsetof(struct http, reading));
	struct http_exchange *exchange;

	pthread_mutex_lock(&http->mutex);
	while (!http->stopped && (exchange = find_to_renew(http))) {
		struct credential *credential = exchange->credential;

		turn_all(http, credential, HTTP_TO_RENEW, HTTP_RENEWING);
		pthread_mutex_unlock(&http->mutex);
		credential_renew(credential);
		pthread_mutex_lock(&http->mutex);
		turn_all(http, credential, HTTP_RENEWING, HTTP_RENEWED);
		curl_multi_wakeup(http->multi);
	}
	http->is_reading = false;
	pthread_mutex_unlock(&http->mutex);
}

/* Start reading the token again; the exchange stays live without a request. @return false if that is not possible */
static bool begin_to_renew(struct http *http, struct http_exchange *exchange)
{
	bool begins;

	if (!http->readers && workers_new(1, &http->readers, NULL))
		return false;
	pthread_mutex_lock(&http->mutex);
	exchange->renewal = HTTP_TO_RENEW;
	begins = !http->is_reading;
	http->is_reading = true;
	pthread_mutex_unlock(&http->mutex);
	if (begins)
		workers_run(http->readers, &http->reading);
	return true;
}

/* Forget the answer, and send the request once more. Returns whether it is running now. */
static bool send_again(struct http *http, struct http_exchange *exchange)
{
	http_exchange_release(exchange);
	exchange->status = 0;
	exchange->resumes = 0;
	return begin(http, exchange);
}

static bool send_anew(struct http *http, struct http_exchange *exchange)
{
	exchange->renewal = HTTP_SENT_ANEW;
	return send_again(http, exchange);
}

static void drop_request(struct http *http, struct http_exchange *exchange)
{
	struct http_request *request = exchange->handle;

	curl_multi_remove_handle(http->multi, request->easy);
	http_request_free(request);
	exchange->handle = NULL;
}

/* Called at each answer. Returns true if the token was refused and the request may be sent again with a newer one. */
static bool has_next(struct http *http, struct http_exchange *exchange)
{
	struct credential *credential = exchange->credential;
	bool newer;

	if (exchange->verdict || exchange->status != 401 || !credential || exchange->authorization ||
	    exchange->renewal != HTTP_NOT_RENEWED)
		return false;
	newer = credential_is_newer(credential, exchange->generation);
	if (!newer && (!credential_can_renew(credential) || !begin_to_renew(http, exchange)))
		return false;
	drop_request(http, exchange);
	if (newer)
		send_anew(http, exchange);
	return true;
}

/* The token was read again: send the request once more, or end with the answer received. */
static bool resume(struct http *http, struct http_exchange *exchange)
{
	if (credential_is_newer(exchange->credential, exchange->generation))
		return send_anew(http, exchange);
	end(http, exchange);
	return false;
}

/* ---- Requests that are put off ---- */

/* Milliseconds after which the request is to be sent again; 0: it is not. */
static clock_ms repeat_wait(const struct http_exchange *exchange)
{
	clock_ms wait = (clock_ms)exchange->retry_after * 1000;

	if (exchange->verdict || !exchange->repeats || exchange->repeated >= CAP_REPEATS)
		return 0;
	if (exchange->status == 502 && !wait)
		wait = GATEWAY_WAIT << exchange->repeated;
	else if (exchange->status != 502 && exchange->status != 429 && exchange->status != 503)
		return 0;
	return exchange->deadline - clock_now() > wait ? wait : 0;
}

/*
 * Called at each answer. Returns true if the request is sent again later. Its answer stays: a cancel or the deadline
 * may come first.
 * @param due  moved to that time, if it is earlier
 */
static bool puts_off(struct http *http, struct http_exchange *exchange, clock_ms *due)
{
	clock_ms wait = repeat_wait(exchange);

	if (!wait)
		return false;
	drop_request(http, exchange);
	exchange->repeated++;
	exchange->resumes = clock_now() + wait;
	if (exchange->resumes < *due)
		*due = exchange->resumes;
	return true;
}

/* Start an exchange that has not begun. Returns whether it is running, or waits for its token. */
static bool drive(struct http *http, struct http_exchange *exchange)
{
	int renewal;

	if (exchange->handle)
		return true;
	if (exchange->resumes)
		return exchange->resumes > clock_now() || send_again(http, exchange);
	pthread_mutex_lock(&http->mutex);
	renewal = exchange->renewal;
	pthread_mutex_unlock(&http->mutex);
	switch (renewal) {
	case HTTP_TO_RENEW:
	case HTTP_RENEWING:
		return true;
	case HTTP_RENEWED:
		return resume(http, exchange);
	default:
		return begin(http, exchange);
	}
}

/* ---- The loop ---- */

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
		else if (!exchange->resumes && due_of(exchange) <= now)
			give_up(http, exchange, FAULT_TIMEOUT, "nothing came for too long, or too little");
		else if (drive(http, exchange) && due_of(exchange) < due)
			due = due_of(exchange);
	}
	return due;
}

/* What curl is through with. @param due  moved to the first time at which one is sent again */
static void ledger_fetch(struct http *http, clock_ms *due)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		struct http_request *request = NULL;
		CURL *easy = message->easy_handle;
		CURLcode code = message->data.result;

		curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
		if (http_request_over(request, code)) {
			if (!has_next(http, request->exchange) && !puts_off(http, request->exchange, due))
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
		ledger_fetch(http, &due);
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
	http->reading.run = read_tokens;
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
	workers_free(http->readers);
	pthread_mutex_destroy(&http->mutex);
	curl_multi_cleanup(http->multi);
	free(http);
}

size_t http_fair_share(clock_ms time)
{
	size_t share = (size_t)time * CAP_CONTENT_RATE / 1000;

	return share ? share : 1;
}

void http_start(struct http *http, struct http_exchange *exchange)
{
	exchange->handle = NULL;
	exchange->next = NULL;
	exchange->repeated = 0;
	exchange->resumes = 0;
	exchange->renewal = HTTP_NOT_RENEWED;
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

static void exchange_finished(struct http_exchange *exchange)
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
		exchanges[i]->done = exchange_finished;
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
