/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Verifying a registry (see fsck.h). What is wrong in one place is told, and the rest is looked at all the same.
 */
#include "fsck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/file.h"
#include "published.h"
#include "content_files.h"
#include "log_nodes.h"
#include "operator_records.h"
#include "log_cache.h"
#include "package_names.h"
#include "refused.h"
#include "statement.h"
#include "verify/array.h"

struct check {
	/*
	 * One connection, so that all reads see one snapshot of the database. Functions called from a walk must use
	 * other statements than the walk.
	 */
	struct database *database;
	const char *content_dir;
	const struct fsck_listener *listener;
	struct fsck_counts counts;

	struct operator_log *operator;
	struct merkle_log_roots roots; /* of the log, as far as it was rebuilt */
	struct merkle_map *map;
	struct published_checkpoint *checkpoints; /* in their order */
	size_t checkpoint_count, checkpoint_room, next_checkpoint;
};

/* ---- Telling ---- */

/*
 * What a step came to: something wrong is told, and is no reason to end.
 * @param own  its fault, zeroed before
 * @return 0; WARG_UNDECIDED: to end
 */
static int judge(struct check *check, int verdict, const struct fault *own, struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	if (verdict == WARG_UNDECIDED) {
		*flt = *own;
		return verdict;
	}
	if (verdict) {
		fault_sentence(own, sentence);
		check->listener->problem(check->listener->user, sentence);
		check->counts.problems++;
	}
	return 0;
}

/* ---- The database ---- */

static int check_pragma(struct check *check, const char *text, const char *good, struct fault *flt)
{
	struct statement *statement;
	struct fault own = {0};
	bool found = true;
	int r = statement_use(check->database, text, &statement, flt);

	while (!r && found) {
		r = statement_step(statement, &found, flt);
		if (r || !found)
			break;
		if (good && span_is(statement_span(statement, 0), good))
			continue;
		own = (struct fault){0};
		fault_invalid(&own, "%.*s", (int)statement_span(statement, 0).length,
			      (const char *)statement_span(statement, 0).data);
		fault_at(&own, "the database");
		r = judge(check, own.verdict, &own, flt);
	}
	return r;
}

/* ---- The log, the map and the checkpoints ---- */

static int take_checkpoint(void *user, const struct published_checkpoint *checkpoint, struct fault *flt)
{
	struct check *check = user;
	int r = array_reserve(&check->checkpoints, check->checkpoint_count, &check->checkpoint_room,
			      sizeof(*check->checkpoints), flt);

	if (!r)
		check->checkpoints[check->checkpoint_count++] = *checkpoint;
	return r;
}

static int compare_checkpoint(struct check *check, const struct published_checkpoint *checkpoint, struct fault *flt)
{
	const struct checkpoint *contents = &checkpoint->checkpoint.contents;
	struct digest log_root = merkle_log_roots_fold(&check->roots), map_root = merkle_map_root(check->map);
	struct fault own = {0};

	check->counts.checkpoints++;
	if (!digest_equals(&log_root, &contents->log_root))
		fault_invalid(&own, "the log has another root");
	else if (!digest_equals(&map_root, &contents->map_root))
		fault_invalid(&own, "the map has another root");
	else if (check->operator)
		checkpoint_verify(&checkpoint->checkpoint, check->operator, &own);
	fault_at(&own, "the checkpoint of %" PRIu64 " records", contents->log_length);
	return judge(check, own.verdict, &own, flt);
}

static int take_record(void *user, const struct published_record *record, struct fault *flt)
{
	struct check *check = user;
	const struct digest leaf = merkle_log_leaf(&record->log_id, &record->record_id);
	const struct digest operator = name_operator_log_id();
	const struct merkle_map_entry entry = {record->log_id, record->record_id};
	enum record_kind kind = digest_equals(&record->log_id, &operator) ? RECORD_OPERATOR : RECORD_PACKAGE;
	const struct digest id = record_id(kind, record->envelope.content);
	struct fault own = {0};
	int r = 0;

	if (record->registry_index != check->roots.length)
		r = fault_invalid(&own, "its place is %" PRIu64, record->registry_index);
	else if (!digest_equals(&id, &record->record_id))
		r = fault_invalid(&own, "its content has another id");
	fault_at(&own, "record %" PRIu64, check->roots.length);
	r = judge(check, r, &own, flt);
	own = (struct fault){0};
	if (!r)
		r = judge(check, log_nodes_check(check->database, &check->roots, &leaf, &own), &own, flt);
	/* The roots are of what the records say, whatever the nodes do. */
	if (own.verdict == WARG_INVALID)
		merkle_log_roots_append(&check->roots, &leaf);
	if (!r)
		r = merkle_map_set(check->map, &entry, flt);
	check->counts.records++;
	while (!r && check->next_checkpoint < check->checkpoint_count &&
	       check->checkpoints[check->next_checkpoint].checkpoint.contents.log_length <= check->roots.length)
		r = compare_checkpoint(check, &check->checkpoints[check->next_checkpoint++], flt);
	return r;
}

/* The nodes that are stored are those of the map that was rebuilt, if they have its root and follow from each other. */
static int check_map(struct check *check, struct fault *flt)
{
	const struct published_checkpoint *last;
	struct fault own = {0};

	if (!check->checkpoint_count)
		return 0;
	last = &check->checkpoints[check->checkpoint_count - 1];
	return judge(check, map_nodes_check(check->database, &last->map, &own), &own, flt);
}

static int check_log(struct check *check, struct fault *flt)
{
	struct fault own = {0};
	int r = judge(check, operator_records_load(check->database, &check->operator, &own), &own, flt);

	if (!r)
		r = merkle_map_new(&check->map, flt);
	own = (struct fault){0};
	if (!r)
		r = judge(check, published_walk_checkpoints(check->database, take_checkpoint, check, &own), &own, flt);
	own = (struct fault){0};
	if (!r)
		r = judge(check, published_walk_all(check->database, take_record, check, &own), &own, flt);
	own = (struct fault){0};
	if (!r && (check->next_checkpoint < check->checkpoint_count || !check->checkpoint_count ||
		   check->checkpoints[check->checkpoint_count - 1].checkpoint.contents.log_length !=
		   check->roots.length))
		r = judge(check, fault_invalid(&own, "the last checkpoint is not of %" PRIu64 " records",
					       check->roots.length), &own, flt);
	return r;
}

/* ---- Packages ---- */

/* A package's log as it is verified, record by record. */
struct verifying {
	struct package_log *package;
	uint64_t head; /* place of its last record */
	bool is_refused, is_past; /* after the refused record: no rules apply */
	struct refused refused;
};

static int verify_record(void *user, const struct published_record *record, struct fault *flt)
{
	struct verifying *verifying = user;
	struct fault own = {0};
	int r;

	verifying->head = record->registry_index;
	if (verifying->is_past)
		return 0;
	verifying->is_past = verifying->is_refused && record->registry_index == verifying->refused.registry_index;
	/* A package without a name has no log to validate against. */
	r = verifying->package ? package_log_append(verifying->package, &record->envelope, &own) : WARG_INVALID;
	if (verifying->is_past && !r)
		r = fault_invalid(&own, "it is marked as refused, and breaks no rule");
	else if (verifying->is_past && (r == WARG_INVALID || own.kind == FAULT_LIMIT))
		return 0;
	fault_at(&own, "record %" PRIu64, record->registry_index);
	if (r && flt)
		*flt = own;
	return r;
}

/* @param name  set if the name is valid; otherwise the package is refused from its first record on */
static int find_name(struct check *check, const struct digest *log_id, const struct verifying *verifying,
		     struct name *name, bool *has_name, struct fault *flt)
{
	struct buf text;
	int r;

	*has_name = false;
	buf_init(&text, CAP_NAME_CARRIED);
	r = package_names_find_text(check->database, log_id, &text, flt);
	if (r == WARG_UNDECIDED && flt->kind == FAULT_ABSENT) {
		*flt = (struct fault){0};
		r = fault_invalid(flt, "it has no name");
	}
	if (!r)
		*has_name = !name_parse(buf_span(&text), name, verifying->is_refused ? NULL : flt);
	if (!r && !*has_name && !verifying->is_refused)
		r = WARG_INVALID;
	buf_release(&text);
	return r;
}

static int verify_package(struct check *check, const struct digest *log_id, const struct published_log *log,
			  struct verifying *verifying, struct fault *flt)
{
	bool has_name = false;
	struct name name;
	struct fault own = {0};
	int r = refused_find(check->database, log_id, &verifying->refused, &own);

	r = fault_unless_absent(r, &own, &verifying->is_refused, flt);
	if (!r)
		r = find_name(check, log_id, verifying, &name, &has_name, flt);
	if (!r && has_name)
		r = package_log_new(&name, &verifying->package, flt);
	if (!r)
		r = published_walk(check->database, log_id, 0, CAP_LOG_LENGTH, CAP_LOG_LENGTH, verify_record, verifying,
				   flt);
	if (!r && !verifying->is_past && !(has_name && package_log_head(verifying->package)))
		r = fault_invalid(flt, "it has no records");
	if (!r && verifying->is_refused && !verifying->is_past)
		r = fault_invalid(flt, "it is marked as refused at the record %" PRIu64 ", which is not in its log",
				  verifying->refused.registry_index);
	if (!r && verifying->head != log->head)
		r = fault_invalid(flt, "its head is said to be the record %" PRIu64, log->head);
	package_log_unref(verifying->package);
	return r;
}

/* Report a refused package as a note: it is not damage. */
static void tell_refused(struct check *check, const struct digest *log_id, const struct verifying *verifying)
{
	char sentence[FAULT_SENTENCE_SIZE], id[DIGEST_TEXT_SIZE];
	struct fault told = {0};
	struct name name;

	check->counts.refused++;
	fault_invalid(&told, "%.250s", verifying->refused.reason);
	fault_at(&told, "refused from record %" PRIu64 " on", verifying->refused.registry_index);
	digest_format(log_id, id);
	if (package_names_find(check->database, log_id, &name, NULL))
		fault_at(&told, "log %s", id);
	else
		fault_at(&told, "package %.200s", name.text);
	fault_sentence(&told, sentence);
	check->listener->refused(check->listener->user, sentence);
}

/* Find marks of logs that do not exist. */
static int check_refused(struct check *check, struct fault *flt)
{
	static const char text[] = "SELECT count(*) FROM refused WHERE log_id NOT IN (SELECT log_id FROM logs)";
	uint64_t count = 0;
	struct fault own = {0};
	bool found;
	int r = statement_ask(check->database, text, &found, &count, flt);

	if (r || !count)
		return r;
	fault_invalid(&own, "%" PRIu64 " logs are marked as refused, and are not there", count);
	return judge(check, own.verdict, &own, flt);
}

static int take_log(void *user, const struct digest *log_id, const struct published_log *log, struct fault *flt)
{
	struct check *check = user;
	struct verifying verifying = {0};
	char id[DIGEST_TEXT_SIZE];
	struct fault own = {0};

	if (log->kind == RECORD_OPERATOR)
		return 0;
	check->counts.packages++;
	if (!verify_package(check, log_id, log, &verifying, &own) && verifying.is_refused)
		tell_refused(check, log_id, &verifying);
	digest_format(log_id, id);
	fault_at(&own, "log %s", id);
	return judge(check, own.verdict, &own, flt);
}

/* ---- Contents ---- */

/* A file that lies among the contents. @return 0; WARG_INVALID */
static int verify_file(int folder, const char *name, struct fault *flt)
{
	char expected[CONTENT_FILE_NAME_SIZE];
	struct digest digest;
	int fd = -1, r = file_open(folder, name, &fd, NULL, flt);

	/*
	 * A missing file is no fault here: the collector may remove unnamed contents meanwhile, and missing ones are
	 * reported with the record that names them.
	 */
	if (!r && fd < 0)
		return faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) ? 0 : fault_invalid(flt, "it is no file");
	if (!r)
		r = file_hash(fd, &digest, flt);
	if (fd >= 0)
		close(fd);
	if (r)
		return r;
	content_file_name(&digest, expected);
	return strcmp(expected, name) ? fault_invalid(flt, "it has other bytes than its name says") : 0;
}

static int check_files(struct check *check, int folder, struct fault *flt)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *list = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!list)
		return fault_system(flt, errno, "%.150s", check->content_dir);
	while (!r && (entry = readdir(list))) {
		struct fault own = {0};

		if (*entry->d_name == '.')
			continue;
		check->counts.contents++;
		verify_file(folder, entry->d_name, &own);
		fault_at(&own, "%.150s/files/%.80s", check->content_dir, entry->d_name);
		r = judge(check, own.verdict, &own, flt);
	}
	closedir(list);
	return r;
}

/* Whether the contents that a record releases are there. */
struct needs {
	struct check *check;
	int folder;
	uint64_t registry_index; /* of the record */
};

static int take_content(void *user, const struct digest *digest, struct fault *flt)
{
	const struct needs *needs = user;
	char name[CONTENT_FILE_NAME_SIZE];
	struct fault own = {0};

	content_file_name(digest, name);
	if (!faccessat(needs->folder, name, F_OK, AT_SYMLINK_NOFOLLOW))
		return 0;
	fault_invalid(&own, "%.150s/files/%s is not there", needs->check->content_dir, name);
	fault_at(&own, "record %" PRIu64, needs->registry_index);
	return judge(needs->check, own.verdict, &own, flt);
}

static int take_releases(void *user, const struct published_record *committed, struct fault *flt)
{
	const struct digest operator = name_operator_log_id();
	struct needs *needs = user;

	if (digest_equals(&committed->log_id, &operator))
		return 0;
	needs->registry_index = committed->registry_index;
	return record_walk_contents(committed->envelope.content, take_content, needs, flt);
}

static int check_contents(struct check *check, struct fault *flt)
{
	struct needs needs = {check, -1, 0};
	int r = file_open_inside(check->content_dir, "files", false, &needs.folder, flt);

	if (!r && needs.folder < 0)
		r = fault_undecided(flt, FAULT_ABSENT, "there are no contents in %.150s", check->content_dir);
	if (!r)
		r = check_files(check, needs.folder, flt);
	if (!r)
		r = published_walk_all(check->database, take_releases, &needs, flt);
	if (needs.folder >= 0)
		close(needs.folder);
	return r;
}

/* ---- All of it ---- */

static int check_all(struct check *check, const char *data_dir, struct fault *flt)
{
	struct fault own = {0};
	int r = database_open_reading(data_dir, &check->database, flt);

	if (!r)
		r = database_begin(check->database, flt);
	if (!r)
		r = check_pragma(check, "PRAGMA integrity_check", "ok", flt);
	if (!r)
		r = check_pragma(check, "PRAGMA foreign_key_check", NULL, flt);
	if (!r)
		r = check_log(check, flt);
	if (!r)
		r = check_map(check, flt);
	if (!r)
		r = judge(check, published_walk_logs(check->database, take_log, check, &own), &own, flt);
	if (!r)
		r = check_refused(check, flt);
	return r ? r : check_contents(check, flt);
}

int fsck(const char *data_dir, const char *content_dir, const struct fsck_listener *listener, struct fsck_counts *out,
	 struct fault *flt)
{
	struct check check = {.content_dir = content_dir, .listener = listener};
	struct fault own = {0};
	int r = check_all(&check, data_dir, &own);

	/* A database that is too broken to be read is found out. */
	if (r == WARG_INVALID && check.database)
		r = judge(&check, r, &own, &own);
	if (r && flt)
		*flt = own;
	database_close(check.database);
	operator_log_unref(check.operator);
	merkle_map_free(check.map);
	free(check.checkpoints);
	if (!r)
		*out = check.counts;
	return r;
}
