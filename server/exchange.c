/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Answers, and what requests have in common (see exchange.h).
 */
#include "exchange.h"
#include "verify/printable.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define JSON_TYPE "application/json"
#define LATER 5 /* seconds after which a client may try again */

void exchange_init(struct exchange *exchange, struct service *service)
{
	*exchange = (struct exchange){.service = service, .file.fd = -1};
	buf_init(&exchange->body, CAP_SERVED_BODY);
	buf_init(&exchange->answer, CAP_SERVED_ANSWER);
}

void exchange_release(struct exchange *exchange)
{
	buf_release(&exchange->body);
	buf_release(&exchange->answer);
	if (exchange->file.fd >= 0)
		close(exchange->file.fd);
	exchange->file.fd = -1;
}

/* ---- Answering ---- */

void exchange_answer(struct exchange *exchange, unsigned status, const char *type)
{
	exchange->status = status;
	exchange->type = type;
}

void exchange_answer_empty(struct exchange *exchange, unsigned status)
{
	exchange->answer.length = 0;
	exchange_answer(exchange, status, NULL);
}

void exchange_put_header(struct exchange *exchange, const char *name, const char *format, ...)
{
	struct exchange_header *header = &exchange->headers[exchange->header_count];
	va_list arguments;

	if (exchange->header_count == EXCHANGE_HEADERS)
		return;
	exchange->header_count++;
	header->name = name;
	va_start(arguments, format);
	vsnprintf(header->value, sizeof(header->value), format, arguments);
	va_end(arguments);
}

void exchange_answer_json(struct exchange *exchange, unsigned status, struct json *value)
{
	struct fault flt = {0};

	exchange->answer.length = 0;
	if (json_render(value, JSON_COMPACT, &exchange->answer, &flt)) {
		exchange->answer.length = 0;
		exchange_answer(exchange, 500, NULL);
		exchange->service->failed(exchange->service->user, &flt);
	} else {
		exchange_answer(exchange, status, JSON_TYPE);
	}
	json_free(value);
}

void exchange_refuse(struct exchange *exchange, unsigned status, const char *format, ...)
{
	struct json *value = json_new_object();
	char raw[CAP_MESSAGE + 1], message[CAP_MESSAGE + 1];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(raw, sizeof(raw), format, arguments);
	va_end(arguments);
	/* It may hold what the client wrote, which is perhaps no text. */
	printable_write(span_of_text(raw), message, sizeof(message));
	json_put_uint(value, "status", status);
	json_put_text(value, "message", message);
	exchange_answer_json(exchange, status, value);
}

void exchange_answer_status(struct exchange *exchange, unsigned status)
{
	struct json *value = json_new_object();

	json_put_uint(value, "status", status);
	exchange_answer_json(exchange, status, value);
}

static struct json *new_typed(unsigned status, const char *type)
{
	struct json *value = json_new_object();

	json_put_uint(value, "status", status);
	json_put_text(value, "type", type);
	return value;
}

void exchange_answer_type(struct exchange *exchange, unsigned status, const char *type, struct span id)
{
	struct json *value = new_typed(status, type);

	json_put_span(value, "id", id);
	exchange_answer_json(exchange, status, value);
}

void exchange_answer_type_digest(struct exchange *exchange, unsigned status, const char *type,
				 const struct digest *id)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(id, text);
	exchange_answer_type(exchange, status, type, span_of_text(text));
}

void exchange_answer_type_number(struct exchange *exchange, unsigned status, const char *type, uint64_t id)
{
	struct json *value = new_typed(status, type);

	json_put_uint(value, "id", id);
	exchange_answer_json(exchange, status, value);
}

/* @return the status for a full or read-only disk; 0: another fault */
static unsigned status_of_disk(const struct fault *flt)
{
	if (flt->kind != FAULT_SYSTEM)
		return 0;
	if (flt->errnum == ENOSPC || flt->errnum == EDQUOT)
		return 507;
	return flt->errnum == EROFS ? 503 : 0;
}

void exchange_fail(struct exchange *exchange, const struct fault *flt)
{
	const unsigned status = status_of_disk(flt);

	/* The request or its answer exceeds a bound: the client's fault, so it is not logged. */
	if (flt->kind == FAULT_LIMIT) {
		exchange_refuse(exchange, 422, "%s%s%s", flt->where, *flt->where ? ": " : "", flt->what);
		return;
	}
	exchange->service->failed(exchange->service->user, flt);
	if (flt->kind == FAULT_FORGED)
		service_mend(exchange->service);
	if (!status) {
		exchange_refuse(exchange, 500, "an error occurred while processing the request");
		return;
	}
	exchange_put_header(exchange, "Retry-After", "%d", LATER);
	exchange_refuse(exchange, status, "the registry cannot store anything at the moment");
}

bool exchange_step_aside(struct exchange *exchange)
{
	if (exchange->is_aside)
		return false;
	exchange->wants_aside = true;
	exchange->answer.length = 0;
	return true;
}

bool exchange_hold_answer(struct exchange *exchange)
{
	if (!exchange->hold || exchange->hold(exchange, exchange->answer.length))
		return true;
	exchange_answer_busy(exchange);
	return false;
}

void exchange_answer_busy(struct exchange *exchange)
{
	buf_release(&exchange->answer);
	exchange->header_count = 0;
	exchange_put_header(exchange, "Retry-After", "%d", LATER);
	exchange_refuse(exchange, 503, "too much is under way already");
}

/* ---- Reading the request ---- */

bool exchange_read_digest(struct exchange *exchange, unsigned place, struct digest *out)
{
	struct span text = exchange->places[place];

	if (!digest_parse(text, out, NULL))
		return true;
	exchange_refuse(exchange, 400, "Invalid URL: `%.*s` is no digest", (int)(text.length < 100 ? text.length : 100),
			(const char *)text.data);
	return false;
}

/* "application/json", and what ends with "+json", with parameters or without. */
static bool is_json_type(const char *type)
{
	size_t length = type ? strcspn(type, "; \t") : 0;

	if (length == strlen(JSON_TYPE) && !strncasecmp(type, JSON_TYPE, length))
		return true;
	return length > 17 && !strncasecmp(type, "application/", 12) && !strncasecmp(type + length - 5, "+json", 5);
}

struct json *exchange_read_json(struct exchange *exchange)
{
	struct fault flt = {0};
	struct json *value;

	if (!is_json_type(exchange->header(exchange, "Content-Type"))) {
		exchange_refuse(exchange, 415, "Expected request with `Content-Type: application/json`");
		return NULL;
	}
	if (!json_parse_within(buf_span(&exchange->body), CAP_SERVED_VALUES, &value, &flt))
		return value;
	if (flt.kind == FAULT_LIMIT)
		exchange_refuse(exchange, 413, "the request body has too much in it: %s", flt.what);
	else if (flt.verdict == WARG_UNDECIDED)
		exchange_fail(exchange, &flt);
	else
		exchange_refuse(exchange, 400, "Failed to parse the request body as JSON: %s", flt.what);
	return NULL;
}

void exchange_answer_misfit(struct exchange *exchange, const struct fault *flt)
{
	if (flt->verdict == WARG_UNDECIDED)
		exchange_fail(exchange, flt);
	else
		exchange_refuse(exchange, 422, "Failed to deserialize the JSON body into the target type: %s%s%s",
				flt->where, *flt->where ? ": " : "", flt->what);
}

/* What a host may be written with; anything else would only be an attempt to say more than a host. */
static bool is_host(const char *host)
{
	static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_";

	return host && *host && strlen(host) <= CAP_DOMAIN && !host[strspn(host, characters)];
}

int exchange_content_url(const struct exchange *exchange, struct buf *out, struct fault *flt)
{
	const char *host = exchange->header(exchange, "Host");

	if (exchange->service->content_url)
		return buf_append_text(out, exchange->service->content_url, flt);
	return buf_append_format(out, flt, "%s://%s/", exchange->is_secure ? "https" : "http",
				 is_host(host) ? host : "localhost");
}
