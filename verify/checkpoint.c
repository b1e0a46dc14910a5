/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Signing and verifying checkpoints (see checkpoint.h).
 */
#include "checkpoint.h"

#include <inttypes.h>
#include <string.h>

#include "wire.h"

#define MESSAGE_CAP 256 /* two prefixes, two numbers and two hashes in text */

static int put_text(struct buf *out, const struct digest *digest, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	int ret;

	digest_format(digest, text);
	ret = wire_write_varint(out, strlen(text), flt);
	return ret ? ret : buf_append_text(out, text, flt);
}

/** What is signed: protocol.md section 3. */
static int make_message(const struct checkpoint *contents, struct buf *out, struct fault *flt)
{
	int ret;

	ret = buf_append_text(out, "WARG-CHECKPOINT-SIGNATURE-V0:WARG-TIMESTAMPED-CHECKPOINT-V0", flt);
	if (!ret)
		ret = wire_write_varint(out, contents->log_length, flt);
	if (!ret)
		ret = put_text(out, &contents->log_root, flt);
	if (!ret)
		ret = put_text(out, &contents->map_root, flt);
	if (!ret)
		ret = wire_write_varint(out, contents->timestamp, flt);
	return ret;
}

static int check_length(const struct checkpoint *contents, struct fault *flt)
{
	if (contents->log_length == 0 || contents->log_length > CAP_LOG_LENGTH)
		return fault_invalid(flt, "a checkpoint cannot be of %" PRIu64 " records", contents->log_length);
	return 0;
}

int checkpoint_verify_key(const struct signed_checkpoint *checkpoint, const struct ecdsa_public_key *key,
			  struct fault *flt)
{
	struct buf message;
	struct span part;
	int ret = check_length(&checkpoint->contents, flt);

	if (ret)
		return ret;
	if (!digest_equals(&checkpoint->key_id, ecdsa_public_key_id(key)))
		return fault_invalid(flt, "the signature is by another key");
	buf_init(&message, MESSAGE_CAP);
	ret = make_message(&checkpoint->contents, &message, flt);
	part = buf_span(&message);
	if (!ret)
		ret = ecdsa_verify(key, &part, 1, span_of_text(checkpoint->signature), flt);
	buf_release(&message);
	return ret;
}

int checkpoint_verify(const struct signed_checkpoint *checkpoint, const struct operator_log *operator,
		      struct fault *flt)
{
	const struct log_keys *keys = operator_log_keys(operator);
	int ret = check_length(&checkpoint->contents, flt);

	if (!ret)
		ret = log_keys_require(keys, &checkpoint->key_id, PERMISSION_COMMIT, flt);
	return ret ? ret : checkpoint_verify_key(checkpoint, log_keys_find(keys, &checkpoint->key_id)->key, flt);
}

int checkpoint_sign(const struct checkpoint *contents, const struct ecdsa_private_key *key,
		    struct signed_checkpoint *out, struct fault *flt)
{
	struct signed_checkpoint checkpoint = { .contents = *contents };
	struct buf message, signature;
	struct span part;
	int ret;

	buf_init(&message, MESSAGE_CAP);
	buf_init(&signature, CAP_SIGNATURE_TEXT);
	ret = make_message(contents, &message, flt);
	part = buf_span(&message);
	if (!ret)
		ret = ecdsa_sign(key, &part, 1, &signature, flt);
	if (!ret) {
		checkpoint.key_id = *ecdsa_public_key_id(ecdsa_private_key_public(key));
		memcpy(checkpoint.signature, signature.data, signature.length);
		*out = checkpoint;
	}
	buf_release(&message);
	buf_release(&signature);
	return ret;
}

bool checkpoint_same_state(const struct checkpoint *a, const struct checkpoint *b)
{
	return a->log_length == b->log_length && digest_equals(&a->log_root, &b->log_root) &&
	       digest_equals(&a->map_root, &b->map_root);
}
