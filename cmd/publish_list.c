/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs publish list: the pending publish, records under way, and files that were written to a mount and are not
 * published.
 */
#include "publish.h"
#include "client/publish/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What is pending ---- */

static void print_pending(const struct pending *pending)
{
	printf("pending: %zu %s of package `%s`, which 'wargfs publish submit' publishes as one record\n",
	       pending->count, pending->count == 1 ? "entry" : "entries", pending->name.text);
	for (size_t i = 0; i < pending->count; i++) {
		printf("entry %zu: ", i + 1);
		publish_print_entry(PUBLISH_WORDS_LISTED, &pending->name, &pending->entries[i]);
	}
}

static void put_pending(struct json *json, const struct publishing *publishing)
{
	struct json *one;

	if (!publishing->is_open) {
		json_put_null(json, "pending");
		return;
	}
	one = json_new_object();
	json_put_text(one, "package", publishing->pending.name.text);
	json_put(one, "entries", publish_new_entries(&publishing->pending));
	json_put(json, "pending", one);
}

/* ---- What is under way ---- */

/* A record under way as it is listed. */
struct under_way {
	struct digest id;
	struct journal_entry entry; /* while `found` */
	bool found, is_driven;
};

static const char *state_of(const struct under_way *record)
{
	static const char *const states[] = {
		[JOURNAL_SIGNED] = "signed", [JOURNAL_SENT] = "in doubt", [JOURNAL_ACCEPTED] = "accepted",
	};

	return record->found ? states[record->entry.stage] : "unreadable";
}

static void print_record(const struct under_way *record)
{
	char id[DIGEST_TEXT_SIZE], when[64] = "";

	digest_format(&record->id, id);
	if (record->found)
		output_time(record->entry.signed_at, when);
	printf("under way: record `%s`%s%s%s%s, %s%s\n", id, record->found ? " of package `" : "",
	       record->found ? record->entry.name.text : "", record->found ? "`, signed " : "", when, state_of(record),
	       record->is_driven ? ", being published" : "");
}

static void put_record(struct json *list, const struct under_way *record)
{
	struct json *one = json_new_object();

	json_put_digest(one, "record", &record->id);
	if (record->found) {
		json_put_text(one, "package", record->entry.name.text);
		json_put_uint(one, "signedAt", (uint64_t)record->entry.signed_at);
	}
	json_put_text(one, "state", state_of(record));
	json_put_bool(one, "driven", record->is_driven);
	json_add(list, one);
}

/* ---- What lies in the staging ---- */

static void print_file(const struct staging_file *file)
{
	char size[32], when[64];

	output_size(file->size, size);
	output_time(file->modified, when);
	printf("not published: %s of package `%s`, %s, written %s\n", output_shown(file->file).text,
	       file->name.text, size, when);
}

static void put_file(struct json *list, const struct staging_file *file)
{
	struct json *one = json_new_object();

	json_put_text(one, "package", file->name.text);
	json_put_shown(one, "file", file->file);
	json_put_uint(one, "size", file->size);
	json_put_uint(one, "modified", (uint64_t)file->modified);
	json_add(list, one);
}

/* ---- All of it ---- */

struct lists {
	struct journal *journal;
	struct digest *ids;
	size_t id_count;
	struct staging_file *files;
	size_t file_count;
};

static int compare_files(const void *a, const void *b)
{
	const struct staging_file *one = a, *other = b;
	int order = strcmp(one->name.text, other->name.text);

	return order ? order : strcmp(one->file, other->file);
}

static int gather(const struct publishing *publishing, struct lists *out, struct fault *flt)
{
	const struct session *session = &publishing->session;
	int verdict = journal_open(session->config.state_dir, session->url.label, &out->journal, flt);

	if (!verdict)
		verdict = journal_list(out->journal, &out->ids, &out->id_count, flt);
	if (!verdict)
		verdict = staging_list_files(publishing->staging, &out->files, &out->file_count, flt);
	if (!verdict && out->file_count)
		qsort(out->files, out->file_count, sizeof(*out->files), compare_files);
	return verdict;
}

static void release(struct lists *lists)
{
	journal_close(lists->journal);
	free(lists->ids);
	free(lists->files);
}

/* One that does not read is told of, and hides no other. */
static void show_records(const struct publishing *publishing, const struct lists *lists, struct json *list)
{
	for (size_t i = 0; i < lists->id_count; i++) {
		struct under_way record = {.id = lists->ids[i]};
		struct fault own = {0};

		if (journal_load(lists->journal, &record.id, &record.entry, &record.found, &own))
			options_fail(publishing->command, &own);
		else if (!record.found)
			continue; /* it has come through meanwhile */
		record.is_driven = journal_is_claimed(lists->journal, &record.id);
		if (list)
			put_record(list, &record);
		else
			print_record(&record);
		if (record.found)
			journal_entry_release(&record.entry);
	}
}

static int show_json(const struct publishing *publishing, const struct lists *lists)
{
	struct json *json = json_new_object(), *records = json_new_list(), *files = json_new_list();

	put_pending(json, publishing);
	show_records(publishing, lists, records);
	json_put(json, "underWay", records);
	for (size_t i = 0; i < lists->file_count; i++)
		put_file(files, &lists->files[i]);
	json_put(json, "files", files);
	return output_json(publishing->command, json);
}

static int show(const struct publishing *publishing, const struct lists *lists, int *status, struct fault *flt)
{
	bool is_empty = !publishing->is_open && !lists->id_count && !lists->file_count;

	if (publishing->options->json) {
		*status = show_json(publishing, lists);
		if (*status != STATUS_DONE)
			return 0;
	}
	/* Exit status 1, as warg. */
	if (is_empty)
		return fault_undecided(flt, FAULT_ABSENT, "no pending publish to list");
	if (publishing->options->json)
		return 0;
	if (publishing->is_open)
		print_pending(&publishing->pending);
	show_records(publishing, lists, NULL);
	for (size_t i = 0; i < lists->file_count; i++)
		print_file(&lists->files[i]);
	return 0;
}

static int list(struct publishing *publishing, bool waits, int *status, struct fault *flt)
{
	struct lists lists = {0};
	int verdict = publishing_look(publishing, flt);

	(void)waits;
	if (!verdict)
		verdict = gather(publishing, &lists, flt);
	if (!verdict)
		verdict = show(publishing, &lists, status, flt);
	release(&lists);
	return verdict;
}

static int run(const struct command *command, int argc, char **argv)
{
	return publishing_run(command, list, argc, argv);
}

const struct command publish_list_command = {
	.name = "publish list",
	.arguments = "",
	.summary = "List what is pending, under way, or written and not published",
	.text = "\nUnder way is a record that was signed and is not yet proven to be in the log: the next command\n"
		"that publishes goes on with it. Written and not published are files that a mount was given and that\n"
		"are no releases, also of a mount that has ended.\n",
	.meets = true,
	.run = run,
};
