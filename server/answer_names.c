/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * POST v1/fetch/names.
 */
#include "package_names.h"
#include "routes.h"

/* Only packages: the operator's log has no name. */
static bool is_published(struct database *database, const struct digest *log_id)
{
	struct published_log log;

	return !published_find_log(database, log_id, &log, NULL) && log.kind == RECORD_PACKAGE;
}

/* Answer null for a damaged or lost name, so that the others are still served. */
static bool put_no_name(struct exchange *exchange, struct database *database, const struct digest *log_id,
			struct json *names, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];

	if (flt->verdict == WARG_UNDECIDED && flt->kind != FAULT_ABSENT)
		return false;
	if (flt->kind == FAULT_ABSENT && !is_published(database, log_id)) {
		*flt = (struct fault){0};
		exchange_answer_type_digest(exchange, 404, "log", log_id);
		return false;
	}
	*flt = (struct fault){0};
	digest_format(log_id, text);
	json_put_null(names, text);
	return true;
}

/* @param length  total length of the names so far. @return false: it is answered, or `flt` is set */
static bool put_name(struct exchange *exchange, struct database *database, const struct json *value,
		     struct json *names, size_t *length, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest log_id;
	struct span id;
	struct buf name;

	if (json_as_text(value, &id, flt) || digest_parse(id, &log_id, flt)) {
		exchange_answer_misfit(exchange, flt);
		*flt = (struct fault){0};
		return false;
	}
	buf_init(&name, CAP_NAME_CARRIED);
	if (package_names_find_text(database, &log_id, &name, flt)) {
		buf_release(&name);
		return put_no_name(exchange, database, &log_id, names, flt);
	}
	if (*length && name.length > CAP_SERVED_NAMES_BYTES - *length) {
		buf_release(&name);
		exchange_refuse(exchange, 413, "the names are longer than %u bytes together: ask for fewer",
				CAP_SERVED_NAMES_BYTES);
		return false;
	}
	*length += name.length;
	digest_format(&log_id, text);
	json_put_span(names, text, buf_span(&name));
	buf_release(&name);
	return true;
}

static void answer_list(struct exchange *exchange, const struct json *list)
{
	struct json *answer = json_new_object(), *names = json_new_object();
	size_t count = json_count(list), length = 0, i = 0;
	struct database *database = NULL;
	struct fault flt = {0};

	if (!readers_take(exchange->service->readers, &database, &flt))
		while (i < count && i < CAP_SERVED_NAMES &&
		       put_name(exchange, database, json_at(list, i), names, &length, &flt))
			i++;
	readers_give(exchange->service->readers, database);
	json_put(answer, "packages", names);
	if (flt.verdict)
		exchange_fail(exchange, &flt);
	else if (!exchange->status)
		exchange_answer_json(exchange, 200, answer), answer = NULL;
	json_free(answer);
}

void answer_names(struct exchange *exchange)
{
	struct json *asked = exchange_read_json(exchange);
	struct fault flt = {0};
	const struct json *list;

	if (!asked)
		return;
	if (json_read_list(asked, "packages", &list, &flt))
		exchange_answer_misfit(exchange, &flt);
	else
		answer_list(exchange, list);
	json_free(asked);
}
