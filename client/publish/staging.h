/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Staging: what is to be published, kept here until it is.
 *
 * `<state_dir>/<label>/staging/`, 0700, holds:
 *
 *   contents/<hex>                        contents that the open transaction or a journalled record names, or soon will
 *   files/<namespace>/<package>/<name>    files that users of a mount wrote and did not publish yet: real files in real
 *                                         folders, which fs/ opens with openat(). They survive remounts and crashes
 *   files-<n>/                            the same of a second mount at the same time, and so on: each mount works on
 *                                         the folder that it has claimed
 *   mount-<n>                             the claim on such a folder: a lock file that says where the mount is
 *
 * A content that is kept is shared with the content cache as well: the reference can then end what we began, and
 * reading back what was published downloads nothing. It is shared as a hard link, which costs neither time nor space:
 * the inode is ours and 0600, so a user who may write to the cache's folder can remove the name, not change the bytes.
 * From the cache to staging the content is copied: a file found in the cache may belong to another user. Contents are
 * hashed again when they are opened.
 *
 * The sweep spares contents in use: a process that stages contents takes a hold before the first one, and keeps it
 * until a transaction or a journal entry names them all.
 */
#ifndef WARG_CLIENT_STAGING_H
#define WARG_CLIENT_STAGING_H

#include "client/store/store.h"
#include "verify/name.h"

struct staging;

/**
 * Open a registry's staging, making it where it is missing.
 * @param state_dir  e.g. ~/.local/state/wargfs
 * @param label      the registry's, as trust_open() takes it
 * @param store      borrowed: the content cache is reached through it
 */
int staging_open(const char *state_dir, const char *label, struct store *store, struct staging **out,
		 struct fault *flt);
/** NULL is fine. */
void staging_close(struct staging *staging);

/**
 * Claim a folder of files for a mount about to be made at `owner`, and move into it the files of mounts that have
 * ended. A file whose name is taken stays where it is, for a later mount. The claim lasts until the staging is closed
 * or the process dies.
 * @param is_ending  whether a mount point is no longer mounted: its process is then about to drop its claim, and the
 *                   call waits for that, 10 seconds in all
 * @return 0; EBUSY if there are CAP_STAGING_MOUNTS mounts already
 */
int staging_claim_files(struct staging *staging, const char *owner, bool (*is_ending)(const char *owner),
			struct fault *flt);

/** Descriptor of the claimed folder; borrowed, lives as long as `staging`. */
int staging_files(const struct staging *staging);

/* ---- Holds ---- */

/** Contents are safe from staging_sweep() while anybody has a hold; many may, in many processes. */
struct staging_hold {
	int fd;
};
/** Take one; a sweep, which is short, is waited for. @return 0; EBUSY if one takes longer than is thinkable */
int staging_take_hold(struct staging *staging, struct staging_hold *out, struct fault *flt);
/** Give it up; the kernel does that too when the process dies. One that was given up is fine. */
void staging_end_hold(struct staging_hold *hold);

/* ---- Contents. The caller has a hold. ---- */

/**
 * Copy what lies behind the position of `fd` into a content; where the file system can, without moving a byte.
 * @param size  in bytes; may be NULL
 * @return 0; WARG_UNDECIDED: with ENOSPC nothing is left behind; FAULT_LIMIT past CAP_CONTENT
 */
int staging_add(struct staging *staging, int fd, struct digest *out, uint64_t *size, struct fault *flt);

/**
 * Open a content for reading, hashed again. One that lies only in the content cache, where the reference stages, is
 * copied here first; one here whose bytes are not what its name says is removed, and looked for there.
 * @param fd  close() it; -1 if it is neither here nor there, or is not what it was when it was staged
 */
int staging_open_content(struct staging *staging, const struct digest *digest, int *fd, uint64_t *size,
			 struct fault *flt);

/** The size of a content that lies here or in the cache, unhashed: for who only looks. @return false: none does */
bool staging_find_size(struct staging *staging, const struct digest *digest, uint64_t *size);

/**
 * Remove the contents that neither the open transaction nor the journal names, and what who crashed left half done.
 * Does nothing while anybody has a hold, or if one of the two cannot be read.
 * @param pending  the store with the transaction: the home registry's; NULL: the staging's own
 */
int staging_sweep(struct staging *staging, struct store *pending, struct fault *flt);

/* ---- Listing the folders of files ---- */

/** A file that was written through a mount and is not published. */
struct staging_file {
	struct name name;    /* the package whose folder has it */
	char file[512];      /* its name; of one in a folder, the folder's before a slash */
	uint64_t size;
	int64_t modified;    /* seconds since 1970 */
};
/**
 * List the files of the claimed folder, or of all folders if none is claimed; in no order.
 * @param out  free() it. At most CAP_STAGED_FILES: FAULT_LIMIT
 */
int staging_list_files(struct staging *staging, struct staging_file **out, size_t *count, struct fault *flt);

#endif
