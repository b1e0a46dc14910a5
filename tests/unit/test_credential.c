/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * After a 401 the token is read again, on a thread that may block, and the request is sent once more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "client/base/thread.h"
#include "client/net/credential.h"
#include "client/net/http.h"
#include "server.h"

#define MANY 20

struct scene {
	struct embedded_registry *server;
	struct http *http;
	struct http_url url;
	struct credential *credential;

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	const char *wanted; /* the token that the server accepts */
	unsigned came;      /* requests to the server */
	const char *kept;   /* the token that `find` returns; NULL: none */
	bool fails, hangs;  /* the fault that `find` returns */
	unsigned finding, found;
};

static void answer(struct server_connection *connection, const struct server_request *request, void *user)
{
	struct scene *scene = user;
	char header[100];
	bool taken;

	pthread_mutex_lock(&scene->mutex);
	snprintf(header, sizeof(header), "Authorization: Bearer %s\r\n", scene->wanted);
	taken = strstr(request->head, header);
	scene->came++;
	pthread_cond_broadcast(&scene->changed);
	pthread_mutex_unlock(&scene->mutex);
	server_answer(connection, taken ? 200 : 401, taken ? request->body : span_of_text("{\"status\":401}"));
}

static int find(void *user, const struct http_url *url, struct buf *token, struct fault *flt)
{
	struct scene *scene = user;
	int r = 0;

	pthread_mutex_lock(&scene->mutex);
	assert_string_equal(url->text, scene->url.text);
	scene->finding++;
	pthread_cond_broadcast(&scene->changed);
	while (scene->hangs)
		pthread_cond_wait(&scene->changed, &scene->mutex);
	scene->found++;
	if (scene->fails)
		r = fault_undecided(flt, FAULT_CANCELLED, "nobody unlocked it");
	else if (scene->kept)
		r = buf_append_text(token, scene->kept, flt);
	pthread_mutex_unlock(&scene->mutex);
	return r;
}

static void set_token(struct scene *scene, const char *token)
{
	const struct credential_source source = {.find = find, .user = scene};

	credential_unref(scene->credential);
	assert_int_equal(credential_new(&scene->url, span_of_text(token), &source, &scene->credential, NULL), 0);
}

static int set_up(void **state)
{
	struct scene *scene = calloc(1, sizeof(*scene));

	assert_non_null(scene);
	pthread_mutex_init(&scene->mutex, NULL);
	thread_condition_init(&scene->changed);
	scene->server = server_new();
	scene->wanted = "new";
	assert_int_equal(http_new(&scene->http, NULL), 0);
	assert_int_equal(http_url_parse(server_url(scene->server), &scene->url, NULL), 0);
	server_on(scene->server, "*", answer, scene);
	set_token(scene, "old");
	*state = scene;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *scene = *state;

	http_free(scene->http);
	credential_unref(scene->credential);
	server_free(scene->server);
	pthread_cond_destroy(&scene->changed);
	pthread_mutex_destroy(&scene->mutex);
	free(scene);
	return 0;
}

static struct http_exchange exchange_of(struct scene *scene)
{
	return (struct http_exchange){.method = HTTP_POST, .url = scene->url.text, .body = span_of_text("{}"),
				      .once = true, .cap = 100, .credential = scene->credential,
				      .deadline = clock_in_seconds(60)};
}

static void run(struct scene *scene, int status, unsigned requests)
{
	struct http_exchange exchange = exchange_of(scene), *all[] = {&exchange};
	unsigned before = scene->came;

	http_run(scene->http, all, 1);
	assert_int_equal(exchange.verdict, 0);
	assert_int_equal(exchange.status, status);
	assert_true(span_is(buf_span(&exchange.received), status == 200 ? "{}" : "{\"status\":401}"));
	assert_int_equal(scene->came - before, requests);
	http_exchange_release(&exchange);
}

static unsigned finding(struct scene *scene)
{
	unsigned count;

	pthread_mutex_lock(&scene->mutex);
	count = scene->finding;
	pthread_mutex_unlock(&scene->mutex);
	return count;
}

/*
 * Send requests until the deadline of one ends while `find` hangs. A deadline that is too short for this machine ends
 * before the server answered; the next one is twice as long.
 */
static void time_out_while_finding(struct scene *scene)
{
	struct http_exchange exchange, *all[] = {&exchange};

	scene->hangs = true;
	for (uint64_t limit = 50; finding(scene) == 0; limit *= 2) {
		exchange = exchange_of(scene);
		exchange.deadline = clock_now() + limit;
		http_run(scene->http, all, 1);
		assert_int_equal(exchange.fault.kind, FAULT_TIMEOUT);
		http_exchange_release(&exchange);
	}
}

static void let_go_on(struct scene *scene)
{
	pthread_mutex_lock(&scene->mutex);
	scene->hangs = false;
	pthread_cond_broadcast(&scene->changed);
	pthread_mutex_unlock(&scene->mutex);
}

static void test_renewed(void **state)
{
	struct scene *scene = *state;

	/* No token, the same one, or another wrong one: the 401 is the result. */
	run(scene, 401, 1);
	scene->kept = "old";
	run(scene, 401, 1);
	assert_int_equal(scene->found, 2);
	scene->kept = "third";
	run(scene, 401, 2);
	scene->kept = "new";
	run(scene, 200, 2);
	/* The new token is known now: `find` is not called again. */
	run(scene, 200, 1);
	assert_int_equal(scene->found, 4);
	/* No token at first. */
	set_token(scene, "");
	run(scene, 200, 2);
	/* If the token is deleted, the accepted one is still used. */
	scene->kept = NULL;
	scene->wanted = "newest";
	run(scene, 401, 1);
	scene->wanted = "new";
	run(scene, 200, 1);
}

/* After `find` failed it is not called again at once: a user may be at a locked keyring. */
static void test_not_asked_at_once(void **state)
{
	struct scene *scene = *state;

	scene->fails = true;
	run(scene, 401, 1);
	scene->fails = false;
	scene->kept = "new";
	run(scene, 401, 1);
	assert_int_equal(scene->found, 1);
}

static void test_no_source(void **state)
{
	struct scene *scene = *state;
	const struct credential_source none = {0};

	credential_unref(scene->credential);
	assert_int_equal(credential_new(&scene->url, span_of_text("old"), &none, &scene->credential, NULL), 0);
	run(scene, 401, 1);
}

struct crowd {
	struct http *http;
	struct http_exchange **all;
};

static void *run_crowd(void *argument)
{
	struct crowd *crowd = argument;

	http_run(crowd->http, crowd->all, MANY);
	return NULL;
}

/* The token is read once for all refused requests; meanwhile the loop runs and deadlines count. */
static void test_many(void **state)
{
	struct scene *scene = *state;
	struct http_exchange exchanges[MANY], other, *all[MANY], *one[] = {&other};
	struct crowd crowd = {scene->http, all};
	pthread_t thread;
	unsigned before;

	scene->kept = "new";
	time_out_while_finding(scene);
	before = server_requests(scene->server);
	for (size_t i = 0; i < MANY; i++) {
		exchanges[i] = exchange_of(scene);
		all[i] = &exchanges[i];
	}
	assert_int_equal(thread_start(&thread, run_crowd, &crowd), 0);
	server_wait_for(scene->server, before + MANY);
	other = exchange_of(scene);
	other.credential = NULL;
	other.token = "new";
	http_run(scene->http, one, 1);
	assert_int_equal(other.status, 200);
	http_exchange_release(&other);
	let_go_on(scene);
	pthread_join(thread, NULL);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(exchanges[i].status, 200);
		http_exchange_release(&exchanges[i]);
	}
	assert_true(scene->found <= 2);
}

/* http_free() waits for the running `find` only. */
static void test_stopped(void **state)
{
	struct scene *scene = *state;

	time_out_while_finding(scene);
	http_stop(scene->http);
	let_go_on(scene);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(test_renewed), CASE(test_not_asked_at_once), CASE(test_no_source), CASE(test_many),
		CASE(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
