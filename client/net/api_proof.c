/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Asking for proofs (protocol.md section 6). What they prove is checked by verify/.
 */
#include "api_parts.h"

static int read_log_bundle(const struct json *body, const char *name, struct merkle_log_bundle *out,
			   struct fault *flt)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, CAP_BODY_PROOF);
	r = json_read_base64(body, name, &bytes, flt);
	if (!r)
		r = merkle_log_bundle_decode(buf_span(&bytes), out, flt);
	buf_release(&bytes);
	return r;
}

static int read_map_bundle(const struct json *body, const char *name, struct merkle_map_bundle *out,
			   struct fault *flt)
{
	struct buf bytes;
	int r;

	buf_init(&bytes, CAP_BODY_PROOF);
	r = json_read_base64(body, name, &bytes, flt);
	if (!r)
		r = merkle_map_bundle_decode(buf_span(&bytes), out, flt);
	buf_release(&bytes);
	return r;
}

static int blame(const struct http_exchange *exchange, int verdict, struct fault *flt)
{
	fault_at(flt, "%s", exchange->url);
	if (verdict == WARG_INVALID)
		fault_blame(flt, FAULT_BY_REGISTRY);
	return verdict;
}

int api_decode_inclusion(const struct http_exchange *exchange, struct merkle_log_bundle *log,
			 struct merkle_map_bundle *map, struct fault *flt)
{
	struct merkle_log_bundle log_bundle;
	struct merkle_map_bundle map_bundle;
	struct json *body = NULL;
	int r = api_answer_read(exchange, NULL, &body, flt);

	if (r)
		return r;
	r = read_log_bundle(body, "log", &log_bundle, flt);
	if (r)
		goto out;
	r = read_map_bundle(body, "map", &map_bundle, flt);
	if (r) {
		merkle_log_bundle_release(&log_bundle);
		goto out;
	}
	*log = log_bundle;
	*map = map_bundle;
out:
	json_free(body);
	return r ? blame(exchange, r, flt) : 0;
}

int api_decode_consistency(const struct http_exchange *exchange, struct merkle_log_bundle *out, struct fault *flt)
{
	struct json *body = NULL;
	int r = api_answer_read(exchange, NULL, &body, flt);

	if (r)
		return r;
	r = read_log_bundle(body, "proof", out, flt);
	json_free(body);
	return r ? blame(exchange, r, flt) : 0;
}

int api_prove_inclusion(const struct api *api, clock_ms deadline, uint64_t log_length, const uint64_t *indices,
			size_t count, struct merkle_log_bundle *log, struct merkle_map_bundle *map, struct fault *flt)
{
	struct json *body = json_new_object(), *leaves = json_new_list();
	struct api_call call;
	int r;

	json_put_uint(body, "logLength", log_length);
	for (size_t i = 0; i < count; i++)
		json_add_uint(leaves, indices[i]);
	json_put(body, "leafs", leaves);
	if (!body)
		return fault_no_memory(flt);
	r = api_call_init(&call, api, "v1/proof/inclusion", body, CAP_BODY_PROOF, deadline, flt);
	if (!r)
		r = api_run(api, &call, 1, flt);
	if (!r)
		r = api_decode_inclusion(&call.exchange, log, map, flt);
	api_call_release(&call);
	return r;
}

int api_prove_consistency(const struct api *api, clock_ms deadline, uint64_t from, uint64_t to,
			  struct merkle_log_bundle *out, struct fault *flt)
{
	struct json *body = json_new_object();
	struct api_call call;
	int r;

	json_put_uint(body, "from", from);
	json_put_uint(body, "to", to);
	if (!body)
		return fault_no_memory(flt);
	r = api_call_init(&call, api, "v1/proof/consistency", body, CAP_BODY_PROOF, deadline, flt);
	if (!r)
		r = api_run(api, &call, 1, flt);
	if (!r)
		r = api_decode_consistency(&call.exchange, out, flt);
	api_call_release(&call);
	return r;
}
