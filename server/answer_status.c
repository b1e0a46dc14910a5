/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * GET .well-known/wasm-pkg/registry.json and .well-known/warg/registry.json, GET healthz, GET metrics.
 */
#include "routes.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

/* ---- Discovery (protocol.md section 6; interop.md section A 4) ---- */

/* Whether a host is the one of a URL, whose path is empty. */
static bool is_host_of(const char *host, const char *url)
{
	const char *usual = strncmp(url, "https://", 8) ? ":80" : ":443", *authority = strstr(url, "://");
	size_t length, bare;

	if (!host || !authority)
		return false;
	authority += 3;
	length = strcspn(authority, "/");
	bare = strlen(host);
	/* The port that the scheme has anyway may be named in either. */
	if (bare > strlen(usual) && !strcmp(host + bare - strlen(usual), usual))
		bare -= strlen(usual);
	if (length > strlen(usual) && !strncmp(authority + length - strlen(usual), usual, strlen(usual)))
		length -= strlen(usual);
	return length == bare && !strncasecmp(authority, host, length) && !strcmp(strchr(authority, '/'), "/");
}

/*
 * A registry that knows its name says it as `warg.url`; another one says that it is the one that was asked. Each member
 * is an object, as wkg wants it: `wargUrl`, a text, is an error to it, which it warns of. `warg` knows no other form,
 * but needs it only if the registry is elsewhere than it asked.
 */
static void answer_discovered(struct exchange *exchange, bool is_for_warg)
{
	const char *url = exchange->service->public_url;
	struct json *answer = json_new_object(), *warg;

	if (url) {
		warg = json_new_object();
		json_put_text(warg, "url", url);
		json_put(answer, "warg", warg);
	}
	if (url && (is_for_warg || !is_host_of(exchange->header(exchange, "Host"), url)))
		json_put_text(answer, "wargUrl", url);
	exchange_answer_json(exchange, 200, answer);
}

void answer_discovery(struct exchange *exchange)
{
	answer_discovered(exchange, false);
}

void answer_discovery_of_warg(struct exchange *exchange)
{
	answer_discovered(exchange, true);
}

/* ---- Health ---- */

/* It is well if it can read what it has. */
void answer_health(struct exchange *exchange)
{
	struct database *database = NULL;
	struct fault flt = {0};
	uint64_t length;
	int r = readers_take(exchange->service->readers, &database, &flt);

	if (!r)
		r = published_length(database, &length, &flt);
	readers_give(exchange->service->readers, database);
	if (r) {
		exchange_fail(exchange, &flt);
		return;
	}
	buf_append_text(&exchange->answer, "ok\n", NULL);
	exchange_answer(exchange, 200, "text/plain");
}

/* ---- Metrics (Prometheus text format 0.0.4); man/wargfs-serve.1 lists them ---- */

#define PREFIX "wargfs_serve_"

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", ""};

static void put_requests(struct buf *out, const struct counters *counters)
{
	buf_append_text(out, "# HELP " PREFIX "requests_total Requests that were answered.\n"
			"# TYPE " PREFIX "requests_total counter\n", NULL);
	for (unsigned i = 0; i < routes_count; i++)
		for (unsigned class = 0; class < COUNTERS_CLASSES; class++) {
			uint64_t count = counters_get(&counters->requests[i][class]);

			if (count)
				buf_append_format(out, NULL, PREFIX "requests_total{method=\"%s\",path=\"/%s\","
						  "code=\"%uxx\"} %" PRIu64 "\n", methods[routes[i].method],
						  routes[i].pattern, class, count);
		}
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	buf_append_format(out, NULL, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n" PREFIX "%s %" PRIu64 "\n",
			  name, help, name, type, name, value);
}

void answer_metrics(struct exchange *exchange)
{
	const struct counters *counters = &exchange->service->counters;
	struct buf *out = &exchange->answer;

	put_requests(out, counters);
	put_one(out, "log_length", "gauge", "Records in the registry's log.", service_length(exchange->service));
	put_one(out, "records_total", "counter", "Records published since the start.",
		counters_get(&counters->records));
	put_one(out, "commits_total", "counter", "Checkpoints of them.", counters_get(&counters->commits));
	put_one(out, "received_bytes_total", "counter", "Bytes of contents that were uploaded.",
		counters_get(&counters->bytes_received));
	put_one(out, "connections", "gauge", "Connections that are open.", counters_get(&counters->connections));
	if (exchange->service->mirror)
		put_one(out, "origin_age_seconds", "gauge", "Since the origin of this mirror was seen to be well.",
			service_origin_age(exchange->service));
	exchange_answer(exchange, 200, "text/plain; version=0.0.4");
}
