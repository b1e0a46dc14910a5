/*
 * wargfs update: every stored package log, to the newest checkpoint.
 */
#include "commands.h"
#include "fs/asking.h"
#include "output.h"
#include "progress.h"
#include "session.h"
#include "sockets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* What is known of a package before and after. */
struct change {
	size_t before, after; /* releases */
	const char *latest;   /* borrowed from the view; NULL: none */
	struct fault fault;
};

static size_t count_releases(const struct package_log *log)
{
	size_t count = 0;

	if (log)
		package_log_releases(log, &count);
	return count;
}

static void look_before(struct store *store, const struct name *names, size_t count, struct change *changes)
{
	for (size_t i = 0; i < count; i++) {
		struct package_log *log = NULL;
		struct store_position position;

		if (store_load_package(store, &names[i], &log, &position, NULL) == 0)
			changes[i].before = count_releases(log);
		package_log_unref(log);
	}
}

static void look_after(const struct view *view, const struct name *names, size_t count, struct change *changes)
{
	for (size_t i = 0; i < count; i++) {
		const struct view_package *package = view_find(view, &names[i]);
		const struct package_release *best = package ? package_log_best(package->log, NULL) : NULL;

		changes[i].after = package ? count_releases(package->log) : 0;
		changes[i].latest = best ? best->version : NULL;
		if (package && package->fault.verdict && !changes[i].fault.verdict)
			changes[i].fault = package->fault;
	}
}

static int print_json(const struct command *command, const struct session *session, const struct view *view,
		      const struct name *names, size_t count, const struct change *changes)
{
	struct json *json = json_new_object();
	struct json *packages = json_new_list();

	for (size_t i = 0; i < count; i++) {
		struct json *package = json_new_object();

		json_put_text(package, "package", names[i].text);
		json_put_uint(package, "releases", changes[i].after);
		json_put_uint(package, "newReleases",
			      changes[i].after > changes[i].before ? changes[i].after - changes[i].before : 0);
		if (changes[i].latest)
			json_put_text(package, "latest", changes[i].latest);
		else
			json_put_null(package, "latest");
		if (changes[i].fault.verdict) {
			char sentence[FAULT_SENTENCE_SIZE];

			fault_sentence(&changes[i].fault, sentence);
			json_put_text(package, "error", sentence);
		}
		json_add(packages, package);
	}
	json_put_text(json, "registry", session->url.text);
	json_put_uint(json, "logLength", view->checkpoint.contents.log_length);
	json_put_uint(json, "timestamp", view->checkpoint.contents.timestamp);
	json_put(json, "packages", packages);
	return output_json(command, json);
}

static void print(const struct session *session, const struct view *view, const struct name *names, size_t count,
		  const struct change *changes)
{
	size_t good = 0;

	for (size_t i = 0; i < count; i++) {
		good += !changes[i].fault.verdict;
		if (changes[i].after <= changes[i].before)
			continue;
		printf("%s: %zu new %s", names[i].text, changes[i].after - changes[i].before,
		       changes[i].after - changes[i].before == 1 ? "release" : "releases");
		if (changes[i].latest)
			printf(", the latest is %s", changes[i].latest);
		putchar('\n');
	}
	printf("%zu %s up to date with %s at log length %" PRIu64 "\n", good, good == 1 ? "package" : "packages",
	       session->url.text, view->checkpoint.contents.log_length);
}

/* @return the status of the worst of the packages' own faults, each said on stderr */
static int print_faults(const struct command *command, const struct change *changes, size_t count)
{
	int worst = STATUS_DONE;

	for (size_t i = 0; i < count; i++) {
		int status = changes[i].fault.verdict ? options_fail(command, &changes[i].fault) : STATUS_DONE;

		worst = status > worst ? status : worst;
	}
	return worst;
}

/* Bring the packages to the newest checkpoint. @param changes  `count` of them, zeroed */
static int update_packages(struct session *session, const struct name *names, size_t count, struct change *changes,
			   struct fault *flt)
{
	struct fault *faults = calloc(count + 1, sizeof(*faults));
	int verdict;

	if (!faults)
		return fault_no_memory(flt);
	look_before(registry_store(session->registry), names, count, changes);
	verdict = registry_update(session->registry, names, count, faults, flt);
	for (size_t i = 0; i < count; i++)
		changes[i].fault = faults[i];
	free(faults);
	return verdict;
}

/* Mounts of the registry are to show the same. Where none can be told, none is there, or it looks by itself soon. */
static void tell_mounts(const struct session *session)
{
	char (*names)[SOCKETS_NAME_SIZE] = NULL;
	char line[ASKING_LINE_SIZE];
	size_t count = 0;
	int sockets;

	if (sockets_open_folder(&session->environment, &sockets, NULL))
		return;
	snprintf(line, sizeof(line), ASKING_REFRESH "%s\n", session->url.text);
	if (sockets_list(sockets, &names, &count, NULL) == 0)
		for (size_t i = 0; i < count; i++)
			sockets_tell(sockets, names[i], line);
	free(names);
	close(sockets);
}

static int report(const struct command *command, const struct options *options, const struct session *session,
		  const struct name *names, size_t count, struct change *changes)
{
	struct view *view = registry_view(session->registry);
	int status, printed = STATUS_DONE;

	look_after(view, names, count, changes);
	status = print_faults(command, changes, count);
	if (options->json)
		printed = print_json(command, session, view, names, count, changes);
	else
		print(session, view, names, count, changes);
	view_unref(view);
	return printed > status ? printed : status;
}

static int update(const struct command *command, const struct options *options, struct session *session)
{
	struct change *changes = NULL;
	struct name *names = NULL;
	struct progress progress;
	struct fault flt = {0};
	size_t count = 0;
	int status, verdict;

	progress_begin(&progress, "packages", NULL, NULL);
	verdict = session_start(session, options, &flt);
	if (!verdict)
		verdict = store_list_packages(registry_store(session->registry), &names, &count, &flt);
	if (!verdict) {
		changes = calloc(count + 1, sizeof(*changes));
		verdict = changes ? update_packages(session, names, count, changes, &flt) : fault_no_memory(&flt);
	}
	progress_end(&progress);
	if (!verdict)
		tell_mounts(session);
	status = verdict ? options_fail(command, &flt) :
			   report(command, options, session, names, count, changes);
	free(changes);
	free(names);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session session = {0};
	struct options options;
	int status;

	if (!options_parse(command, argc, argv, NULL, NULL, &options, &status))
		return status;
	status = update(command, &options, &session);
	session_release(&session);
	return status;
}

const struct command update_command = {
	.name = "update",
	.arguments = "",
	.summary = "Bring every stored package log to the newest checkpoint",
	.text = "\nA package that does not verify is named, and keeps no other from being updated.\n",
	.run = run,
};
