/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/* Bounds for clients: connections, bytes, turns and deadlines: clients.h, lanes.h, connections.h. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/clients.h"
#include "server/connections.h"
#include "verify/caps.h"

/* ---- Clients ---- */

struct address {
	union {
		struct sockaddr any;
		struct sockaddr_in inet;
		struct sockaddr_in6 inet6;
		struct sockaddr_un local;
	};
};

/* @param text  as it is written; with a '/': a Unix socket */
static struct address address_of(const char *text)
{
	struct address address = {0};

	if (strchr(text, '/')) {
		address.local.sun_family = AF_UNIX;
	} else if (strchr(text, ':')) {
		address.inet6.sin6_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, text, &address.inet6.sin6_addr), 1);
	} else {
		address.inet.sin_family = AF_INET;
		assert_int_equal(inet_pton(AF_INET, text, &address.inet.sin_addr), 1);
	}
	return address;
}

static struct client *enter(struct clients *clients, const char *text)
{
	const struct address address = address_of(text);

	return clients_enter(clients, &address.any);
}

static bool admits(struct clients *clients, const char *text)
{
	const struct address address = address_of(text);

	return clients_admit(clients, &address.any);
}

static void who_is_one_client(void **state)
{
	static const struct {
		const char *one, *other;
		bool same;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"2001:db8::1", "2001:db8::2", true},
		{"2001:db8::1", "2001:db8:0:0:ffff::1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"/run/one", "/run/two", true},
		{"/run/one", "192.0.2.1", false},
		{"0.0.0.0", "::", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct clients *clients;
		struct client *one, *other;

		assert_int_equal(clients_new(1, NULL, &clients, NULL), 0);
		one = enter(clients, rows[i].one);
		other = enter(clients, rows[i].other);
		assert_int_equal(one == other, rows[i].same);
		client_leave(one);
		client_leave(other);
		clients_free(clients);
	}
}

static void connections_of_one(void **state)
{
	struct clients *clients;
	struct client *first, *second, *local;

	(void)state;
	assert_int_equal(clients_new(2, NULL, &clients, NULL), 0);
	first = enter(clients, "192.0.2.1");
	assert_true(admits(clients, "192.0.2.1"));
	second = enter(clients, "192.0.2.1");
	assert_false(admits(clients, "192.0.2.1"));
	assert_true(admits(clients, "192.0.2.2"));
	client_leave(second);
	assert_true(admits(clients, "192.0.2.1"));
	client_leave(first);
	local = enter(clients, "/run/warg");
	enter(clients, "/run/warg");
	assert_true(admits(clients, "/run/warg"));
	client_leave(local);
	client_leave(local);
	clients_free(clients);
}

static void bytes_of_one_and_all(void **state)
{
	const unsigned most = CAP_SERVED_MEMORY / CAP_CLIENT_MEMORY;
	struct client *all[CAP_SERVED_MEMORY / CAP_CLIENT_MEMORY + 1];
	struct clients *clients;
	char text[32];

	(void)state;
	assert_int_equal(clients_new(1, NULL, &clients, NULL), 0);
	for (unsigned i = 0; i <= most; i++) {
		snprintf(text, sizeof(text), "192.0.2.%u", i);
		all[i] = enter(clients, text);
	}
	assert_true(client_hold(all[0], CAP_CLIENT_MEMORY));
	assert_false(client_hold(all[0], 1));
	assert_false(client_has_room(all[0], SIZE_MAX));
	assert_true(client_has_room(all[1], CAP_CLIENT_MEMORY));
	for (unsigned i = 1; i < most; i++)
		assert_true(client_hold(all[i], CAP_CLIENT_MEMORY));
	assert_false(client_hold(all[most], 1));
	client_let_go(all[1], 1);
	assert_true(client_hold(all[most], 1));
	client_let_go(all[most], 1);
	for (unsigned i = 0; i < most; i++)
		client_let_go(all[i], CAP_CLIENT_MEMORY - (i == 1));
	for (unsigned i = 0; i <= most; i++)
		client_leave(all[i]);
	clients_free(clients);
}

/* ---- Lanes ---- */

#define JOBS 8

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned ran[2 * JOBS], count; /* the places whose jobs ran, in order */
static bool is_open;                  /* lets the first job continue */

struct turn {
	struct lane_job job;
	unsigned whose;
};

static void take_turn(struct lane_job *job)
{
	pthread_mutex_lock(&mutex);
	ran[count++] = ((struct turn *)job)->whose;
	pthread_cond_broadcast(&changed);
	while (!is_open)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
}

static void await_count(unsigned wanted)
{
	pthread_mutex_lock(&mutex);
	while (count < wanted)
		pthread_cond_wait(&changed, &mutex);
	pthread_mutex_unlock(&mutex);
}

static void set_open(bool open)
{
	pthread_mutex_lock(&mutex);
	is_open = open;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&mutex);
}

/* Each client runs one job at a time, even if threads are idle, and clients take turns. */
static void turns(void **state)
{
	struct lane_place places[2];
	struct turn jobs[2][JOBS];
	struct lanes *lanes;

	(void)state;
	count = 0;
	set_open(false);
	assert_int_equal(lanes_new(3, &lanes, NULL), 0);
	for (unsigned whose = 0; whose < 2; whose++) {
		lane_place_init(&places[whose]);
		for (unsigned i = 0; i < JOBS; i++) {
			jobs[whose][i] = (struct turn){.job.run = take_turn, .whose = whose};
			lanes_run(lanes, &places[whose], &jobs[whose][i].job);
		}
	}
	/* Both run one job, and the third thread none: neither has called lanes_leave(). */
	await_count(2);
	assert_int_equal(ran[0] + ran[1], 1);
	set_open(true);
	for (unsigned i = 1; i < JOBS; i++) {
		assert_int_equal(count, 2 * i);
		lanes_leave(lanes, &places[0]);
		await_count(2 * i + 1);
		assert_int_equal(ran[2 * i], 0);
		lanes_leave(lanes, &places[1]);
		await_count(2 * i + 2);
		assert_int_equal(ran[2 * i + 1], 1);
	}
	lanes_leave(lanes, &places[0]);
	lanes_leave(lanes, &places[1]);
	lanes_free(lanes);
}

/* On one thread, too, a client with many jobs does not delay a later client. */
static void turns_on_one_thread(void **state)
{
	struct lane_place places[2];
	struct turn jobs[4];
	struct lanes *lanes;

	(void)state;
	count = 0;
	set_open(false);
	assert_int_equal(lanes_new(1, &lanes, NULL), 0);
	lane_place_init(&places[0]);
	lane_place_init(&places[1]);
	for (unsigned i = 0; i < 4; i++) {
		jobs[i] = (struct turn){.job.run = take_turn, .whose = i == 3};
		lanes_run(lanes, &places[i == 3], &jobs[i].job);
	}
	await_count(1);
	lanes_leave(lanes, &places[0]);
	set_open(true);
	await_count(3);
	assert_int_equal(ran[0], 0);
	assert_int_equal(ran[1], 1);
	assert_int_equal(ran[2], 0);
	lanes_leave(lanes, &places[0]);
	await_count(4);
	lanes_free(lanes);
}

/* A client with many unread bytes waits for its next job; other clients do not. */
static void held_up_by_the_unread(void **state)
{
	const size_t half = CAP_CLIENT_MEMORY / 2;
	struct turn jobs[3];
	struct clients *clients;
	struct client *slow, *other;
	struct lanes *lanes;

	(void)state;
	count = 0;
	set_open(true);
	assert_int_equal(lanes_new(1, &lanes, NULL), 0);
	assert_int_equal(clients_new(9, lanes, &clients, NULL), 0);
	slow = enter(clients, "192.0.2.1");
	other = enter(clients, "192.0.2.2");
	for (unsigned i = 0; i < 3; i++)
		jobs[i] = (struct turn){.job.run = take_turn, .whose = i};
	client_answers(slow, half);
	client_answers(slow, 1);
	lanes_run(lanes, client_place(slow), &jobs[0].job);
	lanes_run(lanes, client_place(other), &jobs[1].job);
	await_count(1);
	lanes_leave(lanes, client_place(other));
	lanes_run(lanes, client_place(other), &jobs[2].job);
	await_count(2);
	assert_int_equal(ran[0], 1);
	assert_int_equal(ran[1], 2);
	client_has_answer(slow, 1);
	await_count(3);
	assert_int_equal(ran[2], 0);
	lanes_leave(lanes, client_place(slow));
	lanes_leave(lanes, client_place(other));
	client_has_answer(slow, half);
	client_leave(slow);
	client_leave(other);
	clients_free(clients);
	lanes_free(lanes);
}

/* ---- Deadlines ---- */

static void cut_off_when_due(void **state)
{
	struct connections *connections;
	struct connection *late, *early;
	int ends[2][2];
	char byte;

	(void)state;
	assert_int_equal(connections_new(&connections, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends[i]), 0);
	early = connections_add(connections, ends[0][0], CLOCK_NEVER);
	late = connections_add(connections, ends[1][0], clock_in_seconds(1000));
	connection_set_due(late, clock_now() - 1);
	/* The peer of the overdue connection sees its end; the other connection stays. */
	assert_int_equal(read(ends[1][1], &byte, 1), 0);
	assert_int_equal(recv(ends[0][1], &byte, 1, MSG_DONTWAIT), -1);
	/* connections_cut_off() ends all, except those that wait for the server. */
	connections_cut_off(connections);
	assert_int_equal(recv(ends[0][1], &byte, 1, MSG_DONTWAIT), -1);
	connection_set_due(early, clock_in_seconds(1000));
	connections_cut_off(connections);
	assert_int_equal(recv(ends[0][1], &byte, 1, MSG_DONTWAIT), 0);
	connection_remove(late);
	connection_remove(early);
	for (int i = 0; i < 4; i++)
		close(ends[i / 2][i % 2]);
	connections_free(connections);
}

/* A connection may be closed during a check; its descriptor number is then reused. */
static void removed_in_time(void **state)
{
	struct connections *connections;
	struct connection *all[100];
	int ends[2];
	char byte;

	(void)state;
	assert_int_equal(connections_new(&connections, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	for (int i = 0; i < 100; i++)
		all[i] = connections_add(connections, ends[0], CLOCK_NEVER);
	for (int i = 0; i < 100; i++)
		connection_remove(all[(i * 37) % 100]);
	all[0] = connections_add(connections, ends[0], clock_now() - 1);
	assert_int_equal(read(ends[1], &byte, 1), 0);
	connection_remove(all[0]);
	close(ends[0]);
	close(ends[1]);
	connections_free(connections);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_one_client), cmocka_unit_test(connections_of_one),
		cmocka_unit_test(bytes_of_one_and_all), cmocka_unit_test(turns), cmocka_unit_test(turns_on_one_thread),
		cmocka_unit_test(held_up_by_the_unread),
		cmocka_unit_test(cut_off_when_due), cmocka_unit_test(removed_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
