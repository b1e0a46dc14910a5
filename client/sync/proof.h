/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Proof documents: a release, or a record, with everything that a third party needs to check it again, offline and
 * without us, in one JSON file.
 *
 *     {
 *       "format": "warg-release-proof", "formatVersion": 1,
 *       "registry": {"url": …, "label": …},                     a claim: nothing here proves it
 *       "package": "namespace:name",
 *       "version": …, "digest": …,
 *       "checkpoint": {…},                                      signed, as in the API (protocol.md section 6)
 *       "operatorRecords": [{"contentBytes", "keyId", "signature", "registryIndex"}, …],
 *       "packageRecords": […],                                  each from the first to the head at the checkpoint
 *       "inclusion": {"log": base64, "map": base64}             of both heads, the operator's first (section 5)
 *     }
 *
 * One that speaks of a record, as a receipt does, is of the format "warg-record-proof", and has
 *
 *       "record": …                                             its id
 *
 * in place of "version" and "digest". All of it has to be there, and nothing else may be.
 *
 * What lies on the disk as a receipt is of formatVersion 2, and says in place of "packageRecords" how many there are:
 *
 *       "packageRecordsBeside": …                               the first ones of receipts.h's file beside it
 */
#ifndef WARG_CLIENT_PROOF_H
#define WARG_CLIENT_PROOF_H

#include "client/store/archive.h"
#include "verify/release_proof.h"
#include "view.h"

/** A document. Release with proof_release(). */
struct proof {
	struct http_url registry; /* a claim */
	struct name name;
	bool of_record;                /* it speaks of `record_id`, else of `version` with `content` */
	struct digest record_id;
	char version[CAP_VERSION + 1]; /* "" of a record */
	struct digest content;
	struct signed_checkpoint checkpoint;
	struct api_log operator, package; /* whose tokens are not used */
	uint64_t beside; /* records of the package that come before those here, and lie beside the document */
	struct buf log_bundle, map_bundle;
};

/** Give the memory back; empty afterwards. */
void proof_release(struct proof *proof);

/**
 * Read a document of at most CAP_PROOF bytes. Its form is checked, and nothing is believed.
 * @return 0; WARG_INVALID if a member lacks, is a stranger, stands twice or is malformed; WARG_UNDECIDED with
 *         FAULT_LIMIT for a later version of the format
 */
int proof_parse(struct span text, struct proof *out, struct fault *flt);

/** Write one record of a document on a line of its own; appends. And read it, without the newline. */
int proof_render_record(const struct api_record *record, struct buf *out, struct fault *flt);
int proof_parse_record(struct span line, struct api_record *out, struct fault *flt);

/**
 * Write a document, with a newline at its end; appends. Where records lie beside it, as many as all of them: those here
 * are to be put there.
 * @return 0; WARG_UNDECIDED past the cap of `out`
 */
int proof_render(const struct proof *proof, struct buf *out, struct fault *flt);

/** Check a document that has all records: as release_proof_check(). */
int proof_check(const struct proof *proof, struct release_proof_finding *out, struct fault *flt);

/**
 * Put together what proves a release at the view's checkpoint, and check it. The proof of inclusion is fetched, and so
 * are the logs where the archive does not have them: two round trips, and one for each further page.
 *
 * @param archive  NULL: there is none
 * @param view     has the package, with this version
 * @return 0; WARG_INVALID, blamed on the registry, if what it sends does not prove that
 */
int proof_fetch(const struct api *api, struct archive *archive, clock_ms deadline, const struct view *view,
		const struct name *name, const char *version, struct proof *out, struct fault *flt);

/** The same for a record of a package that the view has. */
int proof_fetch_record(const struct api *api, struct archive *archive, clock_ms deadline, const struct view *view,
		       const struct name *name, const struct digest *record_id, struct proof *out, struct fault *flt);

/**
 * The same for the last record of a package, from what is known here: its own records before that one are left out.
 *
 * @param beside  how many those are; they lie beside the document
 * @param last    the record as it was sent
 * @return whether it could be done: the view has the proof of just this record at its checkpoint
 */
bool proof_take_last(const struct api *api, struct archive *archive, const struct view *view, const struct name *name,
		     uint64_t beside, const struct record_envelope *last, struct proof *out);

#endif
