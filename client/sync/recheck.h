/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What is stored of a registry, held against the registry itself: every log fetched and proven anew from its first
 * record, and every state file and content compared with what that led to. Nothing is written, and nothing that lies
 * in the cache is believed.
 */
#ifndef WARG_CLIENT_RECHECK_H
#define WARG_CLIENT_RECHECK_H

#include "client/store/archive.h"
#include "client/store/trust.h"
#include "view.h"

/** Something that is stored otherwise than it was proven. All texts are printable. */
struct recheck_difference {
	char what[CAP_VERSION + 64]; /* "version 1.0.0: content" */
	char stored[CAP_URL + 64];
	char proven[CAP_URL + 64];
};

/** As many are kept of one log; the others are counted. */
#define RECHECK_DIFFERENCES 64

/** A log, and what came of it. */
struct recheck_log {
	bool is_operator; /* with it goes the checkpoint */
	bool is_unnamed;  /* its state file does not even say whose it is: only the log id is known */
	bool is_damaged;  /* as that, of a package that was named */
	bool is_stored;   /* after the comparison: there is a state file */
	struct name name;
	struct digest log_id;
	struct fault fault; /* why it could not be proven or compared; INVALID: the registry does not bear it out */
	struct recheck_difference *differences;
	size_t difference_count; /* with those that were not kept */
	size_t releases, contents; /* in the log; and those of them that lie in the cache */
};

struct recheck {
	const struct api *api;
	struct store *store;
	struct archive *archive;
	clock_ms deadline;
	struct view *view; /* proven from the first records */
	struct recheck_log *logs; /* the operator's first */
	size_t count;
};

/**
 * Prove anew the operator's log and those of packages, at the registry's newest checkpoint.
 *
 * @param api, store, archive  borrowed, as long as `out`; without an archive (NULL) it is not looked at
 * @param anchor  what the registry is held to; may be one that is not known
 * @param with_unnamed  look at those state files as well that do not say whose they are
 * @param out     each package has its own fault; release with recheck_release()
 * @return 0; WARG_INVALID if the registry contradicts itself or the anchor
 */
int recheck_prove(const struct api *api, struct store *store, struct archive *archive,
		  const struct trust_anchor *anchor, const struct name *names, size_t count, bool with_unnamed,
		  clock_ms deadline, struct recheck *out, struct fault *flt);

/**
 * Compare with the state files, validate the archive, and hash the contents. What is not in order stands with its log
 * afterwards.
 */
void recheck_compare(struct recheck *recheck);

/** Give everything back; empty afterwards. */
void recheck_release(struct recheck *recheck);

#endif
