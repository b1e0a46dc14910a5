/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The journal: records that were signed and are not yet proven to be in the log, one file each.
 *
 * `<state_dir>/<label>/journal/<hex of the record id>.json`, 0600 in a folder 0700. The file is there, with fsync,
 * before the first byte is sent, and goes when the record is proven or refused: whatever dies in between, the next run
 * finds the very record, asks for it by its id, and goes on. All of it is read as a stranger's: the record must decode,
 * have the id that the file is named after, and be signed by the key that stands there.
 *
 * One process at a time drives a record: it has the entry's claim, which the kernel takes away when the process dies.
 *
 * Calling sequence: journal_claim(), journal_put(), send, journal_put() with a later stage, …, journal_remove(),
 * journal_end_claim(). To go on after a crash: journal_list(), and for each journal_claim(), journal_load(), the same.
 */
#ifndef WARG_CLIENT_JOURNAL_H
#define WARG_CLIENT_JOURNAL_H

#include "verify/name.h"
#include "verify/record.h"

struct journal;

/** How far a record is known to have come. In doubt it is further. */
enum journal_stage {
	JOURNAL_SIGNED,   /* nothing was sent */
	JOURNAL_SENT,     /* it may have been sent: ask for it before sending it again */
	JOURNAL_ACCEPTED, /* the registry has it */
};

/** A signed record under way. Owns its memory; release with journal_entry_release(). */
struct journal_entry {
	struct name name;
	enum journal_stage stage;
	int64_t signed_at;             /* seconds since 1970, by the clock here: for people */
	bool from_pending;             /* it is the open transaction: pending_end() once it is accepted */
	struct digest pending;         /* H(text of pending-publish.json) */
	/* this record takes the place of another one of the same publish, which never can be valid: whose entry, if it
	   is there still, is nobody's any more */
	bool replaces;
	struct digest replaced;
	char key[CAP_KEY_TEXT + 1];    /* public key of who signed */
	char signature[CAP_SIGNATURE_TEXT + 1];
	struct buf content;            /* the record's content bytes */
	/* Decoded from `content` and `key` by journal_entry_complete(); not in the file. */
	struct record record;          /* borrows from `content`; its id is the entry's */
	struct digest key_id;
};

/**
 * Check an entry whose first part was filled in, and fill in the rest.
 * @return 0; WARG_INVALID if the record does not decode, or is not signed by `key`
 */
int journal_entry_complete(struct journal_entry *entry, struct fault *flt);
/** Parse a file's text, and check it as above. */
int journal_entry_parse(struct span text, struct journal_entry *out, struct fault *flt);
/** Append the text. */
int journal_entry_render(const struct journal_entry *entry, struct buf *out, struct fault *flt);
/** A zeroed one is fine. */
void journal_entry_release(struct journal_entry *entry);
/** The record as it travels; borrowed from the entry. */
struct record_envelope journal_entry_envelope(const struct journal_entry *entry);

/** Open a registry's journal, making it where it is missing. Arguments as trust_open(). */
int journal_open(const char *state_dir, const char *label, struct journal **out, struct fault *flt);
/** NULL is fine. */
void journal_close(struct journal *journal);

/** The right to drive one record. */
struct journal_claim {
	struct digest record_id;
	int fd;
};
/** Claim a record, whether it has an entry yet or not. Never waits. @param had  false while another has it */
int journal_claim(struct journal *journal, const struct digest *record_id, struct journal_claim *out, bool *had,
		  struct fault *flt);
/** Give it up; one that was given up is fine. */
void journal_end_claim(struct journal *journal, struct journal_claim *claim);
/** Tell those who wait for the claim how many bytes have to be sent before it is given up. */
void journal_mark_claim(const struct journal_claim *claim, uint64_t bytes);
/** What who has the claim has told; 0: nothing, or nobody has it. */
uint64_t journal_read_mark(struct journal *journal, const struct digest *record_id);
/** Whether somebody has the claim; for who only looks. */
bool journal_is_claimed(struct journal *journal, const struct digest *record_id);

/** Write the entry of a record that is claimed, or write it anew: temp, fsync, rename, fsync of the folder. */
int journal_put(struct journal *journal, const struct journal_claim *claim, const struct journal_entry *entry,
		struct fault *flt);
/** The record that is claimed is refused, or nobody's: remove its entry, with fsync of the folder. None is fine. */
int journal_remove(struct journal *journal, const struct journal_claim *claim, struct fault *flt);
/**
 * The record that is claimed is proven, and its receipt kept: the same without fsync. An entry that a power failure
 * brings back is found to be published by the next run.
 */
int journal_remove_proven(struct journal *journal, const struct journal_claim *claim, struct fault *flt);

/** Remove what somebody who died was just writing, and the claims that he left, of records that have no entry. */
void journal_sweep(struct journal *journal);

/**
 * Read an entry. Whoever drives it may change or remove it meanwhile: with the claim it is what is true.
 * @param found  false if there is none
 * @return 0; WARG_INVALID, blamed on this machine's files, if it is malformed, or not signed as it says
 */
int journal_load(struct journal *journal, const struct digest *record_id, struct journal_entry *out, bool *found,
		 struct fault *flt);

/** Whether an entry is known to be another package's, because it is being driven here. Reads no file. */
bool journal_knows_other(struct journal *journal, const struct digest *record_id, const struct name *name);

/**
 * The same for an entry of one package: another's counts as none, and its signature is not verified, as there may be
 * many under way. `of` may be NULL.
 */
int journal_load_of(struct journal *journal, const struct digest *record_id, const struct name *of,
		    struct journal_entry *out, bool *found, struct fault *flt);

/**
 * The record ids of all entries, in the order in which they were written last; one that does not read is among them.
 * @param out  free() it. At most CAP_JOURNAL: FAULT_LIMIT
 */
int journal_list(struct journal *journal, struct digest **out, size_t *count, struct fault *flt);

#endif
