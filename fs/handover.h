/*
 * What publishes: chores that hand something to the publisher and come back when it is proven, and who may have that
 * done.
 */
#ifndef WARGFS_FS_HANDOVER_H
#define WARGFS_FS_HANDOVER_H

#include "request.h"

/**
 * Whether a version can be published, as far as that can be known beforehand: its namespace is defined here, the
 * version is free, there is a key, and the key has the permission.
 * @param version  of a release
 * @return false: the request waits or has failed, and must not be touched
 */
bool handover_allows(struct request *request, const struct path *version);

/**
 * Whether something can be put into a namespace: the operator has to define it.
 * @return false: the request waits or has failed, and must not be touched
 */
bool handover_allows_namespace(struct request *request, const struct path *path);

/**
 * The chore that publishes a file as a version. Nobody may write to the file meanwhile: STAGED_GIVEN.
 * @param thread  of the program that has it published, as the kernel names it
 * @return 0; WARG_UNDECIDED with FAULT_EXISTS if the version is being published already
 */
int handover_release(struct mount *mount, struct node *node, const struct path *version, pid_t thread,
		       struct chore **out, struct fault *flt);

/** The chore that yanks a version. */
int handover_yank(struct mount *mount, const struct path *version, pid_t thread, struct chore **out,
		    struct fault *flt);

/** The chore that submits the open transaction, if it is this package's. @param package  its folder */
int handover_submit(struct mount *mount, const struct path *package, pid_t thread, struct chore **out,
		      struct fault *flt);

/** The chore that checks that a file is whole, and keeps it for the open transaction, as the version it is called. */
int handover_enlist(struct mount *mount, struct node *node, const struct path *entry, pid_t thread,
		      struct chore **out, struct fault *flt);

/**
 * Whether two threads are of one process, as far as can be known.
 * @param one, other  as the kernel names them
 */
bool handover_is_same_process(pid_t one, pid_t other);

/** Whether a version is being published just now. */
bool handover_is_claimed(struct mount *mount, const struct path *version);

/**
 * Whether this process has just published a version, or for a folder, whether anybody has published something in it:
 * programs set times and permissions when they are done, and have to find that this works.
 * @param thread  as the kernel names who asks
 */
bool handover_is_recent(struct mount *mount, const struct path *path, pid_t thread);

/** Open what publishes, and have it go on with what an earlier daemon began. Waits for nothing. */
int handover_start(struct mount *mount, struct fault *flt);
/** The registry was heard of: go on with what is in doubt still, if there is something. Waits for nothing. */
void handover_look_again(struct mount *mount);
/** End all chores, whoever waits; what is under way is in the journal. No request may come any more. */
void handover_stop(struct mount *mount);
/** Give everything back. Nobody may work with a file any more. */
void handover_end(struct mount *mount);

/** A fault with the publishing of something: to the log, and to the package's folder. */
void handover_tell(struct mount *mount, const struct path *path, const struct fault *flt);

#endif
