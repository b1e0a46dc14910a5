/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files of publish share. Not for others.
 *
 * publish.c: the publisher, its waits, its calls.   publish_sign.c: what is to be published, checked and signed.
 * publish_send.c: from there to a registry that has it all.   publish_wait.c: from there to the receipt.
 * publish_run.c: all of it in order, and again where somebody else was faster.   publish_resume.c: what was left over.
 */
#ifndef WARG_CLIENT_PUBLISH_PARTS_H
#define WARG_CLIENT_PUBLISH_PARTS_H

#include "journal.h"
#include "publish.h"
#include "receipts.h"
#include "staging.h"

struct publisher {
	struct publisher_options options; /* its texts are not ours, except these */
	char *state_dir, *label;
	struct http *http; /* our own: closing cancels what goes through it, and nothing else */
	struct api api;
	struct journal *journal;
	struct staging *staging;
	struct receipts *receipts;

	pthread_mutex_t mutex;
	pthread_cond_t changed; /* for who waits in a call, and for who closes */
	bool closing;
	unsigned calls;         /* under way */
};

/** One publish under way. Zero it, publication_init() it. */
struct publication {
	struct publisher *publisher;
	struct name name;
	const struct pending *what; /* what is to be published; NULL: what `entry` has */
	bool (*is_wanted)(void *user); /* asked before it is sent; NULL: it is */
	void *user;
	enum publish_until until;   /* how far it is to be brought */
	struct pending own;         /* the same, taken from an entry */
	struct ecdsa_private_key *key; /* only while something is signed */
	struct publish_result result;
	struct staging_hold hold; /* what is copied here to be uploaded is not swept away meanwhile; fd -1: none yet */

	/* The record; `has_entry` once it is signed. The journal has it, and we have the claim. */
	bool has_entry;
	struct journal_entry entry;
	struct journal_claim claim;
	bool is_unsent;  /* for certain */
	bool is_dead;    /* it never can be accepted: it is to be signed anew, or to be forgotten */
	bool is_chained; /* it stands on a record that is not proven yet */
	bool is_stocked; /* the registry has its contents, as far as we know */
	bool is_presumed; /* that it is accepted, too: the registry was not asked since its contents were uploaded */
	struct api_conflict conflict; /* why it was refused */

	bool had_head;      /* the package's head in the view when it was signed or checked last */
	struct digest head;
	struct journal_claim turn; /* of the package; fd -1: not ours */
	uint64_t looked_at; /* the log's length when a package that the view lacks was looked for last */
	bool was_looked_for; /* it was looked for in the first place */
	unsigned rounds;    /* of uploads */
	uint64_t sent;      /* bytes of contents, those of the upload under way among them */
	bool is_ended;      /* the open transaction that it came from is gone */
};

/* ---- publish.c ---- */

/** A wait with an end: pauses that grow, up to a limit. */
struct retry_delay {
	clock_ms deadline;
	int pause, longest; /* milliseconds */
};
/** The first and the longest pause are in milliseconds. */
struct retry_delay retry_delay_new(clock_ms deadline, int first, int longest);
/** Whether it makes sense to try once more. */
bool retry_delay_helps(const struct fault *flt);
/** Whether there is time for a pause of so many seconds at least. */
bool retry_delay_has(const struct retry_delay *patience, unsigned seconds);
/**
 * Sleep for the next pause, or `seconds` if that is longer.
 * @return 0; WARG_UNDECIDED with FAULT_TIMEOUT when the time is over, FAULT_CANCELLED when the publisher is closed
 */
int retry_delay_wait(struct publisher *publisher, struct retry_delay *patience, unsigned seconds, struct fault *flt);

/** The deadline of a wait that begins now. */
clock_ms publisher_deadline(const struct publisher *publisher);

/**
 * What the last round found of a package, if that is recent (publisher_options).
 * @param absent  as publisher_update()
 * @return false: it is not known
 */
bool publisher_recall(const struct publisher *publisher, const struct name *name, bool *absent);

/** Bring the view to the newest checkpoint, with what it has. Many who want that at once cost one round trip. */
int publisher_refresh(struct publisher *publisher, struct fault *flt);
/**
 * Bring the view, and the package in it, to the newest checkpoint.
 * @param absent  whether the registry says that there is no such package, which is no fault
 */
int publisher_update(struct publisher *publisher, const struct name *name, bool *absent, struct fault *flt);

/* ---- publish_run.c ---- */

/** For a publish of the package; nothing is done yet. */
void publication_init(struct publication *publication, struct publisher *publisher, const struct name *name);
/** Gives up claims, turn and hold, and sweeps; the journal keeps what it has. */
void publication_release(struct publication *publication);
/** Take over an entry that was loaded under its claim; steals both. */
void publication_take(struct publication *publication, struct journal_entry *entry, struct journal_claim *claim);
/** Let go of the record; the journal keeps it. */
void publication_drop(struct publication *publication);
/** Bring it as far as `until` says. */
int publication_run(struct publication *publication, struct fault *flt);
/** Its record leaves the journal. */
int publication_forget(struct publication *publication, struct fault *flt);

/* ---- publish_sign.c ---- */

/**
 * Have a record that is valid as far as can be known: the one that is there, if it is valid still; else one that is
 * signed and journalled now, in the place of one that is dead. We have the turn.
 * @param published  the one that is there is in the log already
 */
int publication_make_valid(struct publication *publication, bool *published, struct fault *flt);

/** Whether the view's log has the record, as far as the log's state tells: as head, or as a release. */
bool publication_is_in(const struct publication *publication, const struct view_package *package);

/* ---- publish_send.c ---- */

/** Take the package's turn; a bounded wait. */
int publication_take_turn(struct publication *publication, struct fault *flt);
/** Give it up; one that is not ours is fine. */
void publication_end_turn(struct publication *publication);

/** Ask where the record stands, again while the registry is out of reach. @param known  false: it says, nowhere */
int publication_ask(struct publication *publication, struct api_record_state *out, bool *known, struct fault *flt);
/** The same where it may be on its way still: only after some time without it, it is not known. */
int publication_ask_in_doubt(struct publication *publication, struct api_record_state *out, bool *known,
			     struct fault *flt);
/**
 * Send the record.
 * @param out    where it stands then
 * @param asked  that was asked for, as the answer got lost
 * @return 0; else with `is_dead` set if it was refused; if not, it may have arrived
 */
int publication_send(struct publication *publication, struct api_record_state *out, bool *asked, struct fault *flt);
/**
 * Give the registry what it lacks of the record's contents.
 * @param state  where the record stands; afterwards where it stands then
 * @param asked  `state` is what was asked for: a registry may call it processing while contents are missing
 */
int publication_stock(struct publication *publication, struct api_record_state *state, bool asked, struct fault *flt);

/* ---- publish_wait.c ---- */

/**
 * Look for a new checkpoint, and the record under it: `is_published` is set if it is there.
 * @return 0, also where the network failed
 */
int publication_look(struct publication *publication, struct fault *flt);

/** Ask where the record stands, if that it is accepted is presumed. With `is_dead` set on a failure it was rejected. */
int publication_confirm(struct publication *publication, struct fault *flt);

/** Wait until the registry says that the record is published. With `is_dead` set on a failure it was rejected. */
int publication_await(struct publication *publication, struct fault *flt);
/** Wait until it is proven, and keep the receipt. */
int publication_prove(struct publication *publication, struct fault *flt);

/* ---- publish_resume.c ---- */

/** A record in the journal that nobody drives. */
struct dead_mount {
	struct digest record_id;
	bool is_readable;
	struct name name;
};
/**
 * List them, the oldest first. Entries whose place another one has are removed.
 * @param name  of one package; NULL: of all, with those that cannot be read
 * @param out   free() it
 */
int leftovers_list(struct publisher *publisher, const struct name *name, struct dead_mount **out, size_t *count,
		   struct fault *flt);
/**
 * Go on with a record that was left over, if there is one with the very same entries: who tries once more means that
 * one. We have the turn.
 */
int publication_adopt(struct publication *publication, struct fault *flt);
/** Claim and load a record. @param had  false: somebody else has it, or there is none */
int publication_claim(struct publication *publication, const struct digest *record_id, bool *had, struct fault *flt);

#endif
