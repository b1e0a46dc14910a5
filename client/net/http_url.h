/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * URLs: the registry's own in normal form, its label, and references resolved against it (protocol.md sections 6 and 8,
 * interop.md section C 11).
 */
#ifndef WARG_CLIENT_HTTP_URL_H
#define WARG_CLIENT_HTTP_URL_H

#include "verify/buf.h"
#include "verify/caps.h"

/** A registry's URL. A value: may be copied. */
struct http_url {
	/* normal form: scheme, host in lower case and punycode, no default port, path with '/' at its end */
	char text[CAP_URL + 1];
	char label[CAP_URL + 1]; /* the name of its folder; never empty, "." or "..", never with '/' */
};

/**
 * Parse a registry's URL as a person types it: no scheme means https. http only to localhost or a loopback address.
 * @return 0; WARG_UNDECIDED with FAULT_MISUSE, and a sentence that says why
 */
int http_url_parse(const char *text, struct http_url *out, struct fault *flt);

/**
 * What people call a registry: its URL, or "local:DIR" if it is reached through a socket (http_local.h). For texts, and
 * for --registry. Borrowed, from `url` or for the life of the program.
 */
const char *http_url_name(const struct http_url *url);

/**
 * The URL of a registry by its label alone, where that can be told; its scheme is a guess, as labels have none.
 * @return whether it can
 */
bool http_url_of_label(const char *label, struct http_url *out);

/** Buffer size for http_url_show(). */
#define HTTP_URL_SHOWN_SIZE 200

/**
 * Make any text that should be a URL fit for a message: without user information, query and fragment, which may hold
 * secrets. Of one that is reached through a socket it is the name.
 */
void http_url_show(struct span url, char out[static HTTP_URL_SHOWN_SIZE]);

/** Add a URL, as it is shown, to the fault's place. No-op without a fault. */
void http_url_fault_at(struct span url, struct fault *flt);
/** Make a URL, as it is shown, the subject of the fault: fault_subject(). */
void http_url_fault_about(struct span url, struct fault *flt);

/**
 * Resolve a URL that the registry named, absolute or relative, against its base. http only where the base is http
 * itself, and then only to loopback: a registry elsewhere has no business with what listens on this machine.
 * @param out  the absolute URL is appended, without its fragment
 * @return 0; WARG_INVALID if it is no http or https URL, or http where it must not be, or holds a user name
 */
int http_url_resolve(const struct http_url *base, struct span reference, struct buf *out, struct fault *flt);

/**
 * Check that an absolute URL leads to the registry's own server: the same scheme, host and port.
 * @return 0; WARG_INVALID if it leads elsewhere, or is none of those that http_url_resolve() gives
 */
int http_url_check_origin(const struct http_url *base, const char *url, struct fault *flt);

#endif
