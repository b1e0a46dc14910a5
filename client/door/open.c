/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opening a registry: options, discovery, the operator key that is demanded, the token (see warg.h).
 */
#include "door.h"

#include <stdlib.h>
#include <string.h>

#include "client/store/discovery.h"
#include "client/user/keyring.h"
#include "client/user/settings.h"

#define TIMEOUT 30 /* seconds, unless the options say otherwise */

/* ---- Options ---- */

/* A program that was built against a later header may set members that this library does not have. */
static int read_options(const struct warg_options *given, struct warg_options *out, struct fault *flt)
{
	const unsigned char *bytes = (const unsigned char *)given;
	int r = door_need(given && given->size >= sizeof(*out) && given->size <= CAP_OPTIONS, "options with their size",
			  flt);

	if (r)
		return r;
	for (size_t i = sizeof(*out); !r && i < given->size; i++)
		r = door_need(!bytes[i], "a later version of libwarg, for these options,", flt);
	*out = *given;
	return r;
}

static bool is_path(const char *text)
{
	return text && text[0] == '/';
}

static int check_options(const struct warg_options *options, struct fault *flt)
{
	int r = door_need(options->url, "a registry's URL", flt);

	if (!r)
		r = door_need(is_path(options->registries_dir), "registries_dir, an absolute path,", flt);
	if (!r)
		r = door_need(is_path(options->content_dir), "content_dir, an absolute path,", flt);
	if (!r)
		r = door_need(is_path(options->cache_dir), "cache_dir, an absolute path,", flt);
	if (!r)
		r = door_need(is_path(options->state_dir), "state_dir, an absolute path,", flt);
	if (!r && options->namespace_map)
		r = door_need(is_path(options->namespace_map), "namespace_map, an absolute path,", flt);
	return r;
}

static int keep(const char *text, char **out, struct fault *flt)
{
	if (!text)
		return 0;
	*out = strdup(text);
	return *out ? 0 : fault_no_memory(flt);
}

static int keep_texts(const struct warg_options *options, struct door_texts *out, struct fault *flt)
{
	int r = keep(options->url, &out->url, flt);

	if (!r)
		r = keep(options->registries_dir, &out->registries_dir, flt);
	if (!r)
		r = keep(options->content_dir, &out->content_dir, flt);
	if (!r)
		r = keep(options->cache_dir, &out->cache_dir, flt);
	if (!r)
		r = keep(options->state_dir, &out->state_dir, flt);
	if (!r)
		r = keep(options->namespace_map, &out->namespace_map, flt);
	if (!r)
		r = keep(options->token, &out->token, flt);
	if (!r)
		r = keep(options->signing_key, &out->signing_key, flt);
	return r;
}

static void wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static void texts_release(struct door_texts *texts)
{
	free(texts->url);
	free(texts->registries_dir);
	free(texts->content_dir);
	free(texts->cache_dir);
	free(texts->state_dir);
	free(texts->namespace_map);
	wipe(texts->token);
	wipe(texts->signing_key);
	*texts = (struct door_texts){0};
}

/* What is wrong with a text says so now, and not when it is first used. */
static int check_secrets(const struct door_texts *texts, struct fault *flt)
{
	struct ecdsa_private_key *key = NULL;
	int r = door_need(!texts->token || !keyring_check_token(span_of_text(texts->token), NULL),
			  "a token in printable ASCII", flt);

	if (r || !texts->signing_key)
		return r;
	r = ecdsa_private_key_parse(span_of_text(texts->signing_key), &key, NULL);
	ecdsa_private_key_free(key);
	return r == WARG_INVALID ? door_need(false, "a private key, ecdsa-p256:..., as signing_key", flt) :
	       r ? fault_no_memory(flt) : 0;
}

/* ---- Discovery ---- */

struct discovery {
	struct http *http;
	const struct http_url *url;
	unsigned timeout;
	struct http_url found;
};

static int ask(void *user, struct fault *flt)
{
	struct discovery *discovery = user;

	return api_discover(discovery->http, discovery->url, clock_in_seconds(discovery->timeout), &discovery->found,
			    flt);
}

static void stop_asking(void *user)
{
	struct discovery *discovery = user;

	http_stop(discovery->http);
}

static int discover(struct warg *warg, struct fault *flt)
{
	struct discovery discovery = {.url = &warg->typed, .timeout = warg->timeout};
	const struct door_watch watch = {.what = "registry", .stop = stop_asking, .user = &discovery};
	int r;

	if (warg->is_offline)
		return discovery_recall(warg->texts.state_dir, &warg->typed, &warg->url, flt);
	r = http_new(&discovery.http, flt);
	if (r)
		return r;
	r = door_run(warg, &watch, ask, &discovery, flt);
	http_free(discovery.http);
	if (!r)
		r = discovery_check(warg->texts.state_dir, &warg->typed, &discovery.found, flt);
	if (!r)
		warg->url = discovery.found;
	return r;
}

/* ---- Operator keys ---- */

static int find_operator_key(void *user, const struct http_url *url, struct digest *out, bool *found,
			     struct fault *flt)
{
	const struct warg *warg = user;

	*found = false;
	if (!warg->environment)
		return 0;
	return settings_find_operator_key(warg->environment->config.settings_file, url->label, out, found, flt);
}

static int find_demand(struct warg *warg, const char *given, struct fault *flt)
{
	int r;

	warg->has_demand = given;
	if (given)
		return door_read_digest(given, "the operator's key", &warg->demanded, flt);
	r = find_operator_key(warg, &warg->typed, &warg->demanded, &warg->has_demand, flt);
	if (!r && !warg->has_demand)
		r = find_operator_key(warg, &warg->url, &warg->demanded, &warg->has_demand, flt);
	return r;
}

/* ---- Tokens ---- */

/* From any thread: a keyring may have another token by now. The token of the options is for the home registry. */
static int find_token(void *user, const struct http_url *url, struct buf *token, struct fault *flt)
{
	const struct warg *warg = user;
	struct config config;
	bool found = false;
	int r;

	if (warg->texts.token && !strcmp(url->text, warg->url.text))
		return buf_append(token, span_of_text(warg->texts.token), flt);
	if (!warg->environment)
		return 0;
	r = door_environment_load(warg->environment, &config, flt);
	if (r)
		return r;
	r = keyring_find_token(&config, url, token, &found, flt);
	config_release(&config);
	return r;
}

static int open_credential(struct warg *warg, struct credential **out, struct fault *flt)
{
	const struct credential_source source = {.find = find_token, .user = warg};
	struct buf token;
	int r;

	*out = NULL;
	if (warg->is_offline)
		return 0;
	buf_init(&token, CAP_SECRET);
	r = find_token(warg, &warg->url, &token, flt);
	if (!r)
		r = credential_new(&warg->url, buf_span(&token), &source, out, flt);
	buf_wipe(&token);
	return r;
}

/* ---- Opening ---- */

/* A library asks no person: a hint that would need an answer is only told of. */
static enum federation_hints hints_of(const struct warg *warg)
{
	const struct config *config = warg->environment ? &warg->environment->config : NULL;

	if (!config || !warg->texts.namespace_map)
		return FEDERATION_HINTS_TOLD;
	if (config->ignore_federation_hints)
		return FEDERATION_HINTS_IGNORED;
	return config->disable_interactive || config->disable_auto_accept_federation_hints ? FEDERATION_HINTS_TOLD :
											     FEDERATION_HINTS_TAKEN;
}

static int open_federation(struct warg *warg, struct credential *credential, struct fault *flt)
{
	const struct federation_options options = {
		.home = {
			.url = warg->url,
			.found_by = warg->is_offline ? NULL : &warg->typed,
			.registries_dir = warg->texts.registries_dir,
			.content_dir = warg->texts.content_dir,
			.own_dir = warg->texts.cache_dir,
			.state_dir = warg->texts.state_dir,
			.operator_key = warg->has_demand ? &warg->demanded : NULL,
			.credential = credential,
			.timeout = warg->timeout,
			.starts_from_cache = warg->is_offline,
			.offline = warg->is_offline,
		},
		.map = warg->texts.namespace_map,
		.hints = hints_of(warg),
		.tokens = {.find = find_token, .user = warg},
		.find_operator_key = find_operator_key,
		.user = warg,
	};
	int r = federation_open(&options, &warg->federation, flt);

	if (!r)
		warg->home = federation_home(warg->federation);
	return r;
}

static int check_start(const struct warg *warg, struct fault *flt)
{
	struct fault start;

	if (!warg->is_offline)
		return 0;
	registry_start_fault(warg->home, &start);
	fault_pass(&start, flt);
	return start.verdict;
}

static int open_with(struct warg *warg, const struct warg_options *options, struct fault *flt)
{
	struct credential *credential = NULL;
	int r = keep_texts(options, &warg->texts, flt);

	if (!r)
		r = http_url_parse(warg->texts.url, &warg->typed, flt);
	if (!r)
		r = check_secrets(&warg->texts, flt);
	warg->url = warg->typed;
	if (!r)
		r = door_choose_network(options, flt);
	if (!r)
		r = discover(warg, flt);
	if (!r)
		r = find_demand(warg, options->operator_key, flt);
	if (!r)
		r = open_credential(warg, &credential, flt);
	if (!r)
		r = open_federation(warg, credential, flt);
	credential_unref(credential);
	return r ? r : check_start(warg, flt);
}

static bool is_home(const struct warg_options *options)
{
	const struct warg_environment *environment = options->environment;

	return environment && environment->config.home_url && !strcmp(environment->config.home_url, options->url);
}

int warg_open(const struct warg_options *given, struct warg **out)
{
	struct warg_options options;
	struct fault flt = {0};
	struct warg *warg;
	int r = door_need(out, "a place for the handle", &flt);

	if (!r)
		r = read_options(given, &options, &flt);
	if (!r)
		r = check_options(&options, &flt);
	if (r)
		return door_return(r, &flt);
	warg = calloc(1, sizeof(*warg));
	if (!warg)
		return door_return(fault_no_memory(&flt), &flt);
	warg->environment = door_environment_ref(options.environment);
	warg->is_home = is_home(&options);
	warg->is_offline = options.offline;
	warg->timeout = options.timeout ? options.timeout : TIMEOUT;
	warg->progress = options.progress;
	warg->user = options.user;
	r = open_with(warg, &options, &flt);
	if (r)
		warg_close(warg);
	else
		*out = warg;
	return door_return(r, &flt);
}

void warg_close(struct warg *warg)
{
	if (!warg)
		return;
	federation_close(warg->federation);
	texts_release(&warg->texts);
	door_environment_unref(warg->environment);
	free(warg);
}
