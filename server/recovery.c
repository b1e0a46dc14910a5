/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Finding damage, and repairing rows (see recovery.h).
 */
#include "recovery.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "append.h"
#include "log_nodes.h"
#include "operator_records.h"
#include "statement.h"
#include "verify/name.h"

/* What is known about the record at a registry index. */
struct place {
	uint64_t log; /* its log's row */
	struct digest log_id, record_id;
	struct digest node; /* its leaf among the log's nodes */
	struct digest leaf; /* the id decided on */
	bool has_row, has_log, has_node;
};

struct recovery {
	const struct recovery_task *task;
	struct database *database;
	const struct ecdsa_private_key *key;
	struct operator_log *operator; /* for its keys; NULL: not readable */
	struct operator_log *own;      /* has only `key`; NULL without one */

	struct published_checkpoint last; /* the longest that verifies against its signature */
	bool has_last;
	struct merkle_log_roots roots;
	bool is_damaged, is_partial;

	struct place *places;
	uint64_t length, gaps;
	struct digest *log_ids; /* of all logs that any row names */
	size_t log_id_count;
	bool are_nodes_wrong;
};

/* ---- Reporting ---- */

static void tell(struct recovery *recovery, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct recovery *recovery, const char *format, ...)
{
	struct fault found = {0};
	char text[200];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	fault_invalid(&found, "%s", text);
	fault_at(&found, "the database");
	fault_blame(&found, FAULT_BY_SYSTEM);
	recovery->task->tell(recovery->task->user, &found);
}

/* Turn WARG_INVALID of a check into 0, as damage is what we look for. @return 0, or WARG_UNDECIDED */
static int note_damage(struct recovery *recovery, int verdict, const struct fault *own, struct fault *flt)
{
	if (verdict == WARG_UNDECIDED) {
		*flt = *own;
		return verdict;
	}
	recovery->is_damaged = recovery->is_damaged || verdict;
	return 0;
}

/* ---- Statements ---- */

/* Run a statement with up to a digest and two numbers as parameters, in this order. */
static int change(struct database *database, const char *text, const struct digest *digest, int numbers,
		  uint64_t first, uint64_t second, struct fault *flt)
{
	struct statement *statement;
	int position = 1, r = statement_use(database, text, &statement, flt);

	if (r)
		return r;
	if (digest)
		statement_put_digest(statement, position++, digest);
	if (numbers > 0)
		statement_put_number(statement, position++, first);
	if (numbers > 1)
		statement_put_number(statement, position, second);
	return statement_run(statement, flt);
}

/* ---- The last checkpoint ---- */

static int make_own(struct recovery *recovery, struct fault *flt)
{
	int r = recovery->key ? operator_log_new(&recovery->own, flt) : 0;

	if (!r && recovery->key)
		r = operator_log_restore_key(recovery->own, ecdsa_private_key_public(recovery->key), PERMISSION_COMMIT,
					     flt);
	return r;
}

static int find_operator(struct recovery *recovery, struct fault *flt)
{
	struct fault own = {0};
	int r = note_damage(recovery, operator_records_load(recovery->database, &recovery->operator, &own), &own, flt);

	return r ? r : make_own(recovery, flt);
}

/* Whether a key with permission signed it. A mirror whose operator's log is damaged checks the roots only. */
static bool is_signed(const struct recovery *recovery, const struct signed_checkpoint *checkpoint)
{
	if (recovery->operator && !checkpoint_verify(checkpoint, recovery->operator, NULL))
		return true;
	if (recovery->own)
		return !checkpoint_verify(checkpoint, recovery->own, NULL);
	return !recovery->operator;
}

/* Find the longest signed checkpoint, and delete longer ones without a valid signature, which prove nothing. */
static int find_last(struct recovery *recovery, struct fault *flt)
{
	uint64_t length;
	bool found = true;
	int r = 0;

	while (!r && found && !recovery->has_last) {
		struct fault own = {0};

		r = statement_ask(recovery->database, "SELECT log_length FROM checkpoints WHERE log_length > 0"
				  " ORDER BY log_length DESC LIMIT 1", &found, &length, flt);
		if (r || !found)
			break;
		r = published_checkpoint_at(recovery->database, length, &recovery->last, &own);
		recovery->has_last = !r && is_signed(recovery, &recovery->last.checkpoint);
		r = note_damage(recovery, r, &own, flt);
		if (r || recovery->has_last)
			break;
		recovery->is_damaged = true;
		tell(recovery, "the checkpoint of %" PRIu64 " records was damaged, and is deleted", length);
		r = change(recovery->database, "DELETE FROM checkpoints WHERE log_length = ?", NULL, 1, length, 0, flt);
	}
	return r;
}

/* ---- Checking ---- */

static int look_at_record(void *user, struct statement *row, struct fault *flt)
{
	struct recovery *recovery = user;
	struct digest record_id, log_id, leaf;
	int r = statement_digest(row, 1, &record_id, flt);

	if (recovery->task->is_stopping && *recovery->task->is_stopping)
		return fault_undecided(flt, FAULT_CANCELLED, "it is time to end");
	if (!r)
		r = statement_digest(row, 2, &log_id, flt);
	if (!r && statement_number(row, 0) != recovery->roots.length)
		r = fault_invalid(flt, "a record is not in its place");
	if (r)
		return r;
	leaf = merkle_log_leaf(&log_id, &record_id);
	return log_nodes_check(recovery->database, &recovery->roots, &leaf, flt);
}

/* Whether the last record is under the last checkpoint, and the nodes that the next one needs have its root. */
static int look_at_end(struct recovery *recovery, struct fault *flt)
{
	struct append_state state;
	struct fault own = {0};
	int r = note_damage(recovery, append_load(recovery->database, &state, &own), &own, flt);

	recovery->is_partial = !r && !recovery->is_damaged && recovery->task->depth == RECOVERY_END &&
			       state.roots.length > CAP_CHECKED_LOG;
	return r;
}

/* Whether the records, the nodes and the checkpoint's root agree. */
static int look_at_log(struct recovery *recovery, struct fault *flt)
{
	static const char text[] = "SELECT registry_index, record_id, log_id FROM records"
				   " JOIN logs ON logs.id = records.log WHERE registry_index >= 0"
				   " ORDER BY registry_index";
	const struct checkpoint *contents = &recovery->last.checkpoint.contents;
	struct statement *statement;
	struct fault own = {0};
	struct digest root;
	int r = statement_use(recovery->database, text, &statement, flt);

	if (!r)
		r = note_damage(recovery, statement_each(statement, look_at_record, recovery, &own), &own, flt);
	root = merkle_log_roots_fold(&recovery->roots);
	if (recovery->roots.length != (recovery->has_last ? contents->log_length : 0) ||
	    (recovery->has_last && !digest_equals(&root, &contents->log_root)))
		recovery->is_damaged = true;
	return r;
}

/* Of a large map check only the nodes that every publish reads: others are checked when they are used. */
static int look_at_map(struct recovery *recovery, struct fault *flt)
{
	const struct digest log_id = name_operator_log_id();
	struct merkle_map_bundle bundle;
	uint64_t count;
	bool found;
	int r = statement_ask(recovery->database, "SELECT count(*) FROM logs", &found, &count, flt);

	if (r)
		return r;
	if (recovery->task->depth == RECOVERY_ALL || count <= CAP_CHECKED_MAP)
		return map_nodes_check(recovery->database, &recovery->last.map, flt);
	r = map_nodes_prove(recovery->database, &recovery->last.map, &log_id, 1, &bundle, flt);
	if (!r)
		merkle_map_bundle_release(&bundle);
	return r;
}

#define WRONG_LOGS " WHERE length IS NOT (SELECT count(*) FROM records WHERE log = logs.id AND registry_index >= 0)" \
	" OR head IS NOT (SELECT max(registry_index) FROM records WHERE log = logs.id)"

static int look_at_logs(struct recovery *recovery, struct fault *flt)
{
	uint64_t one;
	bool found;
	int r = statement_ask(recovery->database, "SELECT 1 FROM logs" WRONG_LOGS " LIMIT 1", &found, &one, flt);

	recovery->is_damaged = recovery->is_damaged || (!r && found);
	return r;
}

/* ---- Collecting what is known of each index ---- */

static int take_row(void *user, struct statement *row, struct fault *flt)
{
	struct recovery *recovery = user;
	uint64_t index = statement_number(row, 0);
	struct place *place;
	int r;

	if (index >= recovery->length)
		return 0;
	place = &recovery->places[index];
	place->log = statement_number(row, 1);
	place->has_row = true;
	place->has_log = statement_span(row, 3).length;
	r = statement_digest(row, 2, &place->record_id, flt);
	return r || !place->has_log ? r : statement_digest(row, 3, &place->log_id, flt);
}

static int take_node(void *user, struct statement *row, struct fault *flt)
{
	struct recovery *recovery = user;
	uint64_t index = statement_number(row, 0) / 2;

	if (index >= recovery->length)
		return 0;
	recovery->places[index].has_node = true;
	return statement_digest(row, 1, &recovery->places[index].node, flt);
}

static int walk(struct recovery *recovery, const char *text,
		int (*take)(void *user, struct statement *row, struct fault *flt), struct fault *flt)
{
	struct statement *statement;
	int r = statement_use(recovery->database, text, &statement, flt);

	return r ? r : statement_each(statement, take, recovery, flt);
}

static int take_log_id(void *user, struct statement *row, struct fault *flt)
{
	struct recovery *recovery = user;
	struct span name = statement_span(row, 1);
	int r = statement_digest(row, 0, &recovery->log_ids[recovery->log_id_count++], flt);

	if (!r && name.length)
		recovery->log_ids[recovery->log_id_count++] = name_log_id_of_text(name);
	return r;
}

/* Log ids come from the logs' rows, from the packages' rows, and from the packages' names. */
static int gather_log_ids(struct recovery *recovery, struct fault *flt)
{
	uint64_t count;
	bool found;
	int r = statement_ask(recovery->database, "SELECT (SELECT count(*) FROM logs)"
			      " + 2 * (SELECT count(*) FROM packages)", &found, &count, flt);

	if (r)
		return r;
	recovery->log_ids = calloc(count + 1, sizeof(*recovery->log_ids));
	if (!recovery->log_ids)
		return fault_no_memory(flt);
	recovery->log_ids[recovery->log_id_count++] = name_operator_log_id();
	r = walk(recovery, "SELECT log_id, NULL FROM logs", take_log_id, flt);
	return r ? r : walk(recovery, "SELECT log_id, name FROM packages", take_log_id, flt);
}

static int gather_places(struct recovery *recovery, struct fault *flt)
{
	const uint64_t signed_length = recovery->has_last ? recovery->last.checkpoint.contents.log_length : 0;
	bool found;
	int r = statement_ask(recovery->database, "SELECT count(*) FROM records WHERE registry_index >= 0", &found,
			      &recovery->length, flt);

	if (r)
		return r;
	if (recovery->length < signed_length || !recovery->key)
		recovery->length = signed_length;
	recovery->places = calloc(recovery->length + 1, sizeof(*recovery->places));
	if (!recovery->places)
		return fault_no_memory(flt);
	r = walk(recovery, "SELECT registry_index, log, record_id, log_id FROM records"
		 " LEFT JOIN logs ON logs.id = records.log WHERE registry_index >= 0", take_row, flt);
	if (!r)
		r = walk(recovery, "SELECT node, hash FROM log_nodes WHERE node >= 0 AND node % 2 = 0", take_node, flt);
	return r ? r : gather_log_ids(recovery, flt);
}

/* ---- Records ---- */

static bool fits(const struct place *place, const struct digest *log_id, const struct digest *record_id)
{
	const struct digest leaf = merkle_log_leaf(log_id, record_id);

	return place->has_node && digest_equals(&leaf, &place->node);
}

/* Compute the id from the record's bytes. */
static int mend_id(struct recovery *recovery, uint64_t index, bool *done, struct fault *flt)
{
	const struct digest operator = name_operator_log_id();
	struct place *place = &recovery->places[index];
	struct statement *statement;
	struct digest id;
	int r = statement_use(recovery->database, "SELECT content FROM records WHERE registry_index = ?", &statement,
			      flt);

	if (r)
		return r;
	statement_put_number(statement, 1, index);
	r = statement_find(statement, "it is gone", flt);
	if (r)
		return r;
	id = record_id(digest_equals(&place->log_id, &operator) ? RECORD_OPERATOR : RECORD_PACKAGE,
		       statement_span(statement, 0));
	statement_end(statement);
	*done = place->has_log && fits(place, &place->log_id, &id);
	if (!*done)
		return 0;
	place->record_id = id;
	tell(recovery, "the id of the record %" PRIu64 " was damaged, and is repaired", index);
	return change(recovery->database, "UPDATE records SET record_id = ? WHERE registry_index = ?", &id, 1, index, 0,
		      flt);
}

/* The record belongs to another log: use that log's row, or correct the log id of this row. */
static int set_log(struct recovery *recovery, uint64_t index, const struct digest *log_id, struct fault *flt)
{
	struct place *place = &recovery->places[index];
	struct statement *statement;
	bool found = false;
	uint64_t row = 0;
	int r = statement_use(recovery->database, "SELECT id FROM logs WHERE log_id = ?", &statement, flt);

	if (r)
		return r;
	statement_put_digest(statement, 1, log_id);
	r = statement_step(statement, &found, flt);
	if (!r && found)
		row = statement_number(statement, 0);
	statement_end(statement);
	if (r)
		return r;
	place->log_id = *log_id;
	if (found)
		return change(recovery->database, "UPDATE records SET log = ? WHERE registry_index = ?", NULL, 2, row,
			      index, flt);
	return change(recovery->database, "INSERT INTO logs (log_id, id, length, head) VALUES (?, ?, 0, 0)"
		      " ON CONFLICT (id) DO UPDATE SET log_id = excluded.log_id", log_id, 1, place->log, 0, flt);
}

static int mend_log(struct recovery *recovery, uint64_t index, bool *done, struct fault *flt)
{
	struct place *place = &recovery->places[index];

	for (size_t i = 0; i < recovery->log_id_count; i++) {
		if (!fits(place, &recovery->log_ids[i], &place->record_id))
			continue;
		*done = place->has_log = true;
		tell(recovery, "the log of the record %" PRIu64 " was damaged, and is repaired", index);
		return set_log(recovery, index, &recovery->log_ids[i], flt);
	}
	return 0;
}

/* Find a row that the nodes want at this index: then its index was damaged. */
struct stray {
	struct place *place;
	uint64_t index;
	bool found;
};

static int take_stray(void *user, struct statement *row, struct fault *flt)
{
	struct stray *stray = user;
	struct digest record_id, log_id;
	int r = statement_digest(row, 2, &record_id, flt);

	if (!r)
		r = statement_digest(row, 3, &log_id, flt);
	if (r || stray->found || !fits(stray->place, &log_id, &record_id))
		return r;
	stray->found = true;
	stray->index = statement_number(row, 0);
	stray->place->log = statement_number(row, 1);
	stray->place->log_id = log_id;
	stray->place->record_id = record_id;
	return 0;
}

static int mend_place(struct recovery *recovery, uint64_t index, struct fault *flt)
{
	struct stray stray = {.place = &recovery->places[index]};
	struct statement *statement;
	int r = statement_use(recovery->database, "SELECT registry_index, log, record_id, log_id FROM records"
			      " JOIN logs ON logs.id = records.log WHERE registry_index >= ? OR registry_index < 0",
			      &statement, flt);

	if (r)
		return r;
	statement_put_number(statement, 1, recovery->length);
	r = statement_each(statement, take_stray, &stray, flt);
	if (r || !stray.found)
		return r;
	stray.place->has_row = stray.place->has_log = true;
	tell(recovery, "the place of the record %" PRIu64 " was damaged, and is repaired", index);
	return change(recovery->database, "UPDATE records SET registry_index = ? WHERE registry_index = ?", NULL, 2,
		      index, stray.index, flt);
}

/* Decide which record is at an index, by its row, its bytes and the node. */
static int mend_record(struct recovery *recovery, uint64_t index, struct fault *flt)
{
	struct place *place = &recovery->places[index];
	bool done = place->has_row && place->has_log && fits(place, &place->log_id, &place->record_id);
	int r = 0;

	if (!place->has_row && place->has_node)
		r = mend_place(recovery, index, flt);
	else if (!done && place->has_row && place->has_node)
		r = mend_log(recovery, index, &done, flt);
	if (!r && !done && place->has_row && place->has_node)
		r = mend_id(recovery, index, &done, flt);
	if (r)
		return r;
	if (place->has_row && place->has_log) {
		/* If the node is wrong instead, the root will not match. */
		place->leaf = merkle_log_leaf(&place->log_id, &place->record_id);
		return 0;
	}
	place->leaf = place->node;
	recovery->gaps++;
	tell(recovery, "the record %" PRIu64 " is lost: its package can neither be read nor grow, and the ledger lacks "
	     "it", index);
	return 0;
}

/* ---- What follows from the records ---- */

/* @return whether the roots are the ones that were signed */
static bool fold(struct recovery *recovery)
{
	const struct checkpoint *contents = &recovery->last.checkpoint.contents;
	bool is_right = !recovery->has_last;
	struct digest root;

	recovery->roots = (struct merkle_log_roots){0};
	for (uint64_t i = 0; i < recovery->length; i++) {
		merkle_log_roots_append(&recovery->roots, &recovery->places[i].leaf);
		if (!recovery->has_last || i + 1 != contents->log_length)
			continue;
		root = merkle_log_roots_fold(&recovery->roots);
		is_right = digest_equals(&root, &contents->log_root);
	}
	return is_right;
}

static int check_nodes(struct recovery *recovery, struct fault *flt)
{
	struct merkle_log_roots roots = {0};
	struct fault own = {0};
	int r = 0;

	for (uint64_t i = 0; i < recovery->length && !r; i++)
		r = log_nodes_check(recovery->database, &roots, &recovery->places[i].leaf, &own);
	if (r == WARG_UNDECIDED) {
		*flt = own;
		return r;
	}
	recovery->are_nodes_wrong = r;
	return 0;
}

static int write_nodes(struct recovery *recovery, struct fault *flt)
{
	struct merkle_log_roots roots = {0};
	int r = check_nodes(recovery, flt);

	if (r || !recovery->are_nodes_wrong)
		return r;
	tell(recovery, "nodes of the log were damaged, and are repaired");
	r = change(recovery->database, "DELETE FROM log_nodes", NULL, 0, 0, 0, flt);
	for (uint64_t i = 0; i < recovery->length && !r; i++)
		r = log_nodes_append(recovery->database, &roots, &recovery->places[i].leaf, flt);
	return r;
}

/* A log that lost a record keeps its length and head, so that it cannot continue from an earlier record. */
static int write_logs(struct recovery *recovery, struct fault *flt)
{
	if (recovery->gaps)
		return 0;
	return change(recovery->database, "UPDATE logs SET"
		      " length = (SELECT count(*) FROM records WHERE log = logs.id AND registry_index >= 0),"
		      " head = coalesce((SELECT max(registry_index) FROM records WHERE log = logs.id), 0)" WRONG_LOGS,
		      NULL, 0, 0, 0, flt);
}

/* Move rows past the end to negative indices, where they block nothing; a mirror deletes them and fetches again. */
static int set_aside(struct recovery *recovery, struct fault *flt)
{
	if (!recovery->key)
		return change(recovery->database, "DELETE FROM records WHERE registry_index >= ?", NULL, 1,
			      recovery->length, 0, flt);
	return change(recovery->database, "UPDATE records SET registry_index = -1 - registry_index"
		      " WHERE registry_index >= ?", NULL, 1, recovery->length, 0, flt);
}

/* ---- The map, and the checkpoint over both ---- */

static int set_heads(struct recovery *recovery, struct map_root *out, struct fault *flt)
{
	struct merkle_map_entry *entries = calloc(recovery->length + 1, sizeof(*entries));
	int r;

	if (!entries)
		return fault_no_memory(flt);
	for (uint64_t i = 0; i < recovery->length; i++)
		entries[i] = (struct merkle_map_entry){recovery->places[i].log_id, recovery->places[i].record_id};
	*out = map_nodes_empty();
	/* For each log keep its last record. */
	r = map_nodes_set(recovery->database, out, entries, recovery->length, flt);
	free(entries);
	return r;
}

static int sign_last(struct recovery *recovery, const struct map_root *map, struct fault *flt)
{
	const uint64_t now = (uint64_t)time(NULL), before = recovery->last.checkpoint.contents.timestamp;
	struct published_checkpoint checkpoint = {.map = *map};
	const struct checkpoint contents = {
		.log_length = recovery->length, .log_root = merkle_log_roots_fold(&recovery->roots),
		.map_root = map->hash, .timestamp = recovery->has_last && before > now ? before : now,
	};
	int r = checkpoint_sign(&contents, recovery->key, &checkpoint.checkpoint, flt);

	tell(recovery, "the checkpoint of %" PRIu64 " records is signed again", recovery->length);
	return r ? r : published_put_checkpoint(recovery->database, &checkpoint, flt);
}

static int write_map(struct recovery *recovery, struct fault *flt)
{
	const bool is_last = recovery->has_last && recovery->last.checkpoint.contents.log_length == recovery->length;
	struct fault own = {0};
	struct map_root map;
	int r;

	if (!recovery->length || (is_last && !map_nodes_check(recovery->database, &recovery->last.map, &own)))
		return 0;
	if (own.verdict == WARG_UNDECIDED) {
		*flt = own;
		return own.verdict;
	}
	if (recovery->gaps) {
		tell(recovery, "the map is damaged, and cannot be repaired without the lost record");
		return 0;
	}
	r = set_heads(recovery, &map, flt);
	if (r)
		return r;
	if (!is_last)
		return sign_last(recovery, &map, flt);
	if (!digest_equals(&map.hash, &recovery->last.checkpoint.contents.map_root)) {
		tell(recovery, "the map is damaged, and so is its source");
		return 0;
	}
	tell(recovery, "nodes of the map were damaged, and are repaired");
	recovery->last.map = map;
	return published_put_checkpoint(recovery->database, &recovery->last, flt);
}

/* ---- All of it ---- */

static int mend(struct recovery *recovery, struct fault *flt)
{
	int r = gather_places(recovery, flt);

	for (uint64_t i = 0; i < recovery->length && !r; i++)
		r = mend_record(recovery, i, flt);
	if (r)
		return r;
	if (!fold(recovery)) {
		tell(recovery, "its records are not those of the last checkpoint, and the change cannot be "
		     "found");
		return 0;
	}
	r = set_aside(recovery, flt);
	if (!r)
		r = write_nodes(recovery, flt);
	if (!r)
		r = write_logs(recovery, flt);
	return r ? r : write_map(recovery, flt);
}

static int look(struct recovery *recovery, struct fault *flt)
{
	struct fault own = {0};
	int r = find_operator(recovery, flt);

	if (!r)
		r = find_last(recovery, flt);
	if (!r)
		r = look_at_end(recovery, flt);
	if (r || recovery->is_partial)
		return r;
	r = look_at_log(recovery, flt);
	if (!r)
		r = look_at_logs(recovery, flt);
	if (!r && recovery->has_last)
		r = note_damage(recovery, look_at_map(recovery, &own), &own, flt);
	return r;
}

static int run(struct recovery *recovery, struct fault *flt)
{
	int r = change(recovery->database, "PRAGMA defer_foreign_keys = ON", NULL, 0, 0, 0, flt);

	if (!r)
		r = look(recovery, flt);
	if (!r && recovery->is_damaged)
		r = mend(recovery, flt);
	return r;
}

/* @param alone  nobody else writes meanwhile; otherwise its own first write fails if somebody has */
static int attempt(const struct recovery_task *task, bool alone, struct recovery_result *out, struct fault *flt)
{
	struct recovery recovery = {.task = task, .database = task->database, .key = task->key};
	int r = alone ? database_begin(task->database, flt) : database_begin_reading(task->database, flt);

	if (!r)
		r = run(&recovery, flt);
	if (!r && recovery.is_damaged)
		r = database_commit(task->database, flt);
	database_rollback(task->database);
	*out = (struct recovery_result){.gaps = recovery.gaps, .is_partial = recovery.is_partial};
	operator_log_unref(recovery.operator);
	operator_log_unref(recovery.own);
	free(recovery.places);
	free(recovery.log_ids);
	return r;
}

int recovery_run(const struct recovery_task *task, struct recovery_result *out, struct fault *flt)
{
	struct fault own = {0};
	int r = attempt(task, !task->is_stopping, out, &own);

	if (r && own.errnum == EBUSY && task->is_stopping)
		return attempt(task, true, out, flt);
	if (r)
		*flt = own;
	return r;
}
