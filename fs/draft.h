/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Files that were written to a mount and are not published: real files below the staging's folder, each under the path
 * that it has in the mount. Whatever lies there is in the mount, also after a remount or a crash.
 *
 * The kernel knows such a file by the file itself, not by its name: it keeps its node while it is renamed, and for as
 * long as somebody has it open after it was removed.
 */
#ifndef WARGFS_FS_DRAFT_H
#define WARGFS_FS_DRAFT_H

#include "tree.h"

#include <pthread.h>
#include <sys/stat.h>

struct blocking_job;
struct mount;
struct node;
struct request;

/** How far the publishing of a file came. */
enum draft_stage {
	DRAFT_OPEN, /* it is an ordinary file */
	DRAFT_GIVEN, /* its bytes are being published, and cannot be changed */
	DRAFT_PUBLISHED, /* they are published, and cannot be changed any more */
};

/** A node's half of such a file. */
struct draft {
	int fd; /* O_PATH: the file, whatever it is called */
	pthread_mutex_t mutex; /* for what follows */
	struct path path; /* where it is */
	bool is_alias; /* the node is an alias of a file (alias.h), for reading: what follows is not used */
	bool is_nameless; /* it never had a name on the disk (repeat.h) */
	bool is_removed; /* it has no name any more */
	bool is_written; /* something was written that no flush has looked at */
	bool was_refused; /* the last write failed and returned the error, so close() need not */
	pid_t writer; /* the thread that wrote or, before the first write, opened it last; 0: unknown */
	enum draft_stage stage;
	struct blocking_job *blocking_job; /* that it is given to; it ends the stage before it ends itself */
	int outcome; /* errno of what came of it last; 0: nothing is wrong, or more was written since */
	unsigned writers; /* open files that may write to it */
};
/** NULL is fine. */
void draft_free(struct draft *draft);

/**
 * The file that was written under a path, with a reference to its node.
 * @param path  of a kind that path_is_draft()
 * @param out   NULL: there is none
 */
int draft_find(struct mount *mount, const struct path *path, struct node **out, struct fault *flt);

/** The same for a name that is listed, which may be an alias (alias.h): the node is that of the file itself. */
int draft_find_listed(struct mount *mount, const struct path *path, struct node **out, struct fault *flt);

/**
 * Make a file, and the folders above it where they are missing.
 * @param fd   open for reading and writing; close() it
 * @param out  with a reference
 * @return 0; WARG_UNDECIDED with FAULT_EXISTS if there is one
 */
int draft_create(struct mount *mount, const struct path *path, mode_t mode, int *fd, struct node **out,
		 struct fault *flt);

/** Make a draft that has no name on the disk, to be known as `path`. @param out  with a reference */
int draft_create_nameless(struct mount *mount, const struct path *path, struct node **out, struct fault *flt);

/** Open the file that a node stands for. @param flags  for open(2) */
int draft_open(const struct node *node, int flags, int *fd, struct fault *flt);

/**
 * Remove a file's name, if it is still this file's.
 * @return 0; WARG_UNDECIDED with FAULT_ABSENT if it is not
 */
int draft_remove(struct mount *mount, struct node *node, struct fault *flt);

/** Remove the name of a file that has no bytes, and that nobody publishes. The mutex is held. */
void draft_remove_empty(struct mount *mount, struct draft *draft);

/**
 * Give a file another name in the same area, which takes the name from a file that has it.
 * @param over  whose name is taken: its node, or NULL
 */
int draft_rename(struct mount *mount, struct node *node, const struct path *to, struct node *over, struct fault *flt);

/**
 * Answer a lookup of request->path with what was written under that name, or with the folder that was made here.
 * @return false: there is nothing, and the request goes on
 */
bool draft_reply_entry(struct request *request);

/** What stat() says of it, beside its number and whose it is. */
int draft_stat(const struct node *node, struct stat *out, struct fault *flt);

/* ---- Folders ---- */

/** Whether a folder was made here. @param changed_at  when something was put in or taken out; may be NULL */
bool draft_has_folder(const struct mount *mount, const struct path *folder, struct timespec *changed_at);

/** Make a folder, and those above it. One that is there is fine. */
int draft_make_folder(const struct mount *mount, const struct path *folder, struct fault *flt);

/** Take a folder back. @return 0; WARG_UNDECIDED with ENOTEMPTY, or FAULT_ABSENT */
int draft_remove_folder(const struct mount *mount, const struct path *folder, struct fault *flt);

/** What some entries of a listing borrow from. */
struct draft_listed;

/**
 * Add to the entries of a folder what was written here: files, those that are called like versions under their aliases,
 * and folders that the registry does not have.
 * @param out  free() it after the entries; NULL if there is nothing
 */
int draft_list(const struct mount *mount, const struct view *view, const struct path *folder,
	       struct tree_entries *entries, struct draft_listed **out, struct fault *flt);

#endif
