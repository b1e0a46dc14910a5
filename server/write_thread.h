/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The only thread that writes: it takes all queued jobs, decides on them, and commits them with one sync.
 *
 * A complete record is published in that transaction, under a checkpoint signed in it. A record with missing contents
 * reserves its package's next place as long as an upload makes progress, and WRITE_THREAD_PATIENCE seconds more. Then
 * another record may take the place.
 */
#ifndef WARG_SERVER_WRITE_THREAD_H
#define WARG_SERVER_WRITE_THREAD_H

#include "append.h"
#include "verify/name.h"

#define WRITE_THREAD_PATIENCE 60

struct write_thread;

/** What is to be decided on. */
enum write_thread_task {
	WRITE_THREAD_SUBMIT, /* a record that was sent */
	WRITE_THREAD_ARRIVE, /* a content that has its name now */
	WRITE_THREAD_MEND, /* a reader met damage: look for it, once */
	WRITE_THREAD_REJECT, /* a content that no record can have: `record_id` of `log_id` is rejected, for `reason` */
};

/** Why a record was not taken. */
enum write_thread_refusal {
	WRITE_THREAD_TAKEN, /* it was, or had been before: record_state.h tells the rest */
	WRITE_THREAD_UNAUTHORIZED, /* its signature is by no key of its log; `fault` has the words */
	WRITE_THREAD_CONFLICT, /* another one of its package waits for contents: `other` */
	WRITE_THREAD_EXCESSIVE, /* its log would exceed a bound of caps.h; `fault` says which */
	WRITE_THREAD_REFUSED, /* its log was imported with a refused record (refused.h); `fault` says why */
};

/** A job; the caller's, with all that it points to, until `done` was called. */
struct write_thread_job {
	enum write_thread_task task;
	struct name name; /* of SUBMIT */
	struct published_record record; /* of SUBMIT; of REJECT its ids */
	const struct digest *contents; /* of SUBMIT: the contents that it releases, each once, in order */
	size_t content_count;
	const bool *are_missing; /* of SUBMIT: which of them were not found; NULL: not checked */
	uint64_t arrivals; /* host.arrivals() before that check */
	struct digest content; /* of ARRIVE */
	char reason[CAP_MESSAGE + 1]; /* of REJECT */

	/** Called on the write thread's thread once the disk has it. */
	void (*done)(struct write_thread_job *job);

	/* What came of it. */
	int verdict; /* 0; WARG_UNDECIDED: the disk, and nothing was kept */
	struct fault fault;
	enum write_thread_refusal refusal;
	struct digest other;

	struct write_thread_job *next; /* the queue's own */
};

/** Who is told, and asked. Called on the write thread's thread. */
struct write_thread_host {
	/** Where the registry stands now. */
	void (*stands)(void *user, const struct append_state *state);
	/** Whether contents of a record are being uploaded, at a fair rate. */
	bool (*is_uploading)(void *user, const struct digest *record_id);
	/** Called after a record was rejected: contents uploaded for it may be garbage. May be NULL. */
	void (*rejected)(void *user);
	/** Report local damage that was set aside. */
	void (*failed)(void *user, const struct fault *flt);
	/** Whether a content is there. */
	bool (*has_content)(void *user, const struct digest *content);
	/** Number of contents stored so far: while it does not change, a missing content is still missing. */
	uint64_t (*arrivals)(void *user);
	/**
	 * NULL: the database was checked. Otherwise that is done first (recovery.h), while jobs wait, and the number of
	 * lost records told: a record may not enter by rows that are damaged.
	 */
	void (*checked)(void *user, uint64_t gaps);
	void *user;
};

/**
 * Start. What waited for contents that have come meanwhile is decided on first.
 * @param database  for writing; borrowed, and used by no other while this runs
 * @param state     where it stands; copied
 * @param key       the operator's; borrowed
 */
int write_thread_start(struct database *database, const struct append_state *state, const struct ecdsa_private_key *key,
		       const struct write_thread_host *host, struct write_thread **out, struct fault *flt);

/** Decides on what was given to it, and ends the thread. NULL is fine. */
void write_thread_stop(struct write_thread *writer);

/** Give it a job. From any thread; does not wait. */
void write_thread_give(struct write_thread *writer, struct write_thread_job *job);

#endif
