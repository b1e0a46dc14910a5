/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Namespaces that live in other registries, as a mount has them.
 *
 * That one is there is known without its registry, which is opened when somebody looks into it: one that is away makes
 * only its own namespaces fail. A mount asks for no hints, but it watches the namespace map, where commands keep those
 * that were taken: a namespace appears in a mount as soon as it is there.
 */
#ifndef WARGFS_FS_FEDERATED_H
#define WARGFS_FS_FEDERATED_H

#include "mount_parts.h"
#include "tree.h"

/**
 * Where a place's namespace lives; at home, if it has none.
 * @return 0; WARG_INVALID, or undecided, if that cannot be told
 */
int federated_find(const struct mount *mount, const struct path *path, struct namespaces_place *out, struct fault *flt);

/**
 * Add the namespaces that live elsewhere to the entries of a folder that holds namespaces; to any other, nothing.
 * @param out  what the entries borrow from; free() it after them; may be NULL
 */
int federated_list(const struct mount *mount, const struct path *folder, struct tree_entries *entries,
		   struct namespaces_listed **out, struct fault *flt);

/** For federation_options: what another registry's callbacks do. `host` is the mount. */
int federated_configure_registry(void *host, const char *domain, struct registry_options *options, struct fault *flt);

/** Begin to watch the map. @return a descriptor that is readable when something may have happened to it; -1: none */
int federated_watch(struct mount *mount);
/** Something may have happened to it: have the kernel told of namespaces that live elsewhere now. */
void federated_look(struct mount *mount);

/** The home registry's operator may have imported a namespace, or not. */
void federated_operator_changed(struct mount *mount);

/** Open no other registry any more, and report none. */
void federated_stop(struct mount *mount);
/** All registries are closed. */
void federated_release(struct mount *mount);

#endif
