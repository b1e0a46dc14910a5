/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Trust: what must outlive the cache. The operator's first key, pinned when the registry was first met, and the highest
 * checkpoint ever believed, so that a registry is held to its word also by a client whose cache was emptied.
 *
 * Stored in `$XDG_STATE_HOME/wargfs/<label>/`, 0700: the file `trust`; the file `latch` once the operator has
 * contradicted its own log; and the folder `evidence` with the contradicting checkpoints, as files that the user can
 * publish. All files are read as untrusted input.
 */
#ifndef WARG_CLIENT_TRUST_H
#define WARG_CLIENT_TRUST_H

#include "verify/checkpoint.h"

struct trust;

/** How a checkpoint contradicts one that was believed before, or itself. */
enum trust_charge {
	TRUST_ROLLBACK,     /* its log is shorter */
	TRUST_FORK,         /* same length, another root: the registry signed both, which no honest one does */
	TRUST_INCONSISTENT, /* its log is longer, and not proven to be the same one, grown */
	TRUST_OPERATOR,     /* it is signed under another operator's log */
	TRUST_MAP,          /* its map is not the one that its log makes: it contradicts itself */
};

/** What is remembered of a registry. A value: may be copied. */
struct trust_anchor {
	bool known;                          /* false: the registry was never met */
	struct digest operator_key;          /* key id of the operator's first key */
	bool is_demanding;                   /* not stored: set by trust_demand(), with or without a stored anchor */
	struct digest demanded;              /* key id that the operator's first key must have */
	struct signed_checkpoint checkpoint; /* the highest that was believed */
	char signer[CAP_KEY_TEXT + 1];       /* public key that signed it */
	/* file name of the evidence that the registry's operator signed a contradiction; "": none was seen */
	char evidence[256];
	enum trust_charge charge;            /* with `evidence`: TRUST_FORK or TRUST_MAP */
};

/**
 * Open a registry's folder, making it where it is missing.
 * @param state_dir  e.g. ~/.local/state/wargfs
 * @param label      the registry's, as store_open() takes it
 */
int trust_open(const char *state_dir, const char *label, struct trust **out, struct fault *flt);
/** NULL is fine. */
void trust_close(struct trust *trust);

/**
 * Read what is remembered; another program may have written since the last time.
 * @return 0; WARG_INVALID, blamed on this machine's files, if the file is malformed: that is never taken for a first
 *         meeting
 */
int trust_load(const struct trust *trust, struct trust_anchor *out, struct fault *flt);

/** trust_load() for who only looks: makes no folder, and takes one that is not there for a registry never met. */
int trust_peek(const char *state_dir, const char *label, struct trust_anchor *out, struct fault *flt);

/** From now on each loaded anchor demands this operator key, which the user has set. */
void trust_demand(struct trust *trust, const struct digest *operator_key);
/** @return 0; WARG_INVALID if the operator's first key is not the demanded one. 0 if no key is demanded */
int trust_check_demand(const struct trust_anchor *anchor, const struct operator_log *operator, struct fault *flt);

/** @return 0; WARG_INVALID if the operator's first key is not the pinned one. Fine with an anchor that is not known */
int trust_check_operator(const struct trust_anchor *anchor, const struct operator_log *operator, struct fault *flt);

/** How a checkpoint relates to the stored anchor, which another process may have changed since it was loaded. */
enum trust_standing {
	TRUST_STANDS,       /* the anchor is this checkpoint, or the one that it was checked against */
	TRUST_MOVED,        /* the anchor is another: check the checkpoint against it, or reject it */
	TRUST_CONTRADICTED, /* same operator and length, another root: TRUST_FORK */
};

/**
 * Store a verified checkpoint if it is TRUST_STANDS: after that its view may be shown. Pins the operator's key the
 * first time. Never replaces a higher one. Waits for the lock at most TRUST_LOCK_WAIT; without the lock it only
 * compares, and a later call writes.
 * @param held  the anchor that the checkpoint was proven to have grown from, as trust_load() gave it
 */
#define TRUST_LOCK_WAIT 200 /* milliseconds */
int trust_remember(const struct trust *trust, const struct operator_log *operator,
		   const struct signed_checkpoint *checkpoint, const struct trust_anchor *held,
		   enum trust_standing *standing, struct fault *flt);

/**
 * Store as evidence an offered checkpoint that contradicts the anchor's, together with the anchor's, if the anchor's
 * operator or `operator` signed it: without that signature anyone could have forged it, so it is no evidence. A fork
 * latches: from then on the anchor names the evidence, in every process. Needs no lock.
 *
 * @param operator  the operator's log proven at the offered checkpoint; NULL: none
 * @param kept      file name of the evidence; "" if none was kept
 */
int trust_accuse(const struct trust *trust, enum trust_charge charge, const struct signed_checkpoint *offered,
		 const struct operator_log *operator, char kept[static 256], struct fault *flt);

/**
 * As trust_accuse() with TRUST_FORK, for a checkpoint of another length. Its ledger, stored with it, leads to its root,
 * and at the anchor's length to another root than the anchor's.
 * @param give  as for trust_accuse_map()
 */
int trust_accuse_fork(const struct trust *trust, const struct signed_checkpoint *offered,
		      const struct operator_log *operator, int (*give)(void *user, int fd, struct fault *flt),
		      void *user, char kept[static 256], struct fault *flt);

/**
 * Keep a checkpoint that was verified and whose map is not the one that its log makes, and the ledger, from which
 * anybody can see that: two files. It latches as a fork does: with one signature the operator said both.
 *
 * @param map_root  that the ledger gives
 * @param give      writes the ledger, packed as protocol.md section 6 has it, to `fd`
 * @param kept      file name of the checkpoint's; "" if it was not kept. The ledger's has ".ledger" in place of ".json"
 */
int trust_accuse_map(const struct trust *trust, const struct signed_checkpoint *offered, const struct digest *map_root,
		     int (*give)(void *user, int fd, struct fault *flt), void *user, char kept[static 256],
		     struct fault *flt);

/** Path of the folder with the evidence; lives as long as `trust`. */
const char *trust_evidence_folder(const struct trust *trust);

/** The label that it was opened with; lives as long as `trust`. */
const char *trust_label(const struct trust *trust);

/** Forget the anchor, and with it a latch; evidence stays. The next meeting is a first one. */
int trust_forget(const struct trust *trust, struct fault *flt);

#endif
