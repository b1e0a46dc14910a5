/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * What the files of http share; not installed: where a URL leads, and one exchange on its way through curl.
 */
#ifndef WARG_CLIENT_HTTP_PARTS_H
#define WARG_CLIENT_HTTP_PARTS_H

#include "http.h"

#include <curl/curl.h>

/** Where a URL leads: what decides whether a proxy, a redirect or a token is in order. */
struct http_origin {
	char host[256]; /* lower case, IPv6 in brackets */
	unsigned port;
	bool secure;   /* https */
	bool loopback; /* localhost, 127.0.0.0/8 or [::1] */
};

/**
 * Read the origin of an absolute URL.
 * @return 0; WARG_INVALID if it is no http or https URL, plain http to anything but loopback, or holds a user name
 */
int http_origin_of(const char *url, struct http_origin *out, struct fault *flt);

/** Whether both are the same server: same scheme, host and port. */
bool http_origin_equals(const struct http_origin *a, const struct http_origin *b);

/** An exchange under way. Belongs to the loop's thread. */
struct http_request {
	struct http_exchange *exchange;
	CURL *easy;
	struct curl_slist *headers;
	struct http_origin first, origin; /* asked for, and of the hop that is under way */
	unsigned redirects;
	clock_ms heard;                   /* when it last made progress (`stall` in http.h) */
	size_t unpaid;                    /* bytes received since, too few to count as progress */
	uint64_t sent;
	uint64_t read;                    /* bytes of the exchange's file that curl has taken */
	size_t header_bytes;
	uint64_t body_bytes;
	bool head_ended;                  /* the blank line behind the headers came */
	bool answered;                    /* status and headers are in the exchange */
	bool enough;                      /* of a body that only explains a refusal */
	char detail[CURL_ERROR_SIZE];     /* curl's words about what went wrong */
};

/** Make a request that a multi handle can take: its `easy`, whose private pointer is the request. */
int http_request_new(struct http_exchange *exchange, struct http_request **out, struct fault *flt);
/** The easy handle must have been taken out of the multi handle. NULL is fine. */
void http_request_free(struct http_request *request);

/**
 * Curl is through with it: bring the answer, or the fault, into the exchange.
 * @return false if it goes on with a redirect: to be given to the multi handle again
 */
bool http_request_over(struct http_request *request, CURLcode code);

/** Say in the exchange's fault which URL it is about. */
void http_fault_at(struct http_exchange *exchange);

#endif
