/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * A request and its answer, as the files that answer requests see it: no word here of what carries it.
 *
 * Status codes and error bodies are the reference server's (protocol.md section 6; interop.md sections A and B). Each
 * JSON answer has the content type that the reference's client wants to the letter (A 1).
 */
#ifndef WARG_SERVER_EXCHANGE_H
#define WARG_SERVER_EXCHANGE_H

#include "client/base/json.h"
#include "content_files.h"
#include "service_parts.h"

#define EXCHANGE_PLACES 3  /* of a path that vary */
#define EXCHANGE_HEADERS 8 /* of an answer */

enum exchange_method { EXCHANGE_GET, EXCHANGE_HEAD, EXCHANGE_POST, EXCHANGE_PUT, EXCHANGE_OTHER };

struct exchange_header {
	const char *name; /* a literal */
	char value[256];
};

struct exchange {
	struct service *service;

	/* The request. */
	enum exchange_method method;
	const char *path; /* decoded, without the first '/'; NUL-terminated, borrowed */
	/** A header of the request; NULL: it has none. Borrowed. */
	const char *(*header)(const struct exchange *exchange, const char *name);
	bool is_secure;   /* it came over TLS */
	const struct route *route;
	struct span places[EXCHANGE_PLACES]; /* the parts of the path that vary; borrowed from it */
	struct buf body;

	/* The answer. */
	unsigned status; /* 0: none yet */
	const char *type; /* NULL: there is no body */
	struct buf answer;
	struct content_file file; /* in place of `answer`; fd -1: none */
	uint64_t offset, length;  /* what of it */
	struct exchange_header headers[EXCHANGE_HEADERS];
	unsigned header_count;

	/* What is under way. */
	void *work; /* the route's own; freed by its `forget` */
	/** Set in place of answering: called next, to begin something that calls `resume` when it is there. */
	void (*wait)(struct exchange *exchange);
	/** Has the route's `go_on` called. From any thread; the exchange may be gone afterwards. */
	void (*resume)(struct exchange *exchange);
	bool is_aside;    /* it runs on a lane's thread */
	bool wants_aside; /* the route is to be called again on a lane: exchange_step_aside() */
	/** Set the bytes held for it, as client_hold(). NULL: not counted. */
	bool (*hold)(struct exchange *exchange, size_t bytes);
};

/** Set one up. */
void exchange_init(struct exchange *exchange, struct service *service);
/** Give everything back. */
void exchange_release(struct exchange *exchange);

/* ---- Answering ---- */

/** Answer with JSON. Steals `value`. */
void exchange_answer_json(struct exchange *exchange, unsigned status, struct json *value);
/** Answer with what `answer` holds. @param type  a literal */
void exchange_answer(struct exchange *exchange, unsigned status, const char *type);
/** Answer without a body. */
void exchange_answer_empty(struct exchange *exchange, unsigned status);
/** Add a header. */
void exchange_put_header(struct exchange *exchange, const char *name, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** `{status, message}`. */
void exchange_refuse(struct exchange *exchange, unsigned status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/** `{status}`. */
void exchange_answer_status(struct exchange *exchange, unsigned status);
/** `{status, type, id}`: 404 and 409. */
void exchange_answer_type(struct exchange *exchange, unsigned status, const char *type, struct span id);
void exchange_answer_type_digest(struct exchange *exchange, unsigned status, const char *type,
				 const struct digest *id);
void exchange_answer_type_number(struct exchange *exchange, unsigned status, const char *type, uint64_t id);

/**
 * Answer with a fault: 422 if a bound of caps.h is exceeded, which is the client's fault. Other faults are logged for
 * the operator: 507 if the disk is full, 503 if it is read-only, else 500.
 */
void exchange_fail(struct exchange *exchange, const struct fault *flt);

/**
 * Continue a long route on a lane's thread, so that other requests do not wait for it.
 * @return true: return without an answer; the route is called again from its beginning. False: it runs on the lane
 *         already
 */
bool exchange_step_aside(struct exchange *exchange);
/**
 * Count the bytes that the answer has by now.
 * @return false: too many at the moment; answered with 503
 */
bool exchange_hold_answer(struct exchange *exchange);
/** Answer 503: too many bytes are held for this client, or for all. */
void exchange_answer_busy(struct exchange *exchange);

/* ---- Reading the request ---- */

/** Read a part of the path as a digest. @return false: answered with 400 */
bool exchange_read_digest(struct exchange *exchange, unsigned place, struct digest *out);
/** Parse the body. @return NULL: answered with 415 or 400; else json_free() it */
struct json *exchange_read_json(struct exchange *exchange);
/** Say that a body is JSON, but not what it has to be: 422. */
void exchange_answer_misfit(struct exchange *exchange, const struct fault *flt);

/** Where contents are, with '/' at its end: the URL that was configured, or where the client asked. */
int exchange_content_url(const struct exchange *exchange, struct buf *out, struct fault *flt);

#endif
