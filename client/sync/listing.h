/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The listing: which packages a registry has, from its ledger (protocol.md section 9, number 7).
 *
 * The log root is rebuilt from the ledger and compared with the checkpoint's, and every name hashes to its log id: what
 * is listed is there, and, when no name was withheld, what is not listed is not. Immutable, counted by references.
 */
#ifndef WARG_CLIENT_LISTING_H
#define WARG_CLIENT_LISTING_H

#include "client/base/name_list.h"
#include "client/store/ledger.h"
#include "view_trie.h"

#include <stdatomic.h>

#define LISTING_NAMELESS UINT32_MAX
#define LISTING_NAME_REFUSED (UINT32_MAX - 1) /* it is in `refused` */

/** A log in the ledger. */
struct listing_log {
	struct digest id;
	uint32_t last; /* index of its last record: below CAP_LOG_LENGTH */
	uint32_t name; /* where its name begins in the texts of `names`; or LISTING_NAMELESS, LISTING_NAME_REFUSED */
};

/** A log whose name no package can have here. */
struct listing_refused {
	struct digest id;
	char text[64]; /* the beginning of the name, NUL-terminated, of any bytes */
	size_t length; /* of the name */
};

struct listing {
	atomic_uint references;
	bool complete;        /* false: the registry has no ledger, or withholds names, or it is of the past */
	uint64_t length;      /* records of the ledger that it was made from: the checkpoint's; 0 without a ledger */
	struct name_list names; /* sorted */
	uint32_t *last;         /* of each of them: index of the last record of its log; only with a ledger */
	struct listing_log *logs; /* sorted by their ids; all but the operator's */
	size_t log_count;
	struct listing_refused *refused; /* logs with refused names: they do not make the listing incomplete */
	size_t refused_count;
	uint64_t operator_last; /* index of the operator's last record; only with a ledger */
	/*
	 * What listing_newest_in() found last: one more than the index of a namespace's first name, and the index of
	 * its newest, in 32 bits each; 0: nothing. Readers side by side find the same.
	 */
	_Atomic uint64_t newest;
};

/** Names that are known without the registry. All borrowed. */
struct listing_known {
	/* proven by their logs: listed as well when the registry has no ledger, or withholds names; NULL: none */
	const struct view_trie *packages;
	/* listed where the ledger has their logs */
	const struct name *const *names;
	size_t count;
};

/**
 * Bring a listing, and the ledger that it is made from, up to a verified checkpoint.
 *
 * @param ledger  only missing records are fetched: its growth, and those dropped as damaged or false
 * @param base    the listing before, or NULL
 * @param known   names that need not be asked for; NULL: none
 * @param out     a new reference
 * @return 0; WARG_INVALID if the registry's ledger does not lead to the checkpoint's root or a name is false;
 *         WARG_UNDECIDED with FAULT_LIMIT past CAP_LISTED_LOGS or CAP_LISTED_NAMES. Received parts of ledger and names
 *         are kept for the next call
 */
int listing_update(const struct api *api, struct ledger *ledger, const struct listing *base,
		   const struct signed_checkpoint *checkpoint, const struct listing_known *known, clock_ms deadline,
		   struct listing **out, struct fault *flt);

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

/** The index of a package's name, or of the one that would follow it. */
size_t listing_index(const struct listing *listing, const struct name *name);

/** The log of this id, or NULL. Borrowed from the listing. */
const struct listing_log *listing_find_log(const struct listing *listing, const struct digest *log_id);

/**
 * Say why a log's name is refused.
 * @param out  a fault: FAULT_OVERSIZED, and where
 */
void listing_tell_refused(const struct listing_refused *refused, struct fault *out);

/**
 * The index of the namespace's package with the newest record in the registry's log. Asked again for the same namespace
 * it does not look at all names.
 * @return false: it has none, or there is no ledger
 */
bool listing_newest_in(struct listing *listing, struct span namespace, size_t *out);

/** The index of the first name that is not below `namespace:`; names of one namespace stand side by side. */
size_t listing_first_in(const struct listing *listing, struct span namespace);

#endif
