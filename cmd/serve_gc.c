/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs serve gc: removes contents that no record names from a registry's folders.
 */
#include "commands.h"
#include "output.h"
#include "server/content_files.h"
#include "server/folder.h"
#include "server/garbage.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "client/base/file.h"

enum { KEY_DATA = 300, KEY_CONTENT_DIR, KEY_DRY_RUN };

static const struct options_entry entries[] = {
	{KEY_DATA, "data", "DIR", "where the registry's state is kept"},
	{KEY_CONTENT_DIR, "content-dir", "DIR", "where contents are kept; contents in --data's, unless given"},
	{KEY_DRY_RUN, "dry-run", NULL, "remove nothing, report what would be removed"},
	{0}
};

struct task {
	const struct command *command;
	struct options options;
	const char *data_dir, *content_dir;
	bool dry_run;
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct task *task = user;

	(void)flt;
	switch (key) {
	case KEY_DATA: task->data_dir = value; break;
	case KEY_CONTENT_DIR: task->content_dir = value; break;
	case KEY_DRY_RUN: task->dry_run = true; break;
	}
	return 0;
}

static int say(const struct task *task, const struct garbage_counts *counts)
{
	struct json *json;

	if (!task->options.json) {
		printf("%" PRIu64 " contents of %" PRIu64 " bytes, and %" PRIu64 " rejected records: %s\n",
		       counts->contents, counts->bytes, counts->records, task->dry_run ? "would be taken" : "gone");
		return fflush(stdout) ? STATUS_FAILED : STATUS_DONE;
	}
	json = json_new_object();
	json_put_uint(json, "contents", counts->contents);
	json_put_uint(json, "bytes", counts->bytes);
	json_put_uint(json, "records", counts->records);
	return output_json(task->command, json);
}

static int open_contents(const struct task *task, int *folder, struct fault *flt)
{
	char path[PATH_MAX];
	int top = -1, r;

	snprintf(path, sizeof(path), "%s/contents", task->data_dir);
	r = folder_open(task->content_dir ? task->content_dir : path, false, &top, flt);
	if (r)
		return r;
	r = file_open_folder(top, "files", false, folder, flt);
	close(top);
	if (!r && *folder < 0)
		r = fault_undecided(flt, FAULT_ABSENT, "there are no contents in %.150s",
				    task->content_dir ? task->content_dir : path);
	return r;
}

static int collect(const struct task *task, struct garbage_counts *counts, struct fault *flt)
{
	struct garbage garbage = {.folder = -1, .scope = GARBAGE_ALL, .is_trial = task->dry_run};
	struct database *reading = NULL, *writing = NULL;
	int r = task->data_dir ? 0 : fault_undecided(flt, FAULT_MISUSE, "where is the registry kept? --data DIR");

	if (!r)
		r = database_open_beside(task->data_dir, &writing, flt);
	if (!r)
		r = open_contents(task, &garbage.folder, flt);
	if (!r)
		r = database_reopen_reading(writing, &reading, flt);
	garbage.reading = reading;
	garbage.writing = writing;
	if (!r)
		r = garbage_collect(&garbage, counts, flt);
	database_close(reading);
	database_close(writing);
	if (garbage.folder >= 0)
		close(garbage.folder);
	return r;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct task task = {.command = command};
	struct garbage_counts counts;
	struct fault flt = {0};
	int status;

	if (!options_parse(command, argc, argv, take, &task, &task.options, &status))
		return status;
	if (!collect(&task, &counts, &flt))
		return say(&task, &counts);
	fault_blame(&flt, flt.kind == FAULT_MISUSE ? FAULT_BY_USER : FAULT_BY_SYSTEM);
	return options_fail(command, &flt);
}

const struct command serve_gc_command = {
	.name = "serve gc",
	.arguments = "",
	.summary = "Remove contents that no record names from a registry's folders",
	.text = "\nRemoves contents that no record names, and records that were rejected long ago, also while a\n"
		"server runs. A server itself removes what publishers leave behind; this command also checks all\n"
		"content files that are a day old. Contents that a record names or waits for are never removed;\n"
		"from a damaged registry nothing is.\n",
	.is_server = true,
	.options = entries,
	.run = run,
};
