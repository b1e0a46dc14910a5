/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A mounted registry.
 *
 * Calling sequence: mount_new(); open the federation with mount_changed(), mount_failed() and
 * mount_configure_registry() as its callbacks and have its home registry refreshed; mount_start(); mount_run() until it
 * ends; mount_stop(); close the federation; mount_free().
 */
#ifndef WARGFS_FS_MOUNT_H
#define WARGFS_FS_MOUNT_H

#include "client/registry/federation.h"
#include "mount_options.h"

struct mount;

/** How a mount that may be written to publishes. All borrowed for as long as the mount lives. */
struct mount_publishing {
	const char *state_dir; /* as publisher_options, here and below */
	int (*find_key)(void *user, struct ecdsa_private_key **out, struct fault *flt);
	void *user;
	bool auto_init;
};

/**
 * @param inode_key   see inode.h
 * @param publishing  looked at only if the options say that the mount may be written to
 */
int mount_new(const struct mount_options *options, const struct digest *inode_key,
	      const struct mount_publishing *publishing, struct mount **out, struct fault *flt);

/** For registry_options; `user` is the mount. */
void mount_changed(void *user, const struct view *before, const struct view *after);
void mount_failed(void *user, const struct fault *flt);
bool mount_needs(void *user, const struct name *package);
/** Log a sentence that is no fault. */
void mount_note(struct mount *mount, const char *sentence);
/** For federation_options; `host` is the mount. */
int mount_configure_registry(void *host, const char *domain, struct registry_options *options, struct fault *flt);

/** Whether `folder` can be mounted on; a sentence that says why not. Touches nothing that may hang. No network. */
int mount_check_folder(const char *folder, struct fault *flt);

/** Whether what is mounted on `folder`, an absolute path, is a mount of ours, alive or dead. Touches nothing. */
bool mount_is_ours(const char *folder);

/** Call `found` for the mountpoint of each mount of ours that a user made, from the kernel's list. Touches nothing. */
void mount_list(uid_t owner, void (*found)(void *user, const char *folder), void *user);

/**
 * What the mount of ours on top of a folder shows as mounted, from the kernel's list.
 * @param out  free() it; NULL: nothing of ours is on top
 */
int mount_find_source(const char *folder, char **out, struct fault *flt);

/**
 * Mount the registries on `folder`, an absolute path, and answer from now on.
 * @param socket  listening socket that status is asked on, or -1; the mount closes it
 */
int mount_start(struct mount *mount, struct federation *federation, const char *folder, int socket,
		struct fault *flt);

/** Nobody reads stderr any more: log to syslog. */
void mount_go_quiet(struct mount *mount);

/** Have a new checkpoint looked for now. May be called from a signal handler; heard by mount_run(). */
void mount_refresh(struct mount *mount);

/** Wait until somebody unmounts, or mount_end() is called. */
void mount_run(struct mount *mount);

/** Have mount_run() return. May be called from a signal handler. */
void mount_end(struct mount *mount);

/** End all threads of the mount. It stands still, but nobody answers. */
void mount_stop(struct mount *mount);

/** Unmount, and give everything back. Nobody may wait for a registry any more. NULL is fine. */
void mount_free(struct mount *mount);

#endif
