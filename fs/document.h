/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Documents: small files that are made when somebody opens and looks at them, from what is believed then.
 */
#ifndef WARGFS_FS_DOCUMENT_H
#define WARGFS_FS_DOCUMENT_H

#include "request.h"

/**
 * Append a document's text.
 * @param path  a file that is no release; what it tells of is in the view
 * @return 0; WARG_UNDECIDED if it is not in the view, without memory, or past the bound of `out`
 */
int document_render(struct mount *mount, const struct view *view, const struct path *path, struct buf *out,
		    struct fault *flt);

/**
 * The text of request->node, a document: made where it was not yet, once what it tells of is known.
 * @return borrowed from the node; NULL: the request waits or has failed, and must not be touched
 */
const struct buf *document_text(struct request *request);

/** What a document may be long. */
#define DOCUMENT_MOST CAP_FILE_STATE

#endif
