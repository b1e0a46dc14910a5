/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Signed records as JSON, in the API and in proof documents (protocol.md section 6). Nothing is validated here.
 */
#ifndef WARG_CLIENT_RECORD_JSON_H
#define WARG_CLIENT_RECORD_JSON_H

#include "api.h"
#include "client/base/json.h"

/**
 * Read a record; its fetch token stays as it is.
 * @param out  zeroed; its content is to be released even on failure
 * @return 0; WARG_INVALID if a member is missing or malformed; WARG_UNDECIDED with FAULT_LIMIT past a cap
 */
int record_json_read(const struct json *value, struct api_record *out, struct fault *flt);

/** Read a text into an array. @return also WARG_UNDECIDED with FAULT_LIMIT if it is too long for it */
int record_json_read_text(const struct json *object, const char *name, char *out, size_t size, struct fault *flt);

/** The record without its fetch token, to put into another value; NULL when memory ran out. */
struct json *record_json_new(const struct api_record *record);

#endif
