/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * GET v1/package/LOG/record/RECORD: where a record stands.
 */
#include <stdio.h>

#include "routes.h"
#include "record_state.h"

static struct json *new_upload(const char *log, const char *record, const char *content)
{
	struct json *missing = json_new_object(), *list = json_new_list(), *upload = json_new_object();
	char url[4 * DIGEST_TEXT_SIZE];

	/* To the client it is relative to the registry's URL. */
	snprintf(url, sizeof(url), "v1/package/%s/record/%s/content/%s", log, record, content);
	json_put_text(upload, "type", "http");
	json_put_text(upload, "method", "POST");
	json_put_text(upload, "url", url);
	json_add(list, upload);
	json_put(missing, "upload", list);
	return missing;
}

static struct json *new_missing(const struct record_state *standing, const char *log, const char *record)
{
	struct json *missing = json_new_object();
	char content[DIGEST_TEXT_SIZE];

	for (size_t i = 0; i < standing->missing_count; i++) {
		digest_format(&standing->missing[i], content);
		json_put(missing, content, new_upload(log, record, content));
	}
	return missing;
}

static struct json *new_state(const struct record_state *standing, const char *log, const char *record)
{
	struct json *state = json_new_object();

	json_put_text(state, "recordId", record);
	switch (standing->state) {
	case RECORD_STATE_SOURCING:
		json_put_text(state, "state", "sourcing");
		json_put(state, "missingContent", new_missing(standing, log, record));
		break;
	case RECORD_STATE_REJECTED:
		json_put_text(state, "state", "rejected");
		json_put_text(state, "reason", standing->reason);
		break;
	case RECORD_STATE_PUBLISHED:
		json_put_text(state, "state", "published");
		json_put_uint(state, "registryIndex", standing->registry_index);
		break;
	}
	return state;
}

void answer_standing(struct exchange *exchange, unsigned status, const struct digest *log_id,
		     const struct digest *record_id)
{
	char log[DIGEST_TEXT_SIZE], record[DIGEST_TEXT_SIZE];
	struct record_state standing = {0};
	struct database *database = NULL;
	struct fault flt = {0};
	bool has_log = false, is_long;
	int r = readers_take(exchange->service->readers, &database, &flt);

	if (!r)
		r = record_state_find(database, log_id, record_id, &standing, &has_log, &flt);
	is_long = !r && standing.state == RECORD_STATE_SOURCING && standing.lacking > CAP_SERVED_MISSING;
	if (is_long && exchange_step_aside(exchange)) {
		readers_give(exchange->service->readers, database);
		return;
	}
	if (!r)
		r = record_state_read(database, log_id, record_id, &standing, &has_log, &flt);
	readers_give(exchange->service->readers, database);
	digest_format(log_id, log);
	digest_format(record_id, record);
	if (!r)
		exchange_answer_json(exchange, status, new_state(&standing, log, record));
	else if (flt.kind == FAULT_ABSENT)
		exchange_answer_type(exchange, 404, has_log ? "record" : "log", span_of_text(has_log ? record : log));
	else
		exchange_fail(exchange, &flt);
	record_state_release(&standing);
}

void answer_record(struct exchange *exchange)
{
	struct digest log_id, record_id;

	if (exchange_read_digest(exchange, 0, &log_id) && exchange_read_digest(exchange, 1, &record_id))
		answer_standing(exchange, 200, &log_id, &record_id);
}
