/*
 * The names of packages, by their log ids: known from the first record that was sent for one on, as the reference does,
 * whatever becomes of that record.
 */
#ifndef WARG_SERVER_PACKAGES_H
#define WARG_SERVER_PACKAGES_H

#include "database.h"
#include "verify/name.h"

/** Remember a name; within database_begin() and database_commit(). One that is known is fine. */
int packages_add(struct database *database, const struct name *name, struct fault *flt);

/** The name of a log's package. @return 0; FAULT_ABSENT: no record was ever sent for one */
int packages_find(struct database *database, const struct digest *log_id, struct name *out, struct fault *flt);

#endif
