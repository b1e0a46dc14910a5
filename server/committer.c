/*
 * Group commit (see committer.h): one transaction for all jobs that are there. If it fails, each is tried alone, so
 * that what is wrong with one is not the others' fault.
 */
#include "committer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/thread.h"
#include "package_logs.h"
#include "packages.h"
#include "standing.h"

#define BATCH 512 /* jobs of one transaction */

/* A record that enters, and whatever it borrows from. */
struct entering {
	struct committed_record *records;
	struct buf *bytes; /* of each; empty if it is a job's */
	size_t count, room;
};

struct committer {
	struct database *database;
	struct commit_state state;
	const struct ecdsa_private_key *key;
	struct committer_host host;
	struct package_logs *logs;
	pthread_t thread;
	pthread_mutex_t mutex; /* for what follows */
	pthread_cond_t given;
	struct committer_job *first, **last;
	bool stopping;
};

/* ---- Records that enter ---- */

static int make_room(struct entering *entering, struct fault *flt)
{
	size_t room = entering->room ? entering->room * 2 : 16;
	struct committed_record *records;
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
static int enter_take(struct entering *entering, const struct committed_record *record, struct buf *bytes,
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

static bool is_entering(const struct entering *entering, const struct committed_record *record)
{
	for (size_t i = 0; i < entering->count; i++)
		if (digest_equals(&entering->records[i].record_id, &record->record_id) &&
		    digest_equals(&entering->records[i].log_id, &record->log_id))
			return true;
	return false;
}

/* ---- A record that was sent ---- */

/* @param known  whether it was sent before */
static int find_known(struct database *database, const struct committed_record *record, bool *known,
		      struct fault *flt)
{
	struct standing standing = {0};
	struct fault own = {0};
	bool has_log;
	int r = standing_read(database, &record->log_id, &record->record_id, &standing, &has_log, &own);

	standing_release(&standing);
	return fault_unless_absent(r, &own, known, flt);
}

/* Who has the package's place. */
enum holder {
	HOLDER_NONE,
	HOLDER_STALE, /* it may be taken */
	HOLDER_ALIVE
};

static int find_holder(struct committer *committer, struct committer_job *job, uint64_t now, enum holder *out,
		       struct fault *flt)
{
	struct fault own = {0};
	uint64_t since = 0;
	bool found;
	int r = submitted_waiting(committer->database, &job->record.log_id, &job->other, &since, &own);

	*out = HOLDER_NONE;
	r = fault_unless_absent(r, &own, &found, flt);
	if (r || !found)
		return r;
	/* A clock that was set back keeps nobody waiting. */
	*out = HOLDER_STALE;
	if ((now >= since && now - since < COMMITTER_PATIENCE) ||
	    committer->host.is_uploading(committer->host.user, &job->other))
		*out = HOLDER_ALIVE;
	return 0;
}

enum judgement {
	JUDGED_FINE,
	JUDGED_BROKEN,   /* signed by a key of the log, and against its rules */
	JUDGED_UNSIGNED
};

/* @param why  set unless it is fine */
static int judge(struct committer *committer, const struct name *name, const struct record_envelope *record,
		 bool append, enum judgement *out, struct fault *why, struct fault *flt)
{
	bool is_signed = false;
	int r = package_logs_check(committer->logs, name, record, append, &is_signed, why);

	if (r == WARG_UNDECIDED) {
		*flt = *why;
		return r;
	}
	*out = JUDGED_FINE;
	if (r)
		*out = is_signed ? JUDGED_BROKEN : JUDGED_UNSIGNED;
	return 0;
}

static bool is_listed(const struct digest *contents, size_t count, const struct digest *content)
{
	for (size_t i = 0; i < count; i++)
		if (digest_equals(&contents[i], content))
			return true;
	return false;
}

/* The contents that are not there, each once. @param out  room for all of them */
static size_t find_missing(struct committer *committer, const struct committer_job *job, struct digest *out)
{
	size_t count = 0;

	for (size_t i = 0; i < job->content_count; i++) {
		const struct digest *content = &job->contents[i];

		if (!committer->host.has_content(committer->host.user, content) && !is_listed(out, count, content))
			out[count++] = *content;
	}
	return count;
}

/* The package's place is free, or to be taken from who had it for too long. */
static int take_place(struct committer *committer, struct committer_job *job, const struct digest *missing,
		      size_t missing_count, bool from_other, struct entering *entering, uint64_t now,
		      struct fault *flt)
{
	enum judgement judgement;
	struct fault why = {0};
	int r = judge(committer, &job->name, &job->record.envelope, !missing_count, &judgement, &why, flt);

	if (r)
		return r;
	if (judgement == JUDGED_UNSIGNED) {
		job->refusal = COMMITTER_UNAUTHORIZED;
		job->fault = why;
		return 0;
	}
	r = packages_add(committer->database, &job->name, flt);
	if (r)
		return r;
	if (judgement == JUDGED_BROKEN)
		return submitted_add(committer->database, &job->record, NULL, 0, why.what, now, flt);
	if (from_other)
		r = submitted_reject(committer->database, &job->record.log_id, &job->other,
				     "its contents did not come, and another record took its place", flt);
	if (r)
		return r;
	if (missing_count)
		return submitted_add(committer->database, &job->record, missing, missing_count, NULL, now, flt);
	return enter_take(entering, &job->record, NULL, flt);
}

static int submit_new(struct committer *committer, struct committer_job *job, const struct digest *missing,
		      size_t missing_count, struct entering *entering, uint64_t now, struct fault *flt)
{
	enum holder holder;
	int r = find_holder(committer, job, now, &holder, flt);

	if (r)
		return r;
	if (holder == HOLDER_ALIVE) {
		job->refusal = COMMITTER_CONFLICT;
		return 0;
	}
	return take_place(committer, job, missing, missing_count, holder == HOLDER_STALE, entering, now, flt);
}

static int submit(struct committer *committer, struct committer_job *job, struct entering *entering, uint64_t now,
		  struct fault *flt)
{
	struct digest *missing;
	bool known = false;
	int r = find_known(committer->database, &job->record, &known, flt);

	if (r || known || is_entering(entering, &job->record))
		return r;
	missing = calloc(job->content_count + 1, sizeof(*missing));
	if (!missing)
		return fault_no_memory(flt);
	r = submit_new(committer, job, missing, find_missing(committer, job, missing), entering, now, flt);
	free(missing);
	return r;
}

/* ---- Records that waited ---- */

static int admit_take(struct committer *committer, const struct committed_record *record, struct buf *bytes,
		      struct entering *entering, struct fault *flt)
{
	enum judgement judgement = JUDGED_BROKEN;
	struct fault why = {0};
	struct name name;
	int r = packages_find(committer->database, &record->log_id, &name, flt);

	if (!r)
		r = judge(committer, &name, &record->envelope, true, &judgement, &why, flt);
	if (!r && judgement == JUDGED_FINE)
		r = submitted_remove(committer->database, &record->log_id, &record->record_id, flt);
	if (!r && judgement == JUDGED_FINE)
		return enter_take(entering, record, bytes, flt);
	if (!r)
		r = submitted_reject(committer->database, &record->log_id, &record->record_id, why.what, flt);
	buf_release(bytes);
	return r;
}

/* Decide on all that lack nothing any more. */
static int admit_complete(struct committer *committer, struct entering *entering, struct fault *flt)
{
	struct committed_record record;
	struct buf bytes;
	bool found = true;
	int r = 0;

	while (!r && found) {
		struct fault own = {0};

		buf_init(&bytes, CAP_RECORD * 2);
		r = fault_unless_absent(submitted_complete(committer->database, &record, &bytes, &own), &own, &found,
					flt);
		if (!r && found)
			r = admit_take(committer, &record, &bytes, entering, flt);
		else
			buf_release(&bytes);
	}
	return r;
}

static int reject(struct committer *committer, const struct committer_job *job, struct fault *flt)
{
	return submitted_reject(committer->database, &job->record.log_id, &job->record.record_id, job->reason, flt);
}

/* ---- One transaction ---- */

static int decide(struct committer *committer, struct committer_job *job, struct entering *entering, uint64_t now,
		  struct fault *flt)
{
	job->refusal = COMMITTER_TAKEN;
	switch (job->task) {
	case COMMITTER_SUBMIT:
		return submit(committer, job, entering, now, flt);
	case COMMITTER_ARRIVE:
		return submitted_arrived(committer->database, &job->content, flt);
	case COMMITTER_REJECT:
		return reject(committer, job, flt);
	}
	return 0;
}

static int decide_all(struct committer *committer, struct committer_job *first, struct entering *entering,
		      struct commit_state *next, struct fault *flt)
{
	const uint64_t now = (uint64_t)time(NULL);
	int r = database_begin(committer->database, flt);

	for (struct committer_job *job = first; job && !r; job = job->next)
		r = decide(committer, job, entering, now, flt);
	if (!r)
		r = admit_complete(committer, entering, flt);
	if (!r && entering->count)
		r = commit_enter(committer->database, next, entering->records, entering->count, committer->key, now,
				 flt);
	return r ? r : database_commit(committer->database, flt);
}

static int transact(struct committer *committer, struct committer_job *first, struct fault *flt)
{
	struct commit_state next = committer->state;
	struct entering entering = {0};
	int r = decide_all(committer, first, &entering, &next, flt);

	if (r) {
		database_rollback(committer->database);
		package_logs_forget(committer->logs);
	} else if (entering.count) {
		committer->state = next;
		committer->host.stands(committer->host.user, &committer->state);
	}
	entering_release(&entering);
	return r;
}

/* ---- Jobs ---- */

static void finish(struct committer_job *job, const struct fault *flt)
{
	job->verdict = flt->verdict ? WARG_UNDECIDED : 0;
	if (flt->verdict)
		job->fault = *flt;
	job->done(job);
}

static void finish_all(struct committer_job *first, const struct fault *flt)
{
	while (first) {
		struct committer_job *job = first;

		first = job->next;
		finish(job, flt);
	}
}

static void try_alone(struct committer *committer, struct committer_job *first)
{
	while (first) {
		struct committer_job *job = first;
		struct fault flt = {0};

		first = job->next;
		job->next = NULL;
		transact(committer, job, &flt);
		finish(job, &flt);
	}
}

static void work(struct committer *committer, struct committer_job *first)
{
	struct fault flt = {0};

	if (transact(committer, first, &flt) && first->next)
		try_alone(committer, first);
	else
		finish_all(first, &flt);
}

/* The jobs of the next transaction; NULL: it is time to end. */
static struct committer_job *take_jobs(struct committer *committer)
{
	struct committer_job *first, *last;

	pthread_mutex_lock(&committer->mutex);
	while (!committer->first && !committer->stopping)
		pthread_cond_wait(&committer->given, &committer->mutex);
	first = last = committer->first;
	for (unsigned count = 1; last && last->next && count < BATCH; count++)
		last = last->next;
	if (last) {
		committer->first = last->next;
		last->next = NULL;
		if (!committer->first)
			committer->last = &committer->first;
	}
	pthread_mutex_unlock(&committer->mutex);
	return first;
}

static void *run(void *argument)
{
	struct committer *committer = argument;
	struct committer_job *jobs;

	while ((jobs = take_jobs(committer)))
		work(committer, jobs);
	return NULL;
}

void committer_give(struct committer *committer, struct committer_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&committer->mutex);
	*committer->last = job;
	committer->last = &job->next;
	pthread_cond_signal(&committer->given);
	pthread_mutex_unlock(&committer->mutex);
}

/* ---- Beginning and end ---- */

/* Contents that came while nobody noted it: their record was to be told when the power went. */
static int note_arrivals(struct committer *committer, struct fault *flt)
{
	struct digest *missing = NULL;
	size_t count = 0;
	int r = submitted_all_missing(committer->database, &missing, &count, flt);

	if (!r)
		r = database_begin(committer->database, flt);
	for (size_t i = 0; i < count && !r; i++)
		if (committer->host.has_content(committer->host.user, &missing[i]))
			r = submitted_arrived(committer->database, &missing[i], flt);
	if (!r)
		r = database_commit(committer->database, flt);
	if (r)
		database_rollback(committer->database);
	free(missing);
	return r;
}

static int start_thread(struct committer *committer, struct fault *flt)
{
	int error = thread_start(&committer->thread, run, committer);

	return error ? fault_system(flt, error, "the thread that commits cannot be started") : 0;
}

static void committer_free(struct committer *committer)
{
	package_logs_free(committer->logs);
	pthread_cond_destroy(&committer->given);
	pthread_mutex_destroy(&committer->mutex);
	free(committer);
}

int committer_start(struct database *database, const struct commit_state *state, const struct ecdsa_private_key *key,
		    const struct committer_host *host, struct committer **out, struct fault *flt)
{
	struct committer *committer = calloc(1, sizeof(*committer));
	int r;

	if (!committer)
		return fault_no_memory(flt);
	committer->database = database;
	committer->state = *state;
	committer->key = key;
	committer->host = *host;
	committer->last = &committer->first;
	pthread_mutex_init(&committer->mutex, NULL);
	pthread_cond_init(&committer->given, NULL);
	r = package_logs_new(database, &committer->logs, flt);
	if (!r)
		r = note_arrivals(committer, flt);
	if (!r)
		r = transact(committer, NULL, flt);
	if (!r)
		r = start_thread(committer, flt);
	if (r)
		committer_free(committer);
	else
		*out = committer;
	return r;
}

void committer_stop(struct committer *committer)
{
	if (!committer)
		return;
	pthread_mutex_lock(&committer->mutex);
	committer->stopping = true;
	pthread_cond_signal(&committer->given);
	pthread_mutex_unlock(&committer->mutex);
	pthread_join(committer->thread, NULL);
	committer_free(committer);
}
