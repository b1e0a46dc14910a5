/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Signed records as JSON: record_json.h.
 */
#include "record_json.h"

#include <string.h>

int record_json_read_text(const struct json *object, const char *name, char *out, size_t size, struct fault *flt)
{
	struct span text;
	int r = json_read_text(object, name, &text, flt);

	if (r)
		return r;
	if (text.length >= size)
		return fault_undecided(flt, FAULT_LIMIT, "%s is longer than %zu bytes", name, size - 1);
	memcpy(out, text.data, text.length);
	out[text.length] = '\0';
	return 0;
}

int record_json_read(const struct json *value, struct api_record *out, struct fault *flt)
{
	int r;

	/* Bytes only: record_decode() refuses a record that is too large. */
	buf_init(&out->content, CAP_RECORD_CARRIED);
	r = json_read_base64(value, "contentBytes", &out->content, flt);
	if (!r)
		r = json_read_digest(value, "keyId", &out->key_id, flt);
	if (!r)
		r = record_json_read_text(value, "signature", out->signature, sizeof(out->signature), flt);
	if (!r)
		r = json_read_uint(value, "registryIndex", &out->registry_index, flt);
	return r;
}

struct json *record_json_new(const struct api_record *record)
{
	struct json *value = json_new_object();

	json_put_base64(value, "contentBytes", buf_span(&record->content));
	json_put_digest(value, "keyId", &record->key_id);
	json_put_text(value, "signature", record->signature);
	json_put_uint(value, "registryIndex", record->registry_index);
	return value;
}
