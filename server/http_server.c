/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Starting and stopping the listener (see http_server.h); requests are in request.c.
 */
#include "http_server.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/base/thread.h"
#include "http_server_parts.h"
#include "service_parts.h"

#define THREADS_LEAST 4 /* some of them may be writing to the disk */
#define THREADS_MOST 16
#define STOPPING 10 /* seconds in which what was accepted is answered */
#define LANES 2 /* long requests at a time, of up to 20 MiB each */
#define UNSENT (128 << 10) /* bytes of an answer that the kernel buffers for a client that does not read */

/* ---- Connections ---- */

static enum MHD_Result admit(void *user, const struct sockaddr *address, socklen_t size)
{
	const struct http_server *listener = user;

	(void)size;
	return clients_admit(listener->clients, address) ? MHD_YES : MHD_NO;
}

static void notified(void *user, struct MHD_Connection *connection, void **place,
		     enum MHD_ConnectionNotificationCode what)
{
	struct http_server *listener = user;
	_Atomic uint64_t *connections = &listener->service->counters.connections;

	if (what == MHD_CONNECTION_NOTIFY_STARTED) {
		*place = peer_new(listener->clients, listener->connections, connection);
		counters_add(connections, 1);
	} else {
		peer_free(*place);
		*place = NULL;
		counters_add(connections, UINT64_MAX);
	}
}

/* ---- Beginning and end ---- */

static unsigned threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (processors < THREADS_LEAST)
		return THREADS_LEAST;
	return processors < THREADS_MOST ? (unsigned)processors : THREADS_MOST;
}

static int start_daemon(struct http_server *listener, const struct http_server_options *options, int socket,
			struct fault *flt)
{
	struct MHD_OptionItem secure[] = {
		{MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)options->certificate},
		{MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)options->key},
		{MHD_OPTION_END, 0, NULL},
	};
	unsigned flags = MHD_ALLOW_SUSPEND_RESUME;

	/*
	 * With epoll the library keeps a thread busy for as long as a handshake waits for its client (seen in 0.9.75):
	 * a single one slows everybody down.
	 */
	flags |= options->certificate ? MHD_USE_POLL_INTERNAL_THREAD : MHD_USE_EPOLL_INTERNAL_THREAD;
	if (options->certificate)
		flags |= MHD_USE_TLS;
	else
		secure[0] = secure[2];
	setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &(int){UNSENT}, sizeof(int));
	listener->daemon =
		MHD_start_daemon(flags, 0, admit, listener, request_handle, listener, MHD_OPTION_LISTEN_SOCKET, socket,
				 MHD_OPTION_THREAD_POOL_SIZE, threads(), MHD_OPTION_CONNECTION_LIMIT,
				 (unsigned)CAP_SERVED_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
				 (unsigned)CAP_SERVED_IDLE, MHD_OPTION_STRICT_FOR_CLIENT, 1,
				 MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CAP_SERVED_HEADERS,
				 MHD_OPTION_NOTIFY_COMPLETED, request_completed, listener, MHD_OPTION_NOTIFY_CONNECTION,
				 notified, listener, MHD_OPTION_ARRAY, secure, MHD_OPTION_END);
	if (listener->daemon)
		return 0;
	if (options->certificate)
		return fault_undecided(flt, FAULT_MISUSE, "the certificate and its key cannot be used");
	return fault_system(flt, errno ? errno : ENOMEM, "the listener cannot be started");
}

/* What bounds clients. */
static int prepare(struct http_server *listener, const struct http_server_options *options, struct fault *flt)
{
	unsigned most = options->client_connections ? options->client_connections : CAP_CLIENT_CONNECTIONS;
	int r = lanes_new(LANES, &listener->lanes, flt);

	if (!r)
		r = clients_new(most, listener->lanes, &listener->clients, flt);
	return r ? r : connections_new(&listener->connections, flt);
}

int http_server_start(struct service *service, const struct http_server_options *options, struct http_server **out,
		      struct fault *flt)
{
	struct http_server *listener = calloc(1, sizeof(*listener));
	int socket = options->socket, r = 0;

	if (!listener)
		return fault_no_memory(flt);
	listener->service = service;
	listener->is_secure = options->certificate;
	listener->origins = options->origins;
	listener->origin_count = options->origin_count;
	listener->answered = options->answered;
	listener->user = options->user;
	listener->is_inherited = socket >= 0;
	listener->place.folder = -1;
	pthread_mutex_init(&listener->mutex, NULL);
	thread_condition_init(&listener->changed);
	r = prepare(listener, options, flt);
	if (!r && socket < 0)
		r = http_server_socket_open(options->address, options->is_ours, &socket, &listener->place, flt);
	if (!r) {
		http_server_socket_name(socket, listener->address);
		listener->reach = http_server_socket_reach(socket);
		r = start_daemon(listener, options, socket, flt);
		if (r)
			close(socket);
	}
	if (r)
		http_server_stop(listener);
	else
		*out = listener;
	return r;
}

/* A daemon without connections has no suspended requests. */
static void end_idle(struct http_server *listener)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < listener->retired_count; i++) {
		const struct retired retired = listener->retired[i];
		const union MHD_DaemonInfo *info =
			MHD_get_daemon_info(retired.daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);

		if (!info || info->num_connections) {
			listener->retired[kept++] = retired;
			continue;
		}
		MHD_stop_daemon(retired.daemon);
		close(retired.socket);
	}
	listener->retired_count = kept;
}

/* libmicrohttpd cannot change a running daemon's certificate: start another daemon on the same socket. */
int http_server_renew(struct http_server *listener, const char *certificate, const char *key, struct fault *flt)
{
	const struct http_server_options options = {.certificate = certificate, .key = key};
	const union MHD_DaemonInfo *info = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_LISTEN_FD);
	struct MHD_Daemon *before = listener->daemon;
	int socket = info ? fcntl(info->listen_fd, F_DUPFD_CLOEXEC, 3) : -1, r;

	if (socket < 0)
		return fault_system(flt, errno, "the listener's socket");
	end_idle(listener);
	if (listener->retired_count == HTTP_SERVER_RETIRED)
		r = fault_undecided(flt, FAULT_LIMIT, "connections with %d certificates before are open",
				    HTTP_SERVER_RETIRED);
	else
		r = start_daemon(listener, &options, socket, flt);
	if (r) {
		listener->daemon = before;
		close(socket);
		return r;
	}
	listener->retired[listener->retired_count++] = (struct retired){before, MHD_quiesce_daemon(before)};
	return 0;
}

const char *http_server_address(const struct http_server *listener)
{
	return listener->address;
}

enum http_server_reach http_server_reach(const struct http_server *listener)
{
	return listener->reach;
}

/*
 * Wait for suspended requests: they resume once the disk has answered or their client has read its answers, which is
 * soon.
 */
static void wait_for_those_aside(struct http_server *listener)
{
	struct timespec until;

	while (listener->waiting || listener->resuming) {
		connections_cut_off(listener->connections);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec++;
		pthread_cond_timedwait(&listener->changed, &listener->mutex, &until);
	}
}

/* Do not wait for other requests: they depend on their clients. */
static void wait_for_requests(struct http_server *listener)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOPPING;
	pthread_mutex_lock(&listener->mutex);
	listener->stopping = true;
	while (listener->under_way && !pthread_cond_timedwait(&listener->changed, &listener->mutex, &until))
		;
	listener->ending = true;
	wait_for_those_aside(listener);
	pthread_mutex_unlock(&listener->mutex);
}

/*
 * Nobody is let in any more, but for those who come to a socket that was handed over: whoever listens there next has
 * them. It is closed when the library's threads are gone, which look at it until they notice.
 */
static void end_daemon(struct http_server *listener)
{
	int socket = MHD_quiesce_daemon(listener->daemon);

	if (socket >= 0 && !listener->is_inherited)
		shutdown(socket, SHUT_RDWR);
	wait_for_requests(listener);
	MHD_stop_daemon(listener->daemon);
	for (unsigned i = 0; i < listener->retired_count; i++) {
		MHD_stop_daemon(listener->retired[i].daemon);
		close(listener->retired[i].socket);
	}
	if (socket >= 0)
		close(socket);
}

void http_server_stop(struct http_server *listener)
{
	if (!listener)
		return;
	/* Close the socket first: a new client is then refused, not cut off. */
	http_server_socket_remove(&listener->place);
	if (listener->daemon)
		end_daemon(listener);
	lanes_free(listener->lanes);
	connections_free(listener->connections);
	clients_free(listener->clients);
	pthread_cond_destroy(&listener->changed);
	pthread_mutex_destroy(&listener->mutex);
	free(listener);
}
