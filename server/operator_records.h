/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The operator's log of a registry here: its first record, and the namespaces that are added later.
 */
#ifndef WARG_SERVER_OPERATOR_RECORDS_H
#define WARG_SERVER_OPERATOR_RECORDS_H

#include "append.h"
#include "verify/operator_log.h"

/** A namespace that the registry is to have. */
struct operator_wish {
	const char *name;
	const char *registry; /* the domain that it is imported from; NULL: it is defined here */
};

/**
 * Load the operator's log from the database; an empty log if there is none. @param out one reference
 * @return 0; WARG_INVALID if a record of it is damaged or lost
 */
int operator_records_load(struct database *database, struct operator_log **out, struct fault *flt);

/**
 * The same with damaged signatures: records whose bytes match their ids, and that `key` may sign, are signed again.
 */
int operator_records_mend(struct database *database, const struct ecdsa_private_key *key, struct operator_log **out,
			  struct fault *flt);

/**
 * See that the registry has begun, and has these namespaces: one record and its checkpoint, if anything lacks.
 * @param log    as it is; on success as it is then
 * @param state  the same
 * @return 0; FAULT_DENIED if the key is not one that the log lets do this; FAULT_MISUSE if a namespace is none, or is
 *         already something else
 */
int operator_records_ensure(struct database *database, struct append_state *state, struct operator_log **log,
			    const struct ecdsa_private_key *key, const struct operator_wish *wishes, size_t count,
			    struct fault *flt);

#endif
