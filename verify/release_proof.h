/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A release, or any record of a package, proven from the operator's first record up to one who has nothing but the
 * bytes (protocol.md sections 3 to 5).
 *
 * What they prove is what the operator said at the time of the checkpoint. That the operator is who it should be has to
 * be known from elsewhere, and so has that no other checkpoint says otherwise.
 */
#ifndef WARG_VERIFY_RELEASE_PROOF_H
#define WARG_VERIFY_RELEASE_PROOF_H

#include "checkpoint.h"
#include "package_log.h"

/** A record, and its place in the registry's log. Only that of a log's last record is proven. Borrowed. */
struct release_proof_record {
	struct record_envelope envelope;
	uint64_t registry_index;
};

/** A log, from its first record to its head at the checkpoint. Borrowed. */
struct release_proof_log {
	const struct release_proof_record *records;
	size_t count;
};

/** What is to be checked. All borrowed. */
struct release_proof {
	struct name name;
	const struct digest *record;  /* of the package's log; NULL: the release of `version` is what is to be proven */
	struct span version;
	const struct digest *content; /* of the release; NULL: whatever it has */
	struct signed_checkpoint checkpoint;
	struct release_proof_log operator, package;
	/*
	 * The package's log as it was validated before: where it was fed the very records that are here, none of them
	 * is validated again. NULL: there is none
	 */
	struct package_log *known;
	/*
	 * The package's record is its last one alone: those before it were validated in `known`, which ends with it.
	 * The caller knows where they lie.
	 */
	bool is_last_alone;
	/* The heads of both logs, the operator's first: a LogProofBundle and a MapProofBundle. */
	struct span log_bundle, map_bundle;
};

/** What was found to be so. A value. */
struct release_proof_finding {
	struct digest operator_key; /* key id of the operator's first key */
	struct digest record_id; /* of the record, or of the one with the release */
	struct digest by;        /* key id of who signed it */
	struct record_time time; /* when, as they said */
	/* Of a record. */
	size_t record_at;        /* which of the package's records it is */
	/* Of a release. */
	struct digest content;
	bool yanked;
	struct digest yanked_by;
	struct record_time yanked_at;
};

/**
 * Check all of it: both logs by their state machines; that the checkpoint is signed by a key that holds COMMIT; that
 * both heads are in the log and the latest in the map at exactly the checkpoint's length and roots; that the package's
 * log has the record, or the release with the content. A release that was yanked is a release.
 *
 * @return 0; WARG_INVALID if anything of that is not so; WARG_UNDECIDED over a cap or without memory
 */
int release_proof_check(const struct release_proof *proof, struct release_proof_finding *out, struct fault *flt);

#endif
