/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
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
#include "http_network.h"
#include "http_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
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
	if (length > CAP_HEADERS - request->header_bytes) {
		exchange->verdict = fault_undecided(&exchange->fault, FAULT_LIMIT, "more than %u bytes of headers",
						    CAP_HEADERS);
		return CURL_WRITEFUNC_ERROR;
	}
	request->header_bytes += length;
	return length;
}

/* Whether the body is the requested data. Other bodies explain a refusal, or are empty. */
static bool is_wanted(const struct http_exchange *exchange)
{
	if (exchange->sink)
		return exchange->status == 200 || exchange->status == 206;
	return exchange->status >= 200 && exchange->status < 300;
}

static bool is_redirect(const struct http_exchange *exchange)
{
	return exchange->status == 301 || exchange->status == 302 || exchange->status == 303 ||
	       exchange->status == 307 || exchange->status == 308;
}

static bool wants_redirect(const struct http_exchange *exchange)
{
	return exchange->follow && (exchange->method == HTTP_GET || exchange->method == HTTP_HEAD) &&
	       is_redirect(exchange);
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

/* Bytes given to a sink count as progress once they make a fair share (http_fair_share()). */
static void note_progress(struct http_request *request, size_t bytes)
{
	request->unpaid += bytes;
	if (request->unpaid < http_fair_share(request->exchange->stall))
		return;
	request->unpaid = 0;
	request->heard = clock_now();
}

/* Take a piece of a body that is wanted. */
static int take_piece(struct http_request *request, struct span piece)
{
	struct http_exchange *exchange = request->exchange;

	/* A claimed length needs no check if there is a sink, which keeps nothing in memory. */
	if (piece.length > exchange->cap - request->body_bytes ||
	    (!exchange->sink && exchange->has_length && exchange->length > exchange->cap))
		return fault_undecided(&exchange->fault, FAULT_LIMIT, "the answer is longer than %llu bytes",
				       (unsigned long long)exchange->cap);
	request->body_bytes += piece.length;
	if (!exchange->sink)
		return buf_append(&exchange->received, piece, &exchange->fault);
	note_progress(request, piece.length);
	return exchange->sink(exchange, piece, &exchange->fault);
}

/*
 * Take a piece of a body that explains a refusal, or drop one that comes with a redirect. Never counts as progress.
 */
static int take_explanation(struct http_request *request, struct span piece)
{
	struct http_exchange *exchange = request->exchange;
	size_t room = CAP_BODY_SMALL - (size_t)request->body_bytes;

	if (piece.length > room) {
		request->enough = true;
		piece.length = room;
	}
	request->body_bytes += piece.length;
	return wants_redirect(exchange) ? 0 : buf_append(&exchange->received, piece, &exchange->fault);
}

static size_t take_body(char *data, size_t size, size_t count, void *user)
{
	struct http_request *request = user;
	struct http_exchange *exchange = request->exchange;
	struct span piece = { (const unsigned char *)data, size * count };

	if (note_answer(request))
		return CURL_WRITEFUNC_ERROR;
	exchange->verdict = is_wanted(exchange) ? take_piece(request, piece) : take_explanation(request, piece);
	return exchange->verdict || request->enough ? CURL_WRITEFUNC_ERROR : piece.length;
}

/* A body that is being sent is no silence. */
static int note_sent(void *user, curl_off_t to_come, curl_off_t came, curl_off_t to_send, curl_off_t sent)
{
	struct http_request *request = user;

	(void)to_come;
	(void)came;
	(void)to_send;
	if ((uint64_t)sent != request->sent) {
		request->sent = (uint64_t)sent;
		if (request->exchange->file && request->exchange->file->sent)
			atomic_store(request->exchange->file->sent, request->sent);
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

/* Add the current token, and note its generation. */
static int add_credential(struct http_request *request, struct fault *flt)
{
	struct http_exchange *exchange = request->exchange;
	struct buf token;
	int r;

	buf_init(&token, CAP_SECRET + 1);
	r = credential_copy(exchange->credential, &token, &exchange->generation, flt);
	if (!r && token.length)
		r = add_header(request, "Authorization: Bearer", (const char *)token.data, flt);
	buf_wipe(&token);
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

bool http_is_web_page(const struct http_exchange *exchange)
{
	static const char *const types[] = {"text/html", "application/xhtml+xml"};
	size_t length = strcspn(exchange->content_type, "; \t");

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (length == strlen(types[i]) && !strncasecmp(exchange->content_type, types[i], length))
			return true;
	return false;
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
	else if (!r && at_home && exchange->credential)
		r = add_credential(request, flt);
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
	const char *proxy = NULL;

	/* Below, "" is none, whatever the environment says. None stands between this machine and itself. */
	if (secure && !request->origin.loopback && http_network_proxy(&proxy, flt))
		return WARG_UNDECIDED;
	curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)(secure && !request->exchange->once ?
							   CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
	if (curl_easy_setopt(easy, CURLOPT_URL, url) ||
	    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, secure ? "https" : "http") ||
	    curl_easy_setopt(easy, CURLOPT_PROXY, proxy ? proxy : "") ||
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
	curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, note_sent);
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

/* The certificates that are trusted, and who is reached without the proxy. @return whether there was memory for it */
static bool set_network(CURL *easy)
{
	const struct http_network *network = http_network_get();
	bool failed = curl_easy_setopt(easy, CURLOPT_NOPROXY, network->no_proxy ? network->no_proxy : "") != CURLE_OK;

	if (network->ca_file)
		failed |= curl_easy_setopt(easy, CURLOPT_CAINFO, network->ca_file) != CURLE_OK;
	if (network->ca_folder || network->only_ca_file)
		failed |= curl_easy_setopt(easy, CURLOPT_CAPATH, network->ca_folder) != CURLE_OK;
	return !failed;
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
	failed = !set_network(easy);
	failed |= curl_easy_setopt(easy, CURLOPT_USERAGENT, "wargfs/" WARGFS_VERSION) != CURLE_OK;
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
	http_url_fault_at(span_of_text(exchange->url), &exchange->fault);
}

/* The proxy's answer to CONNECT if it was a refusal, else 0. */
static long refused_by_proxy(const struct http_request *request)
{
	long status = 0;

	curl_easy_getinfo(request->easy, CURLINFO_HTTP_CONNECTCODE, &status);
	return status >= 300 ? status : 0;
}

/* There was no answer: no name, no connection, no TLS, a certificate that does not verify, a connection lost. */
static void note_unreached(struct http_request *request, CURLcode code, const char *detail)
{
	struct fault *flt = &request->exchange->fault;
	long proxied = refused_by_proxy(request);

	if (proxied == 407 && strchr(http_network_get()->proxy, '@'))
		fault_undecided(flt, FAULT_UNREACHABLE, "the proxy refuses the login in its URL (status 407)");
	else if (proxied == 407)
		fault_undecided(flt, FAULT_UNREACHABLE, "the proxy wants a login (status 407): give it in the proxy's "
				"URL, as in http://USER:PASSWORD@HOST:PORT");
	else if (proxied)
		fault_undecided(flt, FAULT_UNREACHABLE, "the proxy refuses to connect (status %ld)", proxied);
	else if (code == CURLE_PEER_FAILED_VERIFICATION && strstr(detail, "certificate problem"))
		fault_undecided(flt, FAULT_UNREACHABLE, "%s; for an authority of your own, see --cacert", detail);
	else
		fault_undecided(flt, FAULT_UNREACHABLE, "%s", detail);
	if (code == CURLE_SSL_CACERT_BADFILE)
		fault_blame(flt, FAULT_BY_USER);
}

/* The scheme, host and port that were asked last, of a redirect its target's. @return their length; 0: not known */
static size_t find_origin(const struct http_request *request, const char **out)
{
	char *url = NULL;
	const char *host;

	curl_easy_getinfo(request->easy, CURLINFO_EFFECTIVE_URL, &url);
	host = url ? strstr(url, "://") : NULL;
	*out = url;
	return host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : 0;
}

/* No program listens at that address. */
static void tell_no_connection(const struct http_request *request, const char *detail, struct fault *flt)
{
	const char *url;
	size_t length = find_origin(request, &url);
	long error = 0;

	/* It may be the proxy that cannot be connected to; curl's words name it. */
	if (!request->origin.loopback && http_network_get()->proxy) {
		fault_undecided(flt, FAULT_UNREACHABLE, "%s", detail);
		return;
	}
	curl_easy_getinfo(request->easy, CURLINFO_OS_ERRNO, &error);
	if (error == ECONNREFUSED)
		detail = "connection refused";
	else if (error && strerrordesc_np((int)error))
		detail = strerrordesc_np((int)error);
	fault_undecided(flt, FAULT_UNREACHABLE, "cannot be connected to: %s", detail);
	http_url_fault_about((struct span){(const unsigned char *)url, length}, flt);
}

/*
 * What listens there does not speak TLS. Of a loopback host, http may have been meant. One elsewhere may speak it: what
 * closes the connection may be a network between.
 */
static void tell_no_tls(const struct http_request *request, const char *detail, struct fault *flt)
{
	const bool is_closed = strstr(detail, "unexpected eof") || strstr(detail, "SSL_ERROR_SYSCALL");
	const char *url;
	size_t length = find_origin(request, &url);
	struct http_url meant;
	char text[CAP_URL + 1] = "";

	if (is_closed && !request->origin.loopback) {
		fault_undecided(flt, FAULT_UNREACHABLE, "the connection was closed during the TLS handshake");
		return;
	}
	if (length > strlen("https"))
		snprintf(text, sizeof(text), "http%.*s", (int)(length - strlen("https")), url + strlen("https"));
	if (!http_url_parse(text, &meant, NULL))
		fault_undecided(flt, FAULT_UNREACHABLE, "does not speak https. Did you mean %.100s?", text);
	else
		fault_undecided(flt, FAULT_UNREACHABLE, "does not speak https");
	http_url_fault_about((struct span){(const unsigned char *)url, length}, flt);
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
#if LIBCURL_VERSION_NUM >= 0x080600
	case CURLE_TOO_LARGE: /* header lines, which older versions call a lack of memory */
#endif
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
	case CURLE_SSL_CONNECT_ERROR:
		if (strstr(detail, "wrong version number") || strstr(detail, "packet length too long") ||
		    strstr(detail, "unexpected eof") || strstr(detail, "SSL_ERROR_SYSCALL"))
			tell_no_tls(request, detail, flt);
		else
			fault_undecided(flt, FAULT_UNREACHABLE, "%s", detail);
		break;
	case CURLE_COULDNT_CONNECT:
		tell_no_connection(request, detail, flt);
		break;
	default:
		note_unreached(request, code, detail);
		break;
	}
	fault_blame(flt, FAULT_BY_NETWORK);
	return WARG_UNDECIDED;
}

/* Go on at `url`, if that is allowed. */
static int redirect(struct http_request *request, const char *url, struct fault *flt)
{
	struct http_origin origin;
	char shown[HTTP_URL_SHOWN_SIZE];
	int r;

	if (request->redirects == CAP_REDIRECTS)
		return fault_undecided(flt, FAULT_LIMIT, "more than %d redirects", CAP_REDIRECTS);
	request->redirects++;
	r = http_origin_of(url, &origin, flt);
	if (r) {
		http_url_show(span_of_text(url), shown);
		fault_at(flt, "redirect %u, to %.100s", request->redirects, shown);
		return r;
	}
	if (request->origin.secure && !origin.secure) {
		http_url_show(span_of_text(url), shown);
		return fault_invalid(flt, "a redirect leads from https to http: %.150s", shown);
	}
	request->origin = origin;
	request->body_bytes = 0;
	request->enough = false;
	return aim(request, url, flt);
}

/*
 * The redirect's target; NULL: no Location header. CURLINFO_REDIRECT_URL is only set after the whole body, which may be
 * long.
 * @param out  free with curl_free()
 */
static int find_target(struct http_request *request, char **out, struct fault *flt)
{
	struct curl_header *location;
	char *from = NULL;
	CURLU *url;
	int r = 0;

	if (curl_easy_header(request->easy, "Location", 0, CURLH_HEADER, -1, &location) || !location->value[0])
		return 0;
	curl_easy_getinfo(request->easy, CURLINFO_EFFECTIVE_URL, &from);
	url = curl_url();
	if (!url || !from)
		r = fault_no_memory(flt);
	else if (curl_url_set(url, CURLUPART_URL, from, 0) ||
		 curl_url_set(url, CURLUPART_URL, location->value, CURLU_NON_SUPPORT_SCHEME | CURLU_ALLOW_SPACE |
			      CURLU_URLENCODE) ||
		 curl_url_get(url, CURLUPART_URL, out, 0))
		r = fault_invalid(flt, "a redirect to no URL");
	curl_url_cleanup(url);
	return r;
}

/* Of a redirect that is not followed: where it leads, as far as it is a URL. */
static void note_redirect(struct http_request *request)
{
	struct http_exchange *exchange = request->exchange;
	struct http_origin origin;
	char *url = NULL;

	if (!is_redirect(exchange) || find_target(request, &url, NULL) || !url)
		return;
	http_url_show(span_of_text(url), exchange->redirect);
	exchange->leaves_host = http_origin_of(url, &origin, NULL) || !http_origin_equals(&request->first, &origin);
	curl_free(url);
}

bool http_request_over(struct http_request *request, CURLcode code)
{
	struct http_exchange *exchange = request->exchange;
	bool goes_on;
	char *url = NULL;
	long status = 0, proxied = 0;

	curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_getinfo(request->easy, CURLINFO_HTTP_CONNECTCODE, &proxied);
	exchange->hung_up = !status && !proxied && (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR);
	if (request->enough)
		code = CURLE_OK;
	/* To curl, a connection that is closed between two header lines is an answer with no body. */
	if (!code && !request->head_ended)
		code = CURLE_PARTIAL_FILE;
	if (!exchange->verdict && code)
		exchange->verdict = fault_of(request, code);
	if (!exchange->verdict && !note_answer(request) && wants_redirect(exchange))
		exchange->verdict = find_target(request, &url, &exchange->fault);
	if (!exchange->verdict && url)
		exchange->verdict = redirect(request, url, &exchange->fault);
	if (!exchange->verdict && !url)
		note_redirect(request);
	goes_on = !exchange->verdict && url;
	curl_free(url);
	if (exchange->verdict && !exchange->fault.is_clause)
		http_fault_at(exchange);
	return !goes_on;
}
