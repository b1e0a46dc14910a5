/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files of api share: how an answer is read, and the decoders, which need no network. Not for other files.
 */
#ifndef WARG_CLIENT_API_PARTS_H
#define WARG_CLIENT_API_PARTS_H

#include "api_call.h"
#include "verify/base64.h"

/**
 * The remedy for FAULT_LOGIN. Part of the fault, as the text also reaches logs and attributes, where no command can add
 * it.
 */
#define API_LOGIN_ADVICE "'wargfs login' keeps a token for the registry"

/** What a 404 says is not there, or a 409 is in the way. */
struct api_missing {
	char type[32];  /* "log", "fetchToken", …; "" if the answer was no such 404 */
	char id[160];
};

/**
 * The answer as JSON, if it is one of success; else the fault that its status stands for (api.h), blamed on the
 * registry.
 * @param missing  may be NULL
 * @param out      an object; free with json_free()
 */
int api_answer_read(const struct http_exchange *exchange, struct api_missing *missing, struct json **out,
		    struct fault *flt);

/** Whether it is an answer of success, whose body is not looked at. @param missing  may be NULL */
int api_answer_check(const struct http_exchange *exchange, struct api_missing *missing, struct fault *flt);

/** What the body of an error says; anything in it may lack. */
struct api_words {
	bool is_json; /* with a status, as a Warg registry's is */
	char message[CAP_MESSAGE + 1];
	struct api_missing missing;
};
/** Read them, whatever the status. @return 0; WARG_UNDECIDED without memory */
int api_words_read(const struct http_exchange *exchange, struct api_words *out, struct fault *flt);

/**
 * The fault of an answer that did not come from the registry: a network's login page, or a web server at this URL. It
 * accuses no party: FAULT_UNREACHABLE.
 */
int api_answered_by_other(const struct http_exchange *exchange, struct fault *flt);

/** Say in a fault which answer it is about, and blame the registry for it unless it is one of this machine. */
void api_blame_answer(const struct http_exchange *exchange, struct fault *flt);

/** The fault of an answer with a status other than 2xx. */
int api_answer_refused(const struct http_exchange *exchange, struct api_missing *missing, struct fault *flt);

/** Blame the registry for the fault in `flt`, if somebody has to be blamed. @return the fault's verdict */
int api_blame(struct fault *flt);

/* ---- The decoders: from an exchange that is over to what it says ---- */

/** @param out  its packages were set up: an api_log for each one asked for, with its log id and no records */
int api_decode_logs(const struct http_exchange *exchange, struct api_logs *out, struct api_missing *missing,
		    struct fault *flt);
/** What api_fetch_names() hands out for at most CAP_REQUEST_NAMES logs. On failure `refusal` is not called. */
int api_decode_names(const struct http_exchange *exchange, const struct digest *log_ids, size_t count,
		     struct name *out, const struct api_refusal *refusal, struct fault *flt);
/** What api_prove_inclusion() hands out. */
int api_decode_inclusion(const struct http_exchange *exchange, struct merkle_log_bundle *log,
			 struct merkle_map_bundle *map, struct fault *flt);
/** What api_prove_consistency() hands out. */
int api_decode_consistency(const struct http_exchange *exchange, struct merkle_log_bundle *out, struct fault *flt);

/**
 * What api_publish_record() and api_fetch_record() hand out.
 * @param record_id  what was sent or asked for
 * @param record     NULL: uploads are not looked at
 */
int api_decode_record(const struct http_url *url, const struct http_exchange *exchange, const struct digest *record_id,
		      const struct record *record, struct api_record_state *out, struct fault *flt);
/** What a publish that was refused says of why. */
int api_decode_conflict(const struct http_exchange *exchange, struct api_conflict *out, struct fault *flt);

/** A part of the ledger. */
struct api_ledger_source {
	uint64_t first, last; /* registry indices that it says it has, both included */
	struct buf url;       /* absolute, NUL-terminated */
};
struct api_ledger {
	struct api_ledger_source *sources;
	size_t count;
};
/** Where the ledger's parts lie. */
int api_decode_ledger(const struct http_url *url, const struct http_exchange *exchange, struct api_ledger *out,
		      struct fault *flt);
/** Give the memory back; empty afterwards. */
void api_ledger_release(struct api_ledger *ledger);

#endif
