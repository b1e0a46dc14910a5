/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * GET v1/ledger, GET v1/ledger/records/FIRST: the registry's log as 64 bytes a record.
 */
#include "routes.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACKED "application/vnd.warg.ledger.packed"
#define RECORD 64       /* bytes */
#define PART 1000       /* records of one source, as on the reference */
#define PARTS_MOST 8000 /* sources; beyond that they grow, and CAP_LOG_LENGTH makes 17 MB of each */
#define AT_ONCE 256     /* sources written on the listener's thread; more go to a lane */

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

/*
 * Clients cannot verify a ledger with a gap, so a registry that lost records answers as one without a ledger.
 * @return false: answered
 */
static bool has_ledger(struct exchange *exchange)
{
	if (!exchange->service->gaps)
		return true;
	exchange_refuse(exchange, 404, "the registry has lost records, and serves no ledger");
	return false;
}

void answer_ledger(struct exchange *exchange)
{
	uint64_t length = service_length(exchange->service), part = part_of(length);
	struct json *answer, *sources;

	if (!has_ledger(exchange) || (length / part > AT_ONCE && exchange_step_aside(exchange)))
		return;
	answer = json_new_object();
	sources = json_new_list();
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

/* How many records of the part the client has, by a Range from there on. Any other range gets all of it. */
static uint64_t read_skipped(const struct exchange *exchange)
{
	const char *text = exchange->header(exchange, "Range");
	uint64_t bytes;
	char *end;

	if (!text || strncmp(text, "bytes=", 6) || !isdigit((unsigned char)text[6]))
		return 0;
	bytes = strtoull(text + 6, &end, 10);
	return strcmp(end, "-") || bytes % RECORD || bytes / RECORD > CAP_LOG_LENGTH ? 0 : bytes / RECORD;
}

/* The records are there, behind those that were skipped. */
static void answer_records(struct exchange *exchange, uint64_t skipped)
{
	uint64_t from = skipped * RECORD, size = from + exchange->answer.length;

	if (!skipped) {
		exchange_answer(exchange, 200, PACKED);
	} else if (size == from) {
		exchange_answer_empty(exchange, 416);
	} else {
		exchange_put_header(exchange, "Content-Range", "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from,
				    size - 1, size);
		exchange_answer(exchange, 206, PACKED);
	}
}

void answer_ledger_records(struct exchange *exchange)
{
	uint64_t length = service_length(exchange->service), part = part_of(length), first, skipped;
	struct database *database = NULL;
	struct fault flt = {0};

	if (!has_ledger(exchange) || !read_first(exchange, &first) ||
	    (part > 4 * PART && exchange_step_aside(exchange)))
		return;
	skipped = read_skipped(exchange);
	if (!readers_take(exchange->service->readers, &database, &flt) &&
	    (skipped >= part || !published_ledger(database, first + skipped, first + part, &exchange->answer, &flt)))
		answer_records(exchange, skipped);
	else
		exchange_fail(exchange, &flt);
	readers_give(exchange->service->readers, database);
}
