/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The state files of a registry's folder as text: checkpoint, operator.log and package logs, byte for byte as the
 * reference writes them (protocol.md section 8; interop.md section C 2 to 5). No disk here.
 *
 * Reading is lenient where the reference leaves things out, and strict in all else: what no run of records could have
 * led to is WARG_INVALID. Unknown members are passed over; the reference loses them too.
 */
#ifndef WARG_CLIENT_STORE_STATE_H
#define WARG_CLIENT_STORE_STATE_H

#include "client/net/checkpoint_json.h"
#include "store.h"

/** What a log's file holds beside the log. */
struct store_state {
	struct store_position position;
	bool has_checkpoint;          /* false: the reference left it out */
	struct checkpoint checkpoint; /* up to which the log was brought; its timestamp is not kept and is 0 */
};

/** Write `<seconds>.<nanoseconds>`, the latter a plain number. @param time  not before 1970 */
void store_state_format_time(struct record_time time, char out[static 40]);
/** @return 0; WARG_INVALID for anything that store_state_format_time() would not have written */
int store_state_parse_time(struct span text, struct record_time *out, struct fault *flt);

/*
 * Reading gives a new reference to a log. Rendering appends to `out`.
 */
int store_state_read_operator(const struct json *value, struct operator_log **log, struct store_state *state,
			      struct fault *flt);
int store_state_render_operator(const struct operator_log *log, const char *label, const struct store_state *state,
				struct buf *out, struct fault *flt);

/** The log's name is the file's. @param keys  looked at before a key is parsed, as in log_keys.h; may be NULL */
int store_state_read_package(const struct json *value, struct ecdsa_recent_keys *keys, struct package_log **log,
			     struct store_state *state, struct fault *flt);
int store_state_render_package(const struct package_log *log, const char *label, const struct store_state *state,
			       struct buf *out, struct fault *flt);

/**
 * Whether the file can hold every time of the log: times before 1970 have no text form there. A log with one is not
 * stored, which costs speed and no more.
 */
bool store_state_fits_package(const struct package_log *log);
bool store_state_fits_operator(const struct operator_log *log);

#endif
