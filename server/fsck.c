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

#include "client/file.h"
#include "committed.h"
#include "content_files.h"
#include "log_nodes.h"
#include "operator_records.h"
#include "package_logs.h"
#include "packages.h"
#include "statement.h"

struct check {
	struct database *outer, *inner; /* two: whoever is called by a walk uses the other one */
	const char *content_dir;
	void (*found)(void *user, const char *sentence);
	void *user;
	struct fsck_counts counts;

	struct operator_log *operator;
	struct merkle_log_roots roots; /* of the log, as far as it was rebuilt */
	struct merkle_map *map;
	struct committed_checkpoint *checkpoints; /* in their order */
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
		check->found(check->user, sentence);
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
	int r = statement_use(check->outer, text, &statement, flt);

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

static int take_checkpoint(void *user, const struct committed_checkpoint *checkpoint, struct fault *flt)
{
	struct check *check = user;
	size_t room = check->checkpoint_room ? 2 * check->checkpoint_room : 64;
	struct committed_checkpoint *grown;

	if (check->checkpoint_count == check->checkpoint_room) {
		grown = reallocarray(check->checkpoints, room, sizeof(*grown));
		if (!grown)
			return fault_no_memory(flt);
		check->checkpoints = grown;
		check->checkpoint_room = room;
	}
	check->checkpoints[check->checkpoint_count++] = *checkpoint;
	return 0;
}

static int compare_checkpoint(struct check *check, const struct committed_checkpoint *checkpoint, struct fault *flt)
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

static int take_record(void *user, const struct committed_record *record, struct fault *flt)
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
		r = judge(check, log_nodes_check(check->inner, &check->roots, &leaf, &own), &own, flt);
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
	struct fault own = {0};

	if (!check->checkpoint_count)
		return 0;
	return judge(check, map_nodes_check(check->inner, &check->checkpoints[check->checkpoint_count - 1].map, &own),
		     &own, flt);
}

static int check_log(struct check *check, struct fault *flt)
{
	struct fault own = {0};
	int r = judge(check, operator_records_load(check->outer, &check->operator, &own), &own, flt);

	if (!r)
		r = merkle_map_new(&check->map, flt);
	own = (struct fault){0};
	if (!r)
		r = judge(check, committed_walk_checkpoints(check->outer, take_checkpoint, check, &own), &own, flt);
	own = (struct fault){0};
	if (!r)
		r = judge(check, committed_walk_all(check->outer, take_record, check, &own), &own, flt);
	own = (struct fault){0};
	if (!r && (check->next_checkpoint < check->checkpoint_count || !check->checkpoint_count ||
		   check->checkpoints[check->checkpoint_count - 1].checkpoint.contents.log_length !=
		   check->roots.length))
		r = judge(check, fault_invalid(&own, "the last checkpoint is not of %" PRIu64 " records",
					       check->roots.length), &own, flt);
	return r;
}

/* ---- Packages ---- */

static int verify_package(struct check *check, const struct digest *log_id, const struct committed_log *log,
			  struct fault *flt)
{
	struct package_log *package = NULL;
	const struct log_head *head;
	struct name name = {0};
	struct digest named;
	uint64_t place;
	int r = packages_find(check->inner, log_id, &name, flt);

	if (r == WARG_UNDECIDED && flt->kind == FAULT_ABSENT) {
		*flt = (struct fault){0};
		return fault_invalid(flt, "it has no name");
	}
	named = name_log_id(&name);
	if (!r && !digest_equals(&named, log_id))
		r = fault_invalid(flt, "it is said to be of %.200s", name.text);
	if (!r)
		r = package_logs_load(check->inner, &name, &package, flt);
	head = r ? NULL : package_log_head(package);
	if (!r && !head)
		r = fault_invalid(flt, "it has no records");
	if (!r)
		r = committed_find_record(check->inner, log_id, &head->record_id, &place, flt);
	if (!r && place != log->head)
		r = fault_invalid(flt, "its head is said to be the record %" PRIu64, log->head);
	package_log_unref(package);
	return r;
}

static int take_log(void *user, const struct digest *log_id, const struct committed_log *log, struct fault *flt)
{
	struct check *check = user;
	char id[DIGEST_TEXT_SIZE];
	struct fault own = {0};

	if (log->kind == RECORD_OPERATOR)
		return 0;
	check->counts.packages++;
	verify_package(check, log_id, log, &own);
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

	if (!r && fd < 0)
		return fault_invalid(flt, "it is no file");
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
};

static int take_releases(void *user, const struct committed_record *committed, struct fault *flt)
{
	const struct needs *needs = user;
	struct record record;
	int r = 0;

	/* What cannot be decoded was told before. */
	if (record_decode(RECORD_PACKAGE, committed->envelope.content, &record, NULL))
		return 0;
	for (size_t i = 0; i < record.entry_count && !r; i++) {
		char name[CONTENT_FILE_NAME_SIZE];
		struct fault own = {0};

		if (record.entries[i].type != ENTRY_RELEASE)
			continue;
		content_file_name(&record.entries[i].content, name);
		if (!faccessat(needs->folder, name, F_OK, AT_SYMLINK_NOFOLLOW))
			continue;
		fault_invalid(&own, "%.150s/files/%s is not there", needs->check->content_dir, name);
		fault_at(&own, "record %" PRIu64, committed->registry_index);
		r = judge(needs->check, own.verdict, &own, flt);
	}
	record_release(&record);
	return r;
}

static int check_contents(struct check *check, struct fault *flt)
{
	struct needs needs = {check, -1};
	int r = file_open_inside(check->content_dir, "files", false, &needs.folder, flt);

	if (!r && needs.folder < 0)
		r = fault_undecided(flt, FAULT_ABSENT, "there are no contents in %.150s", check->content_dir);
	if (!r)
		r = check_files(check, needs.folder, flt);
	if (!r)
		r = committed_walk_all(check->outer, take_releases, &needs, flt);
	if (needs.folder >= 0)
		close(needs.folder);
	return r;
}

/* ---- All of it ---- */

static int check_all(struct check *check, const char *data_dir, struct fault *flt)
{
	struct fault own = {0};
	int r = database_open_reading(data_dir, &check->outer, flt);

	if (!r)
		r = database_open_reading(data_dir, &check->inner, flt);
	if (!r)
		r = database_begin(check->outer, flt);
	if (!r)
		r = database_begin(check->inner, flt);
	if (!r)
		r = check_pragma(check, "PRAGMA integrity_check", "ok", flt);
	if (!r)
		r = check_pragma(check, "PRAGMA foreign_key_check", NULL, flt);
	if (!r)
		r = check_log(check, flt);
	if (!r)
		r = check_map(check, flt);
	if (!r)
		r = judge(check, committed_walk_logs(check->outer, take_log, check, &own), &own, flt);
	return r ? r : check_contents(check, flt);
}

int fsck(const char *data_dir, const char *content_dir, void (*found)(void *user, const char *sentence), void *user,
	 struct fsck_counts *out, struct fault *flt)
{
	struct check check = {.content_dir = content_dir, .found = found, .user = user};
	struct fault own = {0};
	int r = check_all(&check, data_dir, &own);

	/* A database that is too broken to be read is found out. */
	if (r == WARG_INVALID && check.outer)
		r = judge(&check, r, &own, &own);
	if (r && flt)
		*flt = own;
	database_close(check.inner);
	database_close(check.outer);
	operator_log_unref(check.operator);
	merkle_map_free(check.map);
	free(check.checkpoints);
	if (!r)
		*out = check.counts;
	return r;
}
