/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * URLs over curl's parser (see http_url.h).
 *
 * The label has to be the reference's, and that goes by WHATWG's rules; where curl's parser and those would part (a
 * host that ends in a number, dots that are percent-encoded, a backslash), the URL is refused.
 */
#include "http_url.h"
#include "http_local.h"
#include "verify/printable.h"

#include <arpa/inet.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "http_parts.h"

/* The parts of a URL; each to be freed with curl_free(), NULL if there is none. */
struct parts {
	char *scheme, *host, *port, *path, *query, *user, *password;
};

static void parts_release(struct parts *parts)
{
	curl_free(parts->scheme);
	curl_free(parts->host);
	curl_free(parts->port);
	curl_free(parts->path);
	curl_free(parts->query);
	curl_free(parts->user);
	curl_free(parts->password);
	*parts = (struct parts){0};
}

static int get(CURLU *url, CURLUPart what, unsigned flags, char **out, struct fault *flt)
{
	CURLUcode code = curl_url_get(url, what, out, flags);

	if (code == CURLUE_OUT_OF_MEMORY)
		return fault_no_memory(flt);
	if (code)
		*out = NULL;
	return 0;
}

/* Made once, for as long as the process lives: each one is loaded anew. */
static locale_t utf8;

static void make_utf8(void)
{
	utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
}

/*
 * The host in punycode. libidn2 reads it in the locale's encoding, and ours is UTF-8 whatever the locale; for a host
 * that it cannot convert, curl says that memory ran out.
 */
static int get_host(CURLU *url, char **out, struct fault *flt)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	locale_t before = (locale_t)0;
	CURLUcode code;

	pthread_once(&once, make_utf8);
	if (utf8)
		before = uselocale(utf8);
	code = curl_url_get(url, CURLUPART_HOST, out, CURLU_PUNYCODE);
	if (utf8)
		uselocale(before);
	return code ? fault_invalid(flt, "its host is no name") : 0;
}

static void lower(char *text)
{
	for (; *text; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static int parts_get(CURLU *url, struct parts *out, struct fault *flt)
{
	struct parts parts = {0};
	int r;

	r = get(url, CURLUPART_SCHEME, 0, &parts.scheme, flt);
	if (!r)
		r = get_host(url, &parts.host, flt);
	if (!r)
		r = get(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, &parts.port, flt);
	if (!r)
		r = get(url, CURLUPART_PATH, 0, &parts.path, flt);
	if (!r)
		r = get(url, CURLUPART_QUERY, 0, &parts.query, flt);
	if (!r)
		r = get(url, CURLUPART_USER, 0, &parts.user, flt);
	if (!r)
		r = get(url, CURLUPART_PASSWORD, 0, &parts.password, flt);
	if (!r && (!parts.scheme || !parts.host || !parts.path))
		r = fault_invalid(flt, "it is no URL");
	if (r) {
		parts_release(&parts);
		return r;
	}
	lower(parts.scheme);
	lower(parts.host);
	*out = parts;
	return 0;
}

/* Set the URL, or resolve it against the one that is set. */
static int set(CURLU *url, const char *text, struct fault *flt)
{
	CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);

	if (code == CURLUE_OUT_OF_MEMORY)
		return fault_no_memory(flt);
	if (code == CURLUE_UNSUPPORTED_SCHEME)
		return fault_invalid(flt, "it is neither https nor http");
	return code ? fault_invalid(flt, "it is no URL: %s", curl_url_strerror(code)) : 0;
}

/* ---- Where a URL leads ---- */

static bool is_loopback(const char *host)
{
	struct in_addr in;
	struct in6_addr in6;
	char bare[64];
	size_t length = strlen(host);

	if (!strcmp(host, "localhost") || http_local_find(host))
		return true;
	if (host[0] != '[')
		return inet_pton(AF_INET, host, &in) == 1 && ntohl(in.s_addr) >> 24 == 127;
	if (length < 2 || length - 2 >= sizeof(bare))
		return false;
	memcpy(bare, host + 1, length - 2);
	bare[length - 2] = '\0';
	return inet_pton(AF_INET6, bare, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

static const char plain_http[] = "plain http is for loopback only";

static int origin_of_parts(const struct parts *parts, struct http_origin *out, struct fault *flt)
{
	struct http_origin origin = {0};
	size_t length = strlen(parts->host);

	if (parts->user || parts->password)
		return fault_invalid(flt, "it holds a user name");
	if (!length || length >= sizeof(origin.host))
		return fault_invalid(flt, "its host is no name");
	memcpy(origin.host, parts->host, length + 1);
	origin.port = parts->port ? (unsigned)strtoul(parts->port, NULL, 10) : 0;
	origin.secure = !strcmp(parts->scheme, "https");
	origin.loopback = is_loopback(parts->host);
	if (!origin.secure && strcmp(parts->scheme, "http"))
		return fault_invalid(flt, "it is neither https nor http");
	if (!origin.secure && !origin.loopback)
		return fault_invalid(flt, "%s", plain_http);
	*out = origin;
	return 0;
}

int http_origin_of(const char *text, struct http_origin *out, struct fault *flt)
{
	CURLU *url = curl_url();
	struct parts parts;
	int r = url ? set(url, text, flt) : fault_no_memory(flt);

	if (!r)
		r = parts_get(url, &parts, flt);
	if (!r) {
		r = origin_of_parts(&parts, out, flt);
		parts_release(&parts);
	}
	curl_url_cleanup(url);
	return r;
}

bool http_origin_equals(const struct http_origin *a, const struct http_origin *b)
{
	return a->secure == b->secure && a->port == b->port && !strcmp(a->host, b->host);
}

/* ---- A registry's URL ---- */

/* An IPv6 address as WHATWG writes it: RFC 5952, but never with a dotted part. `out` has room for 40. */
static void format_ipv6(const struct in6_addr *address, char *out)
{
	unsigned words[8], best = 0, longest = 1;

	for (unsigned i = 0; i < 8; i++)
		words[i] = (unsigned)address->s6_addr[2 * i] << 8 | address->s6_addr[2 * i + 1];
	for (unsigned i = 0, run; i < 8; i += run + 1) {
		for (run = 0; i + run < 8 && !words[i + run]; run++)
			;
		if (run > longest) {
			longest = run;
			best = i;
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		if (longest > 1 && i == best) {
			out += sprintf(out, "::");
			i += longest - 1;
			continue;
		}
		out += sprintf(out, "%s%x", i && !(longest > 1 && i == best + longest) ? ":" : "", words[i]);
	}
}

/* Bring the host into the form that both the URL and the label are made of. */
static int normal_host(const struct parts *parts, struct buf *url, struct buf *label, struct fault *flt)
{
	const char *host = parts->host, *last;
	struct in6_addr in6;
	struct in_addr in;
	char text[64] = "";
	size_t length = strlen(host);

	if (host[0] == '[') {
		if (length - 2 < sizeof(text))
			memcpy(text, host + 1, length - 2);
		if (inet_pton(AF_INET6, text, &in6) != 1)
			return fault_invalid(flt, "its host is no address");
		format_ipv6(&in6, text);
		if (buf_append_format(url, flt, "[%s]", text))
			return WARG_UNDECIDED;
		for (char *c = text; *c; c++)
			*c = *c == ':' ? '.' : *c;
		return buf_append_format(label, flt, "ipv6_%s", text);
	}
	last = host + length;
	if (last > host && last[-1] == '.')
		last--;
	while (last > host && last[-1] != '.')
		last--;
	if (*last >= '0' && *last <= '9' && inet_pton(AF_INET, host, &in) != 1)
		return fault_invalid(flt, "its host ends in a number and is no address");
	/* What is written in punycode may come to characters that no URL has in its host. */
	if (host[0] == '.' || strstr(host, "..") || strpbrk(host, " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}"))
		return fault_invalid(flt, "its host is no name");
	if (buf_append_text(url, host, flt))
		return WARG_UNDECIDED;
	return buf_append_text(label, host, flt);
}

/*
 * The path as WHATWG writes it, percent-encoded where it must be, but with exactly one '/' at either end: URLs with the
 * same label are the same.
 */
static int normal_path(const struct parts *parts, struct buf *url, struct fault *flt)
{
	const char *path = parts->path + strspn(parts->path, "/");
	size_t length = strlen(path);
	int r = buf_append_text(url, "/", flt);

	while (length && path[length - 1] == '/')
		length--;
	for (size_t i = 0; i < length && !r; i++) {
		const unsigned char *c = (const unsigned char *)path + i;

		if (*c > 0x20 && *c < 0x7f && !strchr("\"<>`{}", *c))
			r = buf_append(url, (struct span){ c, 1 }, flt);
		else
			r = buf_append_format(url, flt, "%%%02X", *c);
	}
	if (!r && url->data[url->length - 1] != '/')
		r = buf_append_text(url, "/", flt);
	return r;
}

static int label_path(struct span path, struct buf *label, struct fault *flt)
{
	int r;

	while (path.length && path.data[0] == '/')
		path = (struct span){ path.data + 1, path.length - 1 };
	while (path.length && path.data[path.length - 1] == '/')
		path.length--;
	if (!path.length)
		return 0;
	r = buf_append_text(label, "_", flt);
	for (size_t i = 0; i < path.length && !r; i++) {
		switch (path.data[i]) {
		case '/': r = buf_append_text(label, "_", flt); break;
		case '%': r = buf_append_text(label, ".", flt); break;
		case '*': r = buf_append_text(label, ".2A", flt); break;
		case '.': r = buf_append_text(label, ".2E", flt); break;
		case '_': r = buf_append_text(label, ".5F", flt); break;
		default: r = buf_append(label, (struct span){ path.data + i, 1 }, flt); break;
		}
	}
	return r;
}

static int compose(const struct parts *parts, struct buf *url, struct buf *label, struct fault *flt)
{
	const char *usual = !strcmp(parts->scheme, "https") ? "443" : "80";
	size_t path;
	int r;

	if (parts->query)
		return fault_invalid(flt, "a registry's URL has no query");
	r = buf_append_format(url, flt, "%s://", parts->scheme);
	if (!r)
		r = normal_host(parts, url, label, flt);
	if (!r && parts->port && strcmp(parts->port, usual)) {
		r = buf_append_format(url, flt, ":%s", parts->port);
		if (!r)
			r = buf_append_format(label, flt, "-%s", parts->port);
	}
	path = url->length;
	if (!r)
		r = normal_path(parts, url, flt);
	if (!r)
		r = label_path((struct span){ url->data + path, url->length - path }, label, flt);
	return r;
}

/* Whether a segment is "." or ".." to WHATWG's parser, for its dots are percent-encoded. */
static bool has_encoded_dots(const char *path)
{
	while (*path == '/') {
		const char *start = ++path;
		size_t dots = 0;

		for (; *path == '.' || !strncasecmp(path, "%2e", 3); dots++)
			path += *path == '.' ? 1 : 3;
		if ((*path == '/' || !*path) && (dots == 1 || dots == 2) && (size_t)(path - start) > dots)
			return true;
		path += strcspn(path, "/");
	}
	return false;
}

/*
 * What a person may not type, or not yet: what curl's parser would read otherwise than WHATWG's does. Versions of curl
 * differ in percent-encoded dots, so the text is looked at and not what curl makes of it.
 */
static int check_text(const char *text, struct fault *flt)
{
	const char *path = strchr(text, '/');

	if (!text[0] || strlen(text) > CAP_URL)
		return fault_invalid(flt, text[0] ? "it is too long" : "it is empty");
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c <= 0x20 || *c == 0x7f || *c == '\\' || *c == '#')
			return fault_invalid(flt, "it holds a character that a registry's URL cannot have");
	if (strchr("/~.", text[0]))
		return fault_invalid(flt, "it is a path, and a registry in a folder is called local:DIR");
	if (path && has_encoded_dots(path))
		return fault_invalid(flt, "its path has dots that are percent-encoded");
	return 0;
}

static int parse(const char *text, CURLU *url, struct buf *normal, struct buf *label, struct fault *flt)
{
	struct http_origin origin;
	struct parts parts;
	struct buf whole;
	int r = check_text(text, flt);

	buf_init(&whole, CAP_URL + 16);
	if (!r)
		r = buf_append_format(&whole, flt, "%s%s", strstr(text, "://") ? "" : "https://", text);
	if (!r)
		r = buf_append(&whole, (struct span){ (const unsigned char *)"", 1 }, flt);
	if (!r)
		r = set(url, (const char *)whole.data, flt);
	buf_release(&whole);
	if (!r)
		r = parts_get(url, &parts, flt);
	if (r)
		return r;
	r = origin_of_parts(&parts, &origin, flt);
	if (!r)
		r = compose(&parts, normal, label, flt);
	parts_release(&parts);
	return r;
}

int http_url_parse(const char *text, struct http_url *out, struct fault *flt)
{
	struct fault inner = {0};
	struct buf normal, label;
	CURLU *url = curl_url();
	int r;

	buf_init(&normal, CAP_URL);
	buf_init(&label, CAP_URL);
	r = url ? parse(text, url, &normal, &label, &inner) : fault_no_memory(&inner);
	if (!r) {
		memset(out, 0, sizeof(*out));
		memcpy(out->text, normal.data, normal.length);
		memcpy(out->label, label.data, label.length);
	} else if (inner.kind == FAULT_SYSTEM) {
		r = fault_no_memory(flt);
	} else {
		char shown[HTTP_URL_SHOWN_SIZE];

		/*
		 * Blame the user, not a registry: the URL was typed. Text without a scheme is not shown: it may be a
		 * token.
		 */
		http_url_show(span_of_text(text), shown);
		r = fault_undecided(flt, FAULT_MISUSE, "%s cannot be a registry's URL: %s",
				    strstr(text, "://") ? shown : "what is given",
				    inner.kind == FAULT_LIMIT ? "it is too long" :
				    strcmp(inner.what, plain_http) ? inner.what :
				    "http:// is allowed for this machine only (127.0.0.1, localhost). Use https:// for "
				    "other hosts; TLS: wargfs-serve(1)");
	}
	curl_url_cleanup(url);
	buf_release(&normal);
	buf_release(&label);
	return r;
}

/* @param rest  a URL behind its scheme @return the name of the local registry at its host; NULL: it is another host */
static const char *local_name(struct span rest)
{
	const char *end = memchr(rest.data, '/', rest.length);
	size_t length = end ? (size_t)(end - (const char *)rest.data) : rest.length;
	char host[CAP_DOMAIN + 1];

	if (length >= sizeof(host))
		return NULL;
	memcpy(host, rest.data, length);
	host[length] = '\0';
	return http_local_name(host);
}

const char *http_url_name(const struct http_url *url)
{
	const char *host = strstr(url->text, "://"), *name = host ? local_name(span_of_text(host + 3)) : NULL;

	return name ? name : url->text;
}

bool http_url_of_label(const char *label, struct http_url *out)
{
	/* A loopback host has http as a rule, and no other may. */
	static const char *const schemes[] = {"http", "https"};
	const char *dash = strrchr(label, '-');
	bool has_port = dash && dash[1] && !dash[1 + strspn(dash + 1, "0123456789")];
	int length = (int)(has_port ? (size_t)(dash - label) : strlen(label));
	char text[CAP_URL + 16];
	struct http_url url;

	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		snprintf(text, sizeof(text), "%s://%.*s%s%s", schemes[i], length, label, has_port ? ":" : "",
			 has_port ? dash + 1 : "");
		if (!http_url_parse(text, &url, NULL) && !strcmp(url.label, label)) {
			*out = url;
			return true;
		}
	}
	return false;
}

/*
 * Cut at the last '@', even one after the host's end: a password with '/' or '?' in it makes the URL malformed, and
 * must still not be shown.
 */
void http_url_show(struct span url, char out[static HTTP_URL_SHOWN_SIZE])
{
	const char *text = (const char *)url.data, *scheme = memmem(text, url.length, "://", 3);
	size_t begin = scheme ? (size_t)(scheme - text) + 3 : 0, at = url.length, end;
	const char *name = local_name((struct span){url.data + begin, url.length - begin});
	char raw[HTTP_URL_SHOWN_SIZE];

	if (name) {
		printable_write(span_of_text(name), out, HTTP_URL_SHOWN_SIZE);
		return;
	}
	while (at > begin && text[at - 1] != '@')
		at--;
	end = at;
	while (end < url.length && text[end] != '?' && text[end] != '#')
		end++;
	snprintf(raw, sizeof(raw), "%.*s%s%.*s", begin < 16 ? (int)begin : 0, text, at > begin ? "...@" : "",
		 end - at < sizeof(raw) ? (int)(end - at) : (int)sizeof(raw), text + at);
	printable_write(span_of_text(raw), out, HTTP_URL_SHOWN_SIZE);
}

/* ---- What a registry names ---- */

/*
 * The reference as a C string, in `out`. A scheme of its own must be one that we speak: curl takes others for a
 * path.
 */
static int check_reference(struct span reference, struct buf *out, struct fault *flt)
{
	const unsigned char *c = reference.data;
	bool named, ours;
	size_t i = 0;

	if (!reference.length || reference.length > CAP_URL)
		return fault_invalid(flt, "a URL of %zu bytes", reference.length);
	for (size_t j = 0; j < reference.length; j++)
		if (c[j] <= 0x20 || c[j] >= 0x7f || c[j] == '\\')
			return fault_invalid(flt, "a URL with a character that it must not have");
	while (i < reference.length && c[i] != ':' && c[i] != '/' && c[i] != '?' && c[i] != '#')
		i++;
	named = i < reference.length && c[i] == ':';
	ours = named && ((i == 5 && !strncasecmp((const char *)c, "https", 5)) ||
			 (i == 4 && !strncasecmp((const char *)c, "http", 4)));
	if (named && !(ours && reference.length - i > 3 && c[i + 1] == '/' && c[i + 2] == '/'))
		return fault_invalid(flt, "it is neither https nor http");
	if (buf_append(out, reference, flt))
		return WARG_UNDECIDED;
	return buf_append(out, (struct span){ (const unsigned char *)"", 1 }, flt);
}

static int resolve(CURLU *url, const struct http_url *base, const char *reference, struct buf *out, struct fault *flt)
{
	struct http_origin from, to;
	struct parts parts;
	char *whole = NULL;
	int r = http_origin_of(base->text, &from, flt);

	if (!r)
		r = set(url, base->text, flt);
	if (!r)
		r = set(url, reference, flt);
	if (!r)
		r = parts_get(url, &parts, flt);
	if (r)
		return r;
	r = origin_of_parts(&parts, &to, flt);
	parts_release(&parts);
	if (!r && from.secure && !to.secure)
		r = fault_invalid(flt, "plain http is named over https");
	if (!r && curl_url_set(url, CURLUPART_FRAGMENT, NULL, 0))
		r = fault_no_memory(flt);
	if (!r)
		r = get(url, CURLUPART_URL, 0, &whole, flt);
	if (!r && (!whole || strlen(whole) > CAP_URL))
		r = fault_invalid(flt, "it is too long");
	if (!r)
		r = buf_append_text(out, whole, flt);
	curl_free(whole);
	return r;
}

void http_url_fault_at(struct span url, struct fault *flt)
{
	char shown[HTTP_URL_SHOWN_SIZE];

	http_url_show(url, shown);
	fault_at(flt, "%s", shown);
}

void http_url_fault_about(struct span url, struct fault *flt)
{
	char shown[HTTP_URL_SHOWN_SIZE];

	http_url_show(url, shown);
	fault_subject(flt, "%s", shown);
}

int http_url_resolve(const struct http_url *base, struct span reference, struct buf *out, struct fault *flt)
{
	CURLU *url = curl_url();
	struct buf text;
	int r;

	buf_init(&text, CAP_URL + 1);
	r = url ? check_reference(reference, &text, flt) : fault_no_memory(flt);
	if (!r)
		r = resolve(url, base, (const char *)text.data, out, flt);
	if (r)
		http_url_fault_at(reference, flt);
	curl_url_cleanup(url);
	buf_release(&text);
	return r;
}

int http_url_check_origin(const struct http_url *base, const char *url, struct fault *flt)
{
	struct http_origin own, other;
	int r = http_origin_of(base->text, &own, flt);

	if (!r)
		r = http_origin_of(url, &other, flt);
	if (!r && !http_origin_equals(&own, &other))
		r = fault_invalid(flt, "it leads to another server than the registry's own");
	if (r)
		http_url_fault_at(span_of_text(url), flt);
	return r;
}
