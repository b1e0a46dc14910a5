/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The table of requests (see routes.h; protocol.md section 6).
 */
#include "routes.h"

#include <string.h>

const struct route routes[] = {
	{EXCHANGE_GET, "v1/fetch/checkpoint", .is_of_registry = true, .answer = answer_checkpoint},
	{EXCHANGE_POST, "v1/fetch/logs", .is_of_registry = true, .answer = answer_logs},
	{EXCHANGE_POST, "v1/fetch/names", .is_of_registry = true, .answer = answer_names},
	{EXCHANGE_GET, "v1/ledger", .is_of_registry = true, .answer = answer_ledger},
	{EXCHANGE_GET, "v1/ledger/records/*", .is_of_registry = true, .answer = answer_ledger_records},
	{EXCHANGE_POST, "v1/proof/inclusion", .is_of_registry = true, .answer = answer_inclusion},
	{EXCHANGE_POST, "v1/proof/consistency", .is_of_registry = true, .answer = answer_consistency},
	{EXCHANGE_POST, "v1/verify/checkpoint", .is_of_registry = true, .answer = answer_verify_checkpoint},
	{EXCHANGE_GET, "v1/content/*", .is_of_registry = true, .answer = answer_content_sources},
	{EXCHANGE_POST, "v1/package/*/record", .is_of_registry = true, .admit = answer_publish_admit,
	 .answer = answer_publish, .go_on = answer_publish_go_on, .forget = answer_publish_forget},
	{EXCHANGE_GET, "v1/package/*/record/*", .is_of_registry = true, .answer = answer_record},
	{EXCHANGE_POST, "v1/package/*/record/*/content/*", .is_of_registry = true, .takes_contents = true,
	 .answer = answer_upload, .take = answer_upload_take, .take_end = answer_upload_end,
	 .go_on = answer_upload_go_on, .forget = answer_upload_forget},
	{EXCHANGE_GET, "content/*", .answer = answer_content},
	{EXCHANGE_GET, ".well-known/wasm-pkg/registry.json", .answer = answer_discovery},
	{EXCHANGE_GET, ".well-known/warg/registry.json", .answer = answer_discovery_of_warg},
	{EXCHANGE_GET, "healthz", .answer = answer_health},
	{EXCHANGE_GET, "metrics", .answer = answer_metrics},
};
const unsigned routes_count = sizeof(routes) / sizeof(routes[0]);

/* Match a path, part by part. A part that varies is never empty. */
static bool matches(const char *pattern, const char *path, struct span places[static EXCHANGE_PLACES])
{
	unsigned place = 0;

	while (*pattern) {
		size_t length;

		if (*pattern != '*') {
			if (*pattern++ != *path++)
				return false;
			continue;
		}
		length = strcspn(path, "/");
		if (!length || place == EXCHANGE_PLACES)
			return false;
		places[place++] = (struct span){(const unsigned char *)path, length};
		path += length;
		pattern++;
	}
	return !*path;
}

static bool is_method_of(const struct route *route, enum exchange_method method)
{
	return route->method == method || (route->method == EXCHANGE_GET && method == EXCHANGE_HEAD);
}

static void refuse_method(struct exchange *exchange, const struct route *route)
{
	exchange_put_header(exchange, "Allow", "%s", route->method == EXCHANGE_GET ? "GET,HEAD" : "POST");
	exchange_answer_empty(exchange, 405);
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	return !strncmp(path, folder, length) && (!path[length] || path[length] == '/');
}

bool routes_find(struct exchange *exchange)
{
	const struct route *other = NULL;

	for (unsigned i = 0; i < routes_count; i++) {
		if (!matches(routes[i].pattern, exchange->path, exchange->places))
			continue;
		other = &routes[i];
		if (!is_method_of(other, exchange->method))
			continue;
		exchange->route = other;
		if (!other->is_of_registry || !exchange->header(exchange, "Warg-Registry"))
			return true;
		buf_append_text(&exchange->answer, "`Warg-Registry` header is not supported", NULL);
		exchange_answer(exchange, 501, "text/plain; charset=utf-8");
		return false;
	}
	if (other)
		refuse_method(exchange, other);
	else if (is_below(exchange->path, "v1"))
		exchange_refuse(exchange, 404, "the requested resource was not found");
	else
		exchange_answer_empty(exchange, 404);
	return false;
}
