/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checkpoints as JSON: checkpoint_json.h.
 */
#include "checkpoint_json.h"

#include <string.h>

/* ---- Reading ---- */

int checkpoint_json_read_contents(const struct json *value, struct checkpoint *out, struct fault *flt)
{
	struct checkpoint checkpoint = {0};
	int r;

	r = json_read_digest(value, "logRoot", &checkpoint.log_root, flt);
	if (!r)
		r = json_read_uint(value, "logLength", &checkpoint.log_length, flt);
	if (!r)
		r = json_read_digest(value, "mapRoot", &checkpoint.map_root, flt);
	if (r)
		return r;
	if (checkpoint.log_length < 1 || checkpoint.log_length > CAP_LOG_LENGTH)
		return fault_invalid(flt, "\"logLength\" is no length that a log can have");
	*out = checkpoint;
	return 0;
}

int checkpoint_json_read(const struct json *value, struct signed_checkpoint *out, struct fault *flt)
{
	struct signed_checkpoint checkpoint = {0};
	const struct json *contents = NULL;
	struct span signature;
	int r;

	r = json_read_object(value, "contents", &contents, flt);
	if (r)
		return r;
	r = checkpoint_json_read_contents(contents, &checkpoint.contents, flt);
	if (!r)
		r = json_read_uint(contents, "timestamp", &checkpoint.contents.timestamp, flt);
	if (r) {
		fault_at(flt, "\"contents\"");
		return r;
	}
	r = json_read_digest(value, "keyId", &checkpoint.key_id, flt);
	if (!r)
		r = json_read_text(value, "signature", &signature, flt);
	if (r)
		return r;
	if (signature.length > CAP_SIGNATURE_TEXT)
		return fault_invalid(flt, "\"signature\" is longer than any signature");
	memcpy(checkpoint.signature, signature.data, signature.length);
	*out = checkpoint;
	return 0;
}

/* ---- Writing ---- */

void checkpoint_json_put_contents(struct json *object, const struct checkpoint *checkpoint)
{
	json_put_digest(object, "logRoot", &checkpoint->log_root);
	json_put_uint(object, "logLength", checkpoint->log_length);
	json_put_digest(object, "mapRoot", &checkpoint->map_root);
}

struct json *checkpoint_json_new(const struct signed_checkpoint *checkpoint)
{
	struct json *value = json_new_object();
	struct json *contents = json_new_object();

	checkpoint_json_put_contents(contents, &checkpoint->contents);
	json_put_uint(contents, "timestamp", checkpoint->contents.timestamp);
	json_put(value, "contents", contents);
	json_put_digest(value, "keyId", &checkpoint->key_id);
	json_put_text(value, "signature", checkpoint->signature);
	return value;
}

int checkpoint_json_render(const struct signed_checkpoint *checkpoint, struct buf *out, struct fault *flt)
{
	struct json *value = checkpoint_json_new(checkpoint);
	int r = json_render(value, JSON_PRETTY, out, flt);

	json_free(value);
	return r;
}
