/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * libmicrohttpd's callbacks for requests and answers (see listener_parts.h).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "framing.h"
#include "host.h"
#include "http_server_parts.h"
#include "routes.h"

#define TRIMMED (256 << 10) /* bytes of a request or answer from which on malloc_trim() is worth it */

/* A request being received or answered. */
struct request {
	struct exchange exchange; /* must be first: `resume` casts to it */
	struct lane_job job;
	struct http_server *listener;
	struct MHD_Connection *connection;
	struct peer *peer;
	size_t held;       /* bytes counted for the client */
	size_t unread;     /* part of `held`: the answer being sent */
	clock_ms begun;
	uint64_t received; /* of a body that is passed to a sink */
	void (*refuse)(struct exchange *exchange); /* set: the body is read, dropped and then refused by this */
	void (*step)(struct exchange *exchange);   /* the function to call next; NULL: the body is not complete yet */
	bool is_waiting;   /* it is suspended */
	bool is_in_lane;   /* it has the turn of its client's place */
};

/* ---- Beginning and end of requests ---- */

static const char *find_header(const struct exchange *exchange, const char *name)
{
	const struct request *request = (const struct request *)exchange;

	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* Count the call, so that the daemon outlives it: the request may be freed before MHD_resume_connection() returns. */
static void resume(struct exchange *exchange)
{
	const struct request *request = (const struct request *)exchange;
	struct http_server *listener = request->listener;

	pthread_mutex_lock(&listener->mutex);
	listener->resuming++;
	pthread_mutex_unlock(&listener->mutex);
	MHD_resume_connection(request->connection);
	pthread_mutex_lock(&listener->mutex);
	if (!--listener->resuming)
		pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->mutex);
}

/* Count in steps, not every piece of a body. Small bodies are not counted: the number of connections bounds them. */
static bool hold(struct exchange *exchange, size_t bytes)
{
	struct request *request = (struct request *)exchange;
	struct client *client = request->peer->client;
	const size_t step = 16 << 10, wanted = bytes <= step / 4 ? 0 : (bytes + step - 1) / step * step;

	if (wanted > request->held && !client_hold(client, wanted - request->held))
		return false;
	if (wanted < request->held)
		client_let_go(client, request->held - wanted);
	request->held = wanted;
	return true;
}

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT"};

static enum exchange_method method_of(const char *method)
{
	for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(method, methods[i]))
			return (enum exchange_method)i;
	return EXCHANGE_OTHER;
}

/* @return NULL: no memory, or the listener is stopping */
static struct request *request_new(struct http_server *listener, struct MHD_Connection *connection, const char *path,
				   const char *method)
{
	struct peer *peer = peer_of(connection);
	struct request *request = peer ? calloc(1, sizeof(*request)) : NULL;
	bool stopping;

	pthread_mutex_lock(&listener->mutex);
	stopping = listener->stopping;
	if (!stopping && request)
		listener->under_way++;
	pthread_mutex_unlock(&listener->mutex);
	if (stopping || !request) {
		free(request);
		return NULL;
	}
	exchange_init(&request->exchange, listener->service);
	request->exchange.method = method_of(method);
	request->exchange.path = path + (*path == '/');
	request->exchange.header = find_header;
	request->exchange.is_secure = listener->is_secure;
	request->exchange.resume = resume;
	request->exchange.hold = hold;
	request->listener = listener;
	request->connection = connection;
	request->peer = peer;
	request->begun = clock_now();
	connection_set_due(peer->connection, clock_in_seconds(CAP_SERVED_REQUEST));
	return request;
}

static void leave_lane(struct request *request)
{
	if (request->is_in_lane)
		lanes_leave(request->listener->lanes, client_place(request->peer->client));
	request->is_in_lane = false;
}

static void end_wait(struct request *request)
{
	struct http_server *listener = request->listener;

	if (!request->is_waiting)
		return;
	request->is_waiting = false;
	pthread_mutex_lock(&listener->mutex);
	if (!--listener->waiting)
		pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->mutex);
}

static void request_free(struct request *request)
{
	struct http_server *listener = request->listener;

	/* If its client is gone, a request that was resumed gets here without another call. */
	end_wait(request);
	if (request->exchange.route && request->exchange.route->forget)
		request->exchange.route->forget(&request->exchange);
	leave_lane(request);
	exchange_release(&request->exchange);
	client_has_answer(request->peer->client, request->unread);
	client_let_go(request->peer->client, request->held);
	free(request);
	pthread_mutex_lock(&listener->mutex);
	if (!--listener->under_way)
		pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->mutex);
}

/* ---- Answers ---- */

/* Count it, and tell of it. */
static void count(const struct request *request)
{
	const struct exchange *exchange = &request->exchange;
	const struct http_server *listener = request->listener;
	struct counters *counters = &exchange->service->counters;
	unsigned class = exchange->status / 100;

	if (listener->answered)
		listener->answered(listener->user, exchange->method == EXCHANGE_OTHER ? "OTHER" :
				   methods[exchange->method], exchange->path, exchange->status);

	if (exchange->route && class < COUNTERS_CLASSES)
		counters_add(&counters->requests[exchange->route - routes][class], 1);
}

/* The deadline for transferring so many bytes. */
static clock_ms due_for(clock_ms begun, uint64_t bytes)
{
	return begun + 1000 * (clock_ms)(CAP_SERVED_GRACE + bytes / CAP_SERVED_RATE);
}

/* ---- Pages of other origins ---- */

/* Whether a browser sent the request. Its pages can change these headers, but not take them away. */
static bool is_of_browser(const struct request *request)
{
	static const char *const headers[] = {"Accept-Language", "Sec-Fetch-Site", "Sec-Fetch-Mode"};
	const char *agent = find_header(&request->exchange, MHD_HTTP_HEADER_USER_AGENT);

	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
		if (find_header(&request->exchange, headers[i]))
			return true;
	return agent && !strncmp(agent, "Mozilla/", strlen("Mozilla/"));
}

/*
 * Whether a page of a host that is not this may have sent the request (see host.h). Only looked at where a page can
 * reach us that its server cannot: on a loopback address, and without TLS, whose certificate names the host. Other
 * clients may come through a proxy on this machine, which keeps the Host that it was asked for.
 */
static bool is_misdirected(const struct request *request)
{
	const struct http_server *listener = request->listener;
	const char *host = find_header(&request->exchange, MHD_HTTP_HEADER_HOST);

	if (listener->is_secure || listener->reach != LISTENER_LOOPBACK || !host || !is_of_browser(request))
		return false;
	return host_is_in_dns(host) && !host_is_of_url(host, listener->service->public_url) &&
	       !host_is_of_url(host, listener->service->content_url);
}

/* @return the allowed origin, "*" for any; NULL: the request has no origin, or one that is not allowed */
static const char *find_origin(const struct request *request)
{
	const struct http_server *listener = request->listener;
	const char *origin = find_header(&request->exchange, MHD_HTTP_HEADER_ORIGIN);

	for (size_t i = 0; origin && i < listener->origin_count; i++)
		if (!strcmp(listener->origins[i], "*") || !strcasecmp(listener->origins[i], origin))
			return listener->origins[i];
	return NULL;
}

/*
 * Whether a browser sent the request for a page of another origin. The browser hides the answer from the page, but a
 * POST would have taken effect by then: refuse it.
 */
static bool is_of_stranger(const struct request *request, const char *method)
{
	return find_header(&request->exchange, MHD_HTTP_HEADER_ORIGIN) && strcmp(method, MHD_HTTP_METHOD_GET) &&
	       strcmp(method, MHD_HTTP_METHOD_HEAD) && !find_origin(request);
}

static void add_origin(const struct request *request, struct MHD_Response *response)
{
	const char *origin = find_origin(request);

	if (origin)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, origin);
	/* Keep caches from giving the answer for one origin to another. */
	if (request->listener->origin_count)
		MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
}

static struct MHD_Response *new_response(struct exchange *exchange)
{
	static char nothing[1];
	struct MHD_Response *response;
	void *body = exchange->answer.data;

	if (exchange->file.fd >= 0 && exchange->length) {
		response = MHD_create_response_from_fd_at_offset64(exchange->length, exchange->file.fd,
								   exchange->offset);
		if (response)
			exchange->file.fd = -1;
		return response;
	}
	if (!exchange->answer.length)
		return MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
	response = MHD_create_response_from_buffer(exchange->answer.length, body, MHD_RESPMEM_MUST_FREE);
	if (response)
		buf_init(&exchange->answer, exchange->answer.cap);
	return response;
}

static enum MHD_Result send_answer(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	struct MHD_Response *response;
	enum MHD_Result result;
	uint64_t length;

	if (!exchange->status)
		return MHD_NO;
	buf_release(&exchange->body);
	exchange_hold_answer(exchange);
	request->unread = request->held;
	client_answers(request->peer->client, request->unread);
	length = exchange->file.fd >= 0 ? exchange->length : exchange->answer.length;
	response = new_response(exchange);
	if (!response)
		return MHD_NO;
	count(request);
	connection_set_due(request->peer->connection, due_for(clock_now(), length));
	if (exchange->type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, exchange->type);
	for (unsigned i = 0; i < exchange->header_count; i++)
		MHD_add_response_header(response, exchange->headers[i].name, exchange->headers[i].value);
	add_origin(request, response);
	result = MHD_queue_response(request->connection, exchange->status, response);
	MHD_destroy_response(response);
	return result;
}

static bool may_wait(struct http_server *listener)
{
	bool may;

	pthread_mutex_lock(&listener->mutex);
	may = !listener->ending;
	listener->waiting += may;
	pthread_mutex_unlock(&listener->mutex);
	return may;
}

/* Suspend the request and run the step: it calls `resume` at its end, maybe before this returns. */
static void begin_wait(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	void (*wait)(struct exchange *) = exchange->wait;

	exchange->wait = NULL;
	request->step = exchange->route->go_on;
	wait(exchange);
}

/*
 * Runs on a lane's thread. The client's turn also covers what the route started: until the write thread has decided on
 * the record.
 */
static void run_aside(struct lane_job *job)
{
	struct request *request = (struct request *)((char *)job - offsetof(struct request, job));
	struct exchange *exchange = &request->exchange;

	request->is_in_lane = true;
	exchange->is_aside = true;
	request->step(exchange);
	exchange->is_aside = false;
	if (exchange->body.length > TRIMMED || exchange->answer.length > TRIMMED)
		connections_trim(request->listener->connections);
	if (!exchange->status && exchange->wait) {
		begin_wait(request);
	} else {
		leave_lane(request);
		resume(exchange);
	}
}

/* Answer the request, or let it wait first. */
static enum MHD_Result answer_or_wait(struct request *request)
{
	struct exchange *exchange = &request->exchange;

	if (exchange->status || (!exchange->wait && !exchange->wants_aside))
		return send_answer(request);
	if (!may_wait(request->listener))
		return MHD_NO;
	request->is_waiting = true;
	connection_set_due(request->peer->connection, CLOCK_NEVER);
	MHD_suspend_connection(request->connection);
	if (exchange->wants_aside) {
		exchange->wants_aside = false;
		request->job.run = run_aside;
		lanes_run(request->listener->lanes, client_place(request->peer->client), &request->job);
	} else {
		begin_wait(request);
	}
	return MHD_YES;
}

/* ---- Requests ---- */

/* Answer a CORS preflight request. */
static void answer_preflight(struct exchange *exchange)
{
	exchange_put_header(exchange, "Access-Control-Allow-Methods", "GET,POST,PUT");
	exchange_put_header(exchange, "Access-Control-Allow-Headers", "authorization,content-type,accept");
	exchange_answer_empty(exchange, 200);
}

static uint64_t claimed_length(const struct exchange *exchange)
{
	const char *text = exchange->header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text ? strtoull(text, NULL, 10) : 0;
}

static bool is_claimed_larger(const struct exchange *exchange, uint64_t most)
{
	return claimed_length(exchange) > most;
}

static bool has_body(const struct exchange *exchange)
{
	return is_claimed_larger(exchange, 0) || exchange->header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static void refuse_large(struct exchange *exchange)
{
	exchange_refuse(exchange, 413, "Failed to buffer the request body: length limit exceeded");
}

/* ---- Pieces ---- */

static bool is_gathered(const struct exchange *exchange)
{
	return exchange->route && exchange->route->method == EXCHANGE_POST && !exchange->route->takes_contents;
}

/* Decide before the body whether it is accepted; a refused one is not read. */
static void open_request(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	const struct route *route = exchange->route;
	uint64_t most = CAP_SERVED_BODY;

	if (route->takes_contents)
		most = content_files_limit(exchange->service->contents);
	if (is_claimed_larger(exchange, most))
		refuse_large(exchange);
	else if (route->takes_contents)
		route->answer(exchange);
	else if (route->admit && !route->admit(exchange))
		return;
	else if (is_gathered(exchange) && !client_has_room(request->peer->client, claimed_length(exchange)))
		exchange_answer_busy(exchange);
}

/* Called after the header, before the body. @return MHD_YES to continue */
static enum MHD_Result begin(struct request *request, const char *method)
{
	struct exchange *exchange = &request->exchange;
	const bool posts = exchange->method == EXCHANGE_POST || exchange->method == EXCHANGE_PUT;

	if (!framing_is_clear(request->connection, posts)) {
		exchange_put_header(exchange, MHD_HTTP_HEADER_CONNECTION, "close");
		exchange_refuse(exchange, 400, "the request's length or host is missing or ambiguous");
		return send_answer(request);
	}
	if (is_misdirected(request))
		exchange_refuse(exchange, 421, "web pages of this host are not answered; if the registry is reached by "
				"it, say so with --public-url");
	else if (is_of_stranger(request, method))
		exchange_refuse(exchange, 403, "pages of this origin are not allowed");
	else if (!strcmp(method, "OPTIONS"))
		answer_preflight(exchange);
	else if (routes_find(exchange))
		open_request(request);
	/* Before a body the answer ends the connection. */
	return exchange->status && has_body(exchange) ? send_answer(request) : MHD_YES;
}

/* libmicrohttpd can answer only after the whole body: drop the pieces. */
static void drop_body(struct request *request, void (*refuse)(struct exchange *exchange))
{
	buf_release(&request->exchange.body);
	hold(&request->exchange, 0);
	request->refuse = refuse;
}

/* Reserve the claimed length, so that the buffer is not copied as it grows; untouched pages take no memory. */
static int reserve_body(struct exchange *exchange)
{
	return exchange->body.length ? 0 : buf_reserve(&exchange->body, claimed_length(exchange), NULL);
}

static enum MHD_Result take(struct request *request, struct span piece)
{
	struct exchange *exchange = &request->exchange;

	if (exchange->route && exchange->route->takes_contents) {
		request->received += piece.length;
		connection_set_due(request->peer->connection, due_for(request->begun, request->received));
		return exchange->route->take(exchange, piece) ? MHD_YES : MHD_NO;
	}
	if (request->refuse || !is_gathered(exchange))
		return MHD_YES;
	if (!hold(exchange, exchange->body.length + piece.length))
		drop_body(request, exchange_answer_busy);
	else if (reserve_body(exchange) || buf_append(&exchange->body, piece, NULL))
		drop_body(request, refuse_large);
	return MHD_YES;
}

/* The body is complete: call the route. */
static void choose_step(struct request *request)
{
	struct exchange *exchange = &request->exchange;

	if (request->refuse) {
		request->refuse(exchange);
	} else if (exchange->route->takes_contents) {
		request->step = exchange->route->take_end;
	} else {
		request->step = exchange->route->answer;
		exchange->wants_aside = exchange->body.length > CAP_SERVED_ASIDE;
	}
}

/* The request is complete, or was resumed. */
static enum MHD_Result finish(struct request *request)
{
	struct exchange *exchange = &request->exchange;

	end_wait(request);
	leave_lane(request);
	if (!exchange->status && !request->step)
		choose_step(request);
	if (!exchange->status && !exchange->wants_aside)
		request->step(exchange);
	return answer_or_wait(request);
}

enum MHD_Result request_handle(void *user, struct MHD_Connection *connection, const char *path, const char *method,
			       const char *version, const char *piece, size_t *size, void **place)
{
	struct request *request = *place;
	struct span bytes = {(const unsigned char *)piece, *size};

	(void)version;
	if (!request) {
		request = request_new(user, connection, path, method);
		*place = request;
		return request ? begin(request, method) : MHD_NO;
	}
	if (!bytes.length)
		return finish(request);
	*size = 0;
	return take(request, bytes);
}

void request_completed(void *user, struct MHD_Connection *connection, void **place,
		       enum MHD_RequestTerminationCode how)
{
	struct request *request = *place;

	(void)user;
	(void)connection;
	(void)how;
	if (request) {
		connection_set_due(request->peer->connection, clock_in_seconds(CAP_SERVED_HEAD));
		request_free(request);
	}
	*place = NULL;
}
