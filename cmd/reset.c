/*
 * wargfs reset: forget what is stored of a registry, and what it was held to.
 *
 * The reference clears every registry whatever is said; --registry and --all are ours (interop.md section D).
 */
#include "commands.h"
#include "output.h"
#include "session.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct options_entry entries[] = {
	{'a', "all", NULL, "every registry, and which namespaces live in others"},
	{0}
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	bool *all = user;

	(void)key;
	(void)value;
	(void)flt;
	*all = true;
	return 0;
}

/* Forget one registry. Evidence of a registry's lies stays. */
static int forget(const struct config *config, const char *label, struct fault *flt)
{
	struct trust *trust = NULL;
	int verdict;

	verdict = store_reset(config->registries_dir, config->cache_dir, label, flt);
	if (!verdict)
		verdict = trust_open(config->state_dir, label, &trust, flt);
	if (!verdict)
		verdict = trust_forget(trust, flt);
	trust_close(trust);
	return verdict;
}

/* The labels that are forgotten, for the result. */
struct forgotten {
	struct json *labels;
	size_t count;
};

static int forget_and_note(const struct config *config, const char *label, struct forgotten *forgotten,
			   struct fault *flt)
{
	int verdict = forget(config, label, flt);

	if (!verdict) {
		json_add_text(forgotten->labels, label);
		forgotten->count++;
	}
	return verdict;
}

static int is_registry(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Those that have a folder in `path`; one that is forgotten already is not there any more. */
static int forget_in(const struct config *config, const char *path, struct forgotten *forgotten, struct fault *flt)
{
	struct dirent **folders;
	int count = scandir(path, &folders, is_registry, alphasort);
	int verdict = 0;

	if (count < 0)
		return errno == ENOENT ? 0 : fault_system(flt, errno, "%.150s", path);
	for (int i = 0; i < count; i++) {
		if (!verdict)
			verdict = forget_and_note(config, folders[i]->d_name, forgotten, flt);
		free(folders[i]);
	}
	free(folders);
	return verdict;
}

static int forget_all(const struct config *config, struct forgotten *forgotten, struct fault *flt)
{
	int verdict = forget_in(config, config->registries_dir, forgotten, flt);

	if (!verdict && remove(config->namespace_map_path) && errno != ENOENT)
		verdict = fault_system(flt, errno, "%.150s", config->namespace_map_path);
	return verdict;
}

static int report(const struct command *command, const struct options *options, struct forgotten *forgotten)
{
	struct json *json;

	if (!options->json) {
		json_free(forgotten->labels);
		printf("%zu %s forgotten\n", forgotten->count, forgotten->count == 1 ? "registry" : "registries");
		return STATUS_DONE;
	}
	json = json_new_object();
	json_put(json, "forgotten", forgotten->labels);
	return output_json(command, json);
}

static bool agreed(const struct options *options, const struct session *session, bool all)
{
	if (all)
		return output_ask(options, false, "Forget what is stored of every registry, and which key each had?");
	return output_ask(options, false, "Forget what is stored of %s, and which key it had?", session->url.text);
}

static int reset(const struct command *command, const struct options *options, bool all, struct session *session)
{
	struct forgotten forgotten = {0};
	struct fault flt = {0};
	int verdict = session_load(session, options, &flt);

	if (!verdict && !all)
		verdict = session_choose(session, NULL, options, &flt);
	if (verdict)
		return options_fail(command, &flt);
	if (!agreed(options, session, all))
		return STATUS_FAILED;
	forgotten.labels = json_new_list();
	verdict = all ? forget_all(&session->config, &forgotten, &flt) :
			forget_and_note(&session->config, session->url.label, &forgotten, &flt);
	if (verdict) {
		json_free(forgotten.labels);
		return options_fail(command, &flt);
	}
	return report(command, options, &forgotten);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session session = {0};
	struct options options;
	bool all = false;
	int status;

	if (!options_parse(command, argc, argv, take, &all, &options, &status))
		return status;
	status = reset(command, &options, all, &session);
	session_release(&session);
	return status;
}

const struct command reset_command = {
	.name = "reset",
	.arguments = "",
	.summary = "Forget what is stored of a registry",
	.text = "\nThe checkpoint, the operator's and the packages' logs, and what the registry was held to: its\n"
		"operator's key and its highest checkpoint. Contents stay, and so does evidence of a registry's lies.\n"
		"The next time the registry is met as if for the first time.\n",
	.asks = true,
	.options = entries,
	.run = run,
};
