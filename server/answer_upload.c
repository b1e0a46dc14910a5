/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * POST v1/package/LOG/record/RECORD/content/DIGEST: a content that a record waits for.
 *
 * It is hashed, and its framing checked, while it comes. Then a worker syncs it and gives it its name, and then the
 * write thread is told: what is answered with 201 is on the disk, and its record is published if it was the last one.
 */
#include "routes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "record_state.h"

#define PATIENCE (64u << 20) /* bytes past the limit that are heard, so that the client hears the answer */

struct upload {
	struct job job; /* the worker's */
	struct write_thread_job committing;
	struct service_upload noted;
	struct exchange *exchange;
	struct incoming *incoming;
	struct digest digest;
	uint64_t received;
	enum incoming_verdict verdict;
	struct fault fault; /* verdict 0: none */
};

void answer_upload_forget(struct exchange *exchange)
{
	struct upload *upload = exchange->work;

	if (!upload)
		return;
	service_upload_end(exchange->service, &upload->noted);
	incoming_free(upload->incoming);
	free(upload);
	exchange->work = NULL;
}

/* ---- Before the body ---- */

/* Whether this content of this record is wanted. @return false: answered */
static bool check_wanted(struct exchange *exchange, const struct digest *log_id, const struct digest *record_id,
			 const struct digest *digest)
{
	struct record_state standing = {0};
	struct database *database = NULL;
	struct fault flt = {0};
	bool has_log = false, is_wanted = false;
	int r = readers_take(exchange->service->readers, &database, &flt);

	if (!r)
		r = record_state_find(database, log_id, record_id, &standing, &has_log, &flt);
	if (!r && standing.state == RECORD_STATE_SOURCING)
		r = waiting_misses(database, log_id, record_id, digest, &is_wanted, &flt);
	readers_give(exchange->service->readers, database);
	if (r && flt.kind == FAULT_ABSENT)
		exchange_answer_type_digest(exchange, 404, has_log ? "record" : "log", has_log ? record_id : log_id);
	else if (r)
		exchange_fail(exchange, &flt);
	else if (standing.state != RECORD_STATE_SOURCING)
		exchange_answer_status(exchange, 405);
	else if (!is_wanted)
		exchange_refuse(exchange, 400, "the record does not wait for this content");
	return is_wanted && !exchange->status;
}

static void begin(struct exchange *exchange, const struct digest *log_id, const struct digest *record_id,
		  const struct digest *digest)
{
	struct upload *upload = calloc(1, sizeof(*upload));
	struct fault flt = {0};
	int r = upload ? 0 : fault_no_memory(&flt);

	if (!r)
		r = incoming_begin(exchange->service->contents, digest, INCOMING_WASM, &upload->incoming, &flt);
	if (r) {
		free(upload);
		exchange_fail(exchange, &flt);
		return;
	}
	upload->exchange = exchange;
	upload->digest = *digest;
	upload->committing.record.log_id = *log_id;
	upload->committing.record.record_id = *record_id;
	service_upload_begin(exchange->service, &upload->noted, record_id);
	exchange->work = upload;
}

void answer_upload(struct exchange *exchange)
{
	struct digest log_id, record_id, digest;

	if (exchange_read_digest(exchange, 0, &log_id) && exchange_read_digest(exchange, 1, &record_id) &&
	    exchange_read_digest(exchange, 2, &digest) && check_wanted(exchange, &log_id, &record_id, &digest))
		begin(exchange, &log_id, &record_id, &digest);
}

/* ---- The body ---- */

bool answer_upload_take(struct exchange *exchange, struct span piece)
{
	struct upload *upload = exchange->work;

	upload->received += piece.length;
	service_upload_progress(&upload->noted, piece.length);
	counters_add(&exchange->service->counters.bytes_received, piece.length);
	/* A disk that is full is told at the end. */
	if (!upload->fault.verdict)
		incoming_write(upload->incoming, piece, &upload->fault);
	return upload->received <= content_files_limit(exchange->service->contents) + PATIENCE;
}

/* ---- Behind it ---- */

static void done(struct write_thread_job *committing)
{
	struct upload *upload = (struct upload *)((char *)committing - offsetof(struct upload, committing));

	upload->exchange->resume(upload->exchange);
}

static void commit(struct upload *upload)
{
	struct write_thread_job *job = &upload->committing;
	char digest[DIGEST_TEXT_SIZE];

	job->done = done;
	if (upload->verdict == INCOMING_FINE) {
		job->task = WRITE_THREAD_ARRIVE;
		job->content = upload->digest;
	} else {
		job->task = WRITE_THREAD_REJECT;
		digest_format(&upload->digest, digest);
		snprintf(job->reason, sizeof(job->reason), "content with digest `%s` was rejected by policy: %s",
			 digest, upload->fault.what);
	}
	write_thread_give(upload->exchange->service->writer, job);
}

static void keep(struct job *job)
{
	struct upload *upload = (struct upload *)job;

	if (incoming_keep(upload->incoming, &upload->verdict, &upload->fault) || upload->verdict == INCOMING_OTHER)
		upload->exchange->resume(upload->exchange);
	else
		commit(upload);
}

static void give(struct exchange *exchange)
{
	struct upload *upload = exchange->work;

	upload->job.run = keep;
	workers_run(exchange->service->workers, &upload->job);
}

void answer_upload_end(struct exchange *exchange)
{
	struct upload *upload = exchange->work;

	service_upload_arrived(&upload->noted);
	if (upload->fault.verdict)
		exchange_fail(exchange, &upload->fault);
	else
		exchange->wait = give;
}

void answer_upload_go_on(struct exchange *exchange)
{
	struct upload *upload = exchange->work;

	/* What was refused is gone before that is told. */
	incoming_free(upload->incoming);
	upload->incoming = NULL;
	if (upload->committing.verdict)
		exchange_fail(exchange, &upload->committing.fault);
	else if (upload->verdict == INCOMING_REFUSED)
		exchange_refuse(exchange, 422, "%s", upload->fault.what);
	else if (upload->verdict == INCOMING_OTHER)
		exchange_refuse(exchange, 400, "%s", upload->fault.what);
	else if (upload->fault.verdict)
		exchange_fail(exchange, &upload->fault);
	else
		exchange_answer_empty(exchange, 201);
}
