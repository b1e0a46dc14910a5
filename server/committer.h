/*
 * The one thread that writes: takes what came meanwhile, decides on all of it, and has it on the disk with one sync.
 *
 * A record that lacks nothing is published in the transaction that takes it, under a checkpoint that is signed there
 * and then. One that lacks contents keeps its package's place while they come: for as long as an upload is under way,
 * and COMMITTER_PATIENCE seconds besides. Then another record may have the place.
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
	COMMITTER_REJECT, /* a content that no record can have: `record_id` of `log_id` is rejected, for `reason` */
};

/** Why a record was not taken. */
enum committer_refusal {
	COMMITTER_TAKEN,        /* it was, or had been before: standing.h tells the rest */
	COMMITTER_UNAUTHORIZED, /* its signature is by no key of its log; `fault` has the words */
	COMMITTER_CONFLICT,     /* another one of its package waits for contents: `other` */
};

/** A job; the caller's, with all that it points to, until `done` was called. */
struct committer_job {
	enum committer_task task;
	struct name name;                /* of SUBMIT */
	struct committed_record record;  /* of SUBMIT; of REJECT its ids */
	const struct digest *contents;   /* of SUBMIT: what it releases */
	size_t content_count;
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
	/** Whether contents of a record are on their way. */
	bool (*is_uploading)(void *user, const struct digest *record_id);
	/** Whether a content is there. */
	bool (*has_content)(void *user, const struct digest *content);
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
