/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The transaction that a person has open: the package that is to be published, and what is to be in the record
 * (protocol.md section 8: pending-publish.json; interop.md C 6). One a registry, shared with the reference client:
 * either program lists, adds to, submits and aborts what the other began.
 *
 * A value first, without I/O; below that, the file, which lies in the folder of the home registry, wherever the package
 * lives.
 *
 * Calling sequence of a submit: pending_load(), publish it, and as soon as the registry took the record,
 * pending_end() with the pending's `text`, from the journal's entry also after a crash: what was added meanwhile is not
 * lost, as the file is another one then.
 */
#ifndef WARG_CLIENT_PENDING_H
#define WARG_CLIENT_PENDING_H

#include "client/base/json.h"
#include "client/store/store.h"
#include "verify/name.h"
#include "verify/record.h"

/** One entry of the record to be: of `type` ENTRY_INIT, ENTRY_GRANT_FLAT, ENTRY_REVOKE_FLAT, ENTRY_RELEASE, _YANK. */
struct pending_entry {
	enum record_entry_type type;
	unsigned permissions;          /* grant, revoke: a set of enum record_permission, not empty */
	char key[CAP_KEY_TEXT + 1];    /* grant: the public key's text */
	struct digest key_id;          /* grant, revoke */
	char version[CAP_VERSION + 1]; /* release, yank */
	struct digest content;         /* release */
};

/** Of the zeroed one, only `name` need be set. */
struct pending {
	struct name name;
	bool has_head;
	struct digest head; /* that the reference meant to build on; it is null until submit. We look at the log */
	struct pending_entry *entries;
	size_t count, capacity;
	bool is_stored;     /* whether it was read from the file: `text` says then which one that was */
	struct digest text; /* H(the file) */
};

/* ---- The value ---- */

/** Without entries, and not stored. */
void pending_init(struct pending *pending, const struct name *name);
/** Give the entries back; without any afterwards. A zeroed one is fine. */
void pending_release(struct pending *pending);

/**
 * Put an entry behind the others; an init in front of them, where alone it is valid.
 * @return 0; WARG_UNDECIDED with FAULT_EXISTS if there is an init already, or the same version is released or yanked
 *         already; FAULT_MISUSE if the entry is malformed; FAULT_LIMIT past CAP_RECORD_ENTRIES
 */
int pending_add(struct pending *pending, const struct pending_entry *entry, struct fault *flt);

/** What a record publishes, as it was once asked for. @param out  pending_release() it */
int pending_copy_record(const struct name *name, const struct record *record, struct pending *out, struct fault *flt);

/** A copy of its own. @param out  pending_release() it */
int pending_copy(const struct pending *pending, struct pending *out, struct fault *flt);

/** Whether two publishes want the same of one package, but for an init that one of them needed. */
bool pending_wants_same(const struct pending *a, const struct pending *b);

/** The entry that releases this version, or NULL. */
const struct pending_entry *pending_find(const struct pending *pending, const char *version);

/** Take out the entry that releases this version. @return false if there is none */
bool pending_drop(struct pending *pending, const char *version);

/** Parse the file's text. What the reference writes and we would not, such as a version twice, is read no less. */
int pending_parse(struct span text, struct pending *out, struct fault *flt);
/** Append the text, byte for byte as the reference writes it. */
int pending_render(const struct pending *pending, struct buf *out, struct fault *flt);

/** An entry as it stands in the file; json_free() it. NULL without memory, as json_put() takes it. */
struct json *pending_entry_new_json(const struct pending_entry *entry);

/** A permission's word: "release", "yank"; NULL if packages have no such one. */
const char *pending_permission_name(enum record_permission permission);

/* ---- The file. The store's lock is waited for no longer than PENDING_LOCK_WAIT: then EBUSY. ---- */

#define PENDING_LOCK_WAIT 5000 /* milliseconds: a person waits, and the reference holds it while it runs */

/**
 * Read the transaction that is open.
 * @param out    pending_release() it; untouched if there is none
 * @return 0; WARG_INVALID, blamed on the cache, if the file is malformed and nobody is just writing it
 */
int pending_load(struct store *store, struct pending *out, bool *found, struct fault *flt);

/** Open a transaction. @return 0; WARG_UNDECIDED with FAULT_EXISTS if one is open, whose package the fault names */
int pending_begin(struct store *store, const struct name *name, struct fault *flt);

/**
 * Put entries into the open transaction: all or none.
 * @param name   whose it has to be
 * @return 0; as pending_add(); WARG_UNDECIDED with FAULT_ABSENT if none is open, FAULT_EXISTS if one of another package
 *         is
 */
int pending_change(struct store *store, const struct name *name, const struct pending_entry *entries, size_t count,
		   struct fault *flt);

/**
 * Take the entry that releases a version out of the open transaction.
 * @return 0; WARG_UNDECIDED with FAULT_ABSENT if there is none; else as pending_change()
 */
int pending_take_out(struct store *store, const struct name *name, const char *version, struct fault *flt);

/** Forget the open transaction, whatever the file holds. @param found  false if there was none */
int pending_remove(struct store *store, bool *found, struct fault *flt);

/**
 * The transaction was published: remove the file, if it is still the one whose H(text) is `text`. Else it stays, which
 * is no fault.
 */
int pending_end(struct store *store, const struct digest *text, struct fault *flt);

#endif
