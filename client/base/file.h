/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Files that others may be writing, or may have put there to harm us: read whole, replaced whole, locked with a bound.
 *
 * No function here follows a symbolic link at the name that it is given, and all descriptors are closed on exec.
 */
#ifndef WARG_CLIENT_FILE_H
#define WARG_CLIENT_FILE_H

#include <sys/types.h>

#include "verify/digest.h"

/**
 * Open the folder `path`, making it and its parents where they are missing (mode 0777 less the umask, as the
 * reference). Links in `path` are followed: it is what the user configured.
 */
int file_open_top(const char *path, int *fd, struct fault *flt);

/**
 * Keep a folder open for the life of the process. file_open_top() and file_open_inside() then use its descriptor even
 * if something else is mounted or renamed over its path, until the folder is removed. At most FILE_TOPS folders;
 * further ones, and those that cannot be opened, are reached by path.
 */
void file_hold_top(const char *path);
#define FILE_TOPS 8

/**
 * Have the name of the folder `name`, relative to `parent`, on the disk: fsync its parent, unless this process has done
 * that since the folder was made.
 */
int file_sync_name(int parent, const char *name, struct fault *flt);

/**
 * Make the folder `name`, relative to `parent`, and file_sync_name(), so that files synced inside it are still found
 * after a crash. No fault if it exists.
 */
int file_make_folder(int parent, const char *name, mode_t mode, struct fault *flt);

/**
 * Open the folder `name` inside `parent`.
 * @param make  make it where it is missing
 * @param fd    close() it; -1 if there is none and `make` is false
 */
int file_open_folder(int parent, const char *name, bool make, int *fd, struct fault *flt);

/**
 * Open the folder `name` inside the folder `path`, as file_open_top() and file_open_folder(): `make` goes for both. It
 * is for what can be fetched again: `path` is not fsynced where `name` is made.
 */
int file_open_inside(const char *path, const char *name, bool make, int *fd, struct fault *flt);

/**
 * Open `<state_dir>/<label>/<name>`, a folder that is for nobody else: it and the one that has it are made 0700 where
 * they are missing, and have to be ours.
 * @return 0; WARG_UNDECIDED: FAULT_MISUSE if `label` would lead out of `state_dir`, EPERM if a folder is not ours
 */
int file_open_private(const char *state_dir, const char *label, const char *name, int *fd, struct fault *flt);

/**
 * Open a regular file for reading.
 * @param fd    close() it; -1 if there is none: links, folders, pipes and devices count as none
 * @param size  in bytes; may be NULL
 */
int file_open(int folder, const char *name, int *fd, uint64_t *size, struct fault *flt);

/**
 * Read what lies behind the position of `fd` and append it. @return 0; WARG_UNDECIDED past the cap of `out`, or on I/O
 */
int file_read_all(int fd, struct buf *out, struct fault *flt);

/** Hash what lies behind the position of `fd`. @return 0; WARG_UNDECIDED on I/O */
int file_hash(int fd, struct digest *out, struct fault *flt);

/**
 * Copy what lies behind the position of `from` into the empty file `to`, open for reading and writing; hashed on the
 * way. Where the file system can it shares the blocks.
 * @return 0; WARG_UNDECIDED: FAULT_LIMIT past `cap` bytes, or on I/O
 */
int file_copy(int from, int to, uint64_t cap, struct digest *out, uint64_t *size, struct fault *flt);

/** Read a whole regular file, appending. @param found  false if there is none */
int file_read(int folder, const char *name, struct buf *out, bool *found, struct fault *flt);

/** Read a whole file that a person named, appending: links are followed. A fault names it. */
int file_read_path(const char *path, struct buf *out, struct fault *flt);

/** Write all bytes. */
int file_write_all(int fd, struct span bytes, struct fault *flt);

/** The same, from `offset` on, wherever the position of `fd` is. */
int file_write_at(int fd, uint64_t offset, struct span bytes, struct fault *flt);

/**
 * Put `bytes` under `name`, whole or not at all: a temporary dot-file beside it, fsync, rename. The folder itself is
 * not yet synced: file_sync(folder) does that, once for many files. The caller holds a lock against others who do the
 * same: the temporary name is fixed, so that one left behind by a crash is used up by the next.
 */
int file_replace(int folder, const char *name, mode_t mode, struct span bytes, struct fault *flt);
/**
 * The same without fsync, for what can be fetched again: after a power failure the file may be empty, or the one
 * before.
 */
int file_replace_unsynced(int folder, const char *name, mode_t mode, struct span bytes, struct fault *flt);
/** Remove what a crash left of that, where no next one will use it up. */
void file_remove_temp(int folder, const char *name);
/** Remove temporary files that crashes left in a folder. The caller holds the lock. Errors are ignored. */
void file_sweep_temps(int folder);

/** Open the folder of the file at `path`, an absolute one, making it where it is missing. @param name  in `path` */
int file_open_parent(const char *path, int *fd, const char **name, struct fault *flt);

/**
 * For files that a person's programs write now and then, and are done with at once: lock their folder, or fail with
 * EAGAIN; then file_replace() and file_sync(), with the mode of the file that is there already.
 */
int file_lock_or_fail(int folder, struct fault *flt);
int file_replace_locked(int folder, const char *name, mode_t mode, struct span bytes, struct fault *flt);

/** Remove a file, or a folder with all that is in it. Links are removed, not followed. None there is fine. */
int file_remove_tree(int parent, const char *name, struct fault *flt);

/** Have the disk begin with bytes that were written: a later fsync has less to wait for. Nothing is promised. */
void file_begin_sync(int fd, uint64_t offset, uint64_t length);

/** Have the kernel keep these bytes of a file in memory no longer, where the disk has them. */
void file_forget(int fd, uint64_t offset, uint64_t length);

/**
 * The same file for reading only, also where it has lost its name: who holds it keeps no disk writable. Steals `fd`.
 * @return a descriptor; `fd` itself where that cannot be had
 */
int file_reopen_take(int fd);

/** fsync a file or folder. */
int file_sync(int fd, struct fault *flt);
/** The same for a folder that many threads put files into: those who come while one syncs share the next sync. */
int file_sync_shared(int folder, struct fault *flt);

/** Take an exclusive flock on an open file or folder. @param had  false if it could not be had within `wait` ms */
int file_lock(int fd, int wait, bool *had, struct fault *flt);

/** The same, but shared with others who take it so. */
int file_lock_shared(int fd, int wait, bool *had, struct fault *flt);

/**
 * Claim something that has a lock file: make the file where it is missing, mode 0600, and lock it. Never waits; a
 * process that dies gives its claims up. Who is done with it calls file_end_claim().
 * @param fd    -1 while another has the claim
 * @param size  written only then: how long that one's file is; may be NULL
 */
int file_claim(int folder, const char *name, int *fd, uint64_t *size, struct fault *flt);
/** Remove the lock file and close it: in this order, as what lost its name is no claim any more. */
void file_end_claim(int folder, const char *name, int fd);

/**
 * Remove a file if its lock can be had at once: a program that works with it holds the lock as long as it lives. Errors
 * are ignored.
 */
void file_remove_unlocked(int folder, const char *name);

/**
 * Call `visit` with the name of each entry of the folder `top`/`inner` that starts with no dot. It is not made where it
 * is missing, which is no fault.
 */
int file_walk(const char *top, const char *inner, void (*visit)(int folder, const char *name, void *context),
	      void *context, struct fault *flt);

/** A name nobody guesses: `prefix` and 16 random digits. */
int file_new_name(const char *prefix, char *out, size_t size, struct fault *flt);

#endif
