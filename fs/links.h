/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Symbolic links that programs make in a package, as they copy it from another mount.
 *
 * The mount itself makes `latest.wasm`, once there is a release. So a program may make that link, and remove it to make
 * it anew, as cp does with a link that is there: both succeed, and change nothing for others. While the program that
 * removed the link makes it anew, it alone does not see it. It may also make the link under the name `.latest.wasm.…`
 * and rename that to `latest.wasm`, as rsync does. All of this is in memory, and is over after a while.
 */
#ifndef WARGFS_FS_LINKS_H
#define WARGFS_FS_LINKS_H

#include "request.h"

struct links;

/** Make an empty one, to be freed. */
int links_new(struct links **out, struct fault *flt);
/** NULL is fine. */
void links_free(struct links *links);

/**
 * Answer the lookup of a link that a program has made under another name, or of `latest.wasm` by a program that has
 * removed it.
 * @return false: it is neither, and the request goes on
 */
bool links_reply_entry(struct request *request);

/** Where a link leads to that a program has made. @return false: there is none */
bool links_target(struct mount *mount, const struct path *path, char out[static PATH_SIZE]);

/** Remove the link at request->path. @return false: it is none of these, and the request goes on */
bool links_unlink(struct request *request);

/** Rename the link at request->from to `latest.wasm`. @return false: it is none that a program has made */
bool links_rename(struct request *request);

#endif
