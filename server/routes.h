/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Which request is answered by whom.
 */
#ifndef WARG_SERVER_ROUTES_H
#define WARG_SERVER_ROUTES_H

#include "exchange.h"

/** A kind of request. */
struct route {
	enum exchange_method method;
	const char *pattern;     /* a path, with '*' for a part that varies */
	bool takes_contents;     /* its body is handed on as it comes, by `take`; else it is gathered */
	bool is_of_registry;     /* Warg-Registry is answered as the reference does: 501 (interop.md B 6) */

	/** Called before the body: whether to accept it. @return false: answered. NULL: always accept */
	bool (*admit)(struct exchange *exchange);
	/**
	 * Answer, or begin to. With `takes_contents` this is before the body: nothing answered means that it is wanted.
	 * It may set `wait` instead.
	 */
	void (*answer)(struct exchange *exchange);
	/** With `takes_contents`: a piece of the body. @return false: enough, do not go on */
	bool (*take)(struct exchange *exchange, struct span piece);
	/** With `takes_contents`: all of the body came. As `answer`. */
	void (*take_end)(struct exchange *exchange);
	/** What was waited for is there: answer. */
	void (*go_on)(struct exchange *exchange);
	/** Free `work`. Not called while it is waiting. */
	void (*forget)(struct exchange *exchange);
};

/** All of them, by number; at most COUNTERS_ROUTES. */
extern const struct route routes[];
extern const unsigned routes_count;

/**
 * Find the route of a request, by its method and path, and fill in `route` and `places`.
 * @return false: it has none, and is answered
 */
bool routes_find(struct exchange *exchange);

/** Answer where a record stands: of publishing, and of asking. */
void answer_standing(struct exchange *exchange, unsigned status, const struct digest *log_id,
		     const struct digest *record_id); /* answer_record.c */

/* Who answers, each in the file of its name. */
void answer_checkpoint(struct exchange *exchange);       /* answer_checkpoint.c */
void answer_verify_checkpoint(struct exchange *exchange);
void answer_logs(struct exchange *exchange);             /* answer_logs.c */
void answer_names(struct exchange *exchange);            /* answer_names.c */
void answer_ledger(struct exchange *exchange);           /* answer_ledger.c */
void answer_ledger_records(struct exchange *exchange);
void answer_inclusion(struct exchange *exchange);        /* answer_proofs.c */
void answer_consistency(struct exchange *exchange);
void answer_content_sources(struct exchange *exchange);  /* answer_content.c */
void answer_content(struct exchange *exchange);
bool answer_publish_admit(struct exchange *exchange);    /* answer_publish.c */
void answer_publish(struct exchange *exchange);
void answer_publish_go_on(struct exchange *exchange);
void answer_publish_forget(struct exchange *exchange);
void answer_record(struct exchange *exchange);           /* answer_record.c */
void answer_upload(struct exchange *exchange);           /* answer_upload.c */
bool answer_upload_take(struct exchange *exchange, struct span piece);
void answer_upload_end(struct exchange *exchange);
void answer_upload_go_on(struct exchange *exchange);
void answer_upload_forget(struct exchange *exchange);
void answer_discovery(struct exchange *exchange);        /* answer_status.c */
void answer_discovery_of_warg(struct exchange *exchange);
void answer_health(struct exchange *exchange);
void answer_metrics(struct exchange *exchange);

#endif
