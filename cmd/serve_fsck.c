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
	struct json *problems; /* with --json */
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

static void found(void *user, const char *sentence)
{
	struct task *task = user;

	if (task->options.json)
		json_add_text(task->problems, sentence);
	else
		printf("%s\n", sentence);
}

static int say(struct task *task, const struct fsck_counts *counts)
{
	int status = counts->problems ? STATUS_FAILED : STATUS_DONE;
	struct json *json;

	if (!task->options.json) {
		printf("%" PRIu64 " records of %" PRIu64 " packages, %" PRIu64 " checkpoints, %" PRIu64 " contents: ",
		       counts->records, counts->packages, counts->checkpoints, counts->contents);
		printf(counts->problems ? "%" PRIu64 " things are wrong\n" : "all is well\n", counts->problems);
		return status;
	}
	json = json_new_object();
	json_put_uint(json, "records", counts->records);
	json_put_uint(json, "packages", counts->packages);
	json_put_uint(json, "checkpoints", counts->checkpoints);
	json_put_uint(json, "contents", counts->contents);
	json_put(json, "problems", task->problems);
	task->problems = NULL;
	return output_json(task->command, json) == STATUS_DONE ? status : STATUS_FAILED;
}

static int check(struct task *task)
{
	char contents[PATH_MAX];
	struct fsck_counts counts;
	struct fault flt = {0};

	snprintf(contents, sizeof(contents), "%s/contents", task->data_dir ? task->data_dir : "");
	if (!task->data_dir)
		fault_undecided(&flt, FAULT_MISUSE, "where is the registry kept? --data DIR");
	else if (!fsck(task->data_dir, task->content_dir ? task->content_dir : contents, found, task, &counts, &flt))
		return say(task, &counts);
	fault_blame(&flt, FAULT_BY_SYSTEM);
	return options_fail(task->command, &flt);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct task task = {.command = command, .problems = json_new_list()};
	int status;

	if (options_parse(command, argc, argv, take, &task, &task.options, &status))
		status = check(&task);
	json_free(task.problems);
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
