/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The archive: the records of logs as they were received, kept in our own folder, from which a log is proven again
 * after a restart (protocol.md section 4).
 *
 * A file for each log, `$CACHE_DIR/wargfs/<label>/records/<hex of its log id>`: a line that names the version, then one
 * record after the other. The files are not trusted: loading a log validates all its records again, signatures
 * included, and ends the log before the first damaged record. The caller has to prove that the log is the registry's,
 * that it is complete, and that its records have the registry indices that the file says: no signature covers a
 * registry index or a fetch token.
 *
 * New records are kept in three steps: they are added to a growth while they are validated, accepted once the whole
 * update is proven, and saved later. Use from one thread only, but for archive_save() and archive_has_news().
 */
#ifndef WARG_CLIENT_ARCHIVE_H
#define WARG_CLIENT_ARCHIVE_H

#include "client/net/api.h"
#include "store.h"

struct archive;

/**
 * Open; nothing is made or read yet.
 * @param own_dir, label  as store_open()
 */
int archive_open(const char *own_dir, const char *label, struct archive **out, struct fault *flt);
/** What was accepted and not saved is lost. NULL is fine. */
void archive_close(struct archive *archive);

/** Keys that the archive's logs had lately, for package_log_use_keys(). Borrowed. */
struct ecdsa_recent_keys *archive_keys(struct archive *archive);

/** Where a log ends, according to a proven ledger. */
struct archive_head {
	struct digest record_id;
	uint64_t registry_index;
};

/**
 * Load a package's log up to the first damaged record.
 *
 * @param head      load up to this record, which must have the ledger's registry index; NULL: up to the last one, whose
 *                  index is not proven
 * @param out       a new reference; NULL if there is no record, or `head` is not among them
 * @param position  where the log ends, and its offset in the archive, for sync to continue from
 * @param damage    may be NULL; set if what follows the end is damaged
 * @return 0, also where the archive is damaged
 */
int archive_load_package(struct archive *archive, const struct name *name, const struct archive_head *head,
			 struct package_log **out, struct store_position *position, struct fault *damage,
			 struct fault *flt);
/** The same for the operator's log. */
int archive_load_operator(struct archive *archive, const struct archive_head *head, struct operator_log **out,
			  struct store_position *position, struct fault *damage, struct fault *flt);

/** How many bytes lie there of a package's log, read or not; 0: none. */
uint64_t archive_size(const struct archive *archive, const struct name *name);

/** How many bytes a record takes there. */
size_t archive_size_of(const struct api_record *record);

/**
 * Copy a log's records as they lie there, from the first one up to the one with this id. Nothing is validated, and no
 * other function must be called on the same archive at the same time.
 * @param out  api_log_release() it; without records if that one is not there, or there is more than CAP_PROOF
 */
int archive_copy_records(struct archive *archive, const struct digest *log_id, const struct digest *head,
			 struct api_log *out, struct fault *flt);

/** Records of one log on their way into the archive. */
struct archive_growth;

/**
 * Begin with records that come behind what the archive has.
 * @param start  `archived` of the position that they come behind; 0: they are the log's first
 */
int archive_growth_new(struct archive *archive, const struct digest *log_id, uint64_t start,
		       struct archive_growth **out, struct fault *flt);
/** NULL is fine. */
void archive_growth_free(struct archive_growth *growth);
/**
 * Add a record that was validated; many are held on disk.
 * @param end  `archived` of the position behind it
 */
int archive_growth_add(struct archive_growth *growth, const struct api_record *record, uint64_t *end,
		       struct fault *flt);

/** A growth whose log was proven: to be accepted or refused with all others that came since. Steals it. */
void archive_keep_take(struct archive *archive, struct archive_growth *growth);
/**
 * The same for a log that was validated as far as it was received, and is not proven: the records are appended to the
 * file, or start a new one, and never replace stored records.
 */
void archive_keep_part_take(struct archive *archive, struct archive_growth *growth);
/** What was kept is believed, and is to be saved. */
void archive_accept(struct archive *archive);
/** What was kept is not believed. */
void archive_refuse(struct archive *archive);

/** Whether anything was accepted that nobody saved, or began to save, yet. */
bool archive_has_news(struct archive *archive);
/**
 * Save what was accepted: temp, rename. A stored file is never made shorter, unless it holds another log than the
 * one that was proven. What cannot be saved is given up: it will be fetched again after a restart. For the same
 * reason nothing waits for the disk: a file that a power failure left cut or empty is as good as a damaged one.
 * What another thread has begun to save is saved when this returns.
 * @param saved  false where another program kept the lock for ARCHIVE_LOCK_WAIT: to be tried again
 */
#define ARCHIVE_LOCK_WAIT 200 /* milliseconds */
int archive_save(struct archive *archive, bool *saved, struct fault *flt);

#endif
