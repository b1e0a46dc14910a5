/*
 * POST v1/proof/inclusion, POST v1/proof/consistency (protocol.md section 5; interop.md section B 9).
 */
#include "routes.h"

#include <inttypes.h>
#include <stdlib.h>

#include "log_nodes.h"

/* ---- Refusals, all 422 ---- */

static struct json *new_refusal(const char *reason)
{
	struct json *answer = json_new_object();

	json_put_uint(answer, "status", 422);
	json_put_text(answer, "reason", reason);
	return answer;
}

static void refuse(struct exchange *exchange, const char *message)
{
	struct json *answer = new_refusal("failure");

	json_put_text(answer, "message", message);
	exchange_answer_json(exchange, 422, answer);
}

static void refuse_absent(struct exchange *exchange, const struct digest *log_id)
{
	struct json *answer = new_refusal("packageNotIncluded");

	json_put_digest(answer, "log_id", log_id);
	exchange_answer_json(exchange, 422, answer);
}

static void refuse_other(struct exchange *exchange, const struct digest *root, const struct digest *found)
{
	struct json *answer = new_refusal("incorrectProof");

	json_put_digest(answer, "root", root);
	json_put_digest(answer, "found", found);
	exchange_answer_json(exchange, 422, answer);
}

/* A prover's fault: what cannot be proven because of what was asked for, and the rest. */
static void refuse_or_fail(struct exchange *exchange, const struct fault *flt)
{
	if (flt->kind == FAULT_MISUSE)
		refuse(exchange, flt->what);
	else
		exchange_fail(exchange, flt);
}

/* ---- Inclusion ---- */

/* What is asked for, and what is found on the way. */
struct inclusion {
	struct exchange *exchange;
	struct database *database;
	uint64_t length;
	uint64_t *indices;
	struct merkle_map_entry *entries;
	bool *are_heads;
	size_t count;
};

static void inclusion_release(struct inclusion *inclusion)
{
	readers_give(inclusion->exchange->service->readers, inclusion->database);
	free(inclusion->indices);
	free(inclusion->entries);
	free(inclusion->are_heads);
}

/* @return false: answered */
static bool read_inclusion(const struct json *asked, struct inclusion *inclusion)
{
	const struct json *list;
	struct fault flt = {0};
	int r = json_read_uint(asked, "logLength", &inclusion->length, &flt);

	if (!r)
		r = json_read_list(asked, "leafs", &list, &flt);
	if (!r)
		inclusion->count = json_count(list);
	if (!r && inclusion->count > CAP_SERVED_LEAVES) {
		refuse(inclusion->exchange, "that are too many at a time");
		return false;
	}
	if (!r) {
		inclusion->indices = calloc(inclusion->count + 1, sizeof(*inclusion->indices));
		inclusion->entries = calloc(inclusion->count + 1, sizeof(*inclusion->entries));
		inclusion->are_heads = calloc(inclusion->count + 1, sizeof(*inclusion->are_heads));
		if (!inclusion->indices || !inclusion->entries || !inclusion->are_heads)
			r = fault_no_memory(&flt);
	}
	for (size_t i = 0; i < inclusion->count && !r; i++)
		r = json_as_uint(json_at(list, i), &inclusion->indices[i], &flt);
	if (r)
		exchange_answer_misfit(inclusion->exchange, &flt);
	return !r;
}

/* The records that are to be proven. @return false: answered */
static bool find_leaves(struct inclusion *inclusion)
{
	for (size_t i = 0; i < inclusion->count; i++) {
		struct fault flt = {0};

		if (!committed_leaf(inclusion->database, inclusion->indices[i], inclusion->length,
				    &inclusion->entries[i], &inclusion->are_heads[i], &flt))
			continue;
		if (flt.kind == FAULT_ABSENT)
			exchange_answer_type_number(inclusion->exchange, 404, "leaf", inclusion->indices[i]);
		else
			exchange_fail(inclusion->exchange, &flt);
		return false;
	}
	return true;
}

/* Each is its log's last. @return false: answered */
static bool check_heads(struct inclusion *inclusion, const struct merkle_map_bundle *map, const struct digest *root)
{
	for (size_t i = 0; i < inclusion->count; i++) {
		struct digest found;

		if (inclusion->are_heads[i])
			continue;
		found = merkle_map_evaluate(&map->paths[i], &inclusion->entries[i]);
		refuse_other(inclusion->exchange, root, &found);
		return false;
	}
	return true;
}

/* @return false: answered */
static bool prove_map(struct inclusion *inclusion, const struct map_root *root, struct merkle_map_bundle *out)
{
	struct digest *log_ids = calloc(inclusion->count + 1, sizeof(*log_ids));
	struct fault flt = {0};
	int r = log_ids ? 0 : fault_no_memory(&flt);
	size_t i;

	for (i = 0; i < inclusion->count && !r; i++)
		log_ids[i] = inclusion->entries[i].log_id;
	if (!r)
		r = map_nodes_prove(inclusion->database, root, log_ids, inclusion->count, out, &flt);
	free(log_ids);
	if (!r)
		return true;
	/* Whose log has no record at that length has its leaf behind it. */
	for (i = 0; i < inclusion->count && inclusion->indices[i] < inclusion->length; i++)
		;
	if (flt.kind == FAULT_ABSENT && i < inclusion->count)
		refuse_absent(inclusion->exchange, &inclusion->entries[i].log_id);
	else
		refuse_or_fail(inclusion->exchange, &flt);
	return false;
}

static void put_bundle(struct json *answer, const char *name, struct buf *bytes)
{
	json_put_base64(answer, name, buf_span(bytes));
	buf_release(bytes);
}

static void answer_bundles(struct exchange *exchange, const struct merkle_log_bundle *log,
			   const struct merkle_map_bundle *map)
{
	struct json *answer = json_new_object();
	struct fault flt = {0};
	struct buf bytes;

	buf_init(&bytes, CAP_SERVED_ANSWER);
	if (!merkle_log_bundle_encode(log, &bytes, &flt))
		put_bundle(answer, map ? "log" : "proof", &bytes);
	if (!flt.verdict && map && !merkle_map_bundle_encode(map, &bytes, &flt))
		put_bundle(answer, "map", &bytes);
	buf_release(&bytes);
	if (!flt.verdict) {
		exchange_answer_json(exchange, 200, answer);
		return;
	}
	json_free(answer);
	exchange_fail(exchange, &flt);
}

static void prove_inclusion(struct inclusion *inclusion)
{
	struct committed_checkpoint checkpoint;
	struct merkle_log_bundle log = {0};
	struct merkle_map_bundle map = {0};
	struct fault flt = {0};

	if (!find_leaves(inclusion))
		return;
	if (inclusion->length > service_length(inclusion->exchange->service)) {
		refuse(inclusion->exchange, "the log is shorter");
		return;
	}
	if (log_nodes_prove_inclusion(inclusion->database, inclusion->length, inclusion->indices, inclusion->count,
				      &log, &flt)) {
		refuse_or_fail(inclusion->exchange, &flt);
		return;
	}
	if (committed_checkpoint_at(inclusion->database, inclusion->length, &checkpoint, &flt)) {
		if (flt.kind == FAULT_ABSENT)
			exchange_answer_type_number(inclusion->exchange, 404, "logLength", inclusion->length);
		else
			exchange_fail(inclusion->exchange, &flt);
	} else if (prove_map(inclusion, &checkpoint.map, &map)) {
		if (check_heads(inclusion, &map, &checkpoint.map.hash))
			answer_bundles(inclusion->exchange, &log, &map);
		merkle_map_bundle_release(&map);
	}
	merkle_log_bundle_release(&log);
}

void answer_inclusion(struct exchange *exchange)
{
	struct inclusion inclusion = {.exchange = exchange};
	struct json *asked = exchange_read_json(exchange);
	struct fault flt = {0};

	if (!asked)
		return;
	if (read_inclusion(asked, &inclusion)) {
		if (readers_take(exchange->service->readers, &inclusion.database, &flt))
			exchange_fail(exchange, &flt);
		else
			prove_inclusion(&inclusion);
	}
	inclusion_release(&inclusion);
	json_free(asked);
}

/* ---- Consistency ---- */

static void prove_consistency(struct exchange *exchange, uint64_t from, uint64_t to)
{
	struct database *database = NULL;
	struct merkle_log_bundle log = {0};
	struct fault flt = {0};
	int r = readers_take(exchange->service->readers, &database, &flt);

	if (!r)
		r = log_nodes_prove_consistency(database, from, to, &log, &flt);
	readers_give(exchange->service->readers, database);
	if (r) {
		refuse_or_fail(exchange, &flt);
		return;
	}
	answer_bundles(exchange, &log, NULL);
	merkle_log_bundle_release(&log);
}

void answer_consistency(struct exchange *exchange)
{
	struct json *asked = exchange_read_json(exchange);
	struct fault flt = {0};
	uint64_t from, to;

	if (!asked)
		return;
	if (json_read_uint(asked, "from", &from, &flt) || json_read_uint(asked, "to", &to, &flt))
		exchange_answer_misfit(exchange, &flt);
	else if (to > service_length(exchange->service))
		refuse(exchange, "the log is shorter");
	else
		prove_consistency(exchange, from, to);
	json_free(asked);
}
