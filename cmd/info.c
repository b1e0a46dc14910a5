/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs info: what is stored here of registries, without the network as far as it goes.
 *
 * What lies in the store is shown as it lies there; what the network is asked for is proven first.
 */
#include "absent.h"
#include "commands.h"
#include "local_names.h"
#include "output.h"
#include "progress.h"
#include "session.h"
#include "unproven.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct options_entry entries[] = {
	{'n', "namespaces", NULL, "only show which namespaces live in other registries"},
	{0}
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	bool *namespaces = user;

	(void)key;
	(void)value;
	(void)flt;
	*namespaces = true;
	return 0;
}

/* Where the result goes: printed as it comes, or gathered. */
struct sink {
	bool json;
	struct json *list; /* of packages, or of namespaces */
};

static void put_release(struct sink *sink, struct json *releases, const struct package_release *release)
{
	char digest[DIGEST_TEXT_SIZE];
	struct json *one;

	digest_format(&release->content, digest);
	if (!sink->json) {
		if (!release->yank)
			printf("    %s (%s)\n", release->version, digest);
		return;
	}
	one = json_new_object();
	json_put_text(one, "version", release->version);
	json_put_bool(one, "yanked", release->yank);
	if (!release->yank)
		json_put_text(one, "digest", digest);
	json_add(releases, one);
}

static void put_package(struct sink *sink, const struct name *name, const struct package_log *log)
{
	struct json *package = NULL, *list = NULL;
	const struct package_release *releases;
	size_t count;

	releases = package_log_releases(log, &count);
	if (sink->json) {
		package = json_new_object();
		list = json_new_list();
		json_put_text(package, "package", name->text);
	} else {
		printf("  %s\n", name->text);
	}
	for (size_t i = 0; i < count; i++)
		put_release(sink, list, &releases[i]);
	if (sink->json) {
		json_put(package, "releases", list);
		json_add(sink->list, package);
	}
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

/* All packages in the folder of one registry. A package that cannot be read is named and hides no other. */
static int put_stored(struct sink *sink, struct store *store, const struct command *command, struct fault *flt)
{
	struct name *names;
	size_t count;
	int verdict = store_list_packages(store, &names, &count, flt);

	if (verdict)
		return verdict;
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; i < count; i++) {
		struct package_log *log = NULL;
		struct store_position position;
		struct fault own = {0};

		if (store_load_package(store, &names[i], &log, &position, &own))
			options_fail(command, &own);
		else if (log)
			put_package(sink, &names[i], log);
		package_log_unref(log);
	}
	free(names);
	return 0;
}

static int open_store(const struct config *config, const char *label, struct store **out, struct fault *flt)
{
	return store_open(config->registries_dir, config->content_dir, config->cache_dir, label, out, flt);
}

/* A label, or the domain of one that another registry speaks for, or has namespaces in. */
static int is_registry(const struct dirent *entry)
{
	char domain[CAP_DOMAIN + 1];

	return entry->d_name[0] != '.' &&
	       (!strchr(entry->d_name, ':') || !domain_read(span_of_text(entry->d_name), domain, NULL));
}

/* One registry with a folder here. @param registries  as in put_all() */
static int put_registry(struct sink *sink, const struct config *config, const char *label,
			const struct command *command, struct json *registries, struct fault *flt)
{
	char name[LOCAL_NAMES_SIZE];
	struct json *registry;
	struct store *store;
	int verdict = open_store(config, label, &store, flt);

	if (verdict)
		return verdict;
	local_names_find(config, label, name);
	if (!sink->json)
		printf("%s\n", output_shown(name).text);
	sink->list = sink->json ? json_new_list() : NULL;
	verdict = put_stored(sink, store, command, flt);
	store_close(store);
	if (sink->json) {
		registry = json_new_object();
		json_put_shown(registry, "registry", name);
		json_put(registry, "packages", sink->list);
		json_add(registries, registry);
	}
	return verdict;
}

/* Every registry with a folder here. @param registries  a list of objects, with --json */
static int put_all(struct sink *sink, const struct config *config, const struct command *command,
		   struct json *registries, struct fault *flt)
{
	struct dirent **folders;
	int count = scandir(config->registries_dir, &folders, is_registry, alphasort);
	int verdict = 0;

	if (count < 0)
		return errno == ENOENT ? 0 : fault_system(flt, errno, "%.150s", config->registries_dir);
	for (int i = 0; i < count; i++) {
		if (!verdict && !unproven_is(config->registries_dir, folders[i]->d_name))
			verdict = put_registry(sink, config, folders[i]->d_name, command, registries, flt);
		free(folders[i]);
	}
	free(folders);
	return verdict;
}

/* The domain of the registry that the namespace lives in, as far as is known here; "": the configured one. */
static int find_domain(const struct session *session, struct span namespace, struct namespaces_place *out,
		       struct fault *flt)
{
	struct session_namespaces known = {0};
	int verdict = session_read_namespaces(session, &known, flt);

	if (!verdict)
		verdict = namespaces_find(known.operator, &known.map, namespace, out, flt);
	session_namespaces_release(&known);
	return verdict;
}

/* The package as it lies in the store of its registry. @param found  whether it does */
static int put_one_stored(struct sink *sink, const struct session *session, const struct name *name, bool *found,
			  struct fault *flt)
{
	struct package_log *log = NULL;
	struct store_position position;
	struct namespaces_place place;
	char path[2 * CAP_URL];
	struct store *store;
	const char *folder;
	struct stat seen;
	int verdict;

	*found = false;
	verdict = find_domain(session, name_namespace(name), &place, flt);
	if (verdict)
		return verdict;
	folder = place.domain[0] ? place.domain : session->url.label;
	snprintf(path, sizeof(path), "%s/%s", session->config.registries_dir, folder);
	if (stat(path, &seen))
		return 0;
	verdict = open_store(&session->config, folder, &store, flt);
	if (verdict)
		return verdict;
	/* One that does not parse is fetched anew. */
	if (store_load_package(store, name, &log, &position, NULL) == 0 && log) {
		put_package(sink, name, log);
		*found = true;
	}
	package_log_unref(log);
	store_close(store);
	return 0;
}

static int put_one_fetched(struct sink *sink, struct session *session, const struct name *name, struct fault *flt)
{
	const struct session_open how = {0};
	const struct view_package *package;
	struct registry *registry = NULL;
	struct view *view;
	int verdict;

	progress_begin(&session->progress, name->text, NULL, NULL);
	verdict = session_open(session, &how, flt);
	if (!verdict)
		verdict = session_update_package(session, name, &registry, flt);
	progress_end(&session->progress);
	if (verdict)
		return verdict;
	view = registry_view(registry);
	package = view_find(view, name);
	if (package)
		put_package(sink, name, package->log);
	else
		verdict = absent_package(registry, name, flt);
	view_unref(view);
	return verdict;
}

static int put_one(struct sink *sink, struct session *session, const struct options *options, struct fault *flt)
{
	struct name name;
	bool found = false;
	int verdict = session_read_name(options->arguments[0], &name, flt);

	if (!verdict)
		verdict = session_choose(session, NULL, options, flt);
	if (!verdict)
		verdict = put_one_stored(sink, session, &name, &found, flt);
	if (!verdict && !found)
		verdict = put_one_fetched(sink, session, &name, flt);
	return verdict;
}

/* Who tells, and whether that counts. */
static const char *source_of(const struct namespaces_listed *listed)
{
	if (listed->source == NAMESPACES_IMPORT)
		return "imported by the registry's operator";
	return listed->overruled ? "in the namespace map, but the registry's operator says otherwise" :
				   "in the namespace map";
}

static void put_namespace(struct sink *sink, const struct namespaces_listed *listed, struct json *into)
{
	const char *domain = listed->entry.domain;
	struct json *one;

	if (!sink->json) {
		printf("%s=%s (%s)\n", listed->entry.namespace, domain[0] ? domain : "?", source_of(listed));
		return;
	}
	one = json_new_object();
	json_put_text(one, "namespace", listed->entry.namespace);
	if (domain[0])
		json_put_text(one, "registry", domain);
	else
		json_put_null(one, "registry");
	json_put_text(one, "source", listed->source == NAMESPACES_IMPORT ? "operator" : "map");
	json_put_bool(one, "counts", domain[0] && !listed->overruled);
	json_add(into, one);
}

/* What is known here of namespaces that live elsewhere. Without a home registry that is the map alone. */
static int put_namespaces(struct sink *sink, struct session *session, const struct options *options, struct json *into,
			  struct fault *flt)
{
	struct session_namespaces known = {0};
	struct namespaces_listed *listed = NULL;
	struct fault none = {0};
	size_t count = 0;
	int verdict = session_choose(session, NULL, options, &none);

	if (verdict && (options->registry || session->config.home_url)) {
		*flt = none;
		return verdict;
	}
	verdict = session_read_namespaces(session, &known, flt);
	if (!verdict)
		verdict = namespaces_list(known.operator, &known.map, &listed, &count, flt);
	for (size_t i = 0; i < count; i++)
		put_namespace(sink, &listed[i], into);
	free(listed);
	session_namespaces_release(&known);
	return verdict;
}

static int info(const struct command *command, const struct options *options, bool namespaces,
		struct session *session)
{
	struct sink sink = { .json = options->json };
	struct json *result = NULL;
	struct fault flt = {0};
	int verdict;

	if (sink.json)
		result = json_new_list();
	verdict = session_load(session, options, &flt);
	if (verdict) {
		/* Nothing to show. */
	} else if (namespaces) {
		verdict = put_namespaces(&sink, session, options, result, &flt);
	} else if (options->argument_count) {
		sink.list = result;
		verdict = put_one(&sink, session, options, &flt);
	} else {
		verdict = put_all(&sink, &session->config, command, result, &flt);
	}
	if (verdict) {
		json_free(result);
		return options_fail(command, &flt);
	}
	return sink.json ? output_json(command, result) : STATUS_DONE;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session session = {0};
	bool namespaces = false;
	struct options options;
	int status;

	if (!options_parse(command, argc, argv, take, &namespaces, &options, &status))
		return status;
	status = info(command, &options, namespaces, &session);
	session_release(&session);
	return status;
}

const struct command info_command = {
	.name = "info",
	.arguments = "[PACKAGE]",
	.summary = "Show the packages that are stored here",
	.text = "\nOf every registry, or of one PACKAGE of the configured registry; a package that is not stored yet\n"
		"is fetched. What is stored is shown without asking the network: 'wargfs update' brings it up to\n"
		"date.\n",
	.most = 1,
	.options = entries,
	.meets = true,
	.run = run,
};
