/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Inode numbers: derived from names, so that they are the same at every mount, and for releases from the digest of
 * their bytes as well, so that a number never comes back with other bytes. A draft keeps its number when it is renamed:
 * it is derived from the number that the file has on disk.
 *
 * A registry chooses names, and could search for colliding names in 62 bits: a secret key prevents that. Accidental
 * collisions are resolved by `turn` (see node.h).
 */
#ifndef WARGFS_FS_INODE_H
#define WARGFS_FS_INODE_H

#include "path.h"

/** The root's number, as FUSE has it. */
#define INODE_ROOT 1

/**
 * The number of a place.
 * @param content  digest of a release's bytes, or of what is known of a file that was written here; not looked at for
 *                 places that have none (path_has_digest())
 * @param turn     0, or how many numbers were taken already
 * @return INODE_ROOT for the root, else a number from 2 to INT64_MAX
 */
uint64_t inode_number(const struct digest *key, const struct path *path, const struct digest *content, unsigned turn);

#endif
