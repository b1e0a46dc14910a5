/*
 * What sync.c, sync_logs.c and sync_proofs.c share. Not for others.
 *
 * An update is a list of logs, each of which ends up proven or with a fault of its own. The steps take the open ones,
 * that are neither yet, and leave the others alone.
 */
#ifndef WARG_CLIENT_SYNC_PARTS_H
#define WARG_CLIENT_SYNC_PARTS_H

#include "sync.h"

/** Where a log's update begins. */
enum sync_start {
	SYNC_FRESH,  /* at its first record */
	SYNC_STORED, /* at a log that lay in the archive: believed once its head is proven */
	SYNC_PROVEN, /* at a state that was proven at an earlier checkpoint */
};

/** A log on its way to a checkpoint. */
struct sync_log {
	const struct name *name; /* NULL: the operator's log. Borrowed */
	struct digest log_id;
	enum sync_start start;
	struct package_log *package;    /* as far as it was validated; NULL: no record yet */
	struct operator_log *operator;  /* in its place, of the operator's log */
	bool is_ours;                   /* nobody else sees the log yet: it may be appended to */
	struct store_position position; /* of its head */
	struct archive_growth *growth;  /* the records that came; NULL: none, or they are not kept */
	bool has_must_hold;
	struct digest must_hold;        /* a record that was proven before, and that the log has yet to come by */
	bool is_listed;                 /* the registry's ledger has it, as was proven: absent it cannot be */
	bool is_proven;
	bool again;                     /* the fault may be that of the start, or of another log's: try once more */
	struct fault fault;
	char hint[CAP_DOMAIN + 1];      /* as of sync_wanted */
};

/** An update. */
struct sync {
	const struct api *api;
	struct archive *archive; /* NULL: records are not kept */
	clock_ms deadline;
	const struct signed_checkpoint *checkpoint; /* to which the logs are brought */
	const char *operator_token; /* the end of the operator's log, if it is not among them; NULL: not known */
	struct sync_log *logs;                      /* the operator's first, if it is among them */
	size_t count;
};

/** Whether there is still something to do for the log. */
bool sync_log_is_open(const struct sync_log *log);

/** The log's head; NULL before the first record. */
const struct log_head *sync_log_head(const struct sync_log *log);

/** The log failed: keep the fault, say whose log it is, and judge whether the start may be to blame. */
void sync_log_fail(struct sync_log *log, const struct fault *flt);

/** All open logs failed. */
void sync_fail_open(struct sync *sync, const struct fault *flt);

/** Begin again: a log whose start is in doubt at its first record, any other where it began. */
void sync_log_retry(struct sync_log *log);

/** Fetch and validate the records of the open logs. */
void sync_fetch_logs(struct sync *sync);

/** Have the heads of the open logs proven to be in the checkpoint's log and map. */
void sync_prove_heads(struct sync *sync);

#endif
