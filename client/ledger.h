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

#include "api.h"

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

/** How many records it has. None if it was seen to be damaged since: then it is forgotten here. */
uint64_t ledger_length(struct ledger *ledger);

/** The log root that its records lead to. */
struct digest ledger_root(struct ledger *ledger);

/** Whether it was loaded, and nothing was appended since: a root that does not fit may be the disk's doing. */
bool ledger_is_in_doubt(struct ledger *ledger);

/**
 * Append what the registry sent, if that leads to the log root of a checkpoint that was verified, and keep both on
 * disk.
 *
 * @param entries  from ledger_length() up to the checkpoint's length
 * @return 0, also where nothing could be kept on disk; WARG_INVALID if they lead to another root. Unchanged unless 0
 */
int ledger_append(struct ledger *ledger, const struct api_ledger_entry *entries, size_t count,
		  const struct signed_checkpoint *checkpoint, struct fault *flt);

/**
 * Keep a checkpoint that was signed later than the one on disk, of the same state: what is proven is not older than
 * that. Nothing else is kept, and failure to write is no fault.
 */
void ledger_keep_time(struct ledger *ledger, const struct signed_checkpoint *checkpoint);

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
 * Names that were kept. Nothing is proven of them: a name is true of the log whose id it hashes to.
 * @param out  in no order, perhaps some twice; free() it
 */
int ledger_load_names(struct ledger *ledger, struct name **out, size_t *count, struct fault *flt);

/** Keep more names; failure to write is no fault. */
void ledger_keep_names(struct ledger *ledger, const struct name *names, size_t count);

#endif
