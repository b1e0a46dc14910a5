/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs fetch: releases into the cache, before somebody needs them.
 *
 * All packages come to the newest checkpoint in one update, and then all contents side by side.
 */
#include "absent.h"
#include "commands.h"
#include "fetch_contents.h"
#include "output.h"
#include "progress.h"
#include "verify/release_choice.h"
#include "session.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ALL_VERSIONS = 1000 };

static const struct options_entry entries[] = {
	{'v', "version", "REQUIREMENT", "a version, or what it has to satisfy (^1.2, >=1, <3); default *"},
	{KEY_ALL_VERSIONS, "all-versions", NULL, "all versions that satisfy it, not only the greatest"},
	{0}
};

/* A command at work. */
struct task {
	const struct command *command;
	struct options options;
	const char *requirement; /* NULL: none */
	bool all_versions;
	struct session session;
	/* As many as arguments. */
	struct name *names;
	struct registry **registries; /* that they live in */
	struct fault *faults;
	struct view **views;          /* NULL: its package cannot be had */

	/* What is fetched; three lists of one length. */
	const struct name **whose;
	const struct package_release **releases;
	struct fetch_contents_want *wants;
	size_t count, capacity;
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct task *task = user;

	(void)flt;
	if (key == 'v')
		task->requirement = value;
	else
		task->all_versions = true;
	return 0;
}

static void release(struct task *task)
{
	free(task->whose);
	free(task->releases);
	free(task->wants);
	for (int i = 0; task->views && i < task->options.argument_count; i++)
		view_unref(task->views[i]);
	free(task->views);
	free(task->registries);
	free(task->names);
	free(task->faults);
	session_release(&task->session);
}

static int read_names(struct task *task, struct fault *flt)
{
	size_t count = (size_t)task->options.argument_count;
	int verdict = 0;

	task->names = calloc(count, sizeof(*task->names));
	task->registries = calloc(count, sizeof(struct registry *));
	task->faults = calloc(count, sizeof(*task->faults));
	task->views = calloc(count, sizeof(struct view *));
	if (!task->names || !task->registries || !task->faults || !task->views)
		return fault_no_memory(flt);
	for (size_t i = 0; !verdict && i < count; i++)
		verdict = session_read_name(task->options.arguments[i], &task->names[i], flt);
	return verdict;
}

/* A home registry that is away is the fault of those packages that live there, and of no other. */
static int update(struct task *task, struct fault *flt)
{
	struct session *session = &task->session;
	int verdict;

	progress_begin(&session->progress, "packages", NULL, NULL);
	verdict = session_start(session, &task->options, flt);
	if (!verdict)
		federation_update(session->federation, task->names, (size_t)task->options.argument_count,
				  task->registries, task->faults, NULL);
	progress_end(&session->progress);
	for (int i = 0; !verdict && i < task->options.argument_count; i++)
		if (!task->faults[i].verdict)
			task->views[i] = registry_view(task->registries[i]);
		else
			absent_suggest(task->registries[i], &task->names[i], &task->faults[i]);
	return verdict;
}

static int make_room(struct task *task, size_t more, struct fault *flt)
{
	size_t capacity = task->capacity * 2 > task->count + more ? task->capacity * 2 : task->count + more;
	void *grown;

	if (task->count + more <= task->capacity)
		return 0;
	grown = reallocarray(task->whose, capacity, sizeof(*task->whose));
	task->whose = grown ? grown : task->whose;
	if (grown) {
		grown = reallocarray(task->releases, capacity, sizeof(*task->releases));
		task->releases = grown ? grown : task->releases;
	}
	if (grown) {
		grown = reallocarray(task->wants, capacity, sizeof(*task->wants));
		task->wants = grown ? grown : task->wants;
	}
	if (!grown)
		return fault_no_memory(flt);
	task->capacity = capacity;
	return 0;
}

static void want(struct task *task, struct registry *registry, const struct name *name,
		 const struct package_release *release)
{
	task->whose[task->count] = name;
	task->releases[task->count] = release;
	task->wants[task->count++] = (struct fetch_contents_want){.registry = registry, .digest = release->content};
}

/* Choose what is fetched of the package at `index`. */
static int choose(struct task *task, int index, struct fault *flt)
{
	const struct name *name = &task->names[index];
	const struct view_package *package = view_find(task->views[index], name);
	const struct package_release *one, **some = &one;
	size_t count = 1;
	int verdict;

	if (!package)
		return absent_package(task->registries[index], name, flt);
	if (task->all_versions)
		verdict = release_choose_all(package->log, task->requirement, &some, &count, flt);
	else
		verdict = release_choose(package->log, task->requirement, &one, flt);
	if (verdict)
		return verdict;
	verdict = make_room(task, count, flt);
	for (size_t i = 0; !verdict && i < count; i++)
		want(task, task->registries[index], name, some[i]);
	if (task->all_versions)
		free(some);
	return verdict;
}

static void put_error(struct json *json, const struct fault *flt)
{
	char sentence[FAULT_SENTENCE_SIZE];

	fault_sentence(flt, sentence);
	json_put_text(json, "error", sentence);
}

static struct json *content_json(const struct task *task, size_t index)
{
	const struct fetch_contents_want *want = &task->wants[index];
	struct json *json = json_new_object();
	char cached[PATH_MAX];

	json_put_text(json, "package", task->whose[index]->text);
	if (want->registry != task->session.registry)
		json_put_shown(json, "registry", federation_name_of(task->session.federation, want->registry));
	json_put_text(json, "version", task->releases[index]->version);
	json_put_digest(json, "digest", &want->digest);
	if (want->fault.verdict) {
		put_error(json, &want->fault);
		return json;
	}
	session_content_path(&task->session, &want->digest, cached, sizeof(cached));
	json_put_uint(json, "size", want->size);
	json_put_shown(json, "cached", cached);
	return json;
}

static int print_json(const struct task *task)
{
	struct json *json = json_new_object(), *list = json_new_list(), *one;
	struct view *view = registry_view(task->session.registry);

	for (size_t i = 0; i < task->count; i++)
		json_add(list, content_json(task, i));
	for (int i = 0; i < task->options.argument_count; i++) {
		if (!task->faults[i].verdict)
			continue;
		one = json_new_object();
		json_put_text(one, "package", task->names[i].text);
		put_error(one, &task->faults[i]);
		json_add(list, one);
	}
	json_put_shown(json, "registry", http_url_name(&task->session.url));
	json_put_uint(json, "logLength", view->checkpoint.contents.log_length);
	view_unref(view);
	json_put(json, "contents", list);
	return output_json(task->command, json);
}

static void print(const struct task *task)
{
	char digest[DIGEST_TEXT_SIZE], size[32];

	for (size_t i = 0; i < task->count; i++) {
		if (task->wants[i].fault.verdict)
			continue;
		digest_format(&task->wants[i].digest, digest);
		output_size(task->wants[i].size, size);
		printf("%s %s, %s, %s\n", task->whose[i]->text, task->releases[i]->version, size, digest);
	}
}

/* Say one fault. @return the worse of its status and `status` */
static int fail(const struct task *task, const struct fault *flt, int status)
{
	int its = flt->verdict ? options_fail(task->command, flt) : STATUS_DONE;

	return failure_join(status, its);
}

static int report(struct task *task)
{
	int status = STATUS_DONE, printed = STATUS_DONE;

	for (int i = 0; i < task->options.argument_count; i++)
		status = fail(task, &task->faults[i], status);
	for (size_t i = 0; i < task->count; i++) {
		fault_at(&task->wants[i].fault, "%s %s", task->whose[i]->text, task->releases[i]->version);
		status = fail(task, &task->wants[i].fault, status);
	}
	if (task->options.json)
		printed = print_json(task);
	else
		print(task);
	return failure_join(status, printed);
}

static int fetch(struct task *task)
{
	struct fault flt = {0};
	int verdict = read_names(task, &flt);

	if (!verdict)
		verdict = update(task, &flt);
	if (verdict)
		return options_fail(task->command, &flt);
	for (int i = 0; i < task->options.argument_count; i++) {
		if (!task->faults[i].verdict)
			choose(task, i, &task->faults[i]);
	}
	fetch_contents_fetch("fetching", task->wants, task->count);
	return report(task);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct task task = { .command = command };
	int status;

	if (!options_parse(command, argc, argv, take, &task, &task.options, &status))
		return status;
	status = fetch(&task);
	release(&task);
	fetch_contents_die_of_signal();
	return status;
}

const struct command fetch_command = {
	.name = "fetch",
	.arguments = "PACKAGE...",
	.summary = "Have releases in the cache, proven, before they are needed",
	.text = "\nOf each package the greatest version that satisfies the requirement and is not yanked. A package\n"
		"or a content that cannot be had is named, and keeps no other from being fetched.\n",
	.least = 1,
	.most = INT_MAX,
	.options = entries,
	.meets = true,
	.run = run,
};
