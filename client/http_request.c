/*
 * One exchange as curl sees it: how it is asked, what is taken of the answer, which redirects are followed, and what
 * each of curl's complaints means in our words (see http.h).
 *
 * Redirects are followed here, one hop at a time, and not by curl: each hop is checked as the first one was, and gets
 * the headers that are right for it.
 *
 * What must not be sent twice is kept from curl's own second tries: those come on a connection that had been used
 * before, and on an HTTP/2 stream that was refused, so it gets neither. A body from a file cannot be rewound: curl
 * would give up rather than send it again.
 */
#include "http_local.h"
#include "http_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#ifndef WARGFS_VERSION
#define WARGFS_VERSION "0"
#endif

#define BUFFER_CONTENT (256L << 10) /* what curl reads at a time; the default of 16 KiB costs a third of the speed */

/* ---- What curl calls ---- */

/* Plain http stays on this machine, whatever the name resolved to. */
static curl_socket_t open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
	const struct http_request *request = user;
	bool loopback = false;

	if (purpose != CURLSOCKTYPE_IPCXN)
		return CURL_SOCKET_BAD;
	if (address->family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, &address->addr, sizeof(in));
		loopback = ntohl(in.sin_addr.s_addr) >> 24 == 127;
	} else if (address->family == AF_INET6 && address->addrlen >= sizeof(struct sockaddr_in6)) {
		struct in6_addr in6;

		memcpy(&in6, (const char *)&address->addr + offsetof(struct sockaddr_in6, sin6_addr), sizeof(in6));
		loopback = IN6_IS_ADDR_LOOPBACK(&in6);
	} else if (address->family == AF_UNIX) {
		loopback = true; /* curl was told to */
	}
	if (!request->origin.secure && !loopback)
		return CURL_SOCKET_BAD;
	return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take_header(char *data, size_t size, size_t count, void *user)
{
	struct http_request *request = user;
	struct http_exchange *exchange = request->exchange;
	size_t length = size * count;

	/* Of each answer of a row, 100 Continue and the like; trailers behind a body come here, too. */
	if (length >= 5 && !strncasecmp(data, "HTTP/", 5))
		request->head_ended = false;
	else if (length <= 2)
		request->head_ended = true;
	request->heard = clock_now();
	if (length > CAP_HEADERS - request->header_bytes) {
		exchange->verdict = fault_undecided(&exchange->fault, FAULT_LIMIT, "more than %u bytes of headers",
						    CAP_HEADERS);
		return CURL_WRITEFUNC_ERROR;
	}
	request->header_bytes += length;
	return length;
}

static bool is_success(const struct http_exchange *exchange)
{
	return exchange->status >= 200 && exchange->status < 300;
}

static void copy_header(CURL *easy, const char *name, char *out, size_t size, bool cut)
{
	struct curl_header *header;
	size_t length;

	out[0] = '\0';
	if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header))
		return;
	length = strlen(header->value);
	if (length >= size && !cut)
		return;
	if (length >= size)
		length = size - 1;
	memcpy(out, header->value, length);
	out[length] = '\0';
}

/* A part that begins elsewhere than asked would be put together with the wrong bytes. */
static int check_range(struct http_request *request)
{
	struct http_exchange *exchange = request->exchange;
	char range[80], *end;
	unsigned long long from;

	if (exchange->status != 206)
		return 0;
	copy_header(request->easy, "Content-Range", range, sizeof(range), false);
	if (!exchange->range_from)
		return fault_invalid(&exchange->fault, "a part came where the whole was asked for");
	if (strncasecmp(range, "bytes ", 6) || range[6] < '0' || range[6] > '9')
		return fault_invalid(&exchange->fault, "a part came that does not say which");
	from = strtoull(range + 6, &end, 10);
	if (*end != '-' || from != exchange->range_from)
		return fault_invalid(&exchange->fault, "another part came than asked for");
	return 0;
}

/* Bring status and headers into the exchange, once for each hop: with the first byte of the body, or without one. */
static int note_answer(struct http_request *request)
{
	struct http_exchange *exchange = request->exchange;
	curl_off_t length = -1;
	curl_off_t wait = 0;
	long status = 0;
	char ranges[16];

	if (request->answered)
		return exchange->verdict;
	request->answered = true;
	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	exchange->status = (int)status;
	curl_easy_getinfo(request->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	exchange->has_length = length >= 0;
	exchange->length = length >= 0 ? (uint64_t)length : 0;
	copy_header(request->easy, "Content-Type", exchange->content_type, sizeof(exchange->content_type), true);
	copy_header(request->easy, "Warg-Registry-Hint", exchange->hint, sizeof(exchange->hint), false);
	copy_header(request->easy, "Accept-Ranges", ranges, sizeof(ranges), false);
	curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &wait);
	exchange->retry_after = wait < 0 ? 0 : wait < CAP_RETRY_AFTER ? (unsigned)wait : CAP_RETRY_AFTER;
	exchange->accepts_ranges = !strcasecmp(ranges, "bytes");
	exchange->verdict = check_range(request);
	return exchange->verdict;
}

/* Take a piece of a body that is wanted. */
static int take_piece(struct http_request *request, struct span piece)
{
	struct http_exchange *exchange = request->exchange;

	if (piece.length > exchange->cap - request->body_bytes ||
	    (exchange->has_length && exchange->length > exchange->cap))
		return fault_undecided(&exchange->fault, FAULT_LIMIT, "the answer is longer than %llu bytes",
				       (unsigned long long)exchange->cap);
	request->body_bytes += piece.length;
	if (exchange->sink && (exchange->status == 200 || exchange->status == 206))
		return exchange->sink(exchange, piece, &exchange->fault);
	return buf_append(&exchange->received, piece, &exchange->fault);
}

/* Take a piece of a body that explains a refusal. */
static int take_explanation(struct http_request *request, struct span piece)
{
	struct http_exchange *exchange = request->exchange;
	size_t room = CAP_BODY_SMALL - exchange->received.length;

	if (piece.length > room) {
		request->enough = true;
		piece.length = room;
	}
	return buf_append(&exchange->received, piece, &exchange->fault);
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
	struct http_request *request = user;
	struct http_exchange *exchange = request->exchange;
	struct span piece = { (const unsigned char *)data, size * count };

	request->heard = clock_now();
	if (note_answer(request))
		return CURL_WRITEFUNC_ERROR;
	exchange->verdict = is_success(exchange) ? take_piece(request, piece) : take_explanation(request, piece);
	return exchange->verdict || request->enough ? CURL_WRITEFUNC_ERROR : piece.length;
}

/* A body that is being sent is no silence. */
static int note_progress(void *user, curl_off_t to_come, curl_off_t came, curl_off_t to_send, curl_off_t sent)
{
	struct http_request *request = user;

	(void)to_come;
	(void)came;
	(void)to_send;
	if ((uint64_t)sent != request->sent) {
		request->sent = (uint64_t)sent;
		request->heard = clock_now();
	}
	return 0;
}

static size_t give_file(char *out, size_t size, size_t count, void *user)
{
	struct http_request *request = user;
	struct http_exchange *exchange = request->exchange;
	uint64_t left = exchange->file->length - request->read;
	size_t wanted = left < size * count ? (size_t)left : size * count;
	ssize_t n;

	do
		n = pread(exchange->file->fd, out, wanted, (off_t)request->read);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		exchange->verdict = fault_system(&exchange->fault, errno, "the file that is sent cannot be read");
	else if (!n && wanted)
		exchange->verdict = fault_system(&exchange->fault, EIO, "the file that is sent became shorter");
	if (exchange->verdict)
		return CURL_READFUNC_ABORT;
	request->read += (uint64_t)n;
	return (size_t)n;
}

/* ---- Asking ---- */

static void free_headers(struct http_request *request)
{
	for (struct curl_slist *header = request->headers; header; header = header->next)
		explicit_bzero(header->data, strlen(header->data)); /* one may hold the token */
	curl_slist_free_all(request->headers);
	request->headers = NULL;
}

static int add_header(struct http_request *request, const char *name, const char *value, struct fault *flt)
{
	struct curl_slist *longer;
	struct buf line;
	int r;

	for (const char *c = value; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			return fault_undecided(flt, FAULT_MISUSE, "the header %s would hold a control character", name);
	buf_init(&line, CAP_HEADERS);
	r = buf_append_format(&line, flt, "%s %s", name, value);
	if (!r)
		r = buf_append(&line, (struct span){ (const unsigned char *)"", 1 }, flt);
	if (!r) {
		longer = curl_slist_append(request->headers, (const char *)line.data);
		if (longer)
			request->headers = longer;
		else
			r = fault_no_memory(flt);
	}
	buf_wipe(&line);
	return r;
}

static bool sends_body(const struct http_exchange *exchange)
{
	return exchange->method == HTTP_POST || exchange->method == HTTP_PUT;
}

/* "": none, where curl would make one up. */
static const char *body_type(const struct http_exchange *exchange)
{
	if (exchange->body_type)
		return exchange->body_type;
	return exchange->body.length ? "application/json" : "";
}

/* The headers for the hop that `origin` is: what was meant for the registry goes to nobody else. */
static int set_headers(struct http_request *request, struct fault *flt)
{
	const struct http_exchange *exchange = request->exchange;
	bool at_home = http_origin_equals(&request->first, &request->origin);
	int r;

	free_headers(request);
	r = add_header(request, "Expect:", "", flt); /* no wait for a 100 Continue: few servers send one */
	if (!r && sends_body(exchange))
		r = add_header(request, "Content-Type:", body_type(exchange), flt);
	if (!r && at_home && exchange->registry)
		r = add_header(request, "Warg-Registry:", exchange->registry, flt);
	if (!r && at_home && exchange->authorization)
		r = add_header(request, "Authorization:", exchange->authorization, flt);
	else if (!r && at_home && exchange->token)
		r = add_header(request, "Authorization: Bearer", exchange->token, flt);
	if (!r && curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers))
		r = fault_no_memory(flt);
	return r;
}

/* Point the request at `url`, the first or that of a redirect. */
static int aim(struct http_request *request, const char *url, struct fault *flt)
{
	CURL *easy = request->easy;
	bool secure = request->origin.secure;

	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)(secure && !request->exchange->once ?
							   CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	/* Proxies are what the environment says, but none stands between this machine and itself. */
	if (curl_easy_setopt(easy, CURLOPT_URL, url) ||
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, secure ? "https" : "http") ||
	    curl_easy_setopt(easy, CURLOPT_PROXY, request->origin.loopback ? "" : NULL) ||
	    curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, http_local_find(request->origin.host)))
		return fault_no_memory(flt);
	request->answered = false;
	return set_headers(request, flt);
}

static void set_callbacks(struct http_request *request)
{
	CURL *easy = request->easy;

	curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->detail);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, request);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, note_progress);
	curl_easy_setopt(easy, CURLOPT_XFERINFODATA, request);
	curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
}

/* With a length that is known before, so never in chunks. */
static void set_body(struct http_request *request)
{
	const struct http_exchange *exchange = request->exchange;
	CURL *easy = request->easy;

	curl_easy_setopt(easy, CURLOPT_POST, 1L);
	if (exchange->file) {
		curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_file);
		curl_easy_setopt(easy, CURLOPT_READDATA, request);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->file->length);
		return;
	}
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)exchange->body.length);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDS, exchange->body.length ? (const char *)exchange->body.data : "");
}

/* What is the same on every hop. curl's own defaults do the rest: no cookies, no netrc, no compression. */
static int set_options(struct http_request *request, struct fault *flt)
{
	const struct http_exchange *exchange = request->exchange;
	CURL *easy = request->easy;
	char range[32];
	bool failed = false;

	set_callbacks(request);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a cancel does not wait for the resolver's thread */
	curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	if (exchange->sink)
		curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_CONTENT);
	failed = curl_easy_setopt(easy, CURLOPT_USERAGENT, "wargfs/" WARGFS_VERSION) != CURLE_OK;
	if (exchange->range_from) {
		snprintf(range, sizeof(range), "%llu-", (unsigned long long)exchange->range_from);
		failed |= curl_easy_setopt(easy, CURLOPT_RANGE, range) != CURLE_OK;
	}
	if (exchange->method == HTTP_HEAD)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	if (exchange->once) {
		curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
		curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
	}
	if (sends_body(exchange))
		set_body(request);
	if (exchange->method == HTTP_PUT)
		failed |= curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, "PUT") != CURLE_OK;
	return failed ? fault_no_memory(flt) : 0;
}

int http_request_new(struct http_exchange *exchange, struct http_request **out, struct fault *flt)
{
	struct http_request *request = calloc(1, sizeof(*request));
	int r;

	if (!request)
		return fault_no_memory(flt);
	buf_init(&exchange->received, exchange->cap > CAP_BODY_SMALL ? exchange->cap : CAP_BODY_SMALL);
	request->exchange = exchange;
	request->heard = clock_now();
	request->easy = curl_easy_init();
	r = request->easy ? 0 : fault_no_memory(flt);
	if (!r)
		r = http_origin_of(exchange->url, &request->first, flt);
	if (!r) {
		request->origin = request->first;
		r = set_options(request, flt);
	}
	if (!r)
		r = aim(request, exchange->url, flt);
	if (r) {
		http_request_free(request);
		return r;
	}
	*out = request;
	return 0;
}

void http_request_free(struct http_request *request)
{
	if (!request)
		return;
	curl_easy_cleanup(request->easy);
	free_headers(request);
	free(request);
}

/* ---- When curl is through with it ---- */

void http_fault_at(struct http_exchange *exchange)
{
	/* What stands behind '?' may be a secret that opens the address to whoever has it. */
	fault_at(&exchange->fault, "%.*s", (int)strcspn(exchange->url, "?#"), exchange->url);
}

/* What curl's complaint means. */
static int fault_of(struct http_request *request, CURLcode code)
{
	struct fault *flt = &request->exchange->fault;
	const char *detail = request->detail[0] ? request->detail : curl_easy_strerror(code);
	long sent = 0;

	switch (code) {
	case CURLE_OUT_OF_MEMORY:
		/* curl says the same when a header line is longer than it takes. */
		curl_easy_getinfo(request->easy, CURLINFO_REQUEST_SIZE, &sent);
		if (sent)
			return fault_undecided(flt, FAULT_LIMIT, "a header line is too long");
		return fault_no_memory(flt);
	case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, that is: no status line */
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_RANGE_ERROR:
	case CURLE_HTTP2:
	case CURLE_HTTP3:
		return fault_invalid(flt, "no answer of HTTP: %s", detail);
	case CURLE_FILESIZE_EXCEEDED:
		return fault_undecided(flt, FAULT_LIMIT, "%s", detail);
	case CURLE_OPERATION_TIMEDOUT:
		fault_undecided(flt, FAULT_TIMEOUT, "%s", detail);
		break;
	case CURLE_GOT_NOTHING:
		fault_undecided(flt, FAULT_UNREACHABLE, "the connection was closed without an answer");
		break;
	case CURLE_PARTIAL_FILE:
		fault_undecided(flt, FAULT_UNREACHABLE, "the connection was closed before the end of the answer");
		break;
	default: /* no name, no connection, no TLS, a certificate that does not verify, a connection lost */
		fault_undecided(flt, FAULT_UNREACHABLE, "%s", detail);
		break;
	}
	fault_blame(flt, FAULT_BY_NETWORK);
	return WARG_UNDECIDED;
}

static bool wants_redirect(const struct http_exchange *exchange)
{
	if (!exchange->follow || (exchange->method != HTTP_GET && exchange->method != HTTP_HEAD))
		return false;
	return exchange->status == 301 || exchange->status == 302 || exchange->status == 303 ||
	       exchange->status == 307 || exchange->status == 308;
}

/* Go on at `url`, if that is allowed. */
static int redirect(struct http_request *request, const char *url, struct fault *flt)
{
	struct http_origin origin;
	int r;

	if (request->redirects == CAP_REDIRECTS)
		return fault_undecided(flt, FAULT_LIMIT, "more than %d redirects", CAP_REDIRECTS);
	request->redirects++;
	r = http_origin_of(url, &origin, flt);
	if (r) {
		fault_at(flt, "redirect %u", request->redirects);
		return r;
	}
	if (request->origin.secure && !origin.secure)
		return fault_invalid(flt, "a redirect leads from https to http");
	request->origin = origin;
	request->body_bytes = 0;
	buf_release(&request->exchange->received);
	return aim(request, url, flt);
}

bool http_request_over(struct http_request *request, CURLcode code)
{
	struct http_exchange *exchange = request->exchange;
	char *url = NULL;
	long status = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	exchange->hung_up = !status && (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR);
	if (request->enough)
		code = CURLE_OK;
	/* To curl, a connection that is closed between two header lines is an answer with no body. */
	if (!code && !request->head_ended)
		code = CURLE_PARTIAL_FILE;
	if (!exchange->verdict && code)
		exchange->verdict = fault_of(request, code);
	if (!exchange->verdict && !note_answer(request) && wants_redirect(exchange)) {
		curl_easy_getinfo(request->easy, CURLINFO_REDIRECT_URL, &url);
		if (url)
			exchange->verdict = redirect(request, url, &exchange->fault);
	}
	if (!exchange->verdict && url)
		return false;
	if (exchange->verdict)
		http_fault_at(exchange);
	return true;
}
