/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * One registry's folder on disk, shared with the reference client (protocol.md section 8, interop.md section C).
 *
 * Everything here is read as a stranger's: half a file means "not there", one that parses but contradicts itself is
 * WARG_INVALID, blamed on the cache. Locks are held around writes only, and never waited for longer than
 * STORE_LOCK_WAIT: without the lock nothing is written, which is no fault (`*written` says so). Files are replaced by
 * temp, fsync, rename, fsync of the folder; packages' logs, which can be fetched again, without fsync.
 */
#ifndef WARG_CLIENT_STORE_H
#define WARG_CLIENT_STORE_H

#include "client/base/temp_file.h"
#include "client/net/http_url.h"
#include "verify/checkpoint.h"
#include "verify/package_log.h"

/** Milliseconds that a lock is waited for: the reference holds them for its whole life. */
#define STORE_LOCK_WAIT 200

struct store;

/**
 * Open, and make where missing, the folders of the registry `label`; where nothing can be written, what is there is
 * used. What processes left half done that are gone is removed.
 * @param registries_dir  e.g. ~/.cache/warg/registries
 * @param content_dir     e.g. ~/.cache/warg/content
 * @param own_dir         e.g. ~/.cache/wargfs: ours, rebuilt when lost
 */
int store_open(const char *registries_dir, const char *content_dir, const char *own_dir, const char *label,
	       struct store **out, struct fault *flt);
void store_close(struct store *store);

/**
 * Remove all that is stored of a registry, its sizes too; contents stay. Another program that works with it, or a mount
 * that goes on, may make it anew.
 * @return 0; WARG_UNDECIDED with FAULT_SYSTEM and EBUSY while another program has the lock
 */
int store_reset(const char *registries_dir, const char *own_dir, const char *label, struct fault *flt);

/** Where a log stands: its head's place in the registry's log, and the token to go on from. */
struct store_position {
	bool known; /* false: the reference left it out */
	uint64_t registry_index;
	char token[CAP_FETCH_TOKEN + 1]; /* "": none */
	/* The token was read from disk and may be damaged: drop it and fetch again before the registry is accused. */
	bool is_kept;
	uint64_t archived; /* where the archive's file goes on behind it (archive.h); 0: it has not what is before */
};

/** The checkpoint. @param found  false if there is none. @return 0; WARG_INVALID if it is malformed */
int store_load_checkpoint(struct store *store, struct signed_checkpoint *out, bool *found, struct fault *flt);

/** The operator's log. @param out  a new reference; NULL if there is none */
int store_load_operator(struct store *store, struct operator_log **out, struct store_position *position,
			struct fault *flt);

/**
 * A package's log. @param out  a new reference; NULL if there is none.
 * A state whose name is another than `name` is WARG_INVALID.
 */
int store_load_package(struct store *store, const struct name *name, struct package_log **out,
		       struct store_position *position, struct fault *flt);

/** Whether the state that lies there is the one of this log. False where it cannot be read. */
bool store_holds_operator(struct store *store, const struct operator_log *log);

/** The names of all packages with a state file; files that do not parse are passed over. @param out  free() it */
int store_list_packages(struct store *store, struct name **out, size_t *count, struct fault *flt);

/**
 * Load all of them, in no order.
 * @param visit  gets each one's log, borrowed until it returns; NULL: it cannot be read. Ends the walk unless it
 *               returns 0
 * @return 0; what `visit` returned
 */
typedef int store_visit(void *user, const struct name *name, const struct package_log *log, struct fault *flt);
int store_each_package(struct store *store, store_visit *visit, void *user, struct fault *flt);

/**
 * The log ids of all state files that store_list_packages() passes over: they do not say whose they are.
 * @param out  free() it
 */
int store_list_unnamed(struct store *store, struct digest **out, size_t *count, struct fault *flt);

/** What store_save() writes. All borrowed. */
struct store_package {
	const struct package_log *log;
	struct store_position position;
};
struct store_update {
	const struct signed_checkpoint *checkpoint;
	const struct operator_log *signer;   /* its keys sign checkpoints; NULL: not known, no checks */
	const struct operator_log *operator; /* NULL: already in the store */
	struct store_position operator_position;
	const struct store_package *packages;
	size_t package_count;
	bool is_part; /* more packages follow: only these are written, as the checkpoint must not be ahead of them */
};

/**
 * Write an update: packages, operator, checkpoint last. Under the lock it reads again, and leaves alone what is newer
 * there (a longer checkpoint, a log with a later position).
 * @param written  false if the lock could not be had
 */
int store_save(struct store *store, const struct store_update *update, bool *written, struct fault *flt);

/**
 * Remove the packages' files that a power failure left empty. The first store_save() does the same. Nothing is done
 * while another program has the lock; errors are ignored.
 */
void store_sweep_logs(struct store *store);

/* ---- The registry's folder, for other files that the reference keeps in it ---- */

/** The mode of files in it: less the umask, as the reference's. */
#define STORE_STATE_MODE 0666

/** Open the folder. @param fd  close() it; -1 if there is none and `make` is false */
int store_open_registry(const struct store *store, bool make, int *fd, struct fault *flt);

/**
 * Open the folder, making it where it is missing, and take its lock within STORE_LOCK_WAIT.
 * @param registry, lock  close() both, in this order, if `*had`
 */
int store_lock_registry(const struct store *store, int *registry, int *lock, bool *had, struct fault *flt);

/* ---- Contents, shared by all registries ---- */

/**
 * Open a content file for reading, as it lies there: it is not hashed here.
 * @param fd    close() it; -1 if there is none. Symbolic links, anything but regular files, and what we may not read
 *              count as none
 * @param size  in bytes
 */
int store_open_content(struct store *store, const struct digest *digest, int *fd, uint64_t *size, struct fault *flt);

/** Make the file of a content that is being received, in `temp/`, where no other program looks for contents. */
int store_new_temp(struct store *store, struct temp_file *out, struct fault *flt);
/**
 * The bytes in the temp file have `digest`: fsync, rename to its place (over whatever lies there), fsync the folder.
 * The temp's fd stays open, for the caller to read from and to close. On failure the temp is discarded.
 */
int store_keep_temp(struct store *store, struct temp_file *temp, const struct digest *digest, struct fault *flt);
/** Close and unlink. */
void store_discard_temp(struct store *store, struct temp_file *temp);
/**
 * Have a content in the cache that lies elsewhere as a file: linked, or copied across file systems. One that is there
 * already stays, if its bytes are what they are to be.
 * @param folder, name  where it lies; nobody but us may be able to write to it, and its bytes have `digest`
 */
int store_link_content(struct store *store, const struct digest *digest, int folder, const char *name,
		       struct fault *flt);
/** Remove a content that did not match its digest. */
int store_remove_content(struct store *store, const struct digest *digest, struct fault *flt);

/**
 * Remove all contents of all registries, and what those who are gone left half done. Whoever has one open can go on to
 * read it.
 * @param bytes, files  what was removed
 * @return 0; WARG_UNDECIDED with FAULT_SYSTEM: EBUSY while another program has the lock; with any other, what could be
 *         removed is removed
 */
int store_clear_contents(const char *content_dir, uint64_t *bytes, uint64_t *files, struct fault *flt);

/* ---- Claims: who downloads a content, told to other processes ---- */

/**
 * A claim is a courtesy: it saves a download, and nobody needs one. Who has it holds the lock of a file in our own
 * folder, which the kernel takes away when the process dies, and whose size says how many bytes have come.
 */
struct store_claim {
	int fd;
};
enum store_claim_state {
	STORE_CLAIM_OURS,   /* until store_end_claim() */
	STORE_CLAIM_OTHERS, /* another has it: worth waiting for as long as the bytes get more */
	STORE_CLAIM_NONE,   /* it cannot be had, for reasons of the disk's or planted ones: go on without */
};
/**
 * Claim a content. Never waits.
 * @param out       store_end_claim() it if it is ours; else untouched
 * @param received  how many bytes another says it has; written only with STORE_CLAIM_OTHERS
 */
enum store_claim_state store_claim_content(struct store *store, const struct digest *digest, struct store_claim *out,
					   uint64_t *received);
/** Tell others how many bytes have come. */
void store_mark_claim(const struct store_claim *claim, uint64_t received);
/** Give it up: the content is there, or somebody else may try. */
void store_end_claim(struct store *store, const struct digest *digest, struct store_claim *claim);

/** Bytes and files of all contents that lie in the cache. Walks one folder; no network. */
int store_measure_contents(struct store *store, uint64_t *bytes, uint64_t *files, struct fault *flt);

/* ---- Sizes of contents, by digest: ours, rebuilt when lost ---- */

/** A size that was remembered. Memory only after the first call. @return whether it is known */
bool store_find_size(struct store *store, const struct digest *digest, uint64_t *size);
/** Remember a size, in memory and on disk; failure to write is no fault. A new size for a digest replaces the old. */
void store_remember_size(struct store *store, const struct digest *digest, uint64_t size);

#endif
