/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What draft.c and draft_list.c share. Not for other files.
 */
#ifndef WARGFS_FS_DRAFT_PARTS_H
#define WARGFS_FS_DRAFT_PARTS_H

#include "mount_parts.h"
#include "draft.h"

/** Open a folder in the staging. @param fd  close() it; -1 if there is none */
int draft_open_folder(const struct mount *mount, const struct path *folder, bool make, int *fd, struct fault *flt);

/**
 * Numbers of the disk come again only when nobody has the file open any more. A file's alias is another node than the
 * file: what is done by the one name and by the other differs.
 */
struct digest draft_identity(dev_t device, ino_t number, bool is_alias);

#endif
