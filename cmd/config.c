/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs config: writes the configuration that this program and the reference share (interop.md section C 9). Without
 * anything to change it shows it: config_show.c.
 */
#include "client/user/settings.h"
#include "commands.h"
#include "config_show.h"
#include "keyring_choice.h"
#include "network.h"
#include "output.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_REGISTRIES_DIR = 300, KEY_CONTENT_DIR, KEY_NAMESPACE_PATH, KEY_IGNORE_HINTS, KEY_NO_ACCEPT, KEY_NO_INIT,
       KEY_BACKEND, KEY_OPERATOR_KEY, KEY_CACERT, KEY_OVERWRITE };

static const struct options_entry entries[] = {
	{KEY_REGISTRIES_DIR, "registries-dir", "DIR", "where the registries' logs are kept"},
	{KEY_CONTENT_DIR, "content-dir", "DIR", "where contents are kept"},
	{KEY_NAMESPACE_PATH, "namespace-path", "FILE", "where it is kept which namespaces live elsewhere"},
	{KEY_IGNORE_HINTS, "ignore-federation-hints", "BOOL", "whether hints to other registries are ignored"},
	{KEY_NO_ACCEPT, "disable-auto-accept-federation-hints", "BOOL", "whether to ask before a hint is followed"},
	{KEY_NO_INIT, "disable-auto-package-init", "BOOL", "whether a release initializes no package"},
	{KEY_BACKEND, "keyring-backend", "NAME", "secret-service, flat-file, linux-keyutils or mock"},
	{KEY_OPERATOR_KEY, "operator-key", "KEYID", "operator key id demanded of the home registry"},
	{KEY_CACERT, "cacert", "FILE", "certificates to trust, not the system's; none: the system's"},
	{KEY_OVERWRITE, "overwrite", NULL, "begin anew: keep nothing but the list of keys"},
	{0}
};

/* What was given; NULL: was not. */
struct own {
	const char *registries_dir, *content_dir, *namespace_path, *backend, *operator_key, *cacert;
	const bool *ignore_hints, *no_accept, *no_init;
	bool overwrite;
};

static int read_flag(const char *value, const bool **out, struct fault *flt)
{
	static const bool yes = true, no = false;

	if (strcmp(value, "true") && strcmp(value, "false"))
		return fault_undecided(flt, FAULT_MISUSE, "'%.40s' is neither true nor false", value);
	*out = *value == 't' ? &yes : &no;
	return 0;
}

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct own *own = user;

	switch (key) {
	case KEY_REGISTRIES_DIR:
		own->registries_dir = value;
		return 0;
	case KEY_CONTENT_DIR:
		own->content_dir = value;
		return 0;
	case KEY_NAMESPACE_PATH:
		own->namespace_path = value;
		return 0;
	case KEY_IGNORE_HINTS:
		return read_flag(value, &own->ignore_hints, flt);
	case KEY_NO_ACCEPT:
		return read_flag(value, &own->no_accept, flt);
	case KEY_NO_INIT:
		return read_flag(value, &own->no_init, flt);
	case KEY_OPERATOR_KEY:
		own->operator_key = value;
		return 0;
	case KEY_CACERT:
		own->cacert = value;
		return 0;
	case KEY_BACKEND:
		return keyring_choice_read(value, &own->backend, flt);
	default:
		own->overwrite = true;
		return 0;
	}
}

/* A path from the command line, made absolute: it is relative to the working directory. */
static int set_path(const struct session *session, char **field, const char *path, struct fault *flt)
{
	char *absolute;
	int verdict;

	if (*path == '/')
		return config_set_text(field, path, flt);
	if (!session->environment.working_directory)
		return fault_undecided(flt, FAULT_SYSTEM, "the working directory is not known");
	if (asprintf(&absolute, "%s/%s", session->environment.working_directory, path) < 0)
		return fault_no_memory(flt);
	verdict = config_set_text(field, absolute, flt);
	free(absolute);
	return verdict;
}

/* $CONFIG_DIR/warg/config.json: where the reference writes, whatever it read. */
static int set_default_file(struct session *session, struct fault *flt)
{
	const struct config_environment *environment = &session->environment;
	char *path;
	int verdict, length;

	if (environment->xdg_config_home)
		length = asprintf(&path, "%s/warg/config.json", environment->xdg_config_home);
	else if (environment->home)
		length = asprintf(&path, "%s/.config/warg/config.json", environment->home);
	else
		return fault_undecided(flt, FAULT_MISUSE, "HOME is not set: name the file to write");
	if (length < 0)
		return fault_no_memory(flt);
	verdict = config_set_text(&session->config.file, path, flt);
	free(path);
	return verdict;
}

/* Everything that a configuration says, back to unset; the list of keys stays. */
static int begin_anew(struct config *config, struct fault *flt)
{
	config->registries_dir_set = config->content_dir_set = config->namespace_map_path_set = false;
	config->keyring_auth = config->ignore_federation_hints = config->disable_interactive = false;
	config->disable_auto_accept_federation_hints = config->disable_auto_package_init = false;
	if (config_set_text(&config->home_url, NULL, flt) || config_set_text(&config->keyring_backend, NULL, flt))
		return flt->verdict;
	return 0;
}

static int set_folders(struct session *session, const struct own *own, struct fault *flt)
{
	struct config *config = &session->config;

	if (own->registries_dir && set_path(session, &config->registries_dir, own->registries_dir, flt))
		return flt->verdict;
	if (own->content_dir && set_path(session, &config->content_dir, own->content_dir, flt))
		return flt->verdict;
	if (own->namespace_path && set_path(session, &config->namespace_map_path, own->namespace_path, flt))
		return flt->verdict;
	config->registries_dir_set = config->registries_dir_set || own->registries_dir;
	config->content_dir_set = config->content_dir_set || own->content_dir;
	config->namespace_map_path_set = config->namespace_map_path_set || own->namespace_path;
	return 0;
}

/* Whether two URLs lead to the same registry, however they are spelled. @param b  may be NULL, or no URL */
static bool is_same_registry(const struct http_url *a, const char *b)
{
	struct http_url url;

	return b && !http_url_parse(b, &url, NULL) && !strcmp(a->text, url.text);
}

/* @param former  the home before, to be freed by the caller; NULL if there was none or it stays */
static int set_home(struct session *session, const struct options *options, char **former, struct fault *flt)
{
	struct config *config = &session->config;
	struct http_url url;
	int verdict;

	if (!options->registry)
		return 0;
	verdict = http_url_parse(options->registry, &url, flt);
	if (verdict)
		return verdict;
	if (config->home_url && !*former) {
		*former = strdup(config->home_url);
		if (!*former)
			return fault_no_memory(flt);
	}
	if (is_same_registry(&url, *former)) {
		free(*former);
		*former = NULL;
	}
	return config_set_text(&config->home_url, url.text, flt);
}

/* An operator key to demand from now on. */
struct demand {
	struct http_url url;
	bool has_key; /* false: remove the demand */
	struct digest key;
};

/* "KEYID", of the home registry, or "URL=KEYID"; "none" in place of the key. */
static int read_demand(const struct config *config, const char *text, struct demand *out, struct fault *flt)
{
	const char *equals = strrchr(text, '='), *key = equals ? equals + 1 : text;
	char *url = equals ? strndup(text, (size_t)(equals - text)) : NULL;
	int verdict;

	if (equals && !url)
		return fault_no_memory(flt);
	if (!url && !config->home_url)
		return fault_undecided(flt, FAULT_MISUSE, "no home registry is configured for this operator key: add "
				       "--registry URL, or write --operator-key URL=KEYID");
	verdict = http_url_parse(url ? url : config->home_url, &out->url, flt);
	free(url);
	out->has_key = strcmp(key, "none") != 0;
	if (!verdict && out->has_key)
		verdict = options_read_key_id(key, &out->key, flt);
	return verdict;
}

static int change(struct session *session, const struct options *options, const struct own *own, char **former,
		  struct fault *flt)
{
	struct config *config = &session->config;
	int verdict = 0;

	if (own->overwrite) {
		if (config->home_url && !(*former = strdup(config->home_url)))
			return fault_no_memory(flt);
		verdict = begin_anew(config, flt);
	}
	if (!verdict)
		verdict = set_home(session, options, former, flt);
	if (!verdict)
		verdict = set_folders(session, own, flt);
	if (verdict)
		return verdict;
	if (own->ignore_hints)
		config->ignore_federation_hints = *own->ignore_hints;
	if (own->no_accept)
		config->disable_auto_accept_federation_hints = *own->no_accept;
	if (own->no_init)
		config->disable_auto_package_init = *own->no_init;
	return own->backend ? config_set_text(&config->keyring_backend, own->backend, flt) : 0;
}

static int report(const struct command *command, const struct options *options, const struct config *config,
		  const char *read, const char *former)
{
	if (former)
		failure_note(command->name, NOTE_STATE, former, "the home registry was %s; what is stored of it stays "
			     "in %s", former, config->registries_dir);
	if (!options->config && strcmp(read, config->file))
		failure_note(command->name, NOTE_WARNING, read, "in this folder %s takes precedence; it is unchanged",
			     read);
	if (options->json) {
		struct json *json = json_new_object();

		json_put_shown(json, "file", config->file);
		if (config->home_url)
			json_put_text(json, "homeUrl", config->home_url);
		return output_json(command, json);
	}
	printf("Configuration written to %s\n", output_shown(config->file).text);
	return STATUS_DONE;
}

/* Whether anything is to be written. */
static bool is_change(const struct options *options, const struct own *own)
{
	return options->registry || options->argument_count || own->registries_dir || own->content_dir ||
	       own->namespace_path || own->backend || own->operator_key || own->ignore_hints || own->no_accept ||
	       own->no_init || own->cacert || own->overwrite;
}

/* A file that has no certificates is refused now, before every command fails. */
static int set_certificates(const struct session *session, const char *path, struct fault *flt)
{
	bool has_file = strcmp(path, "none") != 0;
	char *absolute = NULL;
	int verdict = has_file ? network_check_file(path, &session->environment, &absolute, flt) : 0;

	if (!verdict)
		verdict = settings_set_ca_file(session->config.settings_file, absolute, flt);
	free(absolute);
	return verdict;
}

static int configure(const struct command *command, const struct options *options, const struct own *own,
		     struct session *session)
{
	char *former = NULL, *read = NULL;
	struct config *config = &session->config;
	struct demand demand;
	struct fault flt = {0};
	int status, verdict;

	verdict = session_load(session, options, &flt);
	if (!verdict && config_set_text(&read, config->file, &flt))
		verdict = flt.verdict;
	if (!verdict && !config->found)
		config_set_text(&read, NULL, NULL);
	if (!verdict)
		verdict = change(session, options, own, &former, &flt);
	if (!verdict && own->operator_key)
		verdict = read_demand(config, own->operator_key, &demand, &flt);
	if (!verdict)
		verdict = options->argument_count ?
				  set_path(session, &config->file, options->arguments[0], &flt) :
				  set_default_file(session, &flt);
	if (!verdict && own->cacert)
		verdict = set_certificates(session, own->cacert, &flt);
	if (!verdict)
		verdict = config_save(config, &flt);
	if (!verdict && own->operator_key)
		verdict = settings_set_operator_key(config->settings_file, demand.url.label,
						    demand.has_key ? &demand.key : NULL, &flt);
	status = verdict ? options_fail(command, &flt) :
			   report(command, options, config, read ? read : config->file, former);
	free(former);
	free(read);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session session = {0};
	struct own own = {0};
	struct options options;
	int status;

	if (!options_parse(command, argc, argv, take, &own, &options, &status))
		return status;
	status = is_change(&options, &own) ? configure(command, &options, &own, &session) :
					     config_show(command, &options, &session);
	session_release(&session);
	return status;
}

const struct command config_command = {
	.name = "config",
	.arguments = "[PATH]",
	.summary = "Show or write the configuration, shared with warg",
	.text = "\nWithout options and PATH it shows the configuration, and changes nothing.\n"
		"\nWhat is given changes, the rest stays. PATH is the file to write; by default\n"
		"$XDG_CONFIG_HOME/warg/config.json, or ~/.config/warg/config.json.\n"
		"\n--operator-key URL=KEYID sets the key of another registry; none as KEYID\n"
		"removes the demand. The key is stored in\n"
		"$XDG_CONFIG_HOME/wargfs/settings.json, which only wargfs uses.\n",
	.most = 1,
	.options = entries,
	.is_deed = true,
	.run = run,
};
