/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The names of packages, by their log ids: known from the first record that was sent for one on, as the reference does,
 * whatever becomes of that record.
 */
#ifndef WARG_SERVER_PACKAGE_NAMES_H
#define WARG_SERVER_PACKAGE_NAMES_H

#include "database.h"
#include "verify/name.h"

/**
 * Store a name; within database_begin() and database_commit(). No-op if it is stored; a damaged one is replaced.
 */
int package_names_add(struct database *database, const struct name *name, struct fault *flt);

/**
 * The name of a log's package.
 * @return 0; FAULT_ABSENT: the log is unknown; WARG_INVALID: the name is not valid, or damaged
 */
int package_names_find(struct database *database, const struct digest *log_id, struct name *out, struct fault *flt);

/*
 * The same for a text that is no valid name, of an imported package that is refused (refused.h). `text` hashes to the
 * log id, and has at most CAP_NAME_CARRIED bytes.
 */
int package_names_add_text(struct database *database, const struct digest *log_id, struct span text, struct fault *flt);
/** @param out  the text is appended to it */
int package_names_find_text(struct database *database, const struct digest *log_id, struct buf *out, struct fault *flt);

#endif
