/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The user's configuration: config.h.
 */
#include "config_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/base/json.h"
#include "client/base/text.h"
#include "verify/caps.h"

#define CONFIG_LOCAL_FILE "warg-config.json"

/* ---- The environment ---- */

/* The environment's texts are read-only for others. */
static int copy_text(const char *text, const char **out, struct fault *flt)
{
	char *copy;
	int r = text_copy(text, &copy, flt);

	*out = copy;
	return r;
}

/*
 * The variable, unless it is empty. Folders in XDG_* must be absolute: the XDG specification, and the reference, pass
 * over others.
 */
static const char *read_variable(const char *name, bool absolute)
{
	const char *value = getenv(name);

	return value && value[0] && (!absolute || value[0] == '/') ? value : NULL;
}

/* $HOME, or what the user database says. */
static int read_home(const char **out, struct fault *flt)
{
	const char *home = read_variable("HOME", false);
	struct passwd entry, *found = NULL;
	char text[16384];

	if (!home && !getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) && found && found->pw_dir[0])
		home = found->pw_dir;
	return copy_text(home, out, flt);
}

/* Left out when it cannot be told, as in a folder that was removed: only relative paths need it. */
static int read_working_directory(const char **out, struct fault *flt)
{
	*out = getcwd(NULL, 0);
	return !*out && errno == ENOMEM ? fault_no_memory(flt) : 0;
}

/*
 * The first of the variables that is set. None if the program runs with the rights of a user other than the one whose
 * environment this is: certificates and proxies decide whom requests are sent to.
 */
static const char *read_first(const char *const *names)
{
	for (; *names; names++) {
		const char *value = secure_getenv(*names);

		if (value && value[0])
			return value;
	}
	return NULL;
}

static int read_network(struct config_environment *environment, struct fault *flt)
{
	static const char *const bundle[] = {"CURL_CA_BUNDLE", NULL}, *const file[] = {"SSL_CERT_FILE", NULL},
		*const folder[] = {"SSL_CERT_DIR", NULL}, *const no_proxy[] = {"no_proxy", "NO_PROXY", NULL},
		*const proxy[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
	bool has_bundle = read_first(bundle) != NULL;
	int r = copy_text(read_first(has_bundle ? bundle : file), &environment->ca_file, flt);

	if (!r)
		r = copy_text(has_bundle ? NULL : read_first(folder), &environment->ca_folder, flt);
	if (!r)
		r = copy_text(read_first(proxy), &environment->proxy, flt);
	return r ? r : copy_text(read_first(no_proxy), &environment->no_proxy, flt);
}

int config_environment_read(struct config_environment *out, struct fault *flt)
{
	struct config_environment environment = {0};
	int r;

	r = read_home(&environment.home, flt);
	if (!r)
		r = copy_text(read_variable("XDG_CONFIG_HOME", true), &environment.xdg_config_home, flt);
	if (!r)
		r = copy_text(read_variable("XDG_CACHE_HOME", true), &environment.xdg_cache_home, flt);
	if (!r)
		r = copy_text(read_variable("XDG_STATE_HOME", true), &environment.xdg_state_home, flt);
	if (!r)
		r = copy_text(read_variable("XDG_DATA_HOME", true), &environment.xdg_data_home, flt);
	if (!r)
		r = copy_text(read_variable("XDG_RUNTIME_DIR", true), &environment.xdg_runtime_dir, flt);
	if (!r)
		r = read_working_directory(&environment.working_directory, flt);
	if (!r)
		r = read_network(&environment, flt);
	if (r) {
		config_environment_release(&environment);
		return r;
	}
	*out = environment;
	return 0;
}

void config_environment_release(struct config_environment *environment)
{
	free((void *)(uintptr_t)environment->home);
	free((void *)(uintptr_t)environment->xdg_config_home);
	free((void *)(uintptr_t)environment->xdg_cache_home);
	free((void *)(uintptr_t)environment->xdg_state_home);
	free((void *)(uintptr_t)environment->xdg_data_home);
	free((void *)(uintptr_t)environment->xdg_runtime_dir);
	free((void *)(uintptr_t)environment->working_directory);
	free((void *)(uintptr_t)environment->ca_file);
	free((void *)(uintptr_t)environment->ca_folder);
	free((void *)(uintptr_t)environment->proxy);
	free((void *)(uintptr_t)environment->no_proxy);
	*environment = (struct config_environment){0};
}

/* ---- Paths ---- */

/* `folder`/`path`, or `path` itself where it is absolute. @param out  free() it */
static int join(const char *folder, const char *path, char **out, struct fault *flt)
{
	char *joined;

	if (path[0] == '/')
		joined = strdup(path);
	else if (asprintf(&joined, "%s%s%s", folder, folder[strlen(folder) - 1] == '/' ? "" : "/", path) < 0)
		joined = NULL;
	if (!joined)
		return fault_no_memory(flt);
	*out = joined;
	return 0;
}

/* The same for a path that is relative to the working directory. */
static int join_here(const struct config_environment *environment, const char *path, char **out, struct fault *flt)
{
	if (path[0] != '/' && !environment->working_directory)
		return fault_system(flt, ENOENT, "the working directory, which %.100s is relative to", path);
	return join(environment->working_directory, path, out, flt);
}

/* `base`/`rest`, with ~/`fallback` in the place of a base that is not set. */
static int join_base(const struct config_environment *environment, const char *base, const char *fallback,
		     const char *rest, char **out, struct fault *flt)
{
	char *folder = NULL;
	int r;

	if (base)
		return join(base, rest, out, flt);
	if (!environment->home)
		return fault_undecided(flt, FAULT_MISUSE, "there is no home folder: HOME is not set");
	r = join(environment->home, fallback, &folder, flt);
	if (!r)
		r = join(folder, rest, out, flt);
	free(folder);
	return r;
}

static int join_cache(const struct config_environment *environment, const char *rest, char **out, struct fault *flt)
{
	return join_base(environment, environment->xdg_cache_home, ".cache", rest, out, flt);
}

/* The folder of a file whose path is absolute. @param out  free() it */
static int folder_of(const char *file, char **out, struct fault *flt)
{
	size_t length = (size_t)(strrchr(file, '/') - file);

	*out = strndup(file, length ? length : 1);
	return *out ? 0 : fault_no_memory(flt);
}

/* ---- Finding ---- */

static bool is_a_file(const char *path)
{
	struct stat status;

	return !stat(path, &status) && S_ISREG(status.st_mode);
}

/*
 * Whether the file may decide which registry is trusted and where files are written: it must belong to the caller or
 * root.
 */
static bool is_trusted(const struct stat *status)
{
	return (status->st_uid == geteuid() || !status->st_uid) && !(status->st_mode & (S_IWGRP | S_IWOTH));
}

/* A symbolic link is judged by its owner alone: its mode means nothing. */
static bool is_trusted_file(const char *path)
{
	struct stat link, status;

	if (lstat(path, &link) || stat(path, &status))
		return false;
	return (S_ISLNK(link.st_mode) ? link.st_uid == geteuid() || !link.st_uid : true) && is_trusted(&status);
}

/*
 * warg-config.json in the working directory or the nearest parent that has one that is trusted: a file that another
 * user put into a shared folder (/tmp) is skipped.
 */
static int find_local(const struct config_environment *environment, struct config *config, struct fault *flt)
{
	char *folder, *candidate = NULL, *slash;
	int r = 0;

	if (!environment->working_directory || environment->working_directory[0] != '/')
		return 0;
	folder = strdup(environment->working_directory);
	if (!folder)
		return fault_no_memory(flt);
	for (;;) {
		r = join(folder[0] ? folder : "/", CONFIG_LOCAL_FILE, &candidate, flt);
		if (r || (is_a_file(candidate) && is_trusted_file(candidate)))
			break;
		if (is_a_file(candidate) && !config->passed_over)
			config->passed_over = candidate;
		else
			free(candidate);
		candidate = NULL;
		slash = strrchr(folder, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	free(folder);
	config->file = candidate;
	config->is_local = candidate;
	return r;
}

/* Where the configuration is, or would be. */
static int find(const char *file, const struct config_environment *environment, struct config *config,
		struct fault *flt)
{
	int r;

	if (file) {
		config->found = true;
		return join_here(environment, file, &config->file, flt);
	}
	r = find_local(environment, config, flt);
	if (!r && !config->file)
		r = join_base(environment, environment->xdg_config_home, ".config", "warg/config.json", &config->file,
			      flt);
	if (!r)
		config->found = is_a_file(config->file);
	return r;
}

/* ---- Reading ---- */

static int read_file(const struct config *config, struct buf *out, struct fault *flt)
{
	int fd = open(config->file, O_RDONLY | O_CLOEXEC);
	struct stat status;
	int r;

	if (fd < 0)
		return fault_system(flt, errno, "it cannot be opened");
	/* In a shared folder another file may have taken the path since: check again what was opened. */
	if (config->is_local && (fstat(fd, &status) || !is_trusted(&status)))
		r = fault_system(flt, EPERM, "it may be written to by others");
	else
		r = file_read_all(fd, out, flt);
	close(fd);
	return r;
}

/* An optional text. @param out  free() it; NULL if it is not there */
static int read_text(const struct json *value, const char *name, char **out, struct fault *flt)
{
	struct span text;
	int r;

	if (!json_member(value, name))
		return 0;
	r = json_read_text(value, name, &text, flt);
	if (r)
		return r;
	*out = strndup((const char *)text.data, text.length);
	return *out ? 0 : fault_no_memory(flt);
}

static int read_flag(const struct json *value, const char *name, bool *out, struct fault *flt)
{
	return json_member(value, name) ? json_read_bool(value, name, out, flt) : 0;
}

/* An optional path, relative to `folder`; NULL: to the working directory. */
static int read_path(const struct json *value, const char *name, const struct config_environment *environment,
		     const char *folder, char **out, struct fault *flt)
{
	char *text = NULL;
	int r;

	r = read_text(value, name, &text, flt);
	if (!r && text)
		r = folder ? join(folder, text, out, flt) : join_here(environment, text, out, flt);
	free(text);
	return r;
}

static int read_keys(const struct json *value, struct config *config, struct fault *flt)
{
	const struct json *list = NULL;
	struct span text;
	int r;

	if (!json_member(value, "keys"))
		return 0;
	r = json_read_list(value, "keys", &list, flt);
	if (r || !json_count(list))
		return r;
	config->keys = calloc(json_count(list), sizeof(*config->keys));
	if (!config->keys)
		return fault_no_memory(flt);
	for (size_t i = 0; i < json_count(list); i++) {
		r = json_as_text(json_at(list, i), &text, flt);
		if (r) {
			fault_at(flt, "\"keys\"");
			return r;
		}
		config->keys[i] = strndup((const char *)text.data, text.length);
		if (!config->keys[i])
			return fault_no_memory(flt);
		config->key_count++;
	}
	return 0;
}

/* Folders are relative to the file, the namespace map to the working directory: so the reference reads them. */
static int read_paths(const struct json *value, const struct config_environment *environment, struct config *config,
		      struct fault *flt)
{
	char *folder = NULL;
	int r;

	r = folder_of(config->file, &folder, flt);
	if (!r)
		r = read_path(value, "registriesDir", environment, folder, &config->registries_dir, flt);
	if (!r)
		r = read_path(value, "contentDir", environment, folder, &config->content_dir, flt);
	if (!r)
		r = read_path(value, "namespaceMapPath", environment, NULL, &config->namespace_map_path, flt);
	free(folder);
	config->registries_dir_set = config->registries_dir != NULL;
	config->content_dir_set = config->content_dir != NULL;
	config->namespace_map_path_set = config->namespace_map_path != NULL;
	return r;
}

static int read_members(const struct json *value, const struct config_environment *environment, struct config *config,
			struct fault *flt)
{
	int r;

	if (!json_is_an_object(value))
		return fault_invalid(flt, "the configuration is not an object");
	r = read_text(value, "homeUrl", &config->home_url, flt);
	if (!r)
		r = read_paths(value, environment, config, flt);
	if (!r)
		r = read_keys(value, config, flt);
	if (!r)
		r = read_flag(value, "keyringAuth", &config->keyring_auth, flt);
	if (!r)
		r = read_flag(value, "ignoreFederationHints", &config->ignore_federation_hints, flt);
	if (!r)
		r = read_flag(value, "disableAutoAcceptFederationHints", &config->disable_auto_accept_federation_hints,
			      flt);
	if (!r)
		r = read_flag(value, "disableAutoPackageInit", &config->disable_auto_package_init, flt);
	if (!r)
		r = read_flag(value, "disableInteractive", &config->disable_interactive, flt);
	if (!r)
		r = read_text(value, "keyringBackend", &config->keyring_backend, flt);
	return r;
}

int config_parse(struct span text, const struct config_environment *environment, struct config *config,
		 struct fault *flt)
{
	struct json *value = NULL;
	int r = json_parse(text, &value, flt);

	if (!r)
		r = read_members(value, environment, config, flt);
	json_free(value);
	return r;
}

static int read_config(const struct config_environment *environment, struct config *config, struct fault *flt)
{
	struct buf text;
	int r;

	buf_init(&text, CAP_FILE_CONFIG);
	r = read_file(config, &text, flt);
	if (!r)
		r = config_parse(buf_span(&text), environment, config, flt);
	if (!r)
		r = config_note_read(config, text.data ? buf_span(&text) : span_of_text(""), flt);
	buf_release(&text);
	if (r) {
		fault_at(flt, "file %s", config->file);
		fault_blame(flt, FAULT_BY_CACHE);
	}
	return r;
}

int config_name_state(const struct config_environment *environment, char **out, struct fault *flt)
{
	return join_base(environment, environment->xdg_state_home, ".local/state", "wargfs", out, flt);
}

/* The folders that the file did not name, and our own. */
static int add_defaults(const struct config_environment *environment, struct config *config, struct fault *flt)
{
	int r = 0;

	if (!config->registries_dir)
		r = join_cache(environment, "warg/registries", &config->registries_dir, flt);
	if (!r && !config->content_dir)
		r = join_cache(environment, "warg/content", &config->content_dir, flt);
	if (!r && !config->namespace_map_path)
		r = join_cache(environment, "warg/namespaces", &config->namespace_map_path, flt);
	if (!r && (environment->xdg_config_home || environment->home))
		r = join_base(environment, environment->xdg_config_home, ".config", "warg/keyring",
			      &config->keyring_dir, flt);
	if (!r && (environment->xdg_config_home || environment->home))
		r = join_base(environment, environment->xdg_config_home, ".config", "wargfs/settings.json",
			      &config->settings_file, flt);
	if (!r)
		r = join_cache(environment, "wargfs", &config->cache_dir, flt);
	if (!r)
		r = config_name_state(environment, &config->state_dir, flt);
	return r;
}

int config_load(const char *file, const struct config_environment *environment, struct config *out, struct fault *flt)
{
	struct config config = {0};
	int r;

	r = find(file, environment, &config, flt);
	if (!r)
		r = config_set_text(&config.read_from, config.file, flt);
	if (!r)
		r = config_set_text(&config.working_directory, environment->working_directory, flt);
	if (!r && config.found)
		r = read_config(environment, &config, flt);
	if (!r)
		r = add_defaults(environment, &config, flt);
	if (r) {
		config_release(&config);
		return r;
	}
	*out = config;
	return 0;
}

void config_release(struct config *config)
{
	for (size_t i = 0; i < config->key_count; i++)
		free(config->keys[i]);
	free(config->keys);
	free(config->file);
	free(config->read_from);
	free(config->read_text);
	free(config->working_directory);
	free(config->home_url);
	free(config->registries_dir);
	free(config->content_dir);
	free(config->namespace_map_path);
	free(config->keyring_backend);
	free(config->keyring_dir);
	free(config->settings_file);
	free(config->passed_over);
	free(config->cache_dir);
	free(config->state_dir);
	*config = (struct config){0};
}

int config_set_text(char **field, const char *text, struct fault *flt)
{
	char *copy;
	int r = text_copy(text, &copy, flt);

	if (r)
		return r;
	free(*field);
	*field = copy;
	return 0;
}

/* ---- The list of keys ---- */

/* Where it stands; `key_count` if it does not. */
static size_t find_key(const struct config *config, const char *name)
{
	size_t i = 0;

	while (i < config->key_count && strcmp(config->keys[i], name))
		i++;
	return i;
}

bool config_has_key(const struct config *config, const char *name)
{
	return find_key(config, name) < config->key_count;
}

int config_add_key(struct config *config, const char *name, struct fault *flt)
{
	char **longer, *copy;

	if (config_has_key(config, name))
		return 0;
	longer = reallocarray(config->keys, config->key_count + 1, sizeof(*longer));
	if (!longer)
		return fault_no_memory(flt);
	config->keys = longer;
	copy = strdup(name);
	if (!copy)
		return fault_no_memory(flt);
	config->keys[config->key_count++] = copy;
	return 0;
}

void config_remove_key(struct config *config, const char *name)
{
	size_t i = find_key(config, name);

	if (i == config->key_count)
		return;
	free(config->keys[i]);
	config->keys[i] = config->keys[--config->key_count]; /* as the reference leaves the others */
}
