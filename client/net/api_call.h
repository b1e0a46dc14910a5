/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A call of the API whose exchange the caller runs itself: begin it, run the exchange (http.h), decode the answer,
 * release. The functions of api.h do this for a caller that waits.
 */
#ifndef WARG_CLIENT_API_CALL_H
#define WARG_CLIENT_API_CALL_H

#include "api.h"
#include "client/base/json.h"

/** A call: the exchange, and what its request half points to. All-zero: not begun, may be released. */
struct api_call {
	struct http_exchange exchange;
	struct buf url, body;
};

/**
 * Begin a call to `path`, relative to the registry's URL.
 * @param body_take  sent as JSON with POST, freed in any case; NULL: a GET
 * @param cap   of the answer's body, in bytes
 */
int api_call_init(struct api_call *call, const struct api *api, const char *path, struct json *body_take, size_t cap,
		  clock_ms deadline, struct fault *flt);
/** Give everything back. */
void api_call_release(struct api_call *call);

/** Make all calls, `count` of them in a row, side by side, and wait until each is over. */
int api_run(const struct api *api, struct api_call *calls, size_t count, struct fault *flt);

/** Begin the call of api_discover(). */
int api_begin_discovery(struct api_call *call, const struct http_url *url, clock_ms deadline, struct fault *flt);
/** Decode its answer, as api_discover() does. */
int api_decode_discovery(const struct http_url *url, const struct http_exchange *exchange, struct http_url *out,
			 struct fault *flt);

/** Begin the call of api_fetch_checkpoint(). */
int api_begin_checkpoint(struct api_call *call, const struct api *api, clock_ms deadline, struct fault *flt);
/** Decode its answer, as api_fetch_checkpoint() does. */
int api_decode_checkpoint(const struct http_exchange *exchange, struct signed_checkpoint *out, struct fault *flt);

#endif
