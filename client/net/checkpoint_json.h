/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Checkpoints as JSON, in the API and in files (protocol.md sections 6 and 8). Signatures are not verified here.
 */
#ifndef WARG_CLIENT_CHECKPOINT_JSON_H
#define WARG_CLIENT_CHECKPOINT_JSON_H

#include "client/base/json.h"
#include "verify/checkpoint.h"

/** Read a signed checkpoint. @return 0; WARG_INVALID if a member is missing or is no such value */
int checkpoint_json_read(const struct json *value, struct signed_checkpoint *out, struct fault *flt);
/** Read roots and length only; the timestamp is 0. */
int checkpoint_json_read_contents(const struct json *value, struct checkpoint *out, struct fault *flt);

/** A signed checkpoint as a value to put into another; NULL when memory ran out. */
struct json *checkpoint_json_new(const struct signed_checkpoint *checkpoint);
/** Put roots and length into an object. */
void checkpoint_json_put_contents(struct json *object, const struct checkpoint *checkpoint);
/** Append a signed checkpoint to `out`. */
int checkpoint_json_render(const struct signed_checkpoint *checkpoint, struct buf *out, struct fault *flt);

#endif
