/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Calls of the registry: how one is made and its answer read, and the short ones (see api.h).
 */
#include "api_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint_json.h"
#include "verify/printable.h"

/* ---- Making calls ---- */

int api_call_init(struct api_call *call, const struct api *api, const char *path, struct json *body_take, size_t cap,
		  clock_ms deadline, struct fault *flt)
{
	int r;

	*call = (struct api_call){ .exchange = { .registry = api->registry,
						 .credential = api->credential,
						 .repeats = true,
						 .cap = cap,
						 .deadline = deadline } };
	buf_init(&call->url, 2 * CAP_URL);
	buf_init(&call->body, CAP_REQUEST);
	r = buf_append_format(&call->url, flt, "%s%s%c", api->url->text, path, 0);
	if (!r && body_take)
		r = json_render(body_take, JSON_COMPACT, &call->body, flt);
	json_free(body_take);
	call->exchange.method = call->body.length ? HTTP_POST : HTTP_GET;
	call->exchange.url = (const char *)call->url.data;
	call->exchange.body = buf_span(&call->body);
	return r;
}

void api_call_release(struct api_call *call)
{
	http_exchange_release(&call->exchange);
	buf_release(&call->url);
	buf_release(&call->body);
}

int api_run(const struct api *api, struct api_call *calls, size_t count, struct fault *flt)
{
	struct http_exchange **exchanges;

	if (count == 0)
		return 0;
	exchanges = calloc(count, sizeof(struct http_exchange *));
	if (!exchanges)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++)
		exchanges[i] = &calls[i].exchange;
	http_run(api->http, exchanges, count);
	free(exchanges);
	return 0;
}

/* ---- Reading answers ---- */

int api_blame(struct fault *flt)
{
	fault_blame(flt, FAULT_BY_REGISTRY);
	return flt ? flt->verdict : WARG_INVALID;
}

void api_blame_answer(const struct http_exchange *exchange, struct fault *flt)
{
	http_url_fault_at(span_of_text(exchange->url), flt);
	if (flt && flt->kind != FAULT_SYSTEM)
		fault_blame(flt, FAULT_BY_REGISTRY);
}

static void copy_text(const struct json *object, const char *name, char *out, size_t size)
{
	struct span text;

	if (json_read_text(object, name, &text, NULL) || text.length >= size)
		return;
	memcpy(out, text.data, text.length);
	out[text.length] = '\0';
}

int api_words_read(const struct http_exchange *exchange, struct api_words *out, struct fault *flt)
{
	struct fault inner = { 0 };
	struct json *body = NULL;

	*out = (struct api_words){ 0 };
	if (json_parse(buf_span(&exchange->received), &body, &inner) && inner.kind == FAULT_SYSTEM)
		return fault_no_memory(flt);
	if (!json_is_an_object(body)) {
		json_free(body);
		return 0;
	}
	out->is_json = json_member(body, "status") != NULL;
	copy_text(body, "message", out->message, sizeof(out->message));
	if (!out->message[0])
		copy_text(body, "reason", out->message, sizeof(out->message));
	copy_text(body, "type", out->missing.type, sizeof(out->missing.type));
	copy_text(body, "id", out->missing.id, sizeof(out->missing.id));
	json_free(body);
	return 0;
}

int api_answered_by_other(const struct http_exchange *exchange, struct fault *flt)
{
	char type[sizeof(exchange->content_type)];

	if (exchange->redirect[0])
		fault_undecided(flt, FAULT_UNREACHABLE, "status %d, a redirect to %.120s, which is not followed: it "
				"may be this network's login page, or the registry has moved", exchange->status,
				exchange->redirect);
	else if (exchange->status == 511)
		fault_undecided(flt, FAULT_UNREACHABLE, "status 511, this network wants a login first: open any page "
				"in a browser");
	else {
		printable_write(span_of_text(exchange->content_type), type, sizeof(type));
		fault_undecided(flt, FAULT_UNREACHABLE, "answered with a web page (%.*s), not with a Warg registry",
				(int)strcspn(type, "; "), type);
	}
	http_url_fault_at(span_of_text(exchange->url), flt);
	fault_blame(flt, FAULT_BY_NETWORK);
	return WARG_UNDECIDED;
}

/* @param is_json  whether the body is a Warg registry's */
static bool is_from_other(const struct http_exchange *exchange, bool is_json)
{
	if (exchange->redirect[0])
		return exchange->leaves_host;
	return exchange->status == 511 || (exchange->status == 404 && !is_json && http_is_web_page(exchange));
}

static int not_found(const struct api_words *words, struct fault *flt)
{
	if (!words->is_json)
		return fault_invalid(flt, "status 404 in words that are not a Warg registry's: is the URL right?");
	if (words->missing.type[0])
		return fault_undecided(flt, FAULT_ABSENT, "the registry has no %s %s", words->missing.type,
				       words->missing.id);
	return fault_undecided(flt, FAULT_ABSENT, "the registry has no such thing%s%s",
			       words->message[0] ? ": " : "", words->message);
}

static int refused(int status, const struct api_words *words, struct fault *flt)
{
	const char *gap = words->message[0] ? ": " : "";

	switch (status) {
	case 401:
	case 403:
		return fault_undecided(flt, FAULT_LOGIN, "status %d, a login is needed%s%.150s; " API_LOGIN_ADVICE,
				       status, gap, words->message);
	case 404:
		return not_found(words, flt);
	case 408:
		return fault_undecided(flt, FAULT_TIMEOUT, "status 408, too slow for the registry");
	case 507:
		/* ENOSPC, as of a full local disk: writing programs know that errno. */
		fault_system(flt, ENOSPC, "status 507, the disk of the registry is full%s%s", gap, words->message);
		if (flt)
			flt->party = FAULT_BY_REGISTRY;
		return WARG_UNDECIDED;
	case 429:
	case 502:
	case 503:
	case 504:
		return fault_undecided(flt, FAULT_UNREACHABLE, "status %d, the server cannot serve now%s%s", status,
				       gap, words->message);
	default:
		return fault_undecided(flt, FAULT_REFUSED, "refused with status %d%s%s", status, gap, words->message);
	}
}

int api_answer_refused(const struct http_exchange *exchange, struct api_missing *missing, struct fault *flt)
{
	struct api_words words;
	int r;

	if (api_words_read(exchange, &words, flt))
		return WARG_UNDECIDED;
	if (is_from_other(exchange, words.is_json))
		return api_answered_by_other(exchange, flt);
	r = refused(exchange->status, &words, flt);
	if (exchange->redirect[0])
		fault_add(flt, "a redirect to %.150s, which is not followed", exchange->redirect);
	if (missing && exchange->status == 404)
		*missing = words.missing;
	if (flt && (exchange->status == 429 || exchange->status == 503 || exchange->status == 507))
		flt->wait = exchange->retry_after;
	api_blame_answer(exchange, flt);
	return r;
}

static bool is_success(const struct http_exchange *exchange)
{
	return exchange->status >= 200 && exchange->status < 300;
}

/** The exchange's own fault, if it has one. */
static int check_exchange(const struct http_exchange *exchange, struct fault *flt)
{
	if (!exchange->verdict)
		return 0;
	if (flt && !flt->verdict)
		*flt = exchange->fault;
	fault_blame(flt, FAULT_BY_REGISTRY);
	return exchange->verdict;
}

int api_answer_check(const struct http_exchange *exchange, struct api_missing *missing, struct fault *flt)
{
	int r = check_exchange(exchange, flt);

	return r || is_success(exchange) ? r : api_answer_refused(exchange, missing, flt);
}

int api_answer_read(const struct http_exchange *exchange, struct api_missing *missing, struct json **out,
		    struct fault *flt)
{
	struct fault inner = { 0 };
	struct json *body = NULL;
	int r = api_answer_check(exchange, missing, flt);

	if (r)
		return r;
	r = json_parse(buf_span(&exchange->received), &body, &inner);
	if (r == WARG_INVALID && http_is_web_page(exchange))
		return api_answered_by_other(exchange, flt);
	if (exchange->received.length == 0)
		r = fault_invalid(flt, "the answer is empty, not a Warg registry's");
	fault_pass(&inner, flt);
	if (!r && !json_is_an_object(body))
		r = fault_invalid(flt, "the answer is no JSON object, not a Warg registry's");
	if (r) {
		json_free(body);
		api_blame_answer(exchange, flt);
		return r;
	}
	*out = body;
	return 0;
}

/* ---- Discovery ---- */

/*
 * The URL of the registry, in either form. What has the name of one and is none is no answer.
 * @param out  empty: none is named
 */
static int read_discovered(const struct json *body, struct span *out, struct fault *flt)
{
	const struct json *warg = json_member(body, "warg");
	struct span preferred;
	int r = 0;

	*out = (struct span){ 0 };
	if (json_member(body, "preferredProtocol"))
		r = json_read_text(body, "preferredProtocol", &preferred, flt);
	if (!r && warg && !json_is_an_object(warg))
		r = fault_invalid(flt, "\"warg\" is no object");
	if (!r && json_member(warg, "url"))
		r = json_read_text(warg, "url", out, flt);
	if (!r && json_member(body, "wargUrl"))
		r = json_read_text(body, "wargUrl", out, flt);
	return r;
}

/*
 * A bare host is fine here, as where a person types one; what names a scheme is held to where it comes from.
 */
static int take_discovered(const struct http_url *url, struct span named, struct http_url *out, struct fault *flt)
{
	struct fault inner = { 0 };
	struct buf text, resolved;
	int r;

	buf_init(&text, CAP_URL + 1);
	buf_init(&resolved, 2 * CAP_URL);
	r = buf_append(&text, named, flt);
	if (!r)
		r = buf_append(&text, (struct span){ (const unsigned char *)"", 1 }, flt);
	if (!r && strstr((const char *)text.data, "://"))
		r = http_url_resolve(url, named, &resolved, flt);
	if (!r && http_url_parse((const char *)text.data, out, &inner))
		r = inner.kind == FAULT_SYSTEM ? fault_no_memory(flt) :
						 fault_invalid(flt, "it names no URL that we talk to: %.150s",
							       (const char *)text.data);
	buf_release(&text);
	buf_release(&resolved);
	return r;
}

/*
 * Whether the answer does not tell if there is a document: it comes from a gateway, or from a server with too much to
 * do or out of order. That the URL stands for itself, which gets pinned, does not follow from it.
 */
static bool cannot_tell(const struct http_exchange *exchange)
{
	const int status = exchange->status;

	return status == 408 || status == 429 || (status >= 500 && status != 501);
}

static int no_discovery(const struct http_exchange *exchange, struct fault *flt)
{
	if (exchange->status == 511)
		return api_answered_by_other(exchange, flt);
	fault_undecided(flt, FAULT_UNREACHABLE, "status %d, so it is not known which registry the URL leads to",
			exchange->status);
	if (flt)
		flt->wait = exchange->retry_after;
	api_blame_answer(exchange, flt);
	return WARG_UNDECIDED;
}

int api_decode_discovery(const struct http_url *url, const struct http_exchange *exchange, struct http_url *out,
			 struct fault *flt)
{
	struct json *body = NULL;
	struct http_url found;
	struct span named;
	int r = check_exchange(exchange, flt);

	if (r)
		return r;
	if (cannot_tell(exchange))
		return no_discovery(exchange, flt);
	if (!is_success(exchange)) {
		*out = *url;
		return 0;
	}
	r = api_answer_read(exchange, NULL, &body, flt);
	if (r)
		return r;
	r = read_discovered(body, &named, flt);
	if (!r && named.data)
		r = take_discovered(url, named, &found, flt);
	else
		found = *url;
	json_free(body);
	if (r) {
		api_blame_answer(exchange, flt);
		return r;
	}
	*out = found;
	return 0;
}

int api_begin_discovery(struct api_call *call, const struct http_url *url, clock_ms deadline, struct fault *flt)
{
	const struct api api = { .url = url };

	return api_call_init(call, &api, ".well-known/wasm-pkg/registry.json", NULL, CAP_BODY_SMALL, deadline, flt);
}

int api_discover(struct http *http, const struct http_url *url, clock_ms deadline, struct http_url *out,
		 struct fault *flt)
{
	const struct api api = { .http = http };
	struct api_call call;
	int r;

	r = api_begin_discovery(&call, url, deadline, flt);
	if (!r)
		r = api_run(&api, &call, 1, flt);
	if (!r)
		r = api_decode_discovery(url, &call.exchange, out, flt);
	api_call_release(&call);
	return r;
}

/* ---- Checkpoint ---- */

int api_decode_checkpoint(const struct http_exchange *exchange, struct signed_checkpoint *out, struct fault *flt)
{
	struct json *body = NULL;
	int r = api_answer_read(exchange, NULL, &body, flt);

	if (r)
		return r;
	r = checkpoint_json_read(body, out, flt);
	if (r)
		api_blame_answer(exchange, flt);
	json_free(body);
	return r;
}

int api_begin_checkpoint(struct api_call *call, const struct api *api, clock_ms deadline, struct fault *flt)
{
	return api_call_init(call, api, "v1/fetch/checkpoint", NULL, CAP_BODY_SMALL, deadline, flt);
}

int api_fetch_checkpoint(const struct api *api, clock_ms deadline, struct signed_checkpoint *out, struct fault *flt)
{
	struct api_call call;
	int r;

	r = api_begin_checkpoint(&call, api, deadline, flt);
	if (!r)
		r = api_run(api, &call, 1, flt);
	if (!r)
		r = api_decode_checkpoint(&call.exchange, out, flt);
	api_call_release(&call);
	return r;
}
