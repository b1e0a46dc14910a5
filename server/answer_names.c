/*
 * POST v1/fetch/names.
 */
#include "packages.h"
#include "routes.h"

/* @return false: it is answered, or `flt` is set */
static bool put_name(struct exchange *exchange, struct database *database, const struct json *value,
		     struct json *names, struct fault *flt)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest log_id;
	struct span id;
	struct name name;

	if (json_as_text(value, &id, flt) || digest_parse(id, &log_id, flt)) {
		exchange_answer_misfit(exchange, flt);
		*flt = (struct fault){0};
		return false;
	}
	if (packages_find(database, &log_id, &name, flt)) {
		if (flt->kind != FAULT_ABSENT)
			return false;
		*flt = (struct fault){0};
		exchange_answer_type_digest(exchange, 404, "log", &log_id);
		return false;
	}
	digest_format(&log_id, text);
	json_put_text(names, text, name.text);
	return true;
}

static void answer_list(struct exchange *exchange, const struct json *list)
{
	struct json *answer = json_new_object(), *names = json_new_object();
	size_t count = json_count(list), i = 0;
	struct database *database = NULL;
	struct fault flt = {0};

	if (!readers_take(exchange->service->readers, &database, &flt))
		while (i < count && i < CAP_SERVED_NAMES &&
		       put_name(exchange, database, json_at(list, i), names, &flt))
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
