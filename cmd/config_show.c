/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Showing the configuration (see config_show.h).
 */
#include "config_show.h"
#include "client/user/keyring.h"
#include "client/user/settings.h"
#include "output.h"

#include <stdio.h>
#include <stdlib.h>

/* A member of config.json, and what it stands at. */
struct member {
	const char *name;
	const char *text;              /* NULL: not a text, or not set */
	const bool *flag;              /* NULL: not a flag */
	const struct config *has_keys; /* NULL: not the list of keys */
};

#define MEMBERS 11

static void list_members(const struct config *config, struct member out[static MEMBERS])
{
	const struct member members[MEMBERS] = {
		{.name = "homeUrl", .text = config->home_url},
		{.name = "registriesDir", .text = config->registries_dir},
		{.name = "contentDir", .text = config->content_dir},
		{.name = "namespaceMapPath", .text = config->namespace_map_path},
		{.name = "keys", .has_keys = config},
		{.name = "keyringBackend", .text = keyring_backend_of(config)},
		{.name = "keyringAuth", .flag = &config->keyring_auth},
		{.name = "ignoreFederationHints", .flag = &config->ignore_federation_hints},
		{.name = "disableAutoAcceptFederationHints", .flag = &config->disable_auto_accept_federation_hints},
		{.name = "disableAutoPackageInit", .flag = &config->disable_auto_package_init},
		{.name = "disableInteractive", .flag = &config->disable_interactive},
	};

	for (size_t i = 0; i < MEMBERS; i++)
		out[i] = members[i];
}

static void print_member(const struct member *member, bool is_in_file)
{
	printf("%-33s", member->name);
	if (member->flag)
		printf("%s", *member->flag ? "true" : "false");
	else if (member->has_keys && member->has_keys->key_count)
		for (size_t i = 0; i < member->has_keys->key_count; i++)
			printf("%s%s", i ? ", " : "", output_shown(member->has_keys->keys[i]).text);
	else
		printf("%s", member->text ? output_shown(member->text).text : "none");
	printf("%s\n", is_in_file ? "" : " (default)");
}

static void put_member(struct json *settings, const struct member *member, bool is_in_file)
{
	struct json *one = json_new_object(), *list;

	if (member->flag) {
		json_put_bool(one, "value", *member->flag);
	} else if (member->has_keys) {
		list = json_new_list();
		for (size_t i = 0; i < member->has_keys->key_count; i++)
			json_add_shown(list, member->has_keys->keys[i]);
		json_put(one, "value", list);
	} else if (member->text) {
		json_put_shown(one, "value", member->text);
	} else {
		json_put_null(one, "value");
	}
	json_put_text(one, "source", is_in_file ? "file" : "default");
	json_put(settings, member->name, one);
}

static void print_key(void *user, const char *label, const struct digest *key)
{
	char text[DIGEST_TEXT_SIZE];

	(void)user;
	digest_format(key, text);
	printf("%-33s%s %s\n", "operator key demanded", output_shown(label).text, text);
}

static void put_key(void *user, const char *label, const struct digest *key)
{
	struct json *keys = user;

	json_put_digest(keys, label, key);
}

/*
 * @param file     the text that was read, parsed; NULL: there is no file
 * @param ca_file  trusted certificates; NULL: the system's
 */
static int show_json(const struct command *command, const struct config *config, const struct json *file,
		     const char *ca_file, struct fault *flt)
{
	struct json *result = json_new_object(), *settings = json_new_object(), *keys = json_new_object();
	struct member members[MEMBERS];

	list_members(config, members);
	for (size_t i = 0; i < MEMBERS; i++)
		put_member(settings, &members[i], file && json_member(file, members[i].name));
	json_put_shown(result, "file", config->file);
	json_put_bool(result, "found", config->found);
	json_put(result, "settings", settings);
	if (settings_list_operator_keys(config->settings_file, put_key, keys, flt)) {
		json_free(keys);
		json_free(result);
		return options_fail(command, flt);
	}
	json_put(result, "operatorKeys", keys);
	if (ca_file)
		json_put_shown(result, "caFile", ca_file);
	return output_json(command, result);
}

static int show_text(const struct command *command, const struct config *config, const struct json *file,
		     const char *ca_file, struct fault *flt)
{
	struct member members[MEMBERS];

	list_members(config, members);
	printf("%-33s%s%s\n", "file", output_shown(config->file).text, config->found ? "" : " (not there)");
	for (size_t i = 0; i < MEMBERS; i++)
		print_member(&members[i], file && json_member(file, members[i].name));
	if (ca_file)
		printf("%-33s%s\n", "certificates trusted", output_shown(ca_file).text);
	return settings_list_operator_keys(config->settings_file, print_key, NULL, flt) ? options_fail(command, flt) :
										  STATUS_DONE;
}

int config_show(const struct command *command, const struct options *options, struct session *session)
{
	const struct config *config = &session->config;
	struct json *file = NULL;
	char *ca_file = NULL;
	struct fault flt = {0};
	int verdict = session_load(session, options, &flt), status;

	if (!verdict && config->read_text)
		verdict = json_parse(span_of_text(config->read_text), &file, &flt);
	if (!verdict)
		verdict = settings_read_ca_file(config->settings_file, &ca_file, &flt);
	if (verdict)
		status = options_fail(command, &flt);
	else
		status = options->json ? show_json(command, config, file, ca_file, &flt) :
					 show_text(command, config, file, ca_file, &flt);
	free(ca_file);
	json_free(file);
	return status;
}
