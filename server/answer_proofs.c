/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * POST v1/proof/inclusion, POST v1/proof/consistency (protocol.md section 5; interop.md section B 9).
 */
#include "routes.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "log_nodes.h"
#include "verify/base64.h"

#define AT_ONCE 32 /* leaves proven on the listener's thread (half a millisecond); more go to a lane */
#define LEAF_BYTES 1024 /* of an answer for one leaf: twenty hashes of the log and the map in base64 */

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

static int compare_indices(const void *a, const void *b)
{
	const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

	return (one > other) - (one < other);
}

/* Refuse a leaf that is requested twice. @return false: answered */
static bool check_once(struct inclusion *inclusion)
{
	uint64_t *sorted = calloc(inclusion->count + 1, sizeof(*sorted));
	struct fault flt = {0};
	size_t i;

	if (!sorted) {
		fault_no_memory(&flt);
		exchange_fail(inclusion->exchange, &flt);
		return false;
	}
	memcpy(sorted, inclusion->indices, inclusion->count * sizeof(*sorted));
	qsort(sorted, inclusion->count, sizeof(*sorted), compare_indices);
	for (i = 1; i < inclusion->count && sorted[i] != sorted[i - 1]; i++)
		;
	free(sorted);
	if (i >= inclusion->count)
		return true;
	refuse(inclusion->exchange, "a leaf is asked for twice");
	return false;
}

/* @return false: answered, or it continues on a lane */
static bool read_inclusion(const struct json *asked, struct inclusion *inclusion)
{
	const struct json *list;
	struct fault flt = {0};
	int r = json_read_uint(asked, "logLength", &inclusion->length, &flt);

	if (!r)
		r = json_read_list(asked, "leafs", &list, &flt);
	if (!r)
		inclusion->count = json_count(list);
	if (!r && inclusion->count > AT_ONCE && exchange_step_aside(inclusion->exchange))
		return false;
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
	return !r && check_once(inclusion);
}

/* The records that are to be proven. @return false: answered */
static bool find_leaves(struct inclusion *inclusion)
{
	for (size_t i = 0; i < inclusion->count; i++) {
		struct fault flt = {0};

		if (!published_leaf(inclusion->database, inclusion->indices[i], inclusion->length,
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

/*
 * Write a bundle as a member, without JSON's escaping: it is the largest part of the answer and needs none.
 * @param bytes  released here
 */
static int put_bundle(struct exchange *exchange, const char *name, struct buf *bytes, struct fault *flt)
{
	struct buf *out = &exchange->answer;
	int r = buf_append_format(out, flt, "%c\"%s\":\"", out->length ? ',' : '{', name);

	if (!r)
		r = base64_encode(buf_span(bytes), out, flt);
	if (!r)
		r = buf_append_text(out, "\"", flt);
	buf_release(bytes);
	return r;
}

/* @param log, map  released as soon as they are written; `map` may be NULL */
static void answer_bundles(struct exchange *exchange, struct merkle_log_bundle *log, struct merkle_map_bundle *map)
{
	struct fault flt = {0};
	struct buf bytes;
	int r;

	buf_init(&bytes, CAP_SERVED_ANSWER);
	r = merkle_log_bundle_encode(log, &bytes, &flt);
	merkle_log_bundle_release(log);
	if (!r)
		r = put_bundle(exchange, map ? "log" : "proof", &bytes, &flt);
	if (!r && map)
		r = merkle_map_bundle_encode(map, &bytes, &flt);
	if (map)
		merkle_map_bundle_release(map);
	if (bytes.length > CAP_SERVED_AT_ONCE)
		malloc_trim(0); /* free the bundle's many small blocks before the answer needs as much memory again */
	if (!r && map)
		r = put_bundle(exchange, "map", &bytes, &flt);
	if (!r)
		r = buf_append_text(&exchange->answer, "}", &flt);
	buf_release(&bytes);
	if (!r)
		exchange_answer(exchange, 200, "application/json");
	else
		exchange_fail(exchange, &flt);
}

static void prove_inclusion(struct inclusion *inclusion)
{
	struct published_checkpoint checkpoint;
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
	if (published_checkpoint_at(inclusion->database, inclusion->length, &checkpoint, &flt)) {
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
	bool is_read;

	if (!asked)
		return;
	is_read = read_inclusion(asked, &inclusion);
	json_free(asked);
	if (is_read && exchange->hold && !exchange->hold(exchange, inclusion.count * LEAF_BYTES)) {
		exchange_answer_busy(exchange);
	} else if (is_read) {
		if (readers_take(exchange->service->readers, &inclusion.database, &flt))
			exchange_fail(exchange, &flt);
		else
			prove_inclusion(&inclusion);
	}
	inclusion_release(&inclusion);
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
