/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The calls of a Warg registry, typed: JSON stops here (protocol.md section 6, interop.md section B).
 *
 * Each function sends what it has to send, waits until the deadline at most, and hands back what was decoded strictly.
 * Nothing here is verified beyond its form. What has to be split, to respect the server's bounds, is sent side by side.
 *
 * Verdicts: WARG_INVALID for an answer that is not of a Warg registry (HTML, other JSON, an empty body); else the kind
 * tells: FAULT_ABSENT for a 404 with a Warg error body, FAULT_LOGIN for 401 and 403, FAULT_UNREACHABLE for 429, 502,
 * 503, 504 and lost connections, FAULT_TIMEOUT, FAULT_REFUSED with the server's own words for the rest. The party is
 * set.
 */
#ifndef WARG_CLIENT_API_H
#define WARG_CLIENT_API_H

#include "http.h"
#include "http_url.h"
#include "verify/checkpoint.h"
#include "verify/merkle_log.h"
#include "verify/merkle_map.h"
#include "verify/name.h"
#include "verify/record.h"

/** Room for Warg-Registry-Hint, as http_exchange has it. */
#define API_HINT_SIZE sizeof(((struct http_exchange *)NULL)->hint)

/** Whom to talk to. All borrowed. */
struct api {
	struct http *http;
	const struct http_url *url;
	const char *registry; /* domain for Warg-Registry; NULL: the home registry itself */
	struct credential *credential; /* its bearer token; NULL: there is none */
};

/**
 * Ask the URL which registry it stands for: GET .well-known/wasm-pkg/registry.json. Two forms are in use: `wargUrl`, of
 * the client warg, and `url` in the object `warg`, of wasm-pkg-tools, whatever their `preferredProtocol` is: this is
 * what we speak. Where both are there, `wargUrl` counts, as it does to those tools.
 * @param out  the URL that is named, or `url` itself on a non-2xx answer or one that names none
 * @return also FAULT_UNREACHABLE on 408, 429 and what begins with 5 but 501: such an answer does not tell
 */
int api_discover(struct http *http, const struct http_url *url, clock_ms deadline, struct http_url *out,
		 struct fault *flt);

/** The registry's newest checkpoint, not verified. */
int api_fetch_checkpoint(const struct api *api, clock_ms deadline, struct signed_checkpoint *out, struct fault *flt);

/** A log to fetch. */
struct api_wanted {
	struct digest log_id; /* not looked at for the operator's */
	const char *token;    /* of the last record known; NULL: from the start */
};

/** A record as the registry sent it. Owns its bytes. */
struct api_record {
	struct buf content;
	struct digest key_id;
	char signature[CAP_SIGNATURE_TEXT + 1];
	uint64_t registry_index;
	char token[CAP_FETCH_TOKEN + 1];
};

struct api_log {
	struct digest log_id;
	struct api_record *records;
	size_t count;
	struct fault *fault; /* why no record follows them: malformed, FAULT_OVERSIZED, FAULT_LIMIT; NULL: no fault */
};

/** One page of logs. Release with api_logs_release(). */
struct api_logs {
	bool more; /* ask again, with the last tokens */
	struct api_log operator; /* log_id is name_operator_log_id() */
	struct api_log *packages; /* those asked for, in their order, with no records where none came */
	size_t package_count;
};

/** A log that the registry says it has not. */
struct api_absent {
	struct digest log_id;  /* all zero: of none */
	char hint[API_HINT_SIZE]; /* Warg-Registry-Hint as it came; "": none */
};

/**
 * Fetch the records that follow the tokens, as of log length `log_length`.
 *
 * A malformed or oversized record sets the fault of its own log only. If an answer is too long as a whole, its logs are
 * requested again in halves, and single logs with few records at a time: at most CAP_SPLITS requests.
 *
 * @param operator  NULL: the operator's log is not wanted
 * @param absent    on FAULT_ABSENT of a log: which one. All zero on any other FAULT_ABSENT: a token is not known there
 *                  (any more), and the log has to be fetched from the start
 * @return 0; WARG_INVALID if it answered with a log that was not asked for
 */
int api_fetch_logs(const struct api *api, clock_ms deadline, uint64_t log_length, const struct api_wanted *operator,
		   const struct api_wanted *packages, size_t package_count, struct api_logs *out,
		   struct api_absent *absent, struct fault *flt);
void api_logs_release(struct api_logs *logs);
/** Give a log's records back; it has none then. */
void api_log_release(struct api_log *log);
/** The record as an envelope; borrowed. */
struct record_envelope api_record_envelope(const struct api_record *record);

/** Callback for names that hash to their log ids and that no package may have here. */
struct api_refusal {
	/**
	 * @param place  index of the log in the requested list
	 * @param text   borrowed until it returns
	 * @return 0; any other value ends api_fetch_names(), which returns it
	 */
	int (*take)(void *user, size_t place, struct span text, struct fault *flt);
	void *user;
};

/** Names requested at the same time: the answers share CAP_BODIES. */
#define API_NAMES_AT_ONCE ((size_t)CAP_BODIES / CAP_BODY_NAMES * CAP_REQUEST_NAMES)

/**
 * Fetch the names of logs, API_NAMES_AT_ONCE at a time. Checks that each name hashes to its log id. Names whose answer
 * is too long are requested again in halves: at most CAP_SPLITS requests.
 * @param out      `count` names; text[0] is 0 if the registry gives no name or a refused one, and after a failure also
 *                 if the name was not received
 * @param refusal  called for each refused name; may be NULL
 * @return 0; FAULT_LIMIT if answers stay too long after CAP_SPLITS requests
 */
int api_fetch_names(const struct api *api, clock_ms deadline, const struct digest *log_ids, size_t count,
		    struct name *out, const struct api_refusal *refusal, struct fault *flt);

/** A ledger entry: 64 bytes on the wire. */
struct api_ledger_entry {
	struct digest log_id;
	struct digest record_id;
};

/** The ledger's last part as it was last listed: records that are appended later are likely to be in it. */
struct api_ledger_tail {
	uint64_t first; /* registry index of its first record */
	struct buf url; /* absolute, NUL-terminated; nothing: not known. To be released by the owner */
};

/** Ledger entries received so far, in wire format: those from `first` up to, not including, `end`. */
struct api_ledger_spool {
	int fd; /* file that holds them from offset 0 */
	uint64_t first, end;
	bool is_slow; /* the last fetch received nothing: fetch one part at a time */
	struct api_ledger_tail *tail; /* set at each listing of the parts; NULL: not wanted */
};

/**
 * Continue to fetch ledger entries, from the spool's end up to, not including, `end`. On failure the spool keeps what
 * was received, and the next call continues there.
 * @return 0; else as api_fetch_ledger()
 */
int api_spool_ledger(const struct api *api, clock_ms deadline, struct api_ledger_spool *spool, uint64_t end,
		     struct fault *flt);

/**
 * Ask for what follows the spool's end, up to, not including, `end`, where the ledger's last part was: one round trip,
 * where a listing of the parts takes one more. The spool keeps what was received; that it receives nothing, or fails to
 * in a quarter of the time, is no fault.
 * @param spool  its tail is known, and begins before the spool's end
 */
void api_spool_tail(const struct api *api, clock_ms deadline, struct api_ledger_spool *spool, uint64_t end);

/**
 * Fetch the newest checkpoint and, beside it, what follows the spool's end in the ledger's last part. The spool keeps
 * what was received; that it receives nothing, or fails to in a quarter of the time, is no fault. But a part from where
 * nothing came is forgotten: it would hold up every checkpoint.
 * @return as api_fetch_checkpoint()
 */
int api_fetch_checkpoint_and_ledger(const struct api *api, clock_ms deadline, struct api_ledger_spool *spool,
				    struct signed_checkpoint *out, struct fault *flt);

/**
 * Fetch the ledger's entries from index `first` up to, not including, `end`.
 * @param out  `end - first` entries; free() it
 * @return 0; WARG_INVALID if the sources leave a gap or are cut short; FAULT_ABSENT or FAULT_REFUSED if the registry
 *         has no ledger, or one of a form that we do not read
 */
int api_fetch_ledger(const struct api *api, clock_ms deadline, uint64_t first, uint64_t end,
		     struct api_ledger_entry **out, struct fault *flt);

/** Ask for inclusion proofs of the records at `indices`, in one call: at most CAP_PROOF_LEAVES. */
int api_prove_inclusion(const struct api *api, clock_ms deadline, uint64_t log_length, const uint64_t *indices,
			size_t count, struct merkle_log_bundle *log, struct merkle_map_bundle *map, struct fault *flt);

/** Ask for the proof that the log of `to` records is the one of `from` records, grown: `0 < from < to`. */
int api_prove_consistency(const struct api *api, clock_ms deadline, uint64_t from, uint64_t to,
			  struct merkle_log_bundle *out, struct fault *flt);

/** Where a content can be had. */
struct api_source {
	char url[CAP_URL + 1]; /* absolute */
	bool has_size;
	uint64_t size; /* a claim */
	bool accepts_ranges;
};

struct api_sources {
	struct api_source *sources; /* at most CAP_SOURCES, at least one */
	size_t count;
};

/** Give the memory back; empty afterwards. */
void api_sources_release(struct api_sources *sources);

/**
 * Ask where a content can be had, in two halves, as whoever asks cannot wait: fills in `exchange` but for `done`,
 * `user` and `deadline`.
 * @param url  the exchange borrows it; release it afterwards
 */
int api_sources_request(const struct api *api, const struct digest *content, struct http_exchange *exchange,
			struct buf *url, struct fault *flt);
/** The other half: what an exchange that is over says. @return 0; FAULT_ABSENT if nobody has it */
int api_sources_decode(const struct api *api, const struct digest *content, const struct http_exchange *exchange,
		       struct api_sources *out, struct fault *flt);

/* ---- Publishing ---- */

enum api_record_status {
	API_RECORD_SOURCING,   /* contents are missing; upload them */
	API_RECORD_PROCESSING, /* wait; some registries say so, too, while contents are missing (interop.md B 3) */
	API_RECORD_REJECTED,   /* for good; `reason` says why */
	API_RECORD_PUBLISHED,  /* in the registry's log at `registry_index`, it says */
};

/** Where and how a content that the registry lacks is to be uploaded. */
struct api_upload {
	struct digest content;
	enum http_method method;  /* HTTP_POST or HTTP_PUT */
	struct buf url;           /* absolute, NUL-terminated, on the registry's own server */
	struct buf content_type;  /* NUL-terminated; nothing: none */
	struct buf authorization; /* the same; may open the upload to whoever has it */
};

/** What the registry says about a record. Release with api_record_state_release(). */
struct api_record_state {
	struct digest record_id;
	enum api_record_status status;
	char reason[CAP_MESSAGE + 1]; /* of REJECTED: printable (printable.h) and truncated; else "" */
	uint64_t registry_index;      /* of PUBLISHED: a claim, below CAP_LOG_LENGTH */
	struct api_upload *uploads;   /* of SOURCING: one for each content that lacks */
	size_t upload_count;
};

/** Give the memory back; empty afterwards. */
void api_record_state_release(struct api_record_state *state);

/** Why a record cannot be taken now: what a 409 says. */
enum api_conflict_type {
	API_CONFLICT_NONE,             /* it said nothing of the kind */
	API_CONFLICT_RECORD,           /* `record_id` of the same package is under way: wait for it, then sign anew */
	API_CONFLICT_NAMESPACE_IMPORT, /* the namespace is another registry's; which one, the operator's log says */
};
struct api_conflict {
	enum api_conflict_type type;
	struct digest record_id; /* of RECORD; may be the very record that was sent */
};

/**
 * Send a record to be published. At most once: it is never repeated, not even on a connection that breaks.
 *
 * Uploads are only taken for what the record releases, only to the registry's own server, and only with the headers
 * that an upload may have (interop.md A 3); whatever else is named is WARG_INVALID.
 *
 * @param out       on success, where the record stands now
 * @param conflict  set in any case; its type is API_CONFLICT_NONE but for a 409, which is FAULT_REFUSED
 * @return 0; after a failure, api_record_refused() tells whether the record may have arrived in spite of it.
 *         FAULT_ABSENT if the registry does not have the namespace; flt->wait after 429 and 503
 */
int api_publish_record(const struct api *api, clock_ms deadline, const struct name *name,
		       const struct record_envelope *record, struct api_record_state *out,
		       struct api_conflict *conflict, struct fault *flt);

/**
 * Whether a fault of api_publish_record() says that the registry did not take the record: FAULT_REFUSED, FAULT_LOGIN
 * and FAULT_ABSENT. After any other (a connection lost, a time-out, 5xx but 501, an answer that is a lie or too long, a
 * cancel, no memory) it may have: ask with api_fetch_record() before it is sent again.
 */
bool api_record_refused(const struct fault *flt);

/**
 * Ask where a record stands.
 * @param record  the record of this id, which says what may be uploaded; NULL: not known, and no uploads are taken
 * @return 0; FAULT_ABSENT if the registry says that it has no such record, or no such log: nothing else is FAULT_ABSENT
 */
int api_fetch_record(const struct api *api, clock_ms deadline, const struct name *name, const struct digest *record_id,
		     const struct record *record, struct api_record_state *out, struct fault *flt);

/**
 * Upload a content: the first `length` bytes of a file, once, with the headers that `upload` has and without the token.
 * Never follows a redirect.
 *
 * @param stall  milliseconds without a byte, come or gone, after which it is given up; 0: only the deadline counts
 * @return 0 for any 2xx; FAULT_REFUSED with the server's words, also where the record is not open for it any more
 *         (status 405): ask for the record's state; FAULT_SYSTEM if the file cannot be read or is shorter
 */
int api_upload_content(const struct api *api, clock_ms deadline, clock_ms stall, const struct api_upload *upload,
		       const struct http_file *file, struct fault *flt);

#endif
