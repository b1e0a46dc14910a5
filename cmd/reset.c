/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs reset: forget what is stored of a registry, and what it was held to.
 *
 * The reference clears every registry whatever is said; --registry and --all are ours (interop.md section D).
 */
#include "client/store/discovery.h"
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

/* The labels that are forgotten, for the result. */
struct forgotten {
	struct json *labels;
	size_t count;
};

/* What is remembered under a label. Evidence of a registry's lies stays. */
static int forget_trust(const struct config *config, const char *label, struct forgotten *forgotten, struct fault *flt)
{
	struct trust *trust;
	int verdict = trust_open(config->state_dir, label, &trust, flt);

	(void)forgotten;
	if (verdict)
		return verdict;
	verdict = trust_forget(trust, flt);
	if (!verdict)
		verdict = discovery_forget(config->state_dir, label, flt);
	trust_close(trust);
	return verdict;
}

static int forget_and_note(const struct config *config, const char *label, struct forgotten *forgotten,
			   struct fault *flt)
{
	int verdict = store_reset(config->registries_dir, config->cache_dir, label, flt);

	if (!verdict)
		verdict = forget_trust(config, label, forgotten, flt);
	if (!verdict) {
		json_add_shown(forgotten->labels, label);
		forgotten->count++;
	}
	return verdict;
}

static int is_registry(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Do it to each registry that has a folder in `path`. */
static int for_each(const struct config *config, const char *path,
		    int (*each)(const struct config *, const char *, struct forgotten *, struct fault *),
		    struct forgotten *forgotten, struct fault *flt)
{
	struct dirent **folders;
	int count = scandir(path, &folders, is_registry, alphasort);
	int verdict = 0;

	if (count < 0)
		return errno == ENOENT ? 0 : fault_system(flt, errno, "%.150s", path);
	for (int i = 0; i < count; i++) {
		if (!verdict)
			verdict = each(config, folders[i]->d_name, forgotten, flt);
		free(folders[i]);
	}
	free(folders);
	return verdict;
}

static int forget_all(const struct config *config, struct forgotten *forgotten, struct fault *flt)
{
	int verdict = for_each(config, config->registries_dir, forget_and_note, forgotten, flt);

	/* Of another registry it lies under another name than what is stored. */
	if (!verdict)
		verdict = for_each(config, config->state_dir, forget_trust, forgotten, flt);

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

/*
 * Reset a registry, the one that its URL is pinned to, if that differs, and what is stored under its domain because
 * another registry's namespaces led to it.
 */
static int forget_one(const struct config *config, const struct http_url *url, struct forgotten *forgotten,
		      struct fault *flt)
{
	const char *host = strstr(url->text, "://") + strlen("://");
	size_t length = strcspn(host, "/");
	struct http_url found = *url;
	char domain[CAP_DOMAIN + 1];
	int verdict;

	/* An unreadable pin is removed, too. */
	discovery_recall(config->state_dir, url, &found, NULL);
	verdict = forget_and_note(config, url->label, forgotten, flt);
	if (!verdict && strcmp(found.label, url->label))
		verdict = forget_and_note(config, found.label, forgotten, flt);

	/* Not one of those that share a host. */
	if (verdict || host[length + 1] || length > CAP_DOMAIN)
		return verdict;
	snprintf(domain, sizeof(domain), "%.*s", (int)length, host);
	return strcmp(domain, url->label) ? store_reset(config->registries_dir, config->cache_dir, domain, flt) : 0;
}

static bool agreed(const struct options *options, const struct session *session, bool all)
{
	if (all)
		return output_ask(options, false, "Forget what is stored of every registry, and which key each had?");
	return output_ask(options, false, "Forget what is stored of %s, and which key it had?",
			  http_url_name(&session->url));
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
			forget_one(&session->config, &session->url, &forgotten, &flt);
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
	.text = "\nRemoves the checkpoint, the operator's and the packages' logs, and what is trusted: which\n"
		"registry the URL is pinned to, its operator's key and its highest checkpoint. Keeps contents and\n"
		"evidence of a registry's lies. The next contact with the registry counts as the first.\n",
	.asks = true,
	.options = entries,
	.is_deed = true,
	.run = run,
};
