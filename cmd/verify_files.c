/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs verify, of files: which releases they are, by the logs of all packages that are stored.
 */
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "output.h"

static struct json *new_release(const struct verify_part *part, const struct name *name,
				const struct package_release *release)
{
	struct json *json = json_new_object();

	if (part->domain[0])
		json_put_text(json, "registry", part->domain);
	json_put_text(json, "package", name->text);
	json_put_text(json, "version", release->version);
	json_put_digest(json, "releasedBy", &release->by);
	json_put_uint(json, "releasedAt", (uint64_t)release->time.seconds);
	json_put_bool(json, "yanked", release->yank);
	return json;
}

static void print_release(const struct verify_part *part, const char *path, const struct name *name,
			  const struct package_release *release)
{
	char when[64];

	output_time(release->time.seconds, when);
	printf("%s: %s %s, released %s%s%s%s\n", output_shown(path).text, name->text, release->version, when,
	       release->yank ? ", YANKED" : "", part->domain[0] ? ", from " : "", part->domain);
}

/* The package's releases with this content. */
static size_t find_in(const struct verify_part *part, const struct view_package *package, const struct digest *digest,
		      const char *path, struct json *list)
{
	size_t count, found = 0;
	const struct package_release *releases = package_log_releases(package->log, &count);
	const struct name name = view_package_name(package);

	for (size_t i = 0; i < count; i++) {
		if (!digest_equals(&releases[i].content, digest))
			continue;
		found++;
		if (list)
			json_add(list, new_release(part, &name, &releases[i]));
		else
			print_release(part, path, &name, &releases[i]);
	}
	return found;
}

/*
 * All releases of one registry with this content.
 * @param list   takes them, with --json; else they are printed
 * @param found  becomes greater by their number
 */
static int find_releases(const struct verify_part *part, const struct digest *digest, const char *path,
			 struct json *list, size_t *found, struct fault *flt)
{
	const struct view *view = part->recheck.view;
	const struct view_package **packages;
	int r = view ? view_sort(view, &packages, flt) : 0;

	if (r || !view)
		return r;
	for (size_t i = 0; i < view->packages.count; i++)
		*found += find_in(part, packages[i], digest, path, list);
	free(packages);
	return 0;
}

/* One file. @param files  takes the result, with --json */
static int identify(const struct verify_task *task, const char *path, struct json *files)
{
	struct json *list = files ? json_new_list() : NULL, *file;
	char text[DIGEST_TEXT_SIZE];
	struct fault flt = {0};
	struct digest digest;
	size_t found = 0;
	int r = verify_hash_file(path, &digest, &flt);

	for (size_t i = 0; !r && i < task->count; i++)
		r = find_releases(&task->parts[i], &digest, path, list, &found, &flt);
	if (r) {
		json_free(list);
		return options_fail(task->command, &flt);
	}
	digest_format(&digest, text);
	if (files) {
		file = json_new_object();
		json_put_shown(file, "file", path);
		json_put_text(file, "digest", text);
		json_put(file, "releases", list);
		json_add(files, file);
	}
	if (found)
		return STATUS_DONE;
	fault_undecided(&flt, FAULT_ABSENT, "%.100s, %s, is no release of a package whose log is stored here", path,
			text);
	return options_fail(task->command, &flt);
}

static int identify_all(struct verify_task *task)
{
	struct json *json = task->options->json ? json_new_object() : NULL;
	struct json *files = json ? json_new_list() : NULL;
	int status = verify_task_tell_faults(task);

	for (int i = 0; i < task->options->argument_count; i++)
		status = failure_join(status, identify(task, task->options->arguments[i], files));
	if (json) {
		verify_task_put_registries(json, task);
		json_put(json, "files", files);
		return failure_join(status, output_json(task->command, json));
	}
	for (size_t i = 0; i < task->count; i++)
		if (task->parts[i].recheck.view)
			printf("by the logs of %s at length %" PRIu64 "\n", verify_name_of(task, &task->parts[i]),
			       task->parts[i].recheck.view->checkpoint.contents.log_length);
	return status;
}

int verify_files(const struct command *command, const struct options *options)
{
	struct verify_task task = {.command = command, .options = options, .all = true};
	struct fault flt = {0};
	int status = verify_task_run(&task, false, &flt) ? options_fail(command, &flt) : identify_all(&task);

	verify_task_release(&task);
	return status;
}
