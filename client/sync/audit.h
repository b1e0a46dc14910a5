/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The audit of the map: whether the two halves of a checkpoint agree. Proofs show that what is read lies in the log and
 * in the map that the operator signed; that the map has nothing but each log's last record, for every log, shows only
 * when the whole of it is rebuilt from the ledger (protocol.md section 5, and section 9, number 7).
 *
 * A lone entry costs about 260 hashes, so it is done behind everything else: on a thread of its own that takes only the
 * processor that nobody wants, and only for what came since the last time.
 */
#ifndef WARG_CLIENT_AUDIT_H
#define WARG_CLIENT_AUDIT_H

#include "client/store/ledger.h"

struct audit;

struct audit_options {
	struct ledger *ledger; /* borrowed; must outlive the audit */
	/**
	 * Called from the audit's thread with each checkpoint that was rebuilt.
	 * @param map_root  that the ledger gives, up to the checkpoint's length; the log root is the checkpoint's
	 * @param agrees    whether the checkpoint has the same
	 */
	void (*judged)(void *user, const struct signed_checkpoint *checkpoint, const struct digest *map_root,
		       bool agrees);
	/** Called from the audit's thread when a checkpoint could not be judged. */
	void (*failed)(void *user, const struct fault *flt);
	void *user;
};

/** Start the thread. */
int audit_new(const struct audit_options *options, struct audit **out, struct fault *flt);
/** End it at once, whatever it is at. NULL is fine. */
void audit_free(struct audit *audit);

/**
 * Have a checkpoint judged that was verified and to whose log root the ledger leads. It takes the place of one that
 * waits; one that is being judged is judged to its end. Does not block.
 */
void audit_want(struct audit *audit, const struct signed_checkpoint *checkpoint);

/** How far it came. */
struct audit_progress {
	uint64_t judged;  /* length of the last checkpoint that was judged; 0: none */
	bool agrees;      /* whether all that were judged agree with themselves */
	uint64_t wanted;  /* length of the checkpoint that is being judged or waits; 0: none */
	uint64_t rebuilt; /* records that the map was rebuilt from */
};
void audit_look(struct audit *audit, struct audit_progress *out);

#endif
