/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The only thread that writes: it takes all queued jobs, decides on them, and commits them with one sync.
 *
 * A complete record is published in that transaction, under a checkpoint signed in it. A record with missing contents
 * reserves its package's next place as long as an upload makes progress, and COMMITTER_PATIENCE seconds more. Then
 * another record may take the place.
 */
#ifndef WARG_SERVER_COMMITTER_H
#define WARG_SERVER_COMMITTER_H

#include "commit.h"
#include "verify/name.h"

#define COMMITTER_PATIENCE 60

struct committer;

/** What is to be decided on. */
enum committer_task {
	COMMITTER_SUBMIT, /* a record that was sent */
	COMMITTER_ARRIVE, /* a content that has its name now */
	COMMITTER_MEND,   /* a reader met damage: look for it, once */
	COMMITTER_REJECT, /* a content that no record can have: `record_id` of `log_id` is rejected, for `reason` */
};

/** Why a record was not taken. */
enum committer_refusal {
	COMMITTER_TAKEN,        /* it was, or had been before: standing.h tells the rest */
	COMMITTER_UNAUTHORIZED, /* its signature is by no key of its log; `fault` has the words */
	COMMITTER_CONFLICT,     /* another one of its package waits for contents: `other` */
	COMMITTER_EXCESSIVE,    /* its log would exceed a bound of caps.h; `fault` says which */
	COMMITTER_REFUSED,      /* its log was imported with a refused record (refused.h); `fault` says why */
};

/** A job; the caller's, with all that it points to, until `done` was called. */
struct committer_job {
	enum committer_task task;
	struct name name;                /* of SUBMIT */
	struct committed_record record;  /* of SUBMIT; of REJECT its ids */
	const struct digest *contents;   /* of SUBMIT: the contents that it releases, each once, in order */
	size_t content_count;
	const bool *are_missing;         /* of SUBMIT: which of them were not found; NULL: not checked */
	uint64_t arrivals;               /* host.arrivals() before that check */
	struct digest content;           /* of ARRIVE */
	char reason[CAP_MESSAGE + 1];    /* of REJECT */

	/** Called on the committer's thread once the disk has it. */
	void (*done)(struct committer_job *job);

	/* What came of it. */
	int verdict;                     /* 0; WARG_UNDECIDED: the disk, and nothing was kept */
	struct fault fault;
	enum committer_refusal refusal;
	struct digest other;

	struct committer_job *next;      /* the queue's own */
};

/** Who is told, and asked. Called on the committer's thread. */
struct committer_host {
	/** Where the registry stands now. */
	void (*stands)(void *user, const struct commit_state *state);
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
int committer_start(struct database *database, const struct commit_state *state, const struct ecdsa_private_key *key,
		    const struct committer_host *host, struct committer **out, struct fault *flt);

/** Decides on what was given to it, and ends the thread. NULL is fine. */
void committer_stop(struct committer *committer);

/** Give it a job. From any thread; does not wait. */
void committer_give(struct committer *committer, struct committer_job *job);

#endif
