/*
 * GET v1/ledger, GET v1/ledger/records/FIRST: the registry's log as 64 bytes a record.
 */
#include "routes.h"

#include <inttypes.h>
#include <stdio.h>

#define PACKED "application/vnd.warg.ledger.packed"
#define PART 1000       /* records of one source, as on the reference */
#define PARTS_MOST 5000 /* sources; beyond that they grow */

static uint64_t part_of(uint64_t length)
{
	return PART * (1 + length / ((uint64_t)PART * PARTS_MOST));
}

static struct json *new_source(uint64_t first, uint64_t last)
{
	struct json *source = json_new_object();
	char url[64];

	snprintf(url, sizeof(url), "v1/ledger/records/%" PRIu64, first);
	json_put_uint(source, "firstRegistryIndex", first);
	json_put_uint(source, "lastRegistryIndex", last);
	json_put_text(source, "url", url);
	json_put_text(source, "contentType", PACKED);
	return source;
}

void answer_ledger(struct exchange *exchange)
{
	struct json *answer = json_new_object(), *sources = json_new_list();
	uint64_t length = service_length(exchange->service), part = part_of(length);

	for (uint64_t first = 0; first < length; first += part)
		json_add(sources, new_source(first, (length - first < part ? length : first + part) - 1));
	json_put_text(answer, "hashAlgorithm", "sha256");
	json_put(answer, "sources", sources);
	exchange_answer_json(exchange, 200, answer);
}

/* @return false: answered */
static bool read_first(struct exchange *exchange, uint64_t *out)
{
	struct span text = exchange->places[0];

	*out = 0;
	for (size_t i = 0; i < text.length; i++) {
		if (text.data[i] < '0' || text.data[i] > '9' || *out > CAP_LOG_LENGTH) {
			exchange_refuse(exchange, 400, "Invalid URL: a registry index is wanted");
			return false;
		}
		*out = *out * 10 + (uint64_t)(text.data[i] - '0');
	}
	return true;
}

void answer_ledger_records(struct exchange *exchange)
{
	uint64_t length = service_length(exchange->service), part = part_of(length), first;
	struct database *database = NULL;
	struct fault flt = {0};

	if (!read_first(exchange, &first))
		return;
	if (!readers_take(exchange->service->readers, &database, &flt) &&
	    !committed_ledger(database, first, first + part, &exchange->answer, &flt))
		exchange_answer(exchange, 200, PACKED);
	else
		exchange_fail(exchange, &flt);
	readers_give(exchange->service->readers, database);
}
