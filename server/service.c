/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opening and closing a registry, and where it stands now (see service.h).
 */
#include "service.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/base/text.h"
#include "client/store/discovery.h"
#include "recovery.h"
#include "refused.h"
#include "service_parts.h"

#define SIGN_AGAIN 5000 /* milliseconds: as often as the reference */
#define WORKERS 16      /* uploads that are synced at a time */
#define ORIGIN_TIMEOUT 30000 /* milliseconds for an answer of the origin */

/* ---- What the write thread tells, and asks ---- */

static void stands(void *user, const struct append_state *state)
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

static void follows(void *user, const struct append_state *state, struct operator_log *operator)
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

/*
 * An upload reserves its package's place only while it arrives at CAP_SERVED_RATE, measured from its first second, so
 * restarting it does not gain time.
 */
static bool makes_progress(const struct service_upload *upload)
{
	const uint64_t seconds = (uint64_t)(clock_now() - upload->begun) / 1000;

	return upload->is_whole || upload->received >= CAP_SERVED_RATE * (seconds + 1);
}

static bool is_uploading(void *user, const struct digest *record_id)
{
	struct service *service = user;
	const struct service_upload *upload;

	pthread_mutex_lock(&service->mutex);
	upload = service->uploads;
	while (upload && !(digest_equals(&upload->record_id, record_id) && makes_progress(upload)))
		upload = upload->next;
	pthread_mutex_unlock(&service->mutex);
	return upload;
}

static bool has_content(void *user, const struct digest *content)
{
	const struct service *service = user;

	return content_files_have(service->contents, content);
}

static uint64_t arrivals(void *user)
{
	const struct service *service = user;

	return content_files_arrivals(service->contents);
}

static void checked(void *user, uint64_t gaps)
{
	struct service *service = user;

	service->gaps = gaps;
}

static void found(void *user, const struct fault *flt)
{
	struct service *service = user;

	service->failed(service->user, flt);
}

static void rejected(void *user)
{
	struct service *service = user;

	collector_wake(service->collector);
}

/* ---- Callbacks of the collector ---- */

struct expiry {
	struct write_thread_job job;
	pthread_mutex_t mutex;
	pthread_cond_t done;
	bool is_done;
};

static void expired(struct write_thread_job *job)
{
	struct expiry *expiry = (struct expiry *)job;

	pthread_mutex_lock(&expiry->mutex);
	expiry->is_done = true;
	pthread_cond_signal(&expiry->done);
	pthread_mutex_unlock(&expiry->mutex);
}

static void expire(void *user, const struct digest *log_id, const struct digest *record_id)
{
	struct service *service = user;
	struct expiry expiry = {
		.job = {.task = WRITE_THREAD_REJECT, .done = expired, .reason = "its contents did not come in time"},
		.mutex = PTHREAD_MUTEX_INITIALIZER,
		.done = PTHREAD_COND_INITIALIZER,
	};

	if (is_uploading(service, record_id))
		return;
	expiry.job.record.log_id = *log_id;
	expiry.job.record.record_id = *record_id;
	write_thread_give(service->writer, &expiry.job);
	pthread_mutex_lock(&expiry.mutex);
	while (!expiry.is_done)
		pthread_cond_wait(&expiry.done, &expiry.mutex);
	pthread_mutex_unlock(&expiry.mutex);
}

static int start_collector(struct service *service, struct fault *flt)
{
	const struct collector_options options = {
		.database = service->database, .folder = content_files_folder(service->contents), .expire = expire,
		.failed = found, .user = service,
	};

	return collector_start(&options, &service->collector, flt);
}

/* ---- Beginning and end ---- */

static int start_committer(struct service *service, const struct append_state *state, struct fault *flt)
{
	const struct write_thread_host host = {
		.stands = stands,
		.is_uploading = is_uploading,
		.rejected = rejected,
		.failed = found,
		.has_content = has_content,
		.arrivals = arrivals,
		.user = service,
		.checked = service->is_unchecked ? checked : NULL,
	};

	service->checkpoint = state->last.checkpoint;
	service->signed_at = clock_now() - SIGN_AGAIN;
	return write_thread_start(service->database, state, service->key, &host, &service->writer, flt);
}

/* ---- Moving in ---- */

static void met_refused(void *user, const struct fault *flt)
{
	struct service *service = user;
	struct fault told = *flt;

	fault_at(&told, "%.150s", service->origin.text);
	service->failed(service->user, &told);
}

static struct import import_of(struct service *service)
{
	return (struct import){
		.api = {.http = service->http, .url = &service->origin},
		.timeout = ORIGIN_TIMEOUT,
		.database = service->database,
		.contents = service->contents,
		.refused = met_refused,
		.refused_user = service,
	};
}

/* Say which origin, unless the fault names it already. */
static void name_origin(const struct service *service, struct fault *flt)
{
	size_t length = strcspn(service->origin.text, "/") + strlen("//");

	length += strcspn(service->origin.text + length, "/");
	if (strncmp(flt->where, service->origin.text, length))
		fault_at(flt, "%.150s", service->origin.text);
}

/* A mirror serves what is here already also while the origin is away. To sign on then would make another history. */
static int move_in(struct service *service, const struct service_options *options, struct append_state *state,
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
		return options->state_dir ? discovery_pin(options->state_dir, options->origin, &service->origin, flt) :
					    0;
	}
	name_origin(service, &own);
	if (options->key && state->roots.length)
		fault_add(&own, "to start the registry as it is here, leave --import away");
	if (!options->key && state->roots.length && own.kind != FAULT_FORGED) {
		service->failed(service->user, &own);
		return 0;
	}
	*flt = own;
	return r;
}

/*
 * Find the registry that the origin's URL leads to. Where that cannot be asked, it is the one that the URL is pinned
 * to, or that of the URL itself, and the next question tells why.
 */
static int find_origin(struct service *service, const struct service_options *options, struct fault *flt)
{
	const struct http_url *typed = options->origin;
	int r = api_discover(service->http, typed, clock_now() + ORIGIN_TIMEOUT, &service->origin, NULL);

	if (r)
		service->origin = *typed;
	if (!options->state_dir)
		return 0;
	return r ? discovery_recall(options->state_dir, typed, &service->origin, flt) :
		   discovery_check(options->state_dir, typed, &service->origin, flt);
}

static int open_origin(struct service *service, const struct service_options *options, struct append_state *state,
		       struct fault *flt)
{
	int r;

	if (!options->origin)
		return 0;
	r = http_new(&service->http, flt);
	if (!r)
		r = find_origin(service, options, flt);
	return r ? r : move_in(service, options, state, flt);
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

static int follow(struct service *service, const struct service_options *options, const struct append_state *state,
		  struct fault *flt)
{
	const struct mirror_options mirror = {
		.import = import_of(service),
		.refresh = options->refresh,
		.stands = follows,
		.failed = failed_to_follow,
		.user = service,
	};

	service->checkpoint = state->last.checkpoint;
	return mirror_start(&mirror, state, service->operator, &service->mirror, flt);
}

/* ---- Opening ---- */

/* It goes on by the operator's key, or by what the origin says. */
static int go_on(struct service *service, const struct service_options *options, struct append_state *state,
		 struct fault *flt)
{
	int r;

	if (!options->key)
		return follow(service, options, state, flt);
	if (service->is_closed) {
		service->checkpoint = state->last.checkpoint;
		return 0;
	}
	r = operator_records_ensure(service->database, state, &service->operator, options->key, options->namespaces,
				    options->namespace_count, flt);
	if (!r)
		r = start_committer(service, state, flt);
	return r ? r : start_collector(service, flt);
}

/*
 * Serve the intact data even if there is damage, or if it cannot be repaired now. Of a large registry only the end is
 * checked here, unless an origin is asked for more of it: the write thread checks the rest, and readers prove what they
 * get.
 */
static int look_for_damage(struct service *service, const struct service_options *options, struct fault *flt)
{
	const struct recovery_task task = {
		.database = service->database, .key = service->key, .tell = found, .user = service,
		.depth = options->key && !options->origin ? RECOVERY_END : RECOVERY_LOG,
	};
	struct recovery_result result;
	struct fault own = {0};
	int r = recovery_run(&task, &result, &own);

	service->gaps = result.gaps;
	service->is_unchecked = !r && result.is_partial;
	if (!r || own.errnum == ENOMEM) {
		if (r)
			*flt = own;
		return r;
	}
	service->failed(service->user, &own);
	return 0;
}

/* Without the operator's log signing keys and namespaces are unknown: refuse publishes, and serve what is published. */
static int load_operator(struct service *service, struct fault *flt)
{
	struct fault own = {0};
	int r = operator_records_load(service->database, &service->operator, &own);

	if (r == WARG_INVALID && service->key) {
		struct fault first = own;

		own = (struct fault){0};
		r = operator_records_mend(service->database, service->key, &service->operator, &own);
		if (!r)
			service->failed(service->user, &first);
	}
	if (r == WARG_INVALID) {
		fault_add(&own, "nothing can be published until it is brought back");
		service->failed(service->user, &own);
		service->is_closed = true;
		return operator_log_new(&service->operator, flt);
	}
	if (r)
		*flt = own;
	return r;
}

/* Marks that cannot be taken now are looked at again at the next start. */
static int review_refused(struct service *service, struct fault *flt)
{
	struct fault own = {0};
	int r = refused_review(service->database, &own);

	if (r && own.errnum == ENOMEM) {
		*flt = own;
		return r;
	}
	if (r)
		service->failed(service->user, &own);
	return 0;
}

static int open_registry(struct service *service, const struct service_options *options, struct fault *flt)
{
	struct append_state state;
	int r = content_files_open(options->content_dir, options->content_limit, &service->contents, flt);

	if (!r)
		r = look_for_damage(service, options, flt);
	if (!r)
		r = append_load(service->database, &state, flt);
	if (!r)
		r = load_operator(service, flt);
	if (!r)
		r = review_refused(service, flt);
	if (!r)
		r = open_origin(service, options, &state, flt);
	if (!r)
		r = readers_new(service->database, &service->readers, flt);
	if (!r)
		r = workers_new(WORKERS, &service->workers, flt);
	return r ? r : go_on(service, options, &state, flt);
}

static int copy_options(struct service *service, const struct service_options *options, struct fault *flt)
{
	service->key = options->key;
	service_set_access(service, options->authorized, options->token);
	service->failed = options->failed;
	service->user = options->user;
	if (text_copy(options->public_url, &service->public_url, flt))
		return WARG_UNDECIDED;
	return text_copy(options->content_url ? options->content_url : options->public_url, &service->content_url, flt);
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
	pthread_rwlock_init(&service->access, NULL);
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
	collector_stop(service->collector);
	write_thread_stop(service->writer);
	collector_free(service->collector);
	mirror_stop(service->mirror);
	http_free(service->http);
	readers_free(service->readers);
	operator_log_unref(service->operator);
	content_files_close(service->contents);
	database_close(service->database);
	pthread_mutex_destroy(&service->mutex);
	pthread_rwlock_destroy(&service->access);
	free(service->public_url);
	free(service->content_url);
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

static void mended(struct write_thread_job *job)
{
	(void)job;
}

void service_mend(struct service *service)
{
	if (!service->writer || atomic_flag_test_and_set(&service->has_met_damage))
		return;
	service->mending = (struct write_thread_job){.task = WRITE_THREAD_MEND, .done = mended};
	write_thread_give(service->writer, &service->mending);
}

/* ---- Uploads ---- */

void service_upload_begin(struct service *service, struct service_upload *upload, const struct digest *record_id)
{
	upload->record_id = *record_id;
	upload->begun = clock_now();
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

void service_upload_progress(struct service_upload *upload, uint64_t bytes)
{
	atomic_fetch_add(&upload->received, bytes);
}

void service_upload_arrived(struct service_upload *upload)
{
	atomic_store(&upload->is_whole, true);
}

void service_set_access(struct service *service, const struct authorized_keys *authorized, struct span token)
{
	pthread_rwlock_wrlock(&service->access);
	service->authorized = authorized;
	service->has_token = token.length;
	service->token = digest_of(token);
	pthread_rwlock_unlock(&service->access);
}

bool service_lets_in(struct service *service, struct span token)
{
	const struct digest hash = digest_of(token);
	bool lets;

	pthread_rwlock_rdlock(&service->access);
	/* How far two hashes agree tells nothing of the texts. */
	lets = !service->has_token || digest_equals(&hash, &service->token);
	pthread_rwlock_unlock(&service->access);
	return lets;
}

int service_check_policy(struct service *service, const struct name *name, const struct digest *key_id,
			 const struct record *record, struct fault *flt)
{
	int r;

	pthread_rwlock_rdlock(&service->access);
	r = service->authorized ? authorized_keys_check(service->authorized, name, key_id, record, flt) : 0;
	pthread_rwlock_unlock(&service->access);
	return r;
}
