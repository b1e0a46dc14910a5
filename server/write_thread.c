/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Group commit (see write_thread.h): one transaction for all jobs that are there. If it fails, each is tried alone, so
 * that what is wrong with one is not the others' fault.
 */
#include "write_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/base/thread.h"
#include "log_cache.h"
#include "package_names.h"
#include "recovery.h"
#include "refused.h"
#include "releases.h"
#include "record_state.h"

#define BATCH 512 /* jobs of one transaction */

/* A record that enters, and whatever it borrows from. */
struct entering {
	struct published_record *records;
	struct buf *bytes; /* of each; empty if it is a job's */
	size_t count, room;
};

struct write_thread {
	struct database *database;
	struct append_state state;
	const struct ecdsa_private_key *key;
	struct write_thread_host host;
	struct log_cache *logs;
	pthread_t thread;
	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t given;
	struct write_thread_job *first, **last;
	bool stopping;
	atomic_bool is_stopping; /* the same, for the check at the beginning */
	bool has_mended, has_rejected; /* the thread's own */
};

/* ---- Records that enter ---- */

static int make_room(struct entering *entering, struct fault *flt)
{
	size_t room = entering->room ? entering->room * 2 : 16;
	struct published_record *records;
	struct buf *bytes;

	if (entering->count < entering->room)
		return 0;
	records = reallocarray(entering->records, room, sizeof(*records));
	if (records)
		entering->records = records;
	bytes = reallocarray(entering->bytes, room, sizeof(*bytes));
	if (bytes)
		entering->bytes = bytes;
	if (!records || !bytes)
		return fault_no_memory(flt);
	entering->room = room;
	return 0;
}

static void entering_release(struct entering *entering)
{
	for (size_t i = 0; i < entering->count; i++)
		buf_release(&entering->bytes[i]);
	free(entering->records);
	free(entering->bytes);
}

/* @param bytes  of the record; taken; NULL: it borrows from a job */
static int enter_take(struct entering *entering, const struct published_record *record, struct buf *bytes,
		      struct fault *flt)
{
	int r = make_room(entering, flt);

	if (r) {
		if (bytes)
			buf_release(bytes);
		return r;
	}
	entering->records[entering->count] = *record;
	buf_init(&entering->bytes[entering->count], CAP_RECORD * 2);
	if (bytes)
		entering->bytes[entering->count] = *bytes;
	entering->count++;
	return 0;
}

static bool is_entering(const struct entering *entering, const struct published_record *record)
{
	for (size_t i = 0; i < entering->count; i++)
		if (digest_equals(&entering->records[i].record_id, &record->record_id) &&
		    digest_equals(&entering->records[i].log_id, &record->log_id))
			return true;
	return false;
}

/* ---- A record that was sent ---- */

/* @param known  whether it was sent before */
static int find_known(struct database *database, const struct published_record *record, bool *known, struct fault *flt)
{
	struct record_state standing = {0};
	struct fault own = {0};
	bool has_log;
	int r = record_state_find(database, &record->log_id, &record->record_id, &standing, &has_log, &own);

	return fault_unless_absent(r, &own, known, flt);
}

/* Who has the package's place. */
enum holder {
	HOLDER_NONE,
	HOLDER_STALE, /* it may be taken */
	HOLDER_ALIVE
};

static int find_holder(struct write_thread *writer, struct write_thread_job *job, uint64_t now, enum holder *out,
		       struct fault *flt)
{
	struct fault own = {0};
	uint64_t since = 0;
	bool found;
	int r = waiting_waiting(writer->database, &job->record.log_id, &job->other, &since, &own);

	*out = HOLDER_NONE;
	r = fault_unless_absent(r, &own, &found, flt);
	if (r || !found)
		return r;
	/* A clock that was set back keeps nobody waiting. */
	*out = HOLDER_STALE;
	if ((now >= since && now - since < WRITE_THREAD_PATIENCE) ||
	    writer->host.is_uploading(writer->host.user, &job->other))
		*out = HOLDER_ALIVE;
	return 0;
}

enum judgement {
	JUDGED_FINE,
	JUDGED_BROKEN, /* signed by a key of the log, and against its rules */
	JUDGED_UNSIGNED,
	JUDGED_EXCESSIVE /* the log would exceed a bound: the client's fault */
};

/* @param why  set unless it is fine */
static int judge(struct write_thread *writer, const struct name *name, const struct record_envelope *record,
		 bool append, enum judgement *out, struct fault *why, struct fault *flt)
{
	bool is_signed = false;
	int r = log_cache_check(writer->logs, name, record, append, &is_signed, why);

	if (r == WARG_UNDECIDED && why->kind != FAULT_LIMIT) {
		*flt = *why;
		return r;
	}
	*out = JUDGED_FINE;
	if (r == WARG_UNDECIDED)
		*out = JUDGED_EXCESSIVE;
	else if (r)
		*out = is_signed ? JUDGED_BROKEN : JUDGED_UNSIGNED;
	return 0;
}

/* Collect the missing contents. @param out  has room for all of them; may be `contents` */
static size_t find_missing(struct write_thread *writer, const struct digest *contents, size_t content_count,
			   struct digest *out)
{
	size_t count = 0;

	for (size_t i = 0; i < content_count; i++)
		if (!writer->host.has_content(writer->host.user, &contents[i]))
			out[count++] = contents[i];
	return count;
}

/*
 * The same for a job. Contents that were missing, with no upload since, are not looked for again, as a record may name
 * ten thousand. Contents that were found are looked for again: the collector may have removed them.
 */
static size_t find_missing_of(struct write_thread *writer, const struct write_thread_job *job, struct digest *out)
{
	const bool is_known = job->are_missing && writer->host.arrivals(writer->host.user) == job->arrivals;
	size_t count = 0;

	for (size_t i = 0; i < job->content_count; i++) {
		if (is_known && job->are_missing[i])
			out[count++] = job->contents[i];
		else
			count += find_missing(writer, &job->contents[i], 1, &out[count]);
	}
	return count;
}

/* After a refused record this server cannot validate further ones. */
static int find_refused(struct write_thread *writer, struct write_thread_job *job, bool *is_refused, struct fault *flt)
{
	struct refused refused;
	struct fault own = {0};
	int r = refused_find(writer->database, &job->record.log_id, &refused, &own);

	r = fault_unless_absent(r, &own, is_refused, flt);
	if (r || !*is_refused)
		return r;
	job->refusal = WRITE_THREAD_REFUSED;
	fault_invalid(&job->fault,
		      "nothing can be published to this package here: it was imported "
		      "with a record that is refused: %.180s",
		      refused.reason);
	return 0;
}

static int add_rejected(struct write_thread *writer, const struct published_record *record, const char *reason,
			uint64_t now, struct fault *flt)
{
	writer->has_rejected = true;
	return waiting_add(writer->database, record, NULL, 0, reason, now, flt);
}

static int reject_record(struct write_thread *writer, const struct digest *log_id, const struct digest *record_id,
			 const char *reason, struct fault *flt)
{
	writer->has_rejected = true;
	return waiting_reject(writer->database, log_id, record_id, reason, flt);
}

/* The package's place is free, or to be taken from who had it for too long. */
static int take_place(struct write_thread *writer, struct write_thread_job *job, const struct digest *missing,
		      size_t missing_count, bool from_other, struct entering *entering, uint64_t now, struct fault *flt)
{
	enum judgement judgement;
	struct fault why = {0};
	bool is_refused;
	int r = find_refused(writer, job, &is_refused, flt);

	if (r || is_refused)
		return r;
	r = judge(writer, &job->name, &job->record.envelope, !missing_count, &judgement, &why, flt);
	if (r)
		return r;
	if (judgement == JUDGED_UNSIGNED || judgement == JUDGED_EXCESSIVE) {
		job->refusal = judgement == JUDGED_UNSIGNED ? WRITE_THREAD_UNAUTHORIZED : WRITE_THREAD_EXCESSIVE;
		job->fault = why;
		return 0;
	}
	r = package_names_add(writer->database, &job->name, flt);
	if (r)
		return r;
	if (judgement == JUDGED_BROKEN)
		return add_rejected(writer, &job->record, why.what, now, flt);
	if (from_other)
		r = reject_record(writer, &job->record.log_id, &job->other,
				  "its contents did not come, and another record took its place", flt);
	if (r)
		return r;
	if (missing_count)
		return waiting_add(writer->database, &job->record, missing, missing_count, NULL, now, flt);
	return enter_take(entering, &job->record, NULL, flt);
}

static int submit_new(struct write_thread *writer, struct write_thread_job *job, const struct digest *missing,
		      size_t missing_count, struct entering *entering, uint64_t now, struct fault *flt)
{
	enum holder holder;
	int r = find_holder(writer, job, now, &holder, flt);

	if (r)
		return r;
	if (holder == HOLDER_ALIVE) {
		job->refusal = WRITE_THREAD_CONFLICT;
		return 0;
	}
	return take_place(writer, job, missing, missing_count, holder == HOLDER_STALE, entering, now, flt);
}

static int submit(struct write_thread *writer, struct write_thread_job *job, struct entering *entering, uint64_t now,
		  struct fault *flt)
{
	struct digest *missing;
	bool known = false;
	int r = find_known(writer->database, &job->record, &known, flt);

	if (r || known || is_entering(entering, &job->record))
		return r;
	missing = calloc(job->content_count + 1, sizeof(*missing));
	if (!missing)
		return fault_no_memory(flt);
	r = submit_new(writer, job, missing, find_missing_of(writer, job, missing), entering, now, flt);
	free(missing);
	return r;
}

/* ---- Records that waited ---- */

/* Local damage only suspends the records that it concerns. */
static bool is_damage(int verdict, const struct fault *flt)
{
	return verdict == WARG_INVALID || (flt->kind == FAULT_SYSTEM && flt->errnum == EIO);
}

/* The record stays in the queue until the next start checks it again. */
static int set_aside(struct write_thread *writer, const struct published_record *record, struct fault *damage,
		     struct fault *flt)
{
	char id[DIGEST_TEXT_SIZE];

	digest_format(&record->record_id, id);
	fault_at(damage, "record %s, which waits", id);
	fault_blame(damage, FAULT_BY_SYSTEM);
	writer->host.failed(writer->host.user, damage);
	return waiting_set_aside(writer->database, &record->log_id, &record->record_id, flt);
}

/* The contents that it releases. @param out  free() it */
static int list_contents(const struct published_record *record, struct digest **out, size_t *count, struct fault *flt)
{
	struct record decoded;
	int r = record_decode(RECORD_PACKAGE, record->envelope.content, &decoded, flt);

	if (r)
		return r;
	if (!digest_equals(&decoded.id, &record->record_id))
		r = fault_invalid(flt, "its content has another id");
	if (!r)
		r = releases_list(&decoded, out, count, flt);
	record_release(&decoded);
	return r;
}

static int find_name(struct write_thread *writer, const struct published_record *record, struct name *out,
		     struct fault *flt)
{
	int r = package_names_find(writer->database, &record->log_id, out, flt);

	if (r && flt->kind == FAULT_ABSENT)
		flt->kind = FAULT_FORGED, flt->verdict = r = WARG_INVALID;
	return r;
}

/* Publish the record: all its contents are there now. */
static int leave_waiting(struct write_thread *writer, const struct published_record *record,
			 const struct digest *contents, size_t count, struct fault *flt)
{
	int r = waiting_remove(writer->database, &record->log_id, &record->record_id, flt);

	for (size_t i = 0; i < count && !r; i++)
		r = waiting_published(writer->database, &contents[i], flt);
	return r;
}

/* @param bytes  of the record; taken */
static int admit_judged(struct write_thread *writer, const struct published_record *record, struct buf *bytes,
			const struct digest *contents, size_t count, struct entering *entering, struct fault *flt)
{
	enum judgement judgement = JUDGED_BROKEN;
	struct fault why = {0}, own = {0};
	struct name name;
	int r = find_name(writer, record, &name, &own);

	if (!r)
		r = judge(writer, &name, &record->envelope, true, &judgement, &why, &own);
	if (r && is_damage(r, &own))
		r = set_aside(writer, record, &own, flt);
	else if (r)
		*flt = own;
	else if (judgement != JUDGED_FINE)
		r = reject_record(writer, &record->log_id, &record->record_id, why.what, flt);
	else
		r = leave_waiting(writer, record, contents, count, flt);
	if (!r && !own.verdict && judgement == JUDGED_FINE)
		return enter_take(entering, record, bytes, flt);
	buf_release(bytes);
	return r;
}

/* Do not trust the count in its row: publish it once all its contents are there. */
static int admit_take(struct write_thread *writer, const struct published_record *record, struct buf *bytes,
		      struct entering *entering, struct fault *flt)
{
	struct digest *contents = NULL, *missing = NULL;
	size_t count = 0, lacking = 0;
	struct fault own = {0};
	int r = list_contents(record, &contents, &count, &own);

	if (!r && !(missing = calloc(count + 1, sizeof(*missing))))
		r = fault_no_memory(&own);
	if (!r)
		lacking = find_missing(writer, contents, count, missing);
	if (r && is_damage(r, &own))
		r = set_aside(writer, record, &own, flt);
	else if (r)
		*flt = own;
	else if (lacking)
		r = waiting_wait(writer->database, &record->log_id, &record->record_id, missing, lacking, flt);
	else
		r = admit_judged(writer, record, bytes, contents, count, entering, flt), bytes = NULL;
	if (bytes)
		buf_release(bytes);
	free(contents);
	free(missing);
	return r;
}

/* Decide on all that lack nothing any more. */
static int admit_complete(struct write_thread *writer, struct entering *entering, struct fault *flt)
{
	struct published_record record;
	struct buf bytes;
	bool found = true;
	int r = 0;

	while (!r && found) {
		struct fault own = {0};

		buf_init(&bytes, CAP_RECORD * 2);
		r = fault_unless_absent(waiting_complete(writer->database, &record, &bytes, &own), &own, &found, flt);
		if (!r && found)
			r = admit_take(writer, &record, &bytes, entering, flt);
		else
			buf_release(&bytes);
	}
	return r;
}

static int arrive(struct write_thread *writer, const struct write_thread_job *job, struct fault *flt)
{
	bool is_wanted = false;
	int r = waiting_waits_for(writer->database, &job->content, &is_wanted, flt);

	/*
	 * Its record was rejected during the upload, and no other record waits for it, or the collector has removed it.
	 */
	if (r || !is_wanted || !writer->host.has_content(writer->host.user, &job->content)) {
		writer->has_rejected = true;
		return r;
	}
	return waiting_arrived(writer->database, &job->content, flt);
}

static int reject(struct write_thread *writer, const struct write_thread_job *job, struct fault *flt)
{
	return reject_record(writer, &job->record.log_id, &job->record.record_id, job->reason, flt);
}

/* ---- One transaction ---- */

static int decide(struct write_thread *writer, struct write_thread_job *job, struct entering *entering, uint64_t now,
		  struct fault *flt)
{
	job->refusal = WRITE_THREAD_TAKEN;
	switch (job->task) {
	case WRITE_THREAD_SUBMIT:
		return submit(writer, job, entering, now, flt);
	case WRITE_THREAD_ARRIVE:
		return arrive(writer, job, flt);
	case WRITE_THREAD_MEND:
		/* Report it as if it had been found here. */
		return writer->has_mended ? 0 : fault_invalid(flt, "the database is damaged");
	case WRITE_THREAD_REJECT:
		return reject(writer, job, flt);
	}
	return 0;
}

static int decide_all(struct write_thread *writer, struct write_thread_job *first, struct entering *entering,
		      struct append_state *next, struct fault *flt)
{
	const uint64_t now = (uint64_t)time(NULL);
	int r = database_begin(writer->database, flt);

	for (struct write_thread_job *job = first; job && !r; job = job->next)
		r = decide(writer, job, entering, now, flt);
	if (!r)
		r = admit_complete(writer, entering, flt);
	if (!r && entering->count)
		r = append_enter(writer->database, next, entering->records, entering->count, writer->key, now, flt);
	return r ? r : database_commit(writer->database, flt);
}

static int transact(struct write_thread *writer, struct write_thread_job *first, struct fault *flt)
{
	struct append_state next = writer->state;
	struct entering entering = {0};
	int r = decide_all(writer, first, &entering, &next, flt);

	if (r) {
		database_rollback(writer->database);
		log_cache_forget(writer->logs);
	} else {
		log_cache_keep(writer->logs);
	}
	if (!r && entering.count) {
		writer->state = next;
		writer->host.stands(writer->host.user, &writer->state);
	}
	if (!r && writer->has_rejected && writer->host.rejected)
		writer->host.rejected(writer->host.user);
	writer->has_rejected = false;
	entering_release(&entering);
	return r;
}

/* ---- Jobs ---- */

static void finish(struct write_thread_job *job, const struct fault *flt)
{
	job->verdict = flt->verdict ? WARG_UNDECIDED : 0;
	if (flt->verdict)
		job->fault = *flt;
	job->done(job);
}

static void finish_all(struct write_thread_job *first, const struct fault *flt)
{
	while (first) {
		struct write_thread_job *job = first;

		first = job->next;
		finish(job, flt);
	}
}

static void try_alone(struct write_thread *writer, struct write_thread_job *first)
{
	while (first) {
		struct write_thread_job *job = first;
		struct fault flt = {0};

		first = job->next;
		job->next = NULL;
		transact(writer, job, &flt);
		finish(job, &flt);
	}
}

/* Look for damage, and repair it. */
static int recover(struct write_thread *writer, enum recovery_depth depth, const atomic_bool *is_stopping,
		   struct recovery_result *out, struct fault *flt)
{
	const struct recovery_task task = {
		.database = writer->database,
		.key = writer->key,
		.depth = depth,
		.is_stopping = is_stopping,
		.tell = writer->host.failed,
		.user = writer->host.user,
	};
	struct append_state state;
	int r = recovery_run(&task, out, flt);

	if (!r)
		r = append_load(writer->database, &state, flt);
	if (!r)
		writer->state = state;
	return r;
}

/* The start does not check a large map: repair damage that is found later; once. */
static bool mend(struct write_thread *writer)
{
	struct recovery_result result;
	struct fault flt = {0};

	if (writer->has_mended)
		return false;
	writer->has_mended = true;
	if (!recover(writer, RECOVERY_ALL, NULL, &result, &flt))
		return true;
	writer->host.failed(writer->host.user, &flt);
	return false;
}

static void work(struct write_thread *writer, struct write_thread_job *first)
{
	struct fault flt = {0};
	int r = transact(writer, first, &flt);

	if (r == WARG_INVALID && mend(writer)) {
		flt = (struct fault){0};
		r = transact(writer, first, &flt);
	}
	if (r && first->next)
		try_alone(writer, first);
	else
		finish_all(first, &flt);
}

/* The jobs of the next transaction; NULL: it is time to end. */
static struct write_thread_job *take_jobs(struct write_thread *writer)
{
	struct write_thread_job *first, *last;

	pthread_mutex_lock(&writer->mutex);
	while (!writer->first && !writer->stopping)
		pthread_cond_wait(&writer->given, &writer->mutex);
	first = last = writer->first;
	for (unsigned count = 1; last && last->next && count < BATCH; count++)
		last = last->next;
	if (last) {
		writer->first = last->next;
		last->next = NULL;
		if (!writer->first)
			writer->last = &writer->first;
	}
	pthread_mutex_unlock(&writer->mutex);
	return first;
}

void write_thread_give(struct write_thread *writer, struct write_thread_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&writer->mutex);
	*writer->last = job;
	writer->last = &job->next;
	pthread_cond_signal(&writer->given);
	pthread_mutex_unlock(&writer->mutex);
}

/* ---- Beginning and end ---- */

/* Check a waiting record again: contents may have arrived before a power cut, or its rows may be damaged. */
static int look_again(struct write_thread *writer, const struct published_record *record, struct fault *flt)
{
	struct digest *missing = NULL;
	struct fault own = {0};
	size_t count = 0;
	int r = list_contents(record, &missing, &count, &own);

	/* In place: the missing ones are written in front of those still to check. */
	if (!r)
		count = find_missing(writer, missing, count, missing);
	if (!r)
		r = waiting_wait(writer->database, &record->log_id, &record->record_id, missing, count, flt);
	else if (r == WARG_INVALID)
		r = reject_record(writer, &record->log_id, &record->record_id,
				  "it was damaged in the registry: publish it once more", flt);
	else
		*flt = own;
	free(missing);
	return r;
}

static int look_at_all(struct write_thread *writer, struct fault *flt)
{
	bool found = true;
	uint64_t id = 0;
	int r = 0;

	while (!r && found) {
		struct published_record record;
		struct fault own = {0};
		struct buf bytes;

		buf_init(&bytes, CAP_RECORD * 2);
		r = fault_unless_absent(waiting_next(writer->database, &id, &record, &bytes, &own), &own, &found, flt);
		if (!r && found)
			r = look_again(writer, &record, flt);
		buf_release(&bytes);
	}
	return r;
}

static int note_arrivals(struct write_thread *writer, struct fault *flt)
{
	int r = database_begin(writer->database, flt);

	if (!r)
		r = look_at_all(writer, flt);
	if (!r)
		r = database_commit(writer->database, flt);
	if (r)
		database_rollback(writer->database);
	return r;
}

/* Decide on waiting records first. If that fails now, serve anyway. */
static void decide_on_waiting(struct write_thread *writer)
{
	struct fault flt = {0};

	if (note_arrivals(writer, &flt) || transact(writer, NULL, &flt)) {
		fault_at(&flt, "records that wait");
		fault_blame(&flt, FAULT_BY_SYSTEM);
		writer->host.failed(writer->host.user, &flt);
	}
}

/* @return false: it is time to end */
static bool check(struct write_thread *writer, struct fault *flt)
{
	struct recovery_result result = {0};
	struct fault own = {0};
	int r = recover(writer, RECOVERY_LOG, &writer->is_stopping, &result, &own);

	if (own.kind == FAULT_CANCELLED) {
		*flt = own;
		return false;
	}
	if (r)
		writer->host.failed(writer->host.user, &own);
	writer->host.checked(writer->host.user, result.gaps);
	decide_on_waiting(writer);
	return true;
}

static void *run(void *argument)
{
	struct write_thread *writer = argument;
	struct write_thread_job *jobs;
	struct fault flt = {0};
	const bool go_on = !writer->host.checked || check(writer, &flt);

	while ((jobs = take_jobs(writer))) {
		if (go_on)
			work(writer, jobs);
		else
			finish_all(jobs, &flt);
	}
	return NULL;
}

static int start_thread(struct write_thread *writer, struct fault *flt)
{
	int error = thread_start(&writer->thread, run, writer);

	return error ? fault_system(flt, error, "the thread that commits cannot be started") : 0;
}

static void committer_free(struct write_thread *writer)
{
	log_cache_free(writer->logs);
	pthread_cond_destroy(&writer->given);
	pthread_mutex_destroy(&writer->mutex);
	free(writer);
}

int write_thread_start(struct database *database, const struct append_state *state, const struct ecdsa_private_key *key,
		       const struct write_thread_host *host, struct write_thread **out, struct fault *flt)
{
	struct write_thread *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return fault_no_memory(flt);
	writer->database = database;
	writer->state = *state;
	writer->key = key;
	writer->host = *host;
	writer->last = &writer->first;
	pthread_mutex_init(&writer->mutex, NULL);
	pthread_cond_init(&writer->given, NULL);
	r = log_cache_new(database, CAP_SERVED_LOG_CACHE, &writer->logs, flt);
	if (!r && !host->checked)
		decide_on_waiting(writer);
	if (!r)
		r = start_thread(writer, flt);
	if (r)
		committer_free(writer);
	else
		*out = writer;
	return r;
}

void write_thread_stop(struct write_thread *writer)
{
	if (!writer)
		return;
	writer->is_stopping = true;
	pthread_mutex_lock(&writer->mutex);
	writer->stopping = true;
	pthread_cond_signal(&writer->given);
	pthread_mutex_unlock(&writer->mutex);
	pthread_join(writer->thread, NULL);
	committer_free(writer);
}
