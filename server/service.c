/*
 * Opening and closing a registry, and where it stands now (see service.h).
 */
#include "service.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "service_parts.h"

#define SIGN_AGAIN 5000 /* milliseconds: as often as the reference */
#define WORKERS 16      /* uploads that are synced at a time */
#define ORIGIN_TIMEOUT 30000 /* milliseconds for an answer of the origin */

/* ---- What the committer tells, and asks ---- */

static void stands(void *user, const struct commit_state *state)
{
	struct service *service = user;
	uint64_t before;

	pthread_mutex_lock(&service->mutex);
	before = service->checkpoint.contents.log_length;
	service->checkpoint = state->last.checkpoint;
	service->signed_at = clock_now();
	pthread_mutex_unlock(&service->mutex);
	counters_add(&service->counters.records, state->roots.length - before);
	counters_add(&service->counters.commits, 1);
}

static void follows(void *user, const struct commit_state *state, struct operator_log *operator)
{
	struct service *service = user;
	struct operator_log *before;
	bool is_new;

	pthread_mutex_lock(&service->mutex);
	before = service->operator;
	service->operator = operator_log_ref(operator);
	service->seen_at = clock_now();
	is_new = !checkpoint_same_state(&service->checkpoint.contents, &state->last.checkpoint.contents) ||
		 service->checkpoint.contents.timestamp != state->last.checkpoint.contents.timestamp;
	pthread_mutex_unlock(&service->mutex);
	operator_log_unref(before);
	service->unseen = (struct fault){0};
	if (is_new)
		stands(service, state);
}

static bool is_uploading(void *user, const struct digest *record_id)
{
	struct service *service = user;
	const struct service_upload *upload;

	pthread_mutex_lock(&service->mutex);
	for (upload = service->uploads; upload && !digest_equals(&upload->record_id, record_id); upload = upload->next)
		;
	pthread_mutex_unlock(&service->mutex);
	return upload;
}

static bool has_content(void *user, const struct digest *content)
{
	const struct service *service = user;

	return content_files_have(service->contents, content);
}

/* ---- Beginning and end ---- */

static int start_committer(struct service *service, const struct commit_state *state, struct fault *flt)
{
	const struct committer_host host = {stands, is_uploading, has_content, service};

	service->checkpoint = state->last.checkpoint;
	service->signed_at = clock_now() - SIGN_AGAIN;
	return committer_start(service->database, state, service->key, &host, &service->committer, flt);
}

/* ---- Moving in ---- */

static struct import import_of(struct service *service)
{
	return (struct import){
		.api = {.http = service->http, .url = &service->origin},
		.timeout = ORIGIN_TIMEOUT,
		.database = service->database,
		.contents = service->contents,
	};
}

/* A mirror serves what is here already also while the origin is away. To sign on then would make another history. */
static int move_in(struct service *service, const struct service_options *options, struct commit_state *state,
		   struct fault *flt)
{
	struct import import = import_of(service);
	struct fault own = {0};
	int r;

	import.progress = options->imported;
	import.user = options->user;
	r = import_update(&import, state, &service->operator, &own);
	if (!r) {
		service->seen_at = clock_now();
		return 0;
	}
	fault_at(&own, "%.150s", service->origin.text);
	if (options->key && state->roots.length)
		fault_add(&own, "a registry that signs on by itself is started without --import");
	if (!options->key && state->roots.length && own.kind != FAULT_FORGED) {
		service->failed(service->user, &own);
		return 0;
	}
	*flt = own;
	return r;
}

static int open_origin(struct service *service, const struct service_options *options, struct commit_state *state,
		       struct fault *flt)
{
	int r;

	if (!options->origin)
		return 0;
	r = http_new(&service->http, flt);
	if (r)
		return r;
	/* Where it cannot be asked which registry it stands for, the next question tells why. */
	if (api_discover(service->http, options->origin, clock_now() + ORIGIN_TIMEOUT, &service->origin, NULL))
		service->origin = *options->origin;
	return move_in(service, options, state, flt);
}

/* Told once, and again when it is something else or was well in between. */
static void failed_to_follow(void *user, const struct fault *flt)
{
	struct service *service = user;
	struct fault told = *flt;
	char before[FAULT_SENTENCE_SIZE], now[FAULT_SENTENCE_SIZE];

	fault_at(&told, "%.150s", service->origin.text);
	fault_sentence(&service->unseen, before);
	fault_sentence(&told, now);
	service->unseen = told;
	if (strcmp(before, now))
		service->failed(service->user, &told);
}

static int follow(struct service *service, const struct service_options *options, const struct commit_state *state,
		  struct fault *flt)
{
	const struct follower_options follower = {
		.import = import_of(service), .refresh = options->refresh, .stands = follows,
		.failed = failed_to_follow, .user = service,
	};

	service->checkpoint = state->last.checkpoint;
	return follower_start(&follower, state, service->operator, &service->follower, flt);
}

/* ---- Opening ---- */

/* It goes on by the operator's key, or by what the origin says. */
static int go_on(struct service *service, const struct service_options *options, struct commit_state *state,
		 struct fault *flt)
{
	int r;

	if (!options->key)
		return follow(service, options, state, flt);
	r = operator_records_ensure(service->database, state, &service->operator, options->key, options->namespaces,
				    options->namespace_count, flt);
	return r ? r : start_committer(service, state, flt);
}

static int open_registry(struct service *service, const struct service_options *options, struct fault *flt)
{
	struct commit_state state;
	int r = content_files_open(options->content_dir, options->content_limit, &service->contents, flt);

	if (!r)
		r = commit_load(service->database, &state, flt);
	if (!r)
		r = operator_records_load(service->database, &service->operator, flt);
	if (!r)
		r = open_origin(service, options, &state, flt);
	if (!r)
		r = readers_new(options->data_dir, &service->readers, flt);
	if (!r)
		r = workers_new(WORKERS, &service->workers, flt);
	return r ? r : go_on(service, options, &state, flt);
}

static int copy_options(struct service *service, const struct service_options *options, struct fault *flt)
{
	service->key = options->key;
	service->authorized = options->authorized;
	service->has_token = options->token.length;
	service->token = digest_of(options->token);
	service->failed = options->failed;
	service->user = options->user;
	if (!options->base_url)
		return 0;
	service->base_url = strdup(options->base_url);
	return service->base_url ? 0 : fault_no_memory(flt);
}

int service_open(const struct service_options *options, struct service **out, struct fault *flt)
{
	struct service *service = calloc(1, sizeof(*service));
	int r;

	if (!service) {
		database_close(options->database);
		return fault_no_memory(flt);
	}
	service->database = options->database;
	pthread_mutex_init(&service->mutex, NULL);
	r = copy_options(service, options, flt);
	if (!r)
		r = open_registry(service, options, flt);
	if (r)
		service_close(service);
	else
		*out = service;
	return r;
}

void service_close(struct service *service)
{
	if (!service)
		return;
	workers_free(service->workers);
	committer_stop(service->committer);
	follower_stop(service->follower);
	http_free(service->http);
	readers_free(service->readers);
	operator_log_unref(service->operator);
	content_files_close(service->contents);
	database_close(service->database);
	pthread_mutex_destroy(&service->mutex);
	free(service->base_url);
	free(service);
}

/* ---- Where it stands ---- */

struct operator_log *service_operator(struct service *service)
{
	struct operator_log *operator;

	pthread_mutex_lock(&service->mutex);
	operator = operator_log_ref(service->operator);
	pthread_mutex_unlock(&service->mutex);
	return operator;
}

uint64_t service_length(struct service *service)
{
	uint64_t length;

	pthread_mutex_lock(&service->mutex);
	length = service->checkpoint.contents.log_length;
	pthread_mutex_unlock(&service->mutex);
	return length;
}

uint64_t service_origin_age(struct service *service)
{
	clock_ms age;

	pthread_mutex_lock(&service->mutex);
	age = clock_now() - service->seen_at;
	pthread_mutex_unlock(&service->mutex);
	return (uint64_t)age / 1000;
}

static int sign_again(struct service *service, struct fault *flt)
{
	struct checkpoint contents = service->checkpoint.contents;
	const uint64_t now = (uint64_t)time(NULL);

	if (now > contents.timestamp)
		contents.timestamp = now;
	service->signed_at = clock_now();
	return checkpoint_sign(&contents, service->key, &service->checkpoint, flt);
}

int service_checkpoint(struct service *service, struct signed_checkpoint *out, struct fault *flt)
{
	int r = 0;

	pthread_mutex_lock(&service->mutex);
	if (service->key && clock_now() - service->signed_at >= SIGN_AGAIN)
		r = sign_again(service, flt);
	if (!r)
		*out = service->checkpoint;
	pthread_mutex_unlock(&service->mutex);
	return r;
}

/* ---- Uploads ---- */

void service_upload_begin(struct service *service, struct service_upload *upload, const struct digest *record_id)
{
	upload->record_id = *record_id;
	pthread_mutex_lock(&service->mutex);
	upload->next = service->uploads;
	upload->link = &service->uploads;
	if (upload->next)
		upload->next->link = &upload->next;
	service->uploads = upload;
	pthread_mutex_unlock(&service->mutex);
}

void service_upload_end(struct service *service, struct service_upload *upload)
{
	pthread_mutex_lock(&service->mutex);
	*upload->link = upload->next;
	if (upload->next)
		upload->next->link = upload->link;
	pthread_mutex_unlock(&service->mutex);
}

bool service_is_token(const struct service *service, struct span token)
{
	const struct digest hash = digest_of(token);

	/* How far two hashes agree tells nothing of the texts. */
	return digest_equals(&hash, &service->token);
}
