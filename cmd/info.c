/*
 * wargfs info: what is stored here of registries, without the network as far as it goes.
 *
 * What lies in the store is shown as it lies there; what the network is asked for is proven first.
 */
#include "commands.h"
#include "output.h"
#include "progress.h"
#include "session.h"

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
		if (!release->yanked)
			printf("    %s (%s)\n", release->version, digest);
		return;
	}
	one = json_new_object();
	json_put_text(one, "version", release->version);
	json_put_bool(one, "yanked", release->yanked);
	if (!release->yanked)
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

static int is_registry(const struct dirent *entry)
{
	return entry->d_name[0] != '.' && !strchr(entry->d_name, ':');
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
		struct json *registry;
		struct store *store;

		if (!verdict)
			verdict = open_store(config, folders[i]->d_name, &store, flt);
		if (!verdict) {
			if (!sink->json)
				printf("%s\n", folders[i]->d_name);
			sink->list = sink->json ? json_new_list() : NULL;
			verdict = put_stored(sink, store, command, flt);
			store_close(store);
			if (sink->json) {
				registry = json_new_object();
				json_put_text(registry, "registry", folders[i]->d_name);
				json_put(registry, "packages", sink->list);
				json_add(registries, registry);
			}
		}
		free(folders[i]);
	}
	free(folders);
	return verdict;
}

/* The package as it lies in the store of the configured registry. @param found  whether it does */
static int put_one_stored(struct sink *sink, const struct session *session, const struct name *name, bool *found,
			  struct fault *flt)
{
	struct package_log *log = NULL;
	struct store_position position;
	char folder[2 * CAP_URL];
	struct store *store;
	struct stat seen;
	int verdict;

	*found = false;
	snprintf(folder, sizeof(folder), "%s/%s", session->config.registries_dir, session->url.label);
	if (stat(folder, &seen))
		return 0;
	verdict = open_store(&session->config, session->url.label, &store, flt);
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
	struct fault own = {0};
	struct progress progress;
	struct view *view;
	int verdict;

	progress_begin(&progress, name->text, NULL, NULL);
	verdict = session_open(session, &how, flt);
	if (!verdict)
		verdict = registry_update(session->registry, name, 1, &own, flt);
	progress_end(&progress);
	if (verdict)
		return verdict;
	if (own.verdict) {
		*flt = own;
		return own.verdict;
	}
	view = registry_view(session->registry);
	package = view_find(view, name);
	if (package)
		put_package(sink, name, package->log);
	else
		verdict = fault_undecided(flt, FAULT_ABSENT, "the registry has no package %.100s", name->text);
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

/* `{namespace: registry domain}` (protocol.md section 8). */
static int put_namespaces(struct sink *sink, const struct config *config, struct json *into, struct fault *flt)
{
	struct json *map = NULL;
	struct json_walk walk;
	struct buf text;
	char piece[4096];
	size_t got;
	FILE *file = fopen(config->namespace_map_path, "re");
	int verdict = 0;

	if (!file)
		return errno == ENOENT ? 0 : fault_system(flt, errno, "%.150s", config->namespace_map_path);
	buf_init(&text, CAP_FILE_CONFIG);
	while (!verdict && (got = fread(piece, 1, sizeof(piece), file)) > 0)
		verdict = buf_append(&text, (struct span){ (const unsigned char *)piece, got }, flt);
	fclose(file);
	if (!verdict)
		verdict = json_parse(buf_span(&text), &map, flt);
	for (walk = json_walk(map); !verdict && json_step(&walk);) {
		struct span domain;

		verdict = walk.value ? json_as_text(walk.value, &domain, flt) : fault_invalid(flt, "no text");
		if (verdict)
			break;
		if (!name_is_part(span_of_text(walk.name)) || memchr(domain.data, '\033', domain.length))
			verdict = fault_invalid(flt, "an entry that is no namespace");
		else if (sink->json)
			json_put_span(into, walk.name, domain);
		else
			printf("%s=%.*s\n", walk.name, (int)domain.length, (const char *)domain.data);
	}
	if (verdict) {
		fault_at(flt, "%.150s", config->namespace_map_path);
		fault_blame(flt, FAULT_BY_CACHE);
	}
	json_free(map);
	buf_release(&text);
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
		result = namespaces ? json_new_object() : json_new_list();
	verdict = session_load(session, options, &flt);
	if (verdict) {
		/* Nothing to show. */
	} else if (namespaces) {
		verdict = put_namespaces(&sink, &session->config, result, &flt);
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
	.run = run,
};
