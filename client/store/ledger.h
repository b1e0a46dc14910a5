/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The ledger of a registry as it was proven: log id and record id of each record, 64 bytes a record, kept in our own
 * folder over restarts (protocol.md section 6 tells what it is, section 9 what it proves).
 *
 * In `$CACHE_DIR/wargfs/<label>/`: the file `ledger`, `checkpoint` beside it, up to which its records were proven, and
 * `names`. All of it is read as a stranger's: the log root is rebuilt from what lies there, and what is read a second
 * time is compared with the hash of what was proven. Where the folder cannot be written, the records lie in a file
 * without a name.
 *
 * One thread loads, appends and forgets; any thread may read at any time.
 */
#ifndef WARG_CLIENT_LEDGER_H
#define WARG_CLIENT_LEDGER_H

#include "client/base/name_list.h"
#include "client/net/api.h"

struct ledger;

/**
 * An empty ledger; nothing is read before ledger_load().
 * @param own_dir, label  as store_open()
 */
int ledger_open(const char *own_dir, const char *label, struct ledger **out, struct fault *flt);
/** NULL is fine. */
void ledger_close(struct ledger *ledger);

/**
 * Take what lies in the folder, if the log root that it leads to is the one of the checkpoint beside it. Does nothing
 * where the ledger has records already.
 *
 * @param checkpoint  the one beside it. Its signature is not looked at: until the caller did, the ledger is fit for
 *                    nothing but ledger_append()
 * @param found       false if there is none
 * @return 0; WARG_INVALID, blamed on the cache, if it is damaged: as good as none
 */
int ledger_load(struct ledger *ledger, struct signed_checkpoint *checkpoint, bool *found, struct fault *flt);

/** Whether records lie in the folder, proven or not, so that only what came since has to be fetched. */
bool ledger_is_stored(struct ledger *ledger);

/** Mark the stored checkpoint as not signed by the operator: the next checkpoint replaces it, even a lower one. */
void ledger_doubt_checkpoint(struct ledger *ledger);

/** How many records it has. None if it was seen to be damaged since: then it is forgotten here. */
uint64_t ledger_length(struct ledger *ledger);

/** The log root that its records lead to. */
struct digest ledger_root(struct ledger *ledger);

/** Whether its records are those of the checkpoint, no less and no more. */
bool ledger_is_at(struct ledger *ledger, const struct checkpoint *checkpoint);

/** How often its records were forgotten: while that stays the same, the ledger at most grows. */
unsigned ledger_epoch(const struct ledger *ledger);

/**
 * Whether it was loaded, or doubted, and nothing was appended since: a root that does not fit may be no lie of the
 * registry's.
 */
bool ledger_is_in_doubt(struct ledger *ledger);

/** Doubt it: the checkpoint that it grew to was refused. */
void ledger_doubt(struct ledger *ledger);

/**
 * Append what the registry sent, if that leads to the log root of a checkpoint that was verified. The records are
 * written to disk; they count there once ledger_keep() has put a checkpoint beside them.
 *
 * @param entries  from ledger_length() up to the checkpoint's length
 * @return 0, also where nothing could be kept on disk; WARG_INVALID if they lead to another root. Unchanged unless 0
 */
int ledger_append(struct ledger *ledger, const struct api_ledger_entry *entries, size_t count,
		  const struct signed_checkpoint *checkpoint, struct fault *flt);

/**
 * Fetch the missing records up to a verified checkpoint, and append them. If not all arrive in time, the received ones
 * are kept, unproven, for the next call, so a ledger may take longer than one deadline.
 * @return as ledger_append(), and as api_spool_ledger()
 */
int ledger_grow(struct ledger *ledger, const struct api *api, clock_ms deadline,
		const struct signed_checkpoint *checkpoint, struct fault *flt);

/** Expect the next checkpoint to be of more records: they are asked for beside it. */
void ledger_expect_growth(struct ledger *ledger);

/**
 * Fetch the newest checkpoint; and beside it, where growth is expected, what the last part of the ledger has gained,
 * for the next ledger_grow(). That this fails is no fault.
 * @return as api_fetch_checkpoint()
 */
int ledger_fetch_checkpoint(struct ledger *ledger, const struct api *api, clock_ms deadline,
			    struct signed_checkpoint *out, struct fault *flt);

/**
 * Keep the checkpoint beside the records, for the next start, if they lead to it: one that was admitted, as it is what
 * that start will show. Of two of the same state the one that was signed later is kept. Failure to write is no fault.
 * May be called by a second thread.
 * @return whether that one, or one that is ahead of it, is there
 */
bool ledger_keep(struct ledger *ledger, const struct signed_checkpoint *checkpoint);

/** Forget all records; what lies on disk is written over by the next append. */
void ledger_forget(struct ledger *ledger);

/**
 * Read the records from `first` up to, not including, `end` once more, piece by piece and in order.
 *
 * @param take  gets the records from `index` on; what it returns ends the reading unless it is 0
 * @return 0; what `take` returned; WARG_UNDECIDED with FAULT_MISUSE past the end; WARG_INVALID, blamed on the cache, if
 *         they are no longer what was proven
 */
int ledger_read(struct ledger *ledger, uint64_t first, uint64_t end,
		int (*take)(void *user, uint64_t index, const struct api_ledger_entry *entries, size_t count,
			    struct fault *flt),
		void *user, struct fault *flt);

/** Read one record once more. As ledger_read(). */
int ledger_record(struct ledger *ledger, uint64_t index, struct api_ledger_entry *out, struct fault *flt);

/**
 * Load the stored names. They are not proven: the caller checks that a name hashes to a log id.
 * @param take  called for each name, also for names that no package may have; in no order, some maybe twice. A non-zero
 *              return ends the loading
 * @return 0; what `take` returned
 */
int ledger_load_names(struct ledger *ledger, int (*take)(void *user, struct span text, struct fault *flt), void *user,
		      struct fault *flt);

/**
 * Store the names from index `first` on; failure to write is no fault.
 * @param others  lines with names that no package may have; lines of more than LINES_LONGEST bytes are not loaded again
 */
void ledger_keep_names(struct ledger *ledger, const struct name_list *names, size_t first, struct span others);

/** Whether names were stored since the last ledger_load_names(), which would then give new ones. */
bool ledger_has_more_names(const struct ledger *ledger);

#endif
