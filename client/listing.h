/*
 * The listing: which packages a registry has, from its ledger (protocol.md section 9, number 7).
 *
 * The log root is rebuilt from the ledger and compared with the checkpoint's, and every name hashes to its log id: what
 * is listed is there, and, when no name was withheld, what is not listed is not. Immutable, counted by references.
 */
#ifndef WARG_CLIENT_LISTING_H
#define WARG_CLIENT_LISTING_H

#include "api.h"

#include <stdatomic.h>

struct listing {
	atomic_uint references;
	bool complete;        /* false: the registry has no ledger, or withholds names */
	struct merkle_log_roots roots; /* of the ledger at `roots.length`, which is the checkpoint's length */
	struct name *names;   /* sorted by their text */
	size_t count;
	struct digest *log_ids; /* sorted; all logs but the operator's */
	size_t log_count;
};

/**
 * Bring a listing up to a checkpoint that was verified.
 *
 * @param base   the listing before, or NULL; only the ledger's growth is fetched
 * @param known  names that are proven otherwise: listed as well when the registry has no ledger
 * @param out    a new reference
 * @return 0; WARG_INVALID if the ledger does not lead to the checkpoint's root or a name is false
 */
int listing_update(const struct api *api, const struct listing *base, const struct checkpoint *checkpoint,
		   const struct name *known, size_t known_count, clock_ms deadline, struct listing **out,
		   struct fault *flt);

/** One more reference. */
struct listing *listing_ref(struct listing *listing);
/** NULL is fine. */
void listing_unref(struct listing *listing);

/** Whether the listing has the package. */
bool listing_has(const struct listing *listing, const struct name *name);

/** The index of the first name that is not below `namespace:`; names of one namespace stand side by side. */
size_t listing_first_in(const struct listing *listing, struct span namespace);

#endif
