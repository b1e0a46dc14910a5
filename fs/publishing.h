/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What publishes: blocking jobs that hand something to the publisher and come back when it is proven.
 */
#ifndef WARGFS_FS_PUBLISHING_H
#define WARGFS_FS_PUBLISHING_H

#include "request.h"

/**
 * The blocking job that publishes a file as a version. Nobody may write to the file meanwhile: DRAFT_GIVEN.
 * @param thread  of the program that has it published, as the kernel names it
 * @return 0; WARG_UNDECIDED with FAULT_EXISTS if the version is being published already
 */
int publishing_begin_release(struct mount *mount, struct node *node, const struct path *version, pid_t thread,
			     struct blocking_job **out, struct fault *flt);

/** The blocking job that yanks a version. */
int publishing_yank(struct mount *mount, const struct path *version, pid_t thread, struct blocking_job **out,
		    struct fault *flt);

/** The blocking job that submits the open transaction, if it is this package's. @param package  its folder */
int publishing_begin_submit(struct mount *mount, const struct path *package, pid_t thread, struct blocking_job **out,
			    struct fault *flt);

/** The blocking job that checks that a file is whole, and adds it to the open transaction as the version it names. */
int publishing_enlist(struct mount *mount, struct node *node, const struct path *entry, pid_t thread,
		      struct blocking_job **out, struct fault *flt);

/** Whether a version is being published just now. */
bool publishing_is_claimed(struct mount *mount, const struct path *version);

/** Open what publishes, and have it go on with what an earlier daemon began. Waits for nothing. */
int publishing_start(struct mount *mount, struct fault *flt);
/** The registry was heard of: go on with what is in doubt still, if there is something. Waits for nothing. */
void publishing_look_again(struct mount *mount);
/** End all blocking jobs, whoever waits; what is under way is in the journal. No request may come any more. */
void publishing_stop(struct mount *mount);
/** Give everything back. Nobody may work with a file any more. */
void publishing_end(struct mount *mount);

/**
 * A fault with the publishing of something: to the log, to the file's last error, and to the package's folder; where no
 * package is concerned, to the nearest folder.
 */
void publishing_tell(struct mount *mount, const struct path *path, const struct fault *flt);

#endif
