/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The scripted server (see server.h).
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUTES 64
#define REQUEST_MAX (4u << 20)

struct route {
	const char *path;
	server_handler *handler;
	void *user;
	struct span bytes;
	int status; /* 0: `bytes` are the whole answer */
	bool at_head; /* not to wait for the body */
};

struct server_connection {
	struct embedded_registry *server;
	struct server_connection *next;
	pthread_t thread;
	int fd;
	bool keep;
	bool at_head; /* what came is not a whole request */
	atomic_bool over; /* its thread has nothing left to do */
	const struct server_request *request; /* the one that is being answered */
	char *bytes; /* what came and is not answered yet */
	size_t length;
};

struct embedded_registry {
	int listener, ended, released; /* eventfds, readable for ever once written */
	char url[64];
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t came;
	struct server_connection *connections;
	unsigned requests, answered, connection_count;
	struct route routes[ROUTES];
	size_t route_count;
	server_tamperer *tamperer;
	void *tamperer_user;
};

static void set(int event)
{
	assert_int_equal(eventfd_write(event, 1), 0);
}

/* Whether the socket has something to read, or its end, before the server ends. */
static bool wait_readable(const struct server_connection *connection)
{
	struct pollfd fds[2] = { { connection->fd, POLLIN, 0 }, { connection->server->ended, POLLIN, 0 } };

	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	return !fds[1].revents && fds[0].revents;
}

/*
 * Copies are sent: once the client has all of it, a test may end, and the bytes with it, before send() has returned
 * here. A sanitizer looks at what was sent afterwards.
 */
bool server_write(struct server_connection *connection, struct span bytes)
{
	unsigned char piece[16384];

	while (bytes.length) {
		struct pollfd fds[2] = { { connection->fd, POLLOUT, 0 }, { connection->server->ended, POLLIN, 0 } };
		size_t count = bytes.length < sizeof(piece) ? bytes.length : sizeof(piece);
		ssize_t n;

		if (poll(fds, 2, -1) < 0 && errno == EINTR)
			continue;
		if (fds[1].revents)
			return false;
		memcpy(piece, bytes.data, count);
		n = send(connection->fd, piece, count, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n < 0)
			return false;
		bytes = (struct span){ bytes.data + n, bytes.length - (size_t)n };
	}
	return true;
}

bool server_write_text(struct server_connection *connection, const char *text)
{
	return server_write(connection, (struct span){ (const unsigned char *)text, strlen(text) });
}

bool server_answer(struct server_connection *connection, int status, struct span body)
{
	struct embedded_registry *server = connection->server;
	char head[160];

	if (server->tamperer) {
		server->tamperer(connection, connection->request, status, body, server->tamperer_user);
		return true;
	}
	snprintf(head, sizeof(head),
			"HTTP/1.1 %d Whatever\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n%s\r\n",
		 status, body.length, connection->keep ? "" : "connection: close\r\n");
	return server_write_text(connection, head) && server_write(connection, body);
}

size_t server_read(struct server_connection *connection, void *out, size_t size)
{
	ssize_t n;

	if (!wait_readable(connection))
		return 0;
	n = recv(connection->fd, out, size, 0);
	return n < 0 ? 0 : (size_t)n;
}

void server_hang(struct server_connection *connection)
{
	/* What comes and is not read does not end it. */
	struct pollfd fds[3] = { { connection->fd, POLLRDHUP, 0 }, { connection->server->ended, POLLIN, 0 },
				 { connection->server->released, POLLIN, 0 } };

	while (poll(fds, 3, -1) < 0 && errno == EINTR)
		;
}

void server_keep(struct server_connection *connection)
{
	connection->keep = true;
}

static size_t content_length(const char *head)
{
	const char *line = head;

	while ((line = strstr(line, "\r\n"))) {
		line += 2;
		if (!strncasecmp(line, "content-length:", 15))
			return strtoul(line + 15, NULL, 10);
	}
	return 0;
}

static struct route find_route(struct embedded_registry *server, const char *target)
{
	struct route found = { .status = 404, .bytes = { (const unsigned char *)"", 0 } };
	size_t length = strcspn(target, "? ");

	pthread_mutex_lock(&server->mutex);
	for (size_t i = 0; i < server->route_count; i++) {
		const struct route *route = &server->routes[i];

		if (!strcmp(route->path, "*"))
			found = *route;
		if (strlen(route->path) == length && !strncmp(route->path, target, length)) {
			found = *route;
			break;
		}
	}
	pthread_mutex_unlock(&server->mutex);
	return found;
}

/* Whether the head, of which there is all, is answered at once. */
static bool is_answered_at_head(const struct server_connection *connection)
{
	const char *target = strchr(connection->bytes, ' ');

	return target && find_route(connection->server, target + 1).at_head;
}

/* Read until as much of a request is there as its answer needs. @return how long it is with its body; 0 at the end */
static size_t read_request(struct server_connection *connection, size_t *head_length)
{
	for (;;) {
		char *end = connection->length ? memmem(connection->bytes, connection->length, "\r\n\r\n", 4) : NULL;
		ssize_t n;

		if (end) {
			*head_length = (size_t)(end - connection->bytes) + 4;
			end[2] = '\0';
			size_t whole = *head_length + content_length(connection->bytes);
			bool at_head = is_answered_at_head(connection);
			end[2] = '\r';
			if (at_head || connection->length >= whole)
				return connection->length < whole ? connection->length : whole;
		}
		if (!wait_readable(connection) || connection->length == REQUEST_MAX)
			return 0;
		n = recv(connection->fd, connection->bytes + connection->length, REQUEST_MAX - connection->length, 0);
		if (n <= 0)
			return 0;
		connection->length += (size_t)n;
	}
}

static void answer(struct server_connection *connection, size_t head_length, size_t whole)
{
	struct embedded_registry *server = connection->server;
	struct server_request request = { .body = { (unsigned char *)connection->bytes + head_length,
						    whole - head_length } };
	char *head = strndup(connection->bytes, head_length);
	struct route route;

	assert_non_null(head);
	request.head = head;
	if (sscanf(head, "%7s %1023s", request.method, request.target) != 2)
		fail_msg("no request: %s", head);
	pthread_mutex_lock(&server->mutex);
	request.number = server->requests++;
	pthread_cond_broadcast(&server->came);
	pthread_mutex_unlock(&server->mutex);
	route = find_route(server, request.target);
	connection->at_head = route.at_head;
	connection->request = &request;
	if (route.handler)
		route.handler(connection, &request, route.user);
	else if (route.status)
		server_answer(connection, route.status, route.bytes);
	else
		server_write(connection, route.bytes);
	connection->request = NULL;
	free(head);
	pthread_mutex_lock(&server->mutex);
	server->answered++;
	pthread_cond_broadcast(&server->came);
	pthread_mutex_unlock(&server->mutex);
}

static void *serve(void *argument)
{
	struct server_connection *connection = argument;
	size_t head_length, whole;

	do {
		connection->keep = false;
		whole = read_request(connection, &head_length);
		if (!whole)
			break;
		answer(connection, head_length, whole);
		memmove(connection->bytes, connection->bytes + whole, connection->length - whole);
		connection->length -= whole;
	} while (connection->keep && !connection->at_head);
	/* Closed in full by server_free(); the other side is to see the end now. */
	shutdown(connection->fd, SHUT_RDWR);
	connection->over = true;
	return NULL;
}

static void end_connection(struct server_connection *connection)
{
	pthread_join(connection->thread, NULL);
	close(connection->fd);
	free(connection->bytes);
	free(connection);
}

/* So that a server may live through any number of connections. */
static void end_those_over(struct embedded_registry *server)
{
	struct server_connection **at = &server->connections;

	while (*at) {
		struct server_connection *connection = *at;

		if (!connection->over) {
			at = &connection->next;
			continue;
		}
		*at = connection->next;
		end_connection(connection);
	}
}

static void take_connection(struct embedded_registry *server, int fd)
{
	struct server_connection *connection = calloc(1, sizeof(*connection));

	assert_non_null(connection);
	connection->server = server;
	connection->fd = fd;
	connection->bytes = malloc(REQUEST_MAX);
	assert_non_null(connection->bytes);
	pthread_mutex_lock(&server->mutex);
	end_those_over(server);
	connection->next = server->connections;
	server->connections = connection;
	server->connection_count++;
	pthread_mutex_unlock(&server->mutex);
	assert_int_equal(pthread_create(&connection->thread, NULL, serve, connection), 0);
}

static void *listen_for(void *argument)
{
	struct embedded_registry *server = argument;

	for (;;) {
		struct pollfd fds[2] = { { server->listener, POLLIN, 0 }, { server->ended, POLLIN, 0 } };
		int fd;

		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents)
			return NULL;
		fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			take_connection(server, fd);
	}
}

struct embedded_registry *server_new(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t size = sizeof(address);
	struct embedded_registry *server = calloc(1, sizeof(*server));

	assert_non_null(server);
	server->ended = eventfd(0, EFD_CLOEXEC);
	server->released = eventfd(0, EFD_CLOEXEC);
	server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(server->ended >= 0 && server->released >= 0 && server->listener >= 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(server->listener, 128), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
	snprintf(server->url, sizeof(server->url), "http://127.0.0.1:%u/", ntohs(address.sin_port));
	pthread_mutex_init(&server->mutex, NULL);
	pthread_cond_init(&server->came, NULL);
	assert_int_equal(pthread_create(&server->thread, NULL, listen_for, server), 0);
	return server;
}

void server_free(struct embedded_registry *server)
{
	if (!server)
		return;
	set(server->ended);
	pthread_join(server->thread, NULL);
	while (server->connections) {
		struct server_connection *connection = server->connections;

		server->connections = connection->next;
		end_connection(connection);
	}
	close(server->listener);
	close(server->ended);
	close(server->released);
	pthread_cond_destroy(&server->came);
	pthread_mutex_destroy(&server->mutex);
	free(server);
}

const char *server_url(const struct embedded_registry *server)
{
	return server->url;
}

static void add_route(struct embedded_registry *server, struct route route)
{
	size_t i = 0;

	pthread_mutex_lock(&server->mutex);
	while (i < server->route_count && strcmp(server->routes[i].path, route.path) != 0)
		i++;
	assert_true(i < ROUTES);
	server->routes[i] = route;
	if (i == server->route_count)
		server->route_count++;
	pthread_mutex_unlock(&server->mutex);
}

void server_on(struct embedded_registry *server, const char *path, server_handler *handler, void *user)
{
	add_route(server, (struct route){ .path = path, .handler = handler, .user = user });
}

void server_on_head(struct embedded_registry *server, const char *path, server_handler *handler, void *user)
{
	add_route(server, (struct route){ .path = path, .handler = handler, .user = user, .at_head = true });
}

void server_on_bytes(struct embedded_registry *server, const char *path, struct span bytes)
{
	add_route(server, (struct route){ .path = path, .bytes = bytes });
}

void server_on_answer(struct embedded_registry *server, const char *path, int status, struct span body)
{
	add_route(server, (struct route){ .path = path, .bytes = body, .status = status });
}

void server_on_answering(struct embedded_registry *server, server_tamperer *tamperer, void *user)
{
	server->tamperer = tamperer;
	server->tamperer_user = user;
}

unsigned server_requests(struct embedded_registry *server)
{
	unsigned requests;

	pthread_mutex_lock(&server->mutex);
	requests = server->requests;
	pthread_mutex_unlock(&server->mutex);
	return requests;
}

unsigned server_connections(struct embedded_registry *server)
{
	unsigned connections;

	pthread_mutex_lock(&server->mutex);
	connections = server->connection_count;
	pthread_mutex_unlock(&server->mutex);
	return connections;
}

/* Wait until `count`, which the mutex guards, is at least that. */
static void wait_for_count(struct embedded_registry *server, const unsigned *count, unsigned least)
{
	pthread_mutex_lock(&server->mutex);
	while (*count < least)
		pthread_cond_wait(&server->came, &server->mutex);
	pthread_mutex_unlock(&server->mutex);
}

void server_wait_for(struct embedded_registry *server, unsigned requests)
{
	wait_for_count(server, &server->requests, requests);
}

void server_wait_answered(struct embedded_registry *server, unsigned requests)
{
	wait_for_count(server, &server->answered, requests);
}

void server_release(struct embedded_registry *server)
{
	set(server->released);
}
