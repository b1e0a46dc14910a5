/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Options from the environment and the configuration, and the process's certificates and proxy (see door.h).
 */
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/net/http_network.h"
#include "client/user/settings.h"

struct warg_environment *door_environment_ref(struct warg_environment *environment)
{
	if (environment)
		atomic_fetch_add(&environment->references, 1);
	return environment;
}

void door_environment_unref(struct warg_environment *environment)
{
	if (!environment || atomic_fetch_sub(&environment->references, 1) != 1)
		return;
	config_release(&environment->config);
	config_environment_release(&environment->environment);
	free(environment->file);
	free(environment->ca_file);
	free(environment);
}

int door_environment_load(const struct warg_environment *environment, struct config *out, struct fault *flt)
{
	return config_load(environment->file, &environment->environment, out, flt);
}

static int read_all(struct warg_environment *environment, const char *file, struct fault *flt)
{
	int r = config_environment_read(&environment->environment, flt);

	if (!r && file) {
		environment->file = strdup(file);
		r = environment->file ? 0 : fault_no_memory(flt);
	}
	if (!r)
		r = door_environment_load(environment, &environment->config, flt);
	if (!r)
		r = settings_read_ca_file(environment->config.settings_file, &environment->ca_file, flt);
	return r;
}

static void fill(const char **member, const char *value)
{
	if (!*member)
		*member = value;
}

static void fill_in(struct warg_options *options, struct warg_environment *environment)
{
	const struct config *config = &environment->config;

	fill(&options->url, config->home_url);
	fill(&options->registries_dir, config->registries_dir);
	fill(&options->content_dir, config->content_dir);
	fill(&options->cache_dir, config->cache_dir);
	fill(&options->state_dir, config->state_dir);
	fill(&options->namespace_map, config->namespace_map_path);
	fill(&options->ca_file, environment->ca_file);
	fill(&options->proxy, environment->environment.proxy);
	fill(&options->no_proxy, environment->environment.no_proxy);
	options->environment = environment;
}

int warg_options_from_environment(struct warg_options *options, const char *config)
{
	struct warg_environment *environment;
	struct fault flt = {0};
	int r = door_need(options && options->size >= sizeof(*options) && !options->environment,
			  "options with their size, and without an environment,", &flt);

	if (r)
		return door_return(r, &flt);
	environment = calloc(1, sizeof(*environment));
	if (!environment)
		return door_return(fault_no_memory(&flt), &flt);
	environment->references = 1;
	r = read_all(environment, config, &flt);
	if (r)
		door_environment_unref(environment);
	else
		fill_in(options, environment);
	return door_return(r, &flt);
}

static void empty(const char **member, const char *value)
{
	if (*member == value)
		*member = NULL;
}

void warg_options_release(struct warg_options *options)
{
	struct warg_environment *environment = options ? options->environment : NULL;
	const struct config *config;

	if (!environment)
		return;
	config = &environment->config;
	empty(&options->url, config->home_url);
	empty(&options->registries_dir, config->registries_dir);
	empty(&options->content_dir, config->content_dir);
	empty(&options->cache_dir, config->cache_dir);
	empty(&options->state_dir, config->state_dir);
	empty(&options->namespace_map, config->namespace_map_path);
	empty(&options->ca_file, environment->ca_file);
	empty(&options->proxy, environment->environment.proxy);
	empty(&options->no_proxy, environment->environment.no_proxy);
	options->environment = NULL;
	door_environment_unref(environment);
}

/* ---- The process's network ---- */

/* Kept to the end of the process: requests of any thread use it. */
static struct {
	pthread_mutex_t mutex;
	bool is_chosen;
	struct http_network network;
} process = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int copy(const char *text, const char **out, struct fault *flt)
{
	*out = text ? strdup(text) : NULL;
	return text && !*out ? fault_no_memory(flt) : 0;
}

/* A relative path is by the working directory of when the environment was read. */
static int copy_path(const char *path, const char *folder, const char **out, struct fault *flt)
{
	char *joined = NULL;

	if (!path || path[0] == '/' || !folder)
		return copy(path, out, flt);
	if (asprintf(&joined, "%s/%s", folder, path) < 0)
		return fault_no_memory(flt);
	*out = joined;
	return 0;
}

static void network_release(struct http_network *network)
{
	free((void *)(uintptr_t)network->ca_file);
	free((void *)(uintptr_t)network->ca_folder);
	free((void *)(uintptr_t)network->proxy);
	free((void *)(uintptr_t)network->no_proxy);
	*network = (struct http_network){0};
}

static int describe_network(const struct warg_options *options, struct http_network *out, struct fault *flt)
{
	static const struct config_environment none;
	const struct config_environment *environment =
		options->environment ? &options->environment->environment : &none;
	bool is_given = options->ca_file;
	int r = copy_path(is_given ? options->ca_file : environment->ca_file, environment->working_directory,
			  &out->ca_file, flt);

	out->only_ca_file = is_given;
	if (!r && !is_given)
		r = copy_path(environment->ca_folder, environment->working_directory, &out->ca_folder, flt);
	if (!r)
		r = copy(options->proxy, &out->proxy, flt);
	if (!r)
		r = copy(options->no_proxy, &out->no_proxy, flt);
	return r;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool is_same(const struct http_network *a, const struct http_network *b)
{
	return is_same_text(a->ca_file, b->ca_file) && is_same_text(a->ca_folder, b->ca_folder) &&
	       a->only_ca_file == b->only_ca_file && is_same_text(a->proxy, b->proxy) &&
	       is_same_text(a->no_proxy, b->no_proxy);
}

int door_choose_network(const struct warg_options *options, struct fault *flt)
{
	struct http_network network = {0};
	int r = describe_network(options, &network, flt);
	bool is_kept = false;

	pthread_mutex_lock(&process.mutex);
	if (!r && !process.is_chosen) {
		process.network = network;
		process.is_chosen = is_kept = true;
		http_network_set(&process.network);
	} else if (!r && !is_same(&network, &process.network)) {
		r = fault_undecided(flt, FAULT_MISUSE, "this process uses other certificates or another proxy already");
		fault_blame(flt, FAULT_BY_USER);
	}
	pthread_mutex_unlock(&process.mutex);
	if (!is_kept)
		network_release(&network);
	return r;
}
