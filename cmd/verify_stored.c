/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs verify, of packages: what is stored of them held against the registries that they live in.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>

#include "output.h"

/* What a log is called. */
static void name_log(const struct recheck_log *log, char out[static 600])
{
	char id[DIGEST_TEXT_SIZE];

	digest_format(&log->log_id, id);
	snprintf(out, 600, "%s", log->is_operator ? "operator" : log->is_unnamed ? id : log->name.text);
}

static void print_log(const struct recheck_log *log)
{
	size_t kept = log->difference_count < RECHECK_DIFFERENCES ? log->difference_count : RECHECK_DIFFERENCES;
	char name[600];

	name_log(log, name);
	for (size_t i = 0; i < kept && log->differences; i++)
		printf("%s: %s: stored %s, proven %s\n", name, log->differences[i].what, log->differences[i].stored,
		       log->differences[i].proven);
	if (log->difference_count > kept)
		printf("%s: and %zu more\n", name, log->difference_count - kept);
	if (log->difference_count || log->fault.verdict)
		return;
	if (log->is_operator)
		printf("%s: good\n", name);
	else
		printf("%s: good, %zu %s, %zu in the cache%s\n", name, log->releases,
		       log->releases == 1 ? "release" : "releases", log->contents,
		       log->is_stored ? "" : ", no state stored");
}

static void print_part(const struct verify_task *task, const struct verify_part *part)
{
	const struct recheck *recheck = &part->recheck;
	size_t bad = 0;

	for (size_t i = 0; i < recheck->count; i++) {
		print_log(&recheck->logs[i]);
		bad += recheck->logs[i].difference_count || recheck->logs[i].fault.verdict;
	}
	if (recheck->view)
		printf("%zu of %zu %s good, held against %s at log length %" PRIu64 "\n", recheck->count - bad,
		       recheck->count, recheck->count == 1 ? "log" : "logs", verify_name_of(task, part),
		       recheck->view->checkpoint.contents.log_length);
}

static struct json *new_differences(const struct recheck_log *log)
{
	struct json *list = json_new_list();

	for (size_t i = 0; i < log->difference_count && i < RECHECK_DIFFERENCES && log->differences; i++) {
		struct json *one = json_new_object();

		json_put_text(one, "what", log->differences[i].what);
		json_put_text(one, "stored", log->differences[i].stored);
		json_put_text(one, "proven", log->differences[i].proven);
		json_add(list, one);
	}
	return list;
}

static struct json *new_log(const struct verify_part *part, const struct recheck_log *log)
{
	struct json *json = json_new_object();
	char sentence[FAULT_SENTENCE_SIZE];

	if (part->domain[0])
		json_put_text(json, "registry", part->domain);
	if (!log->is_operator && !log->is_unnamed)
		json_put_text(json, "package", log->name.text);
	json_put_digest(json, "logId", &log->log_id);
	json_put_bool(json, "good", !log->difference_count && !log->fault.verdict);
	if (!log->is_operator && !log->is_unnamed) {
		json_put_uint(json, "releases", log->releases);
		json_put_uint(json, "contents", log->contents);
	}
	json_put_uint(json, "differenceCount", log->difference_count);
	json_put(json, "differences", new_differences(log));
	if (log->fault.verdict) {
		fault_sentence(&log->fault, sentence);
		json_put_text(json, "error", sentence);
	}
	return json;
}

static int print_json(struct verify_task *task)
{
	struct json *json = json_new_object(), *logs = json_new_list();

	verify_task_put_registries(json, task);
	for (size_t i = 0; i < task->count; i++) {
		const struct verify_part *part = &task->parts[i];

		for (size_t j = 0; j < part->recheck.count; j++)
			json_add(logs, new_log(part, &part->recheck.logs[j]));
	}
	json_put(json, "logs", logs);
	return output_json(task->command, json);
}

static bool has_differences(const struct verify_task *task)
{
	for (size_t i = 0; i < task->count; i++)
		for (size_t j = 0; j < task->parts[i].recheck.count; j++)
			if (task->parts[i].recheck.logs[j].difference_count)
				return true;
	return false;
}

static int report(struct verify_task *task)
{
	int status = verify_task_tell_faults(task);

	if (has_differences(task))
		status = STATUS_UNVERIFIED;
	if (task->options->json)
		return failure_join(status, print_json(task));
	for (size_t i = 0; i < task->count; i++)
		print_part(task, &task->parts[i]);
	return status;
}

int verify_stored(const struct command *command, const struct options *options)
{
	struct verify_task task = {.command = command, .options = options, .all = !options->argument_count};
	struct fault flt = {0};
	int status = verify_task_run(&task, true, &flt) ? options_fail(command, &flt) : report(&task);

	verify_task_release(&task);
	return status;
}
