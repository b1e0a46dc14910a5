/*
 * Trust: what must outlive the cache. The operator's first key, pinned when the registry was first met, and the highest
 * checkpoint ever believed, so that a registry is held to its word also by a client whose cache was emptied.
 *
 * It lies in `$XDG_STATE_HOME/wargfs/<label>/`, 0700: the file `trust`, and the folder `evidence`, where checkpoints
 * that contradict each other, or themselves, are kept as files that a person can publish. All of it is read as a
 * stranger's.
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

/** @return 0; WARG_INVALID if the operator's first key is not the pinned one. Fine with an anchor that is not known */
int trust_check_operator(const struct trust_anchor *anchor, const struct operator_log *operator, struct fault *flt);

/**
 * Remember a checkpoint that was verified and does not contradict the anchor; pins the operator's key the first time.
 * Never replaces a higher one. Waits for the lock no longer than TRUST_LOCK_WAIT, and then does not write, which is no
 * fault: the next time does.
 */
#define TRUST_LOCK_WAIT 200 /* milliseconds */
int trust_remember(const struct trust *trust, const struct operator_log *operator,
		   const struct signed_checkpoint *checkpoint, struct fault *flt);

/**
 * Keep a checkpoint that was offered and contradicts the anchor's, together with that one, if it was signed by who
 * signed that one, or under `operator`: anything else could come from anybody, and accuses nobody. A fork latches: the
 * anchor names the evidence from then on.
 *
 * @param operator  the operator's log that was proven at the checkpoint offered; NULL: none was
 * @param kept      file name of the evidence; "" if none was kept
 */
int trust_accuse(const struct trust *trust, enum trust_charge charge, const struct signed_checkpoint *offered,
		 const struct operator_log *operator, char kept[static 256], struct fault *flt);

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
