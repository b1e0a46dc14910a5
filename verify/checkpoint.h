/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checkpoints: the operator's signed word on the registry's log and map at one length (protocol.md sections 3 and 6).
 */
#ifndef WARG_VERIFY_CHECKPOINT_H
#define WARG_VERIFY_CHECKPOINT_H

#include "caps.h"
#include "operator_log.h"

/** A checkpoint. A value: may be copied. */
struct checkpoint {
	uint64_t log_length; /* 1 … CAP_LOG_LENGTH */
	struct digest log_root;
	struct digest map_root;
	uint64_t timestamp; /* seconds since 1970 */
};

/** A checkpoint with its signature, not yet verified. A value: may be copied. */
struct signed_checkpoint {
	struct checkpoint contents;
	struct digest key_id;
	char signature[CAP_SIGNATURE_TEXT + 1]; /* text form, NUL-terminated */
};

/**
 * Check that the checkpoint was signed by a key that `operator` knows and that holds COMMIT (stricter than the
 * reference).
 * @return 0; WARG_INVALID if the key is unknown, lacks COMMIT, or the signature does not verify
 */
int checkpoint_verify(const struct signed_checkpoint *checkpoint, const struct operator_log *operator,
		      struct fault *flt);

/** The same with a given key instead of a log's. @return 0; WARG_INVALID if it is another key, or did not sign this */
int checkpoint_verify_key(const struct signed_checkpoint *checkpoint, const struct ecdsa_public_key *key,
			  struct fault *flt);

/** Sign `contents` with `key` and fill in the whole of `out`. */
int checkpoint_sign(const struct checkpoint *contents, const struct ecdsa_private_key *key,
		    struct signed_checkpoint *out, struct fault *flt);

/** Whether both speak of the same length and roots. Times may differ: a checkpoint signed anew is no fork. */
bool checkpoint_same_state(const struct checkpoint *a, const struct checkpoint *b);

#endif
