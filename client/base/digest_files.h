/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Folders of files that are named after a digest each: "<hex>.json".
 */
#ifndef WARG_CLIENT_DIGEST_FILES_H
#define WARG_CLIENT_DIGEST_FILES_H

#include "verify/digest.h"

/** Room for such a name, and for one that is a few bytes longer. */
#define DIGEST_FILE_NAME_SIZE (DIGEST_TEXT_SIZE + 8)

/** The name of the file. */
void digest_file_name(const struct digest *digest, char out[static DIGEST_FILE_NAME_SIZE]);

/**
 * The digests of all such files in a folder, in the order in which they were written last.
 * @param out  free() it; NULL if there are none
 * @return 0; WARG_UNDECIDED with FAULT_LIMIT if there are more than `cap`
 */
int digest_files_list(int folder, size_t cap, struct digest **out, size_t *count, struct fault *flt);

#endif
