/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs publish start, abort, submit, wait: a publish of several entries from its beginning to its end.
 */
#include "interruption.h"
#include "publish.h"

#include <stdio.h>

/* @param name  NULL: it could not be told */
static int report(const struct publishing *publishing, const char *state, const char *text, const struct name *name)
{
	struct json *json;

	if (!publishing->options->json) {
		printf(name ? "%s for package `%s`\n" : "%s\n", text, name ? name->text : "");
		return STATUS_DONE;
	}
	json = json_new_object();
	if (name)
		json_put_text(json, "package", name->text);
	else
		json_put_null(json, "package");
	json_put_text(json, "state", state);
	return output_json(publishing->command, json);
}

/* ---- start ---- */

static int start(struct publishing *publishing, bool waits, int *status, struct fault *flt)
{
	struct name name;
	int verdict = session_read_name(publishing->options->arguments[0], &name, flt);

	(void)waits;
	if (verdict)
		return verdict;
	publishing_tell_journal(publishing);
	verdict = pending_begin(publishing->store, &name, flt);
	if (verdict && flt->kind == FAULT_EXISTS)
		fault_add(flt, "'wargfs publish abort' ends it");
	if (!verdict)
		*status = report(publishing, "started", "started new pending publish", &name);
	return verdict;
}

static int run_start(const struct command *command, int argc, char **argv)
{
	return publishing_run(command, start, argc, argv);
}

/* ---- abort ---- */

/* Also what cannot be read: there is no other way to be rid of it. */
static int abort_pending(struct publishing *publishing, bool waits, int *status, struct fault *flt)
{
	bool found = false, is_read = !publishing_look(publishing, NULL) && publishing->is_open;
	int verdict = pending_remove(publishing->store, &found, flt);

	(void)waits;
	if (verdict)
		return verdict;
	if (!found)
		return fault_undecided(flt, FAULT_ABSENT, "no pending publish to abort");
	publishing_tell_journal(publishing);
	*status = report(publishing, "aborted", "aborted the pending publish",
			 is_read ? &publishing->pending.name : NULL);
	return 0;
}

static int run_abort(const struct command *command, int argc, char **argv)
{
	return publishing_run(command, abort_pending, argc, argv);
}

/* ---- submit ---- */

/* What was pending was under way already, from a run that was cut short, and went through now. */
static int report_resumed(const struct publishing *publishing, const struct pending *what)
{
	struct json *json;

	if (!publishing->options->json) {
		for (size_t i = 0; i < what->count; i++)
			publish_print_entry(PUBLISH_WORDS_DONE, &what->name, &what->entries[i]);
		return STATUS_DONE;
	}
	json = json_new_object();
	json_put_text(json, "package", what->name.text);
	json_put_text(json, "state", "published");
	json_put(json, "entries", publish_new_entries(what));
	return output_json(publishing->command, json);
}

/* @param before  what was pending when the command began */
static int submit_what_is_left(struct publishing *publishing, const struct pending *before, bool waits, int *status,
			       struct fault *flt)
{
	int verdict = publishing_look(publishing, flt);

	if (verdict)
		return verdict;
	if (!publishing->is_open) {
		*status = report_resumed(publishing, before);
		return 0;
	}
	if (!publishing->pending.count)
		return fault_undecided(flt, FAULT_MISUSE, "the pending publish of %s has no entries: add some first",
				       publishing->pending.name.text);
	verdict = publishing_hold(publishing, flt);
	if (verdict)
		return verdict;
	if (!publishing->options->json)
		printf("submitting publish for package `%s`...\n", publishing->pending.name.text);
	fflush(stdout);
	*status = publishing_submit(publishing, &publishing->pending, waits, flt);
	return 0;
}

static int submit(struct publishing *publishing, bool waits, int *status, struct fault *flt)
{
	struct pending before;
	int verdict = publishing_look(publishing, flt);

	if (verdict)
		return verdict;
	if (!publishing->is_open) {
		/* One that was cut short once the registry had taken it looks like this. */
		publishing_resume(publishing);
		publishing_tell_journal(publishing);
		return fault_undecided(flt, FAULT_ABSENT, "no pending publish to submit");
	}
	before = publishing->pending;
	publishing->is_open = false;
	publishing_resume(publishing);
	verdict = submit_what_is_left(publishing, &before, waits, status, flt);
	pending_release(&before);
	return verdict;
}

static int run_submit(const struct command *command, int argc, char **argv)
{
	return publishing_run(command, submit, argc, argv);
}

/* ---- wait ---- */

static int read_record(const char *text, struct digest *out, struct fault *flt)
{
	if (digest_parse(span_of_text(text), out, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a record ID: 'sha256:' and 64 hexadecimal "
				       "digits", text);
	return 0;
}

static int report_wait(const struct publishing *publishing, const struct name *name,
		       const struct publish_result *result)
{
	const struct pending none = {.name = *name};

	if (publishing->options->json)
		return output_json(publishing->command, publishing_new_result(publishing, &none, result));
	printf("record `%s` of package `%s` has been published\n", publishing->options->arguments[1], name->text);
	publishing_print_receipt(publishing, name, result);
	return STATUS_DONE;
}

/* Ctrl-C: what is waited for goes on without us. */
static void tell_interrupted(void *user)
{
	const struct publishing *publishing = user;
	char *const *arguments = publishing->options->arguments;
	struct fault flt = {0};

	fault_undecided(&flt, FAULT_CANCELLED, "interrupted: the record %.80s of %.100s is not proven to be published "
			"yet; the same command waits for it again", arguments[1], arguments[0]);
	failure_tell(publishing->command->name, &flt);
}

static int wait_until_proven(struct publishing *publishing, const struct name *name, const struct digest *record,
			     struct publish_result *result, struct fault *flt)
{
	struct interruption interruption;
	int verdict;

	interruption_begin(&interruption, tell_interrupted, publishing);
	progress_begin(&publishing->session.progress, name->text, NULL, NULL);
	verdict = publishing_choose(publishing, name, flt);
	if (!verdict)
		verdict = publish_wait(publishing->publisher, name, record, result, flt);
	progress_end(&publishing->session.progress);
	interruption_end(&interruption);
	return verdict;
}

static int wait_for_record(struct publishing *publishing, bool waits, int *status, struct fault *flt)
{
	const char *text = publishing->options->arguments[1];
	struct publish_result result = {0};
	struct digest record;
	struct name name;
	int verdict = session_read_name(publishing->options->arguments[0], &name, flt);

	(void)waits;
	if (!verdict)
		verdict = read_record(text, &record, flt);
	if (verdict)
		return verdict;
	if (!publishing->options->json)
		printf("waiting for record `%s` of package `%s` to be published...\n", text, name.text);
	fflush(stdout);
	verdict = wait_until_proven(publishing, &name, &record, &result, flt);
	if (!verdict)
		*status = report_wait(publishing, &name, &result);
	publishing->is_published = publishing->is_published || !verdict;
	return verdict;
}

static int run_wait(const struct command *command, int argc, char **argv)
{
	return publishing_run(command, wait_for_record, argc, argv);
}

/* ---- The commands ---- */

static const struct options_entry submit_options[] = {
	{300, "no-wait", NULL, "end as soon as the registry has taken the record"},
	{0}
};

const struct command publish_start_command = {
	.name = "publish start",
	.arguments = "PACKAGE",
	.summary = "Begin a publish of several entries",
	.text = "\nUntil 'publish submit' or 'publish abort', init, release, yank, grant and revoke add to it.\n",
	.least = 1,
	.most = 1,
	.is_deed = true,
	.meets = true,
	.run = run_start,
};

const struct command publish_abort_command = {
	.name = "publish abort",
	.arguments = "",
	.summary = "Forget the pending publish",
	.is_deed = true,
	.meets = true,
	.run = run_abort,
};

const struct command publish_submit_command = {
	.name = "publish submit",
	.arguments = "",
	.summary = "Publish what is pending, as one record",
	.options = submit_options,
	.is_deed = true,
	.meets = true,
	.run = run_submit,
};

const struct command publish_wait_command = {
	.name = "publish wait",
	.arguments = "PACKAGE RECORD",
	.summary = "Wait until a record is published, and proven",
	.least = 2,
	.most = 2,
	.is_deed = true,
	.meets = true,
	.run = run_wait,
};
