/*
 * GET .well-known/wasm-pkg/registry.json, GET healthz, GET metrics.
 */
#include "routes.h"

#include <inttypes.h>

/*
 * A registry that knows its name says it, in both forms that are in use; another one says that it is the one that was
 * asked (protocol.md section 6; interop.md section A 4).
 */
void answer_discovery(struct exchange *exchange)
{
	const char *url = exchange->service->base_url;
	struct json *answer = json_new_object(), *warg;

	if (url) {
		warg = json_new_object();
		json_put_text(warg, "url", url);
		json_put_text(answer, "wargUrl", url);
		json_put_text(answer, "preferredProtocol", "warg");
		json_put(answer, "warg", warg);
	}
	exchange_answer_json(exchange, 200, answer);
}

/* It is well if it can read what it has. */
void answer_health(struct exchange *exchange)
{
	struct database *database = NULL;
	struct fault flt = {0};
	uint64_t length;
	int r = readers_take(exchange->service->readers, &database, &flt);

	if (!r)
		r = committed_length(database, &length, &flt);
	readers_give(exchange->service->readers, database);
	if (r) {
		exchange_fail(exchange, &flt);
		return;
	}
	buf_append_text(&exchange->answer, "ok\n", NULL);
	exchange_answer(exchange, 200, "text/plain");
}

/* ---- Metrics (Prometheus text format 0.0.4) ---- */

static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", ""};

static void put_requests(struct buf *out, const struct counters *counters)
{
	buf_append_text(out, "# HELP wargfs_requests_total Requests that were answered.\n"
			"# TYPE wargfs_requests_total counter\n", NULL);
	for (unsigned i = 0; i < routes_count; i++)
		for (unsigned class = 0; class < COUNTERS_CLASSES; class++) {
			uint64_t count = counters_get(&counters->requests[i][class]);

			if (count)
				buf_append_format(out, NULL, "wargfs_requests_total{method=\"%s\",path=\"/%s\","
						  "code=\"%uxx\"} %" PRIu64 "\n", methods[routes[i].method],
						  routes[i].pattern, class, count);
		}
}

static void put_one(struct buf *out, const char *name, const char *type, const char *help, uint64_t value)
{
	buf_append_format(out, NULL, "# HELP wargfs_%s %s\n# TYPE wargfs_%s %s\nwargfs_%s %" PRIu64 "\n", name, help,
			  name, type, name, value);
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
	if (exchange->service->follower)
		put_one(out, "origin_age_seconds", "gauge", "Since the origin of this mirror was seen to be well.",
			service_origin_age(exchange->service));
	exchange_answer(exchange, 200, "text/plain; version=0.0.4");
}
