/*
 * The listing: which packages a registry has, from its ledger (protocol.md section 9, number 7).
 *
 * The log root is rebuilt from the ledger and compared with the checkpoint's, and every name hashes to its log id: what
 * is listed is there, and, when no name was withheld, what is not listed is not. Immutable, counted by references.
 */
#ifndef WARG_CLIENT_LISTING_H
#define WARG_CLIENT_LISTING_H

#include "ledger.h"

#include <stdatomic.h>

/** A log in the ledger. */
struct listing_log {
	struct digest id;
	uint64_t last; /* index of its last record */
};

struct listing {
	atomic_uint references;
	bool complete;        /* false: the registry has no ledger, or withholds names, or it is of the past */
	uint64_t length;      /* records of the ledger that it was made from: the checkpoint's; 0 without a ledger */
	struct name *names;   /* sorted by their text */
	size_t count;
	struct listing_log *logs; /* sorted by their ids; all but the operator's */
	size_t log_count;
	uint64_t operator_last; /* index of the operator's last record; only with a ledger */
};

/**
 * Bring a listing, and the ledger that it is made from, up to a checkpoint that was verified.
 *
 * @param ledger  only its growth is fetched; what it lacks, once it was proven to be damaged or false, as well
 * @param base    the listing before, or NULL
 * @param known   names that are proven otherwise: listed as well when the registry has no ledger
 * @param out     a new reference
 * @return 0; WARG_INVALID if the registry's ledger does not lead to the checkpoint's root or a name is false
 */
int listing_update(const struct api *api, struct ledger *ledger, const struct listing *base,
		   const struct signed_checkpoint *checkpoint, const struct name *known, size_t known_count,
		   clock_ms deadline, struct listing **out, struct fault *flt);

/**
 * The listing that the ledger alone leads to, with the names that were kept: no network.
 * @param checkpoint  one that was verified, and that the ledger stands at
 */
int listing_load(struct ledger *ledger, const struct checkpoint *checkpoint, struct listing **out, struct fault *flt);

/**
 * The names of a listing, when it could not be brought to a later checkpoint: they are there still, as no log ends, but
 * may not be all.
 * @param out  not complete; a new reference
 */
int listing_outdate(const struct listing *listing, struct listing **out, struct fault *flt);

/** One more reference. */
struct listing *listing_ref(struct listing *listing);
/** NULL is fine. */
void listing_unref(struct listing *listing);

/** Whether the listing has the package. */
bool listing_has(const struct listing *listing, const struct name *name);

/** The log of this id, or NULL. Borrowed from the listing. */
const struct listing_log *listing_find_log(const struct listing *listing, const struct digest *log_id);

/** The index of the first name that is not below `namespace:`; names of one namespace stand side by side. */
size_t listing_first_in(const struct listing *listing, struct span namespace);

#endif
