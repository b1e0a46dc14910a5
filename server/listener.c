/*
 * Requests as libmicrohttpd brings them, one call after another, and answers as it takes them (see listener.h).
 */
#include "listener.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/thread.h"
#include "listener_socket.h"
#include "routes.h"

#define THREADS_LEAST 4 /* some of them may be writing to the disk */
#define THREADS_MOST 16
#define STOPPING 10     /* seconds in which what was accepted is answered */

struct listener {
	struct service *service;
	struct MHD_Daemon *daemon;
	char address[LISTENER_ADDRESS_SIZE];
	bool is_secure;
	bool is_inherited; /* the socket was handed over */
	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t changed;
	unsigned under_way; /* requests that are not answered yet */
	unsigned waiting;   /* those of them that are put aside */
	unsigned resuming;  /* calls under way that bring one back */
	bool stopping;      /* no more requests are taken */
	bool ending;        /* no more are put aside */
};

/* A request on its way. */
struct request {
	struct exchange exchange; /* first: `resume` gets it */
	struct listener *listener;
	struct MHD_Connection *connection;
	clock_ms due;      /* when a body that is gathered has to be there */
	bool is_too_large; /* it is heard to its end, and refused */
	bool is_taken;     /* the body came */
};

/* ---- Beginning and end of requests ---- */

static const char *find_header(const struct exchange *exchange, const char *name)
{
	const struct request *request = (const struct request *)exchange;

	return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

/* The daemon outlives each call that resumes something, though the request may be gone before that returns. */
static void resume(struct exchange *exchange)
{
	const struct request *request = (const struct request *)exchange;
	struct listener *listener = request->listener;

	pthread_mutex_lock(&listener->mutex);
	listener->resuming++;
	pthread_mutex_unlock(&listener->mutex);
	MHD_resume_connection(request->connection);
	pthread_mutex_lock(&listener->mutex);
	if (!--listener->resuming)
		pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->mutex);
}

static enum exchange_method method_of(const char *method)
{
	static const char *const methods[] = {"GET", "HEAD", "POST", "PUT"};

	for (unsigned i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (!strcmp(method, methods[i]))
			return (enum exchange_method)i;
	return EXCHANGE_OTHER;
}

/* @return NULL: no memory, or it is time to end */
static struct request *request_new(struct listener *listener, struct MHD_Connection *connection, const char *path,
				   const char *method)
{
	struct request *request = calloc(1, sizeof(*request));
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
	request->listener = listener;
	request->connection = connection;
	request->due = clock_in_seconds(CAP_SERVED_REQUEST);
	return request;
}

static void request_free(struct request *request)
{
	struct listener *listener = request->listener;

	if (request->exchange.route && request->exchange.route->forget)
		request->exchange.route->forget(&request->exchange);
	exchange_release(&request->exchange);
	free(request);
	pthread_mutex_lock(&listener->mutex);
	if (!--listener->under_way)
		pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->mutex);
}

/* ---- Answers ---- */

static void count(const struct exchange *exchange)
{
	struct counters *counters = &exchange->service->counters;
	unsigned class = exchange->status / 100;

	if (exchange->route && class < COUNTERS_CLASSES)
		counters_add(&counters->requests[exchange->route - routes][class], 1);
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

	if (!exchange->status)
		return MHD_NO;
	response = new_response(exchange);
	if (!response)
		return MHD_NO;
	count(exchange);
	if (exchange->type)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, exchange->type);
	for (unsigned i = 0; i < exchange->header_count; i++)
		MHD_add_response_header(response, exchange->headers[i].name, exchange->headers[i].value);
	MHD_add_response_header(response, MHD_HTTP_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN, "*");
	result = MHD_queue_response(request->connection, exchange->status, response);
	MHD_destroy_response(response);
	return result;
}

static bool may_wait(struct listener *listener)
{
	bool may;

	pthread_mutex_lock(&listener->mutex);
	may = !listener->ending;
	listener->waiting += may;
	pthread_mutex_unlock(&listener->mutex);
	return may;
}

static void end_wait(struct listener *listener)
{
	pthread_mutex_lock(&listener->mutex);
	if (!--listener->waiting)
		pthread_cond_broadcast(&listener->changed);
	pthread_mutex_unlock(&listener->mutex);
}

/* Answer, unless it has to wait first. */
static enum MHD_Result answer_or_wait(struct request *request)
{
	struct exchange *exchange = &request->exchange;
	void (*wait)(struct exchange *) = exchange->wait;

	if (exchange->status || !wait)
		return send_answer(request);
	if (!may_wait(request->listener))
		return MHD_NO;
	exchange->wait = NULL;
	MHD_suspend_connection(request->connection);
	wait(exchange);
	return MHD_YES;
}

/* ---- Requests ---- */

/* What a browser asks before it lets a page ask; the registry is open to all of them, as the reference is. */
static void answer_preflight(struct exchange *exchange)
{
	exchange_put_header(exchange, "Access-Control-Allow-Methods", "GET,POST,PUT");
	exchange_put_header(exchange, "Access-Control-Allow-Headers", "authorization,content-type,accept");
	exchange_answer_empty(exchange, 200);
}

static bool is_claimed_larger(const struct exchange *exchange, uint64_t most)
{
	const char *text = exchange->header(exchange, MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text && strtoull(text, NULL, 10) > most;
}

static bool has_body(const struct exchange *exchange)
{
	return is_claimed_larger(exchange, 0) || exchange->header(exchange, MHD_HTTP_HEADER_TRANSFER_ENCODING);
}

static void refuse_large(struct exchange *exchange)
{
	exchange_refuse(exchange, 413, "Failed to buffer the request body: length limit exceeded");
}

/* The header is there, the body is not. @return to go on, or not */
static enum MHD_Result begin(struct request *request, const char *method)
{
	struct exchange *exchange = &request->exchange;
	uint64_t most = CAP_SERVED_BODY;

	if (!strcmp(method, "OPTIONS")) {
		answer_preflight(exchange);
	} else if (routes_find(exchange)) {
		if (exchange->route->takes_contents)
			most = content_files_limit(exchange->service->contents);
		if (is_claimed_larger(exchange, most))
			refuse_large(exchange);
		else if (exchange->route->takes_contents)
			exchange->route->answer(exchange);
	}
	/* Before a body the answer ends the connection: what is not wanted is not heard. */
	return exchange->status && has_body(exchange) ? send_answer(request) : MHD_YES;
}

static enum MHD_Result take(struct request *request, struct span piece)
{
	struct exchange *exchange = &request->exchange;

	if (exchange->route->takes_contents)
		return exchange->route->take(exchange, piece) ? MHD_YES : MHD_NO;
	if (clock_now() > request->due)
		return MHD_NO;
	if (!request->is_too_large && buf_append(&exchange->body, piece, NULL)) {
		request->is_too_large = true;
		buf_release(&exchange->body);
	}
	return MHD_YES;
}

/* All of it came, or what was waited for is there. */
static enum MHD_Result finish(struct request *request)
{
	struct exchange *exchange = &request->exchange;

	if (exchange->status)
		return send_answer(request);
	if (request->is_taken) {
		end_wait(request->listener);
		exchange->route->go_on(exchange);
	} else {
		request->is_taken = true;
		if (request->is_too_large)
			refuse_large(exchange);
		else if (exchange->route->takes_contents)
			exchange->route->take_end(exchange);
		else
			exchange->route->answer(exchange);
	}
	return answer_or_wait(request);
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *path, const char *method,
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

static void completed(void *user, struct MHD_Connection *connection, void **place, enum MHD_RequestTerminationCode how)
{
	(void)user;
	(void)connection;
	(void)how;
	if (*place)
		request_free(*place);
	*place = NULL;
}

static void notified(void *user, struct MHD_Connection *connection, void **place,
		     enum MHD_ConnectionNotificationCode what)
{
	struct listener *listener = user;
	_Atomic uint64_t *connections = &listener->service->counters.connections;

	(void)connection;
	(void)place;
	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		counters_add(connections, 1);
	else
		counters_add(connections, UINT64_MAX);
}

/* ---- Beginning and end ---- */

static unsigned threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors < THREADS_LEAST)
		return THREADS_LEAST;
	return processors < THREADS_MOST ? (unsigned)processors : THREADS_MOST;
}

static int start_daemon(struct listener *listener, const struct listener_options *options, int socket,
			struct fault *flt)
{
	struct MHD_OptionItem secure[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->key},
		{MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;

	if (options->certificate)
		flags |= MHD_USE_TLS;
	else
		secure[0] = secure[2];
	listener->is_secure = options->certificate;
	listener->daemon = MHD_start_daemon(flags, 0, NULL, NULL, handle, listener,
		MHD_OPTION_LISTEN_SOCKET, socket,
		MHD_OPTION_THREAD_POOL_SIZE, threads(),
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CAP_SERVED_CONNECTIONS,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)CAP_SERVED_IDLE,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CAP_SERVED_HEADERS,
		MHD_OPTION_NOTIFY_COMPLETED, completed, listener,
		MHD_OPTION_NOTIFY_CONNECTION, notified, listener,
		MHD_OPTION_ARRAY, secure,
		MHD_OPTION_END);
	if (listener->daemon)
		return 0;
	if (options->certificate)
		return fault_undecided(flt, FAULT_MISUSE, "the certificate and its key cannot be used");
	return fault_system(flt, errno ? errno : ENOMEM, "the listener cannot be started");
}

int listener_start(struct service *service, const struct listener_options *options, struct listener **out,
		   struct fault *flt)
{
	struct listener *listener = calloc(1, sizeof(*listener));
	int socket = options->socket, r = 0;

	if (!listener)
		return fault_no_memory(flt);
	listener->service = service;
	listener->is_inherited = socket >= 0;
	pthread_mutex_init(&listener->mutex, NULL);
	thread_condition_init(&listener->changed);
	if (socket < 0)
		r = listener_socket_open(options->address, &socket, flt);
	if (!r) {
		listener_socket_name(socket, listener->address);
		r = start_daemon(listener, options, socket, flt);
		if (r)
			close(socket);
	}
	if (r)
		listener_stop(listener);
	else
		*out = listener;
	return r;
}

const char *listener_address(const struct listener *listener)
{
	return listener->address;
}

/* What is put aside comes back as soon as the disk does; other requests depend on their clients. */
static void wait_for_requests(struct listener *listener)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOPPING;
	pthread_mutex_lock(&listener->mutex);
	listener->stopping = true;
	while (listener->under_way && !pthread_cond_timedwait(&listener->changed, &listener->mutex, &until))
		;
	listener->ending = true;
	while (listener->waiting || listener->resuming)
		pthread_cond_wait(&listener->changed, &listener->mutex);
	pthread_mutex_unlock(&listener->mutex);
}

/*
 * Nobody is let in any more, but for those who come to a socket that was handed over: whoever listens there next has
 * them. It is closed when the library's threads are gone, which look at it until they notice.
 */
static void end_daemon(struct listener *listener)
{
	int socket = MHD_quiesce_daemon(listener->daemon);

	if (socket >= 0 && !listener->is_inherited)
		shutdown(socket, SHUT_RDWR);
	wait_for_requests(listener);
	MHD_stop_daemon(listener->daemon);
	if (socket >= 0)
		close(socket);
}

void listener_stop(struct listener *listener)
{
	if (!listener)
		return;
	if (listener->daemon)
		end_daemon(listener);
	pthread_cond_destroy(&listener->changed);
	pthread_mutex_destroy(&listener->mutex);
	free(listener);
}
