/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs serve fsck: verifies a registry that is kept here.
 */
#include "commands.h"
#include "output.h"
#include "server/fsck.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

enum { KEY_DATA = 300, KEY_CONTENT_DIR };

static const struct options_entry entries[] = {
	{KEY_DATA, "data", "DIR", "where the registry's state is kept"},
	{KEY_CONTENT_DIR, "content-dir", "DIR", "where contents are kept; contents in --data's, unless given"},
	{0}
};

struct task {
	const struct command *command;
	struct options options;
	const char *data_dir, *content_dir;
	struct json *problems, *refused; /* with --json */
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct task *task = user;

	(void)flt;
	if (key == KEY_DATA)
		task->data_dir = value;
	else
		task->content_dir = value;
	return 0;
}

static void tell_problem(void *user, const char *sentence)
{
	struct task *task = user;

	if (task->options.json)
		json_add_text(task->problems, sentence);
	else
		printf("%s\n", sentence);
}

static void tell_refused(void *user, const char *sentence)
{
	struct task *task = user;

	if (task->options.json)
		json_add_text(task->refused, sentence);
	else
		printf("%s\n", sentence);
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

static int say(struct task *task, const struct fsck_counts *counts)
{
	int status = counts->problems ? STATUS_FAILED : STATUS_DONE;
	struct json *json;

	if (!task->options.json) {
		printf("%" PRIu64 " record%s of %" PRIu64 " package%s, ", counts->records, plural(counts->records),
		       counts->packages, plural(counts->packages));
		if (counts->refused)
			printf("%" PRIu64 " of them refused, ", counts->refused);
		printf("%" PRIu64 " checkpoint%s, %" PRIu64 " content%s: ", counts->checkpoints,
		       plural(counts->checkpoints), counts->contents, plural(counts->contents));
		if (counts->problems)
			printf("%" PRIu64 " %s wrong\n", counts->problems,
			       counts->problems == 1 ? "thing is" : "things are");
		else
			printf("all is well\n");
		return status;
	}
	json = json_new_object();
	json_put_uint(json, "records", counts->records);
	json_put_uint(json, "packages", counts->packages);
	json_put_uint(json, "checkpoints", counts->checkpoints);
	json_put_uint(json, "contents", counts->contents);
	json_put(json, "problems", task->problems);
	json_put(json, "refused", task->refused);
	task->problems = task->refused = NULL;
	return output_json(task->command, json) == STATUS_DONE ? status : STATUS_FAILED;
}

static int check(struct task *task)
{
	const struct fsck_listener listener = {tell_problem, tell_refused, task};
	char contents[PATH_MAX];
	struct fsck_counts counts;
	struct fault flt = {0};

	snprintf(contents, sizeof(contents), "%s/contents", task->data_dir ? task->data_dir : "");
	if (!task->data_dir)
		fault_undecided(&flt, FAULT_MISUSE, "where is the registry kept? --data DIR");
	else if (!fsck(task->data_dir, task->content_dir ? task->content_dir : contents, &listener, &counts, &flt))
		return say(task, &counts);
	fault_blame(&flt, FAULT_BY_SYSTEM);
	return options_fail(task->command, &flt);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct task task = {.command = command, .problems = json_new_list(),
			    .refused = json_new_list()};
	int status;

	if (options_parse(command, argc, argv, take, &task, &task.options, &status))
		status = check(&task);
	json_free(task.problems);
	json_free(task.refused);
	return status;
}

const struct command serve_fsck_command = {
	.name = "serve fsck",
	.arguments = "",
	.summary = "Verify a registry that is kept here",
	.text = "\nReads the whole registry in the folder that --data names, whether a server runs on it or not:\n"
		"the database, each record and its signature, the log's and the map's roots and the operator's\n"
		"signature at each checkpoint, and every content. Prints what is wrong, and changes nothing.\n",
	.is_server = true,
	.options = entries,
	.run = run,
};
