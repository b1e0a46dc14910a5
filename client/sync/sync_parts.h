/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What sync.c and the files of its name share. Not for others.
 *
 * An update is a list of logs, each of which ends up proven or with a fault of its own. The steps take the open ones,
 * that are neither yet, and leave the others alone.
 */
#ifndef WARG_CLIENT_SYNC_PARTS_H
#define WARG_CLIENT_SYNC_PARTS_H

#include "sync.h"

#include <pthread.h>

/** Where a log's update begins. */
enum sync_start {
	SYNC_FRESH,  /* at its first record */
	SYNC_STORED, /* at a log that lay in the archive: believed once its head is proven */
	SYNC_PROVEN, /* at a state that was proven at an earlier checkpoint */
};

/** A log on its way to a checkpoint. */
struct sync_log {
	bool is_package;                /* else it is the operator's */
	struct name name;               /* of a package */
	struct digest log_id;
	enum sync_start start;
	bool is_whole;                  /* the ledger has no more records of it: nothing is to be fetched */
	bool is_doubtful;               /* fetching continues with a token read from disk */
	struct digest proven_head;      /* with SYNC_PROVEN: the proven head */
	struct package_log *package;    /* as far as it was validated; NULL: no record yet */
	struct operator_log *operator;  /* in its place, of the operator's log */
	bool is_ours;                   /* nobody else sees the log yet: it may be appended to */
	struct store_position position; /* of its head */
	struct archive_growth *growth;  /* the records that came; NULL: none, or they are not kept */
	bool has_must_hold;
	struct digest must_hold;        /* a record that was proven before, and that the log has yet to come by */
	bool is_listed;                 /* the registry's ledger has it, as was proven: absent it cannot be */
	bool is_ahead;                  /* as of sync_wanted */
	bool is_proven;
	bool is_broken_off;             /* ended early by time-out or network; the received records are valid */
	bool again;                     /* the fault may be that of the start, or of another log's: try once more */
	struct fault fault;
	struct fault damage;            /* as of sync_wanted */
	char hint[CAP_DOMAIN + 1];      /* as of sync_wanted */
};

/** A proof of heads that is fetched while their logs are. */
struct sync_proof {
	const struct sync *sync;
	pthread_t thread;
	bool is_begun;
	uint64_t *indices; /* of the heads, by the ledger */
	size_t count;
	int verdict;       /* 0: the bundles are there */
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;
};

/** An update. */
struct sync {
	const struct api *api;
	struct archive *archive; /* NULL: records are not kept */
	clock_ms deadline;
	const struct signed_checkpoint *checkpoint; /* to which the logs are brought */
	bool is_new;                                /* the view before is of another one */
	struct ledger *grown;       /* proven up to the checkpoint; NULL: none is */
	struct ledger *ledger;      /* the same, if the names came as well; NULL: none is at hand */
	struct listing *listing;    /* what the ledger says; a reference, with `ledger` alone */
	const struct listing *heads; /* at the checkpoint: tells where each log ends. Borrowed; NULL: none */
	bool is_extension;          /* the ledger was at the view before, and grew to the checkpoint */
	const char *operator_token; /* the end of the operator's log, if it is not among them; NULL: not known */
	struct view_proof *proof;   /* of the operator's head and a package's, if there are no others; else NULL */
	struct sync_log *logs;                      /* the operator's first, if it is among them */
	size_t count, capacity;
};

/** Add a package that was proven at an earlier checkpoint. */
int sync_add_proven(struct sync *sync, const struct view_package *package, struct fault *flt);
/** The same, for walks over a view's packages. @param user  the update. @return not 0 without memory */
int sync_add_known(void *user, const struct view_package *package);

/** Whether there is still something to do for the log. */
bool sync_log_is_open(const struct sync_log *log);

/** The log's head; NULL before the first record. */
const struct log_head *sync_log_head(const struct sync_log *log);

/** The log failed: keep the fault, say whose log it is, and judge whether the start may be to blame. */
void sync_log_fail(struct sync_log *log, const struct fault *flt);

/** The log is long, and nobody waits for it. */
void sync_log_leave(struct sync_log *log);

/** All open logs failed. */
void sync_fail_open(struct sync *sync, const struct fault *flt);

/**
 * Restart a log: at its first record if its stored start is in doubt, else where it began. A log that was proven must
 * contain its proven head again.
 */
void sync_log_retry(struct sync_log *log);

/**
 * Before anything is fetched, compare the checkpoint with the earlier ones that `base` is held to: a shorter log, or
 * another root at the same length, is a contradiction.
 */
int sync_check_growth(const struct view *base, const struct checkpoint *checkpoint, struct sync_refused *refused,
		      struct fault *flt);

/** Check that the log is each earlier one, grown: of that of `base` by the ledger, if it is its extension. */
int sync_check_consistency(const struct sync *sync, const struct view *base, struct fault *flt);

/** Fetch and validate the records of the open logs. */
void sync_fetch_logs(struct sync *sync);

/**
 * Let the ledger of the view before grow to the checkpoint, which a key signed that the view before knows. Then the
 * update has a ledger; where that fails, or takes more than half of the time, it has none, and asks for every log.
 * @param wanted  whose names need not be asked for
 */
void sync_follow_ledger(struct sync *sync, struct ledger *ledger, const struct view *base,
			const struct sync_wanted *wanted, size_t count);

/**
 * Add the packages of the view before whose logs grew since, by the ledger, and those that have a fault.
 * @return 0; WARG_INVALID, blamed on the cache, if the ledger was damaged meanwhile: some may be added
 */
int sync_add_grown(struct sync *sync, const struct view *base, struct fault *flt);

/**
 * Begin to fetch a proof of the heads that the ledger tells of the open logs, if there are records to be fetched
 * meanwhile. Always followed by sync_end_proof().
 */
void sync_begin_proof(struct sync *sync, struct sync_proof *out);
/** Wait for it. */
void sync_end_proof(struct sync_proof *proof);
/** Give the memory back. */
void sync_proof_release(struct sync_proof *proof);

/**
 * Have the heads of the open logs proven to be in the checkpoint's log and map.
 * @param ahead  used if it came and is of the very heads that the logs have
 */
void sync_prove_heads(struct sync *sync, const struct sync_proof *ahead);

#endif
