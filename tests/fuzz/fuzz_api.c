/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Every decoder of a registry's answers. The first byte chooses the call, the second the status, the rest is the body.
 */
#include <stdlib.h>

#include "client/net/api_parts.h"
#include "fuzz.h"

static const int statuses[] = { 200, 206, 301, 400, 401, 404, 422, 501, 503 };

static void logs(const struct http_exchange *exchange, const struct digest *id)
{
	struct api_logs out = { .packages = calloc(1, sizeof(struct api_log)), .package_count = 1 };
	struct api_missing missing = { { 0 }, { 0 } };

	if (!out.packages)
		return;
	out.packages[0].log_id = *id;
	api_decode_logs(exchange, &out, &missing, NULL);
	api_logs_release(&out);
}

static void ledger(const struct http_url *url, const struct http_exchange *exchange)
{
	struct api_ledger out;

	if (!api_decode_ledger(url, exchange, &out, NULL))
		api_ledger_release(&out);
}

static void proofs(const struct http_exchange *exchange)
{
	struct merkle_log_bundle log;
	struct merkle_map_bundle map;

	if (!api_decode_inclusion(exchange, &log, &map, NULL)) {
		merkle_log_bundle_release(&log);
		merkle_map_bundle_release(&map);
	}
	if (!api_decode_consistency(exchange, &log, NULL))
		merkle_log_bundle_release(&log);
}

static void sources(const struct http_url *url, const struct http_exchange *exchange, const struct digest *id)
{
	const struct api api = { .url = url };
	struct api_sources out;

	if (!api_sources_decode(&api, id, exchange, &out, NULL))
		api_sources_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_exchange exchange = { .url = "http://127.0.0.1/x" };
	struct signed_checkpoint checkpoint;
	struct http_url url, found;
	struct name name, known;
	struct digest id;

	if (size < 2 || http_url_parse("http://127.0.0.1:8090/", &url, NULL) ||
	    name_parse(span_of_text("example:hello"), &known, NULL))
		return 0;
	id = name_log_id(&known);
	exchange.status = statuses[data[1] % (sizeof(statuses) / sizeof(statuses[0]))];
	exchange.received = (struct buf){ .data = (unsigned char *)(uintptr_t)(data + 2), .length = size - 2 };
	switch (data[0] % 7) {
	case 0: api_decode_discovery(&url, &exchange, &found, NULL); break;
	case 1: api_decode_checkpoint(&exchange, &checkpoint, NULL); break;
	case 2: logs(&exchange, &id); break;
	case 3: api_decode_names(&exchange, &id, 1, &name, NULL, NULL); break;
	case 4: ledger(&url, &exchange); break;
	case 5: proofs(&exchange); break;
	default: sources(&url, &exchange, &id); break;
	}
	return 0;
}
