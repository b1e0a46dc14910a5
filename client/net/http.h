/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * HTTP: one event loop on a thread of its own, many exchanges at once, each with a deadline, a cap and a cancel.
 *
 * https only, except to loopback; certificates are always checked; redirects only where the exchange allows them, and
 * never from https to http; nothing is sent compressed and nothing is asked for compressed, so that caps mean bytes.
 */
#ifndef WARG_CLIENT_HTTP_H
#define WARG_CLIENT_HTTP_H

#include "client/base/clock.h"
#include "credential.h"
#include "http_url.h"
#include "verify/buf.h"
#include "verify/caps.h"

struct http;

/** Start the loop. */
int http_new(struct http **out, struct fault *flt);
/**
 * Cancel what is under way and what is started from now on: each `done` is called with FAULT_CANCELLED. For an end
 * while other threads still use the loop; http_free() comes once they do not. From any thread; does not wait.
 */
void http_stop(struct http *http);
/** Cancel what is under way (each `done` is called), end the thread. NULL is fine. */
void http_free(struct http *http);

/**
 * Send nothing from now on: each exchange ends at once with FAULT_UNREACHABLE, and says that this is what was asked
 * for. Before anything is started.
 */
void http_go_offline(struct http *http);

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT };

/** What is sent from a file: its first `length` bytes, read as they go out, on the loop's thread. */
struct http_file {
	int fd; /* stays open until `done`; its position is not used */
	uint64_t length;
	_Atomic uint64_t *sent; /* NULL, or set to the bytes that were sent so far, again and again */
};

/**
 * One request and what came back. The caller owns it and everything that its request half points to, and keeps both
 * until `done` was called. Zero the struct, fill in the request half, start it.
 *
 * A fault that the other side answers for (garbage in place of HTTP, a body over the cap) has no party yet: only the
 * caller knows whom it asked.
 */
struct http_exchange {
	/* The request. */
	enum http_method method;
	const char *url;
	struct span body;         /* sent when not empty */
	const struct http_file *file; /* sent in place of `body`; NULL: none */
	const char *body_type;    /* content-type of what is sent; NULL: application/json of `body`, none of `file` */
	const char *registry;     /* value of Warg-Registry; NULL: none */
	const char *token;        /* bearer token; NULL: none; never sent along a redirect to another host */
	/*
	 * Used instead of `token`; may be NULL. After a 401 the token is read again, and if it has changed the request
	 * is sent once more, even with `once` set, as a 401 means that the request was not processed. Must live as long
	 * as the loop.
	 */
	struct credential *credential;
	const char *authorization; /* value of Authorization, in place of a token; NULL: none */
	bool follow;              /* up to CAP_REDIRECTS redirects, of GET and HEAD alone */
	/* never sent a second time: not even when a connection that was kept open turns out to be closed, which is when
	   curl does so by itself. It gets a connection of its own */
	bool once;
	/*
	 * Sent again after a 502, and after a 429 or 503 with Retry-After, if the wait ends before the deadline: up to
	 * CAP_REPEATS times. For requests that change nothing.
	 */
	bool repeats;
	/* first byte wanted; 0: all. Status 206 says that it was heeded, 200 that all comes */
	uint64_t range_from;
	uint64_t cap;             /* largest accepted body, else FAULT_LIMIT. Of a status that is not 2xx (with a sink:
	                             not 200 or 206) only the first CAP_BODY_SMALL bytes are read */
	clock_ms deadline;        /* for the whole exchange */
	/*
	 * give up after so many milliseconds without progress; 0: at the deadline only. Progress is any byte sent, or
	 * http_fair_share() bytes given to the sink. Headers, redirects and the body of a refusal are no progress
	 */
	clock_ms stall;

	/**
	 * Takes the body piece by piece as it comes, on the loop's thread: must not block for long. NULL: the body is
	 * gathered in `received`. Only called for status 200 and 206; `status`, `has_length` and `length` are known
	 * by then. A negative verdict ends the exchange with it. It may move the deadline.
	 */
	int (*sink)(struct http_exchange *exchange, struct span piece, struct fault *flt);

	/** Called once, on the loop's thread, when the exchange is over. May start or cancel other exchanges. */
	void (*done)(struct http_exchange *exchange);
	void *user; /* for sink and done */

	/* What came back; valid from `done` on. */
	int verdict;       /* 0 when an answer came, whatever its status */
	struct fault fault;
	int status;        /* HTTP status */
	struct buf received; /* release with http_exchange_release() */
	/* where a redirect leads that was not followed, fit for a message; "" if none */
	char redirect[HTTP_URL_SHOWN_SIZE];
	bool leaves_host;      /* and whether that is another server than the one asked */
	char content_type[80]; /* as sent, cut short; "" if none */
	unsigned retry_after; /* Retry-After in seconds, at most CAP_RETRY_AFTER; 0 if none */
	char hint[300];    /* Warg-Registry-Hint; "" if none or longer */
	bool has_length;
	uint64_t length;   /* Content-Length */
	bool accepts_ranges;
	bool hung_up;      /* the connection was closed in place of an answer: not a whole line of one came */

	/* The loop's own. */
	struct http_exchange *next, *previous;
	void *handle;
	bool cancelled;
	unsigned repeated;   /* how often it was sent again, as `repeats` has it */
	clock_ms resumes;    /* when it is sent again; 0: it does not wait for that */
	unsigned generation; /* generation of the token that was sent */
	enum { HTTP_NOT_RENEWED, HTTP_TO_RENEW, HTTP_RENEWING, HTTP_RENEWED, HTTP_SENT_ANEW } renewal;
};

/** The bytes that a source has to send in so many milliseconds, by CAP_CONTENT_RATE. */
size_t http_fair_share(clock_ms time);

/** Start an exchange. If it cannot be started, `done` is called with the fault all the same, from the loop's thread. */
void http_start(struct http *http, struct http_exchange *exchange);

/**
 * Have the exchange end soon with FAULT_CANCELLED; `done` is called still. From any thread. Fine if it is over already,
 * or was never started.
 */
void http_cancel(struct http *http, struct http_exchange *exchange);

/**
 * Start all exchanges side by side and wait until each is over. Their `done` and `user` are overwritten. Not from the
 * loop's thread.
 */
void http_run(struct http *http, struct http_exchange *const *exchanges, size_t count);

/** Whether the answer is a web page for people, by its Content-Type. */
bool http_is_web_page(const struct http_exchange *exchange);

/** Give back what came back. */
void http_exchange_release(struct http_exchange *exchange);

#endif
