/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs update: every stored package log, to the newest checkpoint.
 */
#include "commands.h"
#include "output.h"
#include "progress.h"
#include "session.h"
#include "sockets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What is known of a package before and after. */
struct change {
	struct registry *registry; /* that it was looked for in; NULL: it is not known where */
	size_t before, after;      /* releases */
	char latest[CAP_VERSION + 1];
	struct fault fault;
};

/* The packages that are stored, of all registries that this one has namespaces in. */
struct stored {
	struct name *names;
	struct change *changes;
	size_t count, capacity;
};

static void stored_release(struct stored *stored)
{
	free(stored->names);
	free(stored->changes);
}

static size_t count_releases(const struct package_log *log)
{
	size_t count = 0;

	if (log)
		package_log_releases(log, &count);
	return count;
}

/* ---- Before ---- */

static int make_room(struct stored *stored, struct fault *flt)
{
	size_t capacity = stored->capacity ? stored->capacity * 2 : 64;
	struct change *changes;
	struct name *names;

	if (stored->count < stored->capacity)
		return 0;
	names = reallocarray(stored->names, capacity, sizeof(*names));
	if (!names)
		return fault_no_memory(flt);
	stored->names = names;
	changes = reallocarray(stored->changes, capacity, sizeof(*changes));
	if (!changes)
		return fault_no_memory(flt);
	stored->changes = changes;
	stored->capacity = capacity;
	return 0;
}

/** One registry's folder, of which those namespaces count that live there. */
struct folder {
	struct stored *stored;
	const struct session_namespaces *known;
	const char *domain; /* "": the home registry */
};

static int add_package(void *user, const struct name *name, const struct package_log *log, struct fault *flt)
{
	const struct folder *folder = user;
	struct stored *stored = folder->stored;
	struct namespaces_place place = {0};
	int verdict;

	/* Where nobody names a domain, it will be said for each package. */
	namespaces_find(folder->known->operator, &folder->known->map, name_namespace(name), &place, NULL);
	if (strcmp(place.domain, folder->domain))
		return 0;
	verdict = make_room(stored, flt);
	if (verdict)
		return verdict;
	stored->changes[stored->count] = (struct change){.before = count_releases(log)};
	stored->names[stored->count++] = *name;
	return 0;
}

/* @param domain  as in a folder */
static int add_stored(struct stored *stored, struct store *store, const struct session_namespaces *known,
		      const char *domain, struct fault *flt)
{
	struct folder folder = {stored, known, domain};

	store_sweep_logs(store);
	return store_each_package(store, add_package, &folder, flt);
}

/* The same for another registry, if anything is stored of it. */
static int add_other(struct stored *stored, const struct session *session, const struct session_namespaces *known,
		     const char *domain, struct fault *flt)
{
	const struct config *config = &session->config;
	char path[2 * CAP_URL];
	struct store *store;
	int verdict;

	snprintf(path, sizeof(path), "%s/%s", config->registries_dir, domain);
	if (access(path, F_OK))
		return 0;
	verdict = store_open(config->registries_dir, config->content_dir, config->cache_dir, domain, &store, flt);
	if (verdict)
		return verdict;
	verdict = add_stored(stored, store, known, domain, flt);
	store_close(store);
	return verdict;
}

static bool came_before(const struct namespaces_listed *listed, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (!listed[i].overruled && !strcmp(listed[i].entry.domain, listed[at].entry.domain))
			return true;
	return false;
}

static int find_stored(struct session *session, struct stored *out, struct fault *flt)
{
	struct session_namespaces known = {0};
	struct namespaces_listed *listed = NULL;
	size_t count = 0;
	int verdict = session_read_namespaces(session, &known, flt);

	if (!verdict)
		verdict = namespaces_list(known.operator, &known.map, &listed, &count, flt);
	if (!verdict)
		verdict = add_stored(out, registry_store(session->registry), &known, "", flt);
	for (size_t i = 0; i < count && !verdict; i++)
		if (listed[i].entry.domain[0] && !listed[i].overruled && !came_before(listed, i))
			verdict = add_other(out, session, &known, listed[i].entry.domain, flt);
	free(listed);
	session_namespaces_release(&known);
	return verdict;
}

/* ---- The update ---- */

static void look_after(struct stored *stored)
{
	for (size_t i = 0; i < stored->count; i++) {
		struct change *change = &stored->changes[i];
		struct view *view = change->registry ? registry_view(change->registry) : NULL;
		const struct view_package *package = view ? view_find(view, &stored->names[i]) : NULL;
		const struct package_release *best = package ? package_log_best(package->log, NULL) : NULL;

		change->after = package ? count_releases(package->log) : 0;
		if (best)
			snprintf(change->latest, sizeof(change->latest), "%s", best->version);
		if (package && package->fault && !change->fault.verdict)
			change->fault = *package->fault;
		view_unref(view);
	}
}

/* Bring the packages to the newest checkpoints. */
static int update_packages(struct session *session, struct stored *stored, struct fault *flt)
{
	struct registry **registries = calloc(stored->count + 1, sizeof(struct registry *));
	struct fault *faults = calloc(stored->count + 1, sizeof(*faults));
	int verdict = registries && faults ? 0 : fault_no_memory(flt);

	if (!verdict)
		verdict = federation_update(session->federation, stored->names, stored->count, registries, faults,
					    flt);
	for (size_t i = 0; registries && faults && i < stored->count; i++) {
		stored->changes[i].registry = registries[i];
		stored->changes[i].fault = faults[i];
	}
	free(registries);
	free(faults);
	return verdict;
}

/* ---- The result ---- */

static size_t new_releases(const struct change *change)
{
	return change->after > change->before ? change->after - change->before : 0;
}

static struct json *package_json(const struct session *session, const struct name *name, const struct change *change)
{
	struct json *package = json_new_object();
	char sentence[FAULT_SENTENCE_SIZE];

	json_put_text(package, "package", name->text);
	if (change->registry && change->registry != session->registry)
		json_put_shown(package, "registry", federation_name_of(session->federation, change->registry));
	json_put_uint(package, "releases", change->after);
	json_put_uint(package, "newReleases", new_releases(change));
	if (change->latest[0])
		json_put_text(package, "latest", change->latest);
	else
		json_put_null(package, "latest");
	if (change->fault.verdict) {
		fault_sentence(&change->fault, sentence);
		json_put_text(package, "error", sentence);
	}
	return package;
}

static void put_registry(struct json *json, const char *name, struct registry *registry)
{
	struct view *view = registry_view(registry);

	json_put_shown(json, "registry", name);
	json_put_uint(json, "logLength", view->checkpoint.contents.log_length);
	json_put_uint(json, "timestamp", view->checkpoint.contents.timestamp);
	view_unref(view);
}

static int print_json(const struct command *command, const struct session *session, const struct stored *stored)
{
	struct registry *registries[CAP_REGISTRIES + 1];
	size_t count = federation_registries(session->federation, registries);
	struct json *json = json_new_object(), *packages = json_new_list(), *others = json_new_list();

	for (size_t i = 0; i < stored->count; i++)
		json_add(packages, package_json(session, &stored->names[i], &stored->changes[i]));
	for (size_t i = 1; i < count; i++) {
		struct json *other = json_new_object();

		put_registry(other, federation_name_of(session->federation, registries[i]), registries[i]);
		json_add(others, other);
	}
	put_registry(json, http_url_name(&session->url), session->registry);
	json_put(json, "packages", packages);
	json_put(json, "otherRegistries", others);
	return output_json(command, json);
}

/* The line about one registry. */
static void print_registry(const struct session *session, struct registry *registry, const struct stored *stored)
{
	struct view *view = registry_view(registry);
	size_t good = 0;

	for (size_t i = 0; i < stored->count; i++)
		good += stored->changes[i].registry == registry && !stored->changes[i].fault.verdict;
	printf("%zu %s up to date with %s at log length %" PRIu64 "\n", good, good == 1 ? "package" : "packages",
	       output_shown(federation_name_of(session->federation, registry)).text,
	       view->checkpoint.contents.log_length);
	view_unref(view);
}

static void print(const struct session *session, const struct stored *stored)
{
	struct registry *registries[CAP_REGISTRIES + 1];
	size_t count = federation_registries(session->federation, registries);

	for (size_t i = 0; i < stored->count; i++) {
		const struct change *change = &stored->changes[i];

		if (!new_releases(change))
			continue;
		printf("%s: %zu new %s", stored->names[i].text, new_releases(change),
		       new_releases(change) == 1 ? "release" : "releases");
		if (change->latest[0])
			printf(", the latest is %s", change->latest);
		putchar('\n');
	}
	for (size_t i = 0; i < count; i++)
		print_registry(session, registries[i], stored);
}

/* @return the status of the worst of the packages' own faults, each said on stderr */
static int print_faults(const struct command *command, const struct stored *stored)
{
	int worst = STATUS_DONE;

	for (size_t i = 0; i < stored->count; i++) {
		const struct fault *flt = &stored->changes[i].fault;
		int status = flt->verdict ? options_fail(command, flt) : STATUS_DONE;

		worst = failure_join(worst, status);
	}
	return worst;
}

static int report(const struct command *command, const struct options *options, const struct session *session,
		  struct stored *stored)
{
	int status, printed = STATUS_DONE;

	look_after(stored);
	status = print_faults(command, stored);
	if (options->json)
		printed = print_json(command, session, stored);
	else
		print(session, stored);
	return failure_join(status, printed);
}

static int update(const struct command *command, const struct options *options, struct session *session)
{
	struct stored stored = {0};
	struct fault flt = {0};
	int status, verdict;

	progress_begin(&session->progress, "packages", NULL, NULL);
	verdict = session_start(session, options, &flt);
	if (!verdict)
		verdict = find_stored(session, &stored, &flt);
	if (!verdict)
		verdict = update_packages(session, &stored, &flt);
	progress_end(&session->progress);
	if (!verdict)
		sockets_refresh(&session->environment, session->url.text);
	status = verdict ? options_fail(command, &flt) : report(command, options, session, &stored);
	stored_release(&stored);
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
	.text = "\nA package that does not verify is named, and keeps no other from being updated. Packages of\n"
		"namespaces that live in other registries are updated there.\n",
	.meets = true,
	.run = run,
};
