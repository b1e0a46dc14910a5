/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs ls: what a registry has, proven, without a mount.
 *
 * Namespaces and packages are those of the tree that a mount shows. Of a package all versions are told of in the long
 * form, the yanked ones too.
 */
#include "absent.h"
#include "commands.h"
#include "fs/timestamp.h"
#include "fs/tree.h"
#include "output.h"
#include "progress.h"
#include "session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct options_entry entries[] = {
	{'l', "long", NULL, "more about each: how many it has, digests, times, what was yanked"},
	{0}
};

/* A command at work. */
struct task {
	const struct command *command;
	struct options options;
	bool is_long;
	struct session session;
	struct registry *registry; /* that has what is listed */
	struct path place;   /* what is listed: the root, a namespace or a package */
	struct name package; /* of a package */
	struct view *view;
	struct name *names;   /* of the fetched packages, in the order of the listing */
	struct fault *faults; /* of each of them */
	size_t fault_count;
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct task *task = user;

	(void)key;
	(void)value;
	(void)flt;
	task->is_long = true;
	return 0;
}

static int read_place(struct task *task, const char *text, struct fault *flt)
{
	const struct path root = path_root();
	int verdict = 0;

	task->place = root;
	if (!text)
		return 0;
	if (strpbrk(text, ":/")) {
		verdict = session_read_name(text, &task->package, flt);
		if (!verdict)
			task->place = path_of_package(&task->package);
	} else if (!name_is_part(span_of_text(text)) ||
		   !path_join(&root, PATH_NAMESPACE, span_of_text(text), &task->place)) {
		verdict = fault_undecided(flt, FAULT_MISUSE, "'%.100s' is neither a namespace nor a package", text);
	}
	return verdict;
}

/* ---- From the registry ---- */

static void look(struct task *task)
{
	view_unref(task->view);
	task->view = registry_view(task->registry);
}

/* The entries of a namespace as names. @param out  free() it */
static int name_all(const struct task *task, const struct tree_entries *found, struct name **out, struct fault *flt)
{
	struct name *names = calloc(found->count + 1, sizeof(*names));
	int verdict = 0;

	if (!names)
		return fault_no_memory(flt);
	for (size_t i = 0; !verdict && i < found->count; i++)
		verdict = name_join(path_namespace(&task->place), found->entries[i].stem, &names[i], flt);
	if (verdict)
		free(names);
	else
		*out = names;
	return verdict;
}

/* Have the logs of all packages of the namespace. What is wrong with one is said when the others are listed. */
static int add_packages(struct task *task, struct fault *flt)
{
	struct tree_entries found;
	struct name *names = NULL;
	int verdict = tree_list(task->view, &task->place, &found, flt);

	if (verdict)
		return verdict;
	verdict = name_all(task, &found, &names, flt);
	if (verdict)
		goto release_found;
	task->faults = calloc(found.count + 1, sizeof(*task->faults));
	if (task->faults) {
		task->fault_count = found.count;
		registry_add(task->registry, names, found.count, task->faults);
	} else {
		verdict = fault_no_memory(flt);
	}
	task->names = names;
	look(task);

release_found:
	tree_entries_release(&found);
	return verdict;
}

static int bring_package(struct task *task, struct fault *flt)
{
	int verdict = session_update_package(&task->session, &task->package, &task->registry, flt);

	if (verdict)
		return verdict;
	look(task);
	if (!view_find(task->view, &task->package))
		return absent_package(task->registry, &task->package, flt);
	return verdict;
}

static int bring_listing(struct task *task, struct fault *flt)
{
	int verdict = registry_refresh(task->session.registry, flt);

	task->registry = task->session.registry;
	if (!verdict && task->place.kind == PATH_NAMESPACE)
		verdict = session_registry_of(&task->session, path_namespace(&task->place), &task->registry, flt);
	if (!verdict && task->registry != task->session.registry)
		verdict = registry_refresh(task->registry, flt);
	if (!verdict)
		verdict = registry_list(task->registry, flt);
	look(task);
	if (!verdict && task->place.kind == PATH_NAMESPACE &&
	    tree_has_namespace(task->view, path_namespace(&task->place)) == TREE_NO)
		return absent_namespace(task->registry, task->place.text, flt);
	return verdict;
}

static int bring(struct task *task, struct fault *flt)
{
	const char *typed = task->options.arguments[0];
	struct progress *progress = &task->session.progress;
	int verdict;

	progress_begin(progress, typed ? typed : "namespaces", NULL, NULL);
	verdict = session_start(&task->session, &task->options, flt);
	if (!verdict)
		verdict = task->place.kind == PATH_PACKAGE ? bring_package(task, flt) : bring_listing(task, flt);
	if (!verdict && task->is_long && task->place.kind == PATH_NAMESPACE)
		verdict = add_packages(task, flt);
	progress_end(progress);
	return verdict;
}

/* ---- To the person ---- */

/* How many packages a namespace has. */
static int count_packages(const struct task *task, struct span namespace, size_t *count, struct fault *flt)
{
	const struct path root = path_root();
	struct tree_entries found;
	struct path place;
	int verdict;

	if (!path_join(&root, PATH_NAMESPACE, namespace, &place))
		return 0;
	verdict = tree_list(task->view, &place, &found, flt);
	if (verdict)
		return verdict;
	*count = found.count;
	tree_entries_release(&found);
	return 0;
}

static int put_namespace(const struct task *task, struct span namespace, struct json *list, struct fault *flt)
{
	size_t count = 0;
	int verdict = task->is_long ? count_packages(task, namespace, &count, flt) : 0;
	struct json *json;

	if (verdict)
		return verdict;
	if (!list) {
		printf("%.*s", (int)namespace.length, (const char *)namespace.data);
		if (task->is_long)
			printf("  %zu %s", count, count == 1 ? "package" : "packages");
		putchar('\n');
		return 0;
	}
	json = json_new_object();
	json_put_span(json, "namespace", namespace);
	if (task->is_long)
		json_put_uint(json, "packages", count);
	json_add(list, json);
	return 0;
}

/* Why a package's log is refused; NULL: it is not. */
static const struct fault *find_refusal(const struct task *task, const struct name *name)
{
	size_t low = 0, high = task->fault_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(task->names[middle].text, name->text);
		const struct fault *fault = &task->faults[middle];

		if (!order)
			return fault->kind == FAULT_FORGED || fault->kind == FAULT_OVERSIZED ? fault : NULL;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void put_package(const struct task *task, const struct name *name, struct json *list)
{
	const struct fault *refusal = find_refusal(task, name);
	const struct view_package *package = task->is_long ? view_find(task->view, name) : NULL;
	const struct package_release *best = package ? package_log_best(package->log, NULL) : NULL;
	struct json *json;
	size_t count = 0;

	if (package)
		package_log_releases(package->log, &count);
	if (!list) {
		fputs(name->text, stdout);
		if (package)
			printf("  %s  %zu %s", best ? best->version : "-", count, count == 1 ? "release" : "releases");
		if (refusal)
			fputs("  refused", stdout);
		putchar('\n');
		return;
	}
	json = json_new_object();
	json_put_text(json, "package", name->text);
	if (package) {
		json_put_uint(json, "releases", count);
		if (best)
			json_put_text(json, "latest", best->version);
		else
			json_put_null(json, "latest");
	}
	if (refusal)
		json_put_text(json, "refused", refusal->what);
	json_add(list, json);
}

/* ---- Names that are refused ---- */

/* Whether a refused name belongs to the namespace; at the root: whether it has no valid namespace. */
static bool is_listed_here(const struct task *task, const struct listing_refused *refused)
{
	size_t length = strcspn(refused->text, ":");
	struct span namespace = {(const unsigned char *)refused->text, length};

	if (refused->text[length] != ':' || !name_is_part(namespace))
		return task->place.kind == PATH_ROOT;
	return task->place.kind == PATH_NAMESPACE && span_equals(namespace, path_namespace(&task->place));
}

/* Report each refused name in a sentence. @param list  NULL: on the standard error */
static void tell_refused_names(const struct task *task, struct json *list)
{
	const struct listing *listing = task->view->listing;
	char sentence[FAULT_SENTENCE_SIZE];
	struct fault flt;

	for (size_t i = 0; listing && i < listing->refused_count; i++) {
		if (!is_listed_here(task, &listing->refused[i]))
			continue;
		listing_tell_refused(&listing->refused[i], &flt);
		fault_sentence(&flt, sentence);
		if (list)
			json_add_text(list, sentence);
		else
			failure_note("ls", NOTE_WARNING, NULL, "not listed: %s", sentence);
	}
}

/* ---- All of it ---- */

/* Namespaces that live in other registries. What they have is for `ls NAMESPACE` to ask. */
static int put_others(const struct task *task, struct json *list, struct fault *flt)
{
	struct namespaces_listed *others;
	struct json *json;
	size_t count;
	int verdict = federation_list(task->session.federation, &others, &count, flt);

	if (verdict)
		return verdict;
	for (size_t i = 0; i < count; i++) {
		const struct namespaces_entry *entry = &others[i].entry;

		if (others[i].overruled || !entry->domain[0])
			continue;
		if (!list) {
			printf("%s%s%s\n", entry->namespace, task->is_long ? "  in " : "",
			       task->is_long ? entry->domain : "");
			continue;
		}
		json = json_new_object();
		json_put_text(json, "namespace", entry->namespace);
		json_put_text(json, "registry", entry->domain);
		json_add(list, json);
	}
	free(others);
	return 0;
}

/* Namespaces, or the packages of one. */
static int put_tree(const struct task *task, struct json *list, struct fault *flt)
{
	struct tree_entries found;
	struct name name;
	int verdict = tree_list(task->view, &task->place, &found, flt);

	if (verdict)
		return verdict;
	for (size_t i = 0; !verdict && i < found.count; i++) {
		struct span text = found.entries[i].stem;

		if (task->place.kind == PATH_ROOT) {
			verdict = put_namespace(task, text, list, flt);
		} else {
			verdict = name_join(path_namespace(&task->place), text, &name, flt);
			if (!verdict)
				put_package(task, &name, list);
		}
	}
	tree_entries_release(&found);
	return verdict;
}

static int compare_releases(const void *a, const void *b)
{
	const struct package_release *const *one = a, *const *other = b;
	struct semver its, others;

	if (semver_parse(span_of_text((*one)->version), &its, NULL) ||
	    semver_parse(span_of_text((*other)->version), &others, NULL))
		return strcmp((*one)->version, (*other)->version);
	return semver_compare(&its, &others);
}

static void put_time(struct json *json, const char *name, struct record_time time)
{
	char text[TIMESTAMP_SIZE];

	timestamp_format(time, text);
	json_put_text(json, name, text);
}

static struct json *release_json(const struct package_release *release)
{
	static const struct digest unknown;
	struct json *json = json_new_object();

	json_put_text(json, "version", release->version);
	/* Of one that was yanked the state on disk does not keep it. */
	if (!release->yank || !digest_equals(&release->content, &unknown))
		json_put_digest(json, "digest", &release->content);
	put_time(json, "releasedAt", release->time);
	json_put_digest(json, "releasedBy", &release->by);
	json_put_digest(json, "record", &release->record_id);
	json_put_bool(json, "yanked", release->yank);
	if (release->yank) {
		put_time(json, "yankedAt", release->yank->at);
		json_put_digest(json, "yankedBy", &release->yank->by);
	}
	return json;
}

static void print_release(const struct package_release *release, int width)
{
	char digest[DIGEST_TEXT_SIZE], time[TIMESTAMP_SIZE];

	timestamp_format((struct record_time){ release->time.seconds, 0 }, time);
	printf("%-*s  %s  ", width, release->version, time);
	if (!release->yank) {
		digest_format(&release->content, digest);
		puts(digest);
		return;
	}
	timestamp_format((struct record_time){ release->yank->at.seconds, 0 }, time);
	printf("yanked %s\n", time);
}

static int width_of(const struct package_release *const *releases, size_t count)
{
	size_t width = 0;

	for (size_t i = 0; i < count; i++) {
		size_t length = strlen(releases[i]->version);

		width = length > width ? length : width;
	}
	return (int)width;
}

/* The versions of a package, the greatest last. */
static int put_releases(const struct task *task, struct json *list, struct fault *flt)
{
	const struct view_package *package = view_find(task->view, &task->package);
	const struct package_release *releases, **sorted;
	size_t count;
	int width;

	releases = package_log_releases(package->log, &count);
	sorted = calloc(count + 1, sizeof(*sorted));
	if (!sorted)
		return fault_no_memory(flt);
	for (size_t i = 0; i < count; i++)
		sorted[i] = &releases[i];
	qsort(sorted, count, sizeof(*sorted), compare_releases);
	width = width_of(sorted, count);
	for (size_t i = 0; i < count; i++) {
		if (list)
			json_add(list, release_json(sorted[i]));
		else if (task->is_long)
			print_release(sorted[i], width);
		else if (!sorted[i]->yank)
			puts(sorted[i]->version);
	}
	free(sorted);
	return 0;
}

static int put_all(const struct task *task, struct json *list, struct fault *flt)
{
	int verdict;

	if (task->place.kind == PATH_PACKAGE)
		return put_releases(task, list, flt);
	verdict = put_tree(task, list, flt);
	return !verdict && task->place.kind == PATH_ROOT ? put_others(task, list, flt) : verdict;
}

static int print_json(const struct task *task, bool complete, struct fault *flt)
{
	static const char *const what[] = {
		[PATH_ROOT] = "namespaces", [PATH_NAMESPACE] = "packages", [PATH_PACKAGE] = "releases",
	};
	struct json *json = json_new_object(), *list = json_new_list();
	int verdict;

	json_put_shown(json, "registry", federation_name_of(task->session.federation, task->registry));
	json_put_uint(json, "logLength", task->view->checkpoint.contents.log_length);
	json_put_uint(json, "timestamp", task->view->checkpoint.contents.timestamp);
	if (task->place.kind == PATH_NAMESPACE)
		json_put_text(json, "namespace", task->place.text);
	if (task->place.kind == PATH_PACKAGE)
		json_put_text(json, "package", task->package.text);
	json_put_bool(json, "complete", complete);
	verdict = list ? put_all(task, list, flt) : fault_no_memory(flt);
	json_put(json, what[task->place.kind], list);
	if (task->place.kind != PATH_PACKAGE) {
		struct json *refused = json_new_list();

		tell_refused_names(task, refused);
		json_put(json, "refusedNames", refused);
	}
	if (verdict) {
		json_free(json);
		return options_fail(task->command, flt);
	}
	return output_json(task->command, json);
}

static int report(struct task *task)
{
	bool complete = tree_is_complete(task->view, &task->place);
	struct fault flt = {0};
	int status = STATUS_DONE, its;

	if (task->options.json)
		status = print_json(task, complete, &flt);
	else if (put_all(task, NULL, &flt))
		status = options_fail(task->command, &flt);
	for (size_t i = 0; i < task->fault_count; i++) {
		its = task->faults[i].verdict ? options_fail(task->command, &task->faults[i]) : STATUS_DONE;
		status = failure_join(status, its);
	}
	if (!task->options.json)
		tell_refused_names(task, NULL);
	if (!complete)
		failure_note("ls", NOTE_WARNING, NULL, "this may not be all: the registry does not tell the names of "
			     "all that it has");
	return status;
}

static int ls(struct task *task)
{
	struct fault flt = {0};
	int verdict = read_place(task, task->options.arguments[0], &flt);

	if (!verdict)
		verdict = bring(task, &flt);
	return verdict ? options_fail(task->command, &flt) : report(task);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct task task = { .command = command };
	int status;

	if (!options_parse(command, argc, argv, take, &task, &task.options, &status))
		return status;
	status = ls(&task);
	view_unref(task.view);
	free(task.names);
	free(task.faults);
	session_release(&task.session);
	return status;
}

const struct command ls_command = {
	.name = "ls",
	.arguments = "[NAMESPACE[:PACKAGE]]",
	.summary = "List what the registry has, proven",
	.text = "\nThe namespaces, the packages of a namespace, or the versions of a package, at the newest\n"
		"checkpoint. It is said when the list cannot be proven to be complete.\n",
	.most = 1,
	.options = entries,
	.meets = true,
	.run = run,
};
