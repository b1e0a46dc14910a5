/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Sessions (see session.h; discovery: protocol.md section 6).
 */
#include "absent.h"
#include "local_names.h"
#include "network.h"
#include "output.h"
#include "session.h"
#include "unproven.h"

#include <limits.h>
#include <stdio.h>
#include "client/store/discovery.h"
#include "client/user/keyring.h"
#include "client/user/settings.h"

#include <stdlib.h>
#include <string.h>

int session_load(struct session *session, const struct options *options, struct fault *flt)
{
	int verdict = config_environment_read(&session->environment, flt);

	session->options = options;
	pthread_mutex_init(&session->mutex, NULL);
	if (verdict)
		return verdict;
	session->has_environment = true;
	verdict = config_load(options->config, &session->environment, &session->config, flt);
	if (verdict)
		return verdict;
	session->has_config = true;
	if (session->config.passed_over)
		failure_note("", NOTE_WARNING, session->config.passed_over, "%s is ignored: it must belong to you or "
			     "root, and must not be writable by others", session->config.passed_over);
	return 0;
}

int session_choose(struct session *session, const char *typed, const struct options *options, struct fault *flt)
{
	const char *text = typed;

	if (!text)
		text = options->registry;
	if (!text)
		text = session->config.home_url;
	if (!text)
		return fault_undecided(flt, FAULT_MISUSE, "no registry is configured: give one with --registry URL, "
				       "or for good with 'wargfs config --registry URL'");
	if (local_folder_of(text))
		return local_join(local_folder_of(text), false, NULL, 0, &session->local, &session->url, flt);
	return http_url_parse(text, &session->url, flt);
}

bool session_is_unreached(const struct fault *flt)
{
	return flt->kind == FAULT_UNREACHABLE || flt->kind == FAULT_TIMEOUT;
}

int session_choose_network(struct session *session, struct fault *flt)
{
	int verdict = session->has_network ? 0 : network_choose(session->options->cacert, session->config.settings_file,
								&session->environment, flt);

	session->has_network = !verdict;
	return verdict;
}

int session_discover(struct session *session, unsigned timeout, struct fault *flt)
{
	struct http_url found;
	struct http *http;
	int verdict = session_choose_network(session, flt);

	if (!verdict)
		verdict = http_new(&http, flt);
	if (verdict)
		return verdict;
	verdict = api_discover(http, &session->url, clock_in_seconds(timeout), &found, flt);
	http_free(http);
	if (!verdict)
		verdict = discovery_check(session->config.state_dir, &session->url, &found, flt);
	if (!verdict)
		session->url = found;
	return verdict;
}

/* Find out which registry the URL stands for, or remember it where nobody can be asked, or is to be. */
static int find_registry(struct session *session, const struct session_open *how, unsigned timeout, struct fault *flt)
{
	struct fault *unreached = &session->unreached;
	int verdict;

	if (!how->offline) {
		verdict = session_discover(session, timeout, unreached);
		if (!verdict)
			return 0;
		if (!how->starts_from_cache || !session_is_unreached(unreached)) {
			*flt = *unreached;
			return verdict;
		}
	}
	return discovery_recall(session->config.state_dir, &session->url, &session->url, flt);
}

static enum federation_hints hints_of(const struct config *config, const struct session_open *how)
{
	if (config->ignore_federation_hints || how->ignores_hints)
		return FEDERATION_HINTS_IGNORED;
	if (config->disable_interactive)
		return FEDERATION_HINTS_TOLD;
	return config->disable_auto_accept_federation_hints ? FEDERATION_HINTS_ASKED : FEDERATION_HINTS_TAKEN;
}

static bool accept_hint(void *user, const char *namespace, const char *domain)
{
	struct session *session = user;

	progress_end(&session->progress);
	return output_ask(session->options, true, "%s hints at the registry %s for namespace %s. Use it, from now on?",
			  http_url_name(&session->url), domain, namespace);
}

/*
 * Read the token again: 'wargfs login' may change it, and the configuration, while a mount runs. From any thread. Uses
 * the paths computed at the start, when the environment was read.
 */
static int find_token(void *user, const struct http_url *url, struct buf *token, struct fault *flt)
{
	const struct session *session = user;
	struct config config;
	bool found = false;
	int verdict = config_load(session->options->config, &session->environment, &config, flt);

	if (verdict)
		return verdict;
	verdict = keyring_find_token(&config, url, token, &found, flt);
	config_release(&config);
	return verdict;
}

/* @param out  may be NULL */
static int open_credential(struct session *session, const struct session_open *how, struct credential **out,
			   struct fault *flt)
{
	const struct credential_source source = {.find = find_token, .user = session};
	struct buf token;
	int verdict = 0;

	*out = NULL;
	if (how->offline)
		return 0;
	buf_init(&token, CAP_SECRET);
	verdict = find_token(session, &session->url, &token, flt);
	if (!verdict)
		verdict = credential_new(&session->url, buf_span(&token), &source, out, flt);
	buf_wipe(&token);
	return verdict;
}

/* ---- Operators' keys ---- */

static int find_operator_key(void *user, const struct http_url *url, struct digest *out, bool *found,
			     struct fault *flt)
{
	const struct session *session = user;

	return settings_find_operator_key(session->config.settings_file, url->label, out, found, flt);
}

/*
 * Find the operator key demanded of the home registry: by the caller, on the command line, or in the settings, there by
 * the typed URL, or else by the discovered one.
 */
static int find_demand(struct session *session, const struct session_open *how, struct fault *flt)
{
	const char *settings = session->config.settings_file;
	bool *has = &session->has_demand;
	int verdict;

	*has = true;
	if (how->operator_key)
		session->demanded = *how->operator_key;
	else if (session->options->has_operator_key)
		session->demanded = session->options->operator_key;
	else
		*has = false;
	if (*has)
		return 0;
	verdict = settings_find_operator_key(settings, session->typed.label, &session->demanded, has, flt);
	if (!verdict && !*has)
		verdict = settings_find_operator_key(settings, session->url.label, &session->demanded, has, flt);
	return verdict;
}

/*
 * Called by a registry's updater. Note the first contact, and print it at the end: a progress line may be on the
 * terminal now.
 */
static void note_meeting(void *user, const char *name, const struct digest *operator_key)
{
	struct session *session = user;
	struct session_meeting *more;

	pthread_mutex_lock(&session->mutex);
	more = reallocarray(session->meetings, session->meeting_count + 1, sizeof(*more));
	if (more) {
		session->meetings = more;
		more += session->meeting_count++;
		snprintf(more->name, sizeof(more->name), "%s", name);
		more->operator_key = *operator_key;
	}
	pthread_mutex_unlock(&session->mutex);
}

/* No thread adds notes any more. */
static void tell_meetings(struct session *session)
{
	for (size_t i = 0; i < session->meeting_count; i++) {
		char sentence[SESSION_MEETING_SIZE];

		session_meeting_sentence(session->meetings[i].name, &session->meetings[i].operator_key, sentence);
		failure_note("", NOTE_FIRST_CONTACT, session->meetings[i].name, "%s", sentence);
	}
	free(session->meetings);
}

void session_meeting_sentence(const char *name, const struct digest *operator_key,
			      char out[static SESSION_MEETING_SIZE])
{
	char key[DIGEST_TEXT_SIZE];

	digest_format(operator_key, key);
	snprintf(out, SESSION_MEETING_SIZE, "first contact with %s: its operator's key is %s, and is pinned from now "
		 "on", name, key);
}

/* A key that others read signs in the user's name. */
static void warn_of_exposed(const struct config *config)
{
	char path[PATH_MAX];

	if (keyring_find_exposed(config, path))
		failure_note("", NOTE_WARNING, path, "warning: %s: others on this machine may read this secret; chmod "
			     "600 lets only you", path);
}

/* ---- Opening ---- */

int session_open(struct session *session, const struct session_open *how, struct fault *flt)
{
	struct registry_options home = {
		.registries_dir = session->config.registries_dir,
		.content_dir = session->config.content_dir,
		.own_dir = session->config.cache_dir,
		.state_dir = session->config.state_dir,
		.timeout = how->timeout ? how->timeout : SESSION_TIMEOUT,
		.refresh = how->refresh,
		.starts_from_cache = how->starts_from_cache,
		.offline = how->offline,
		.audit = how->audit,
		.changed = how->changed,
		.is_needed = how->is_needed,
		.failed = how->failed,
		.user = how->user,
		/* Do not print the key of a local registry: it is the user's own. */
		.met = session->local ? NULL : how->met ? how->met : note_meeting,
		.met_user = how->met ? how->met_user : session,
	};
	struct federation_options options = {
		.map = session->config.namespace_map_path,
		.hints = hints_of(&session->config, how),
		.accept = accept_hint,
		.user = session,
		.tokens = {.find = find_token, .user = session},
		.find_operator_key = find_operator_key,
		.configure_registry = how->configure_registry,
		.host = how->host,
	};
	int verdict;

	warn_of_exposed(&session->config);
	session->typed = session->url;
	verdict = session_choose_network(session, flt);
	if (!verdict)
		verdict = find_registry(session, how, home.timeout, flt);
	if (verdict)
		return verdict;
	verdict = find_demand(session, how, flt);
	if (verdict)
		return verdict;
	verdict = open_credential(session, how, &home.credential, flt);
	home.operator_key = session->has_demand ? &session->demanded : NULL;
	home.url = session->url;
	home.found_by = session->unreached.verdict || how->offline ? NULL : &session->typed;
	options.home = home;
	if (!verdict)
		verdict = federation_open(&options, &session->federation, flt);
	credential_unref(home.credential);
	if (!verdict)
		session->registry = federation_home(session->federation);
	return verdict;
}

int session_start(struct session *session, const struct options *options, struct fault *flt)
{
	struct session_open how = {0};
	int verdict = session_load(session, options, flt);

	if (!verdict)
		verdict = session_choose(session, NULL, options, flt);
	if (!verdict)
		verdict = session_open(session, &how, flt);
	return verdict;
}

/* Of what was asked: the registry as typed, as discovered, and those that namespaces of it live in. */
static size_t list_labels(const struct session *session, char out[static CAP_REGISTRIES + 3][CAP_URL + 1])
{
	struct registry *registries[CAP_REGISTRIES + 1];
	size_t count = session->federation ? federation_registries(session->federation, registries) : 0;

	for (size_t i = 0; i < count; i++)
		snprintf(out[i], CAP_URL + 1, "%s", trust_label(registry_trust(registries[i])));
	snprintf(out[count++], CAP_URL + 1, "%s", session->url.label);
	snprintf(out[count++], CAP_URL + 1, "%s", session->typed.label);
	return count;
}

void session_close(struct session *session)
{
	char labels[CAP_REGISTRIES + 3][CAP_URL + 1];
	size_t count = session->has_config ? list_labels(session, labels) : 0;

	federation_close(session->federation);
	session->federation = NULL;
	for (size_t i = 0; i < count; i++)
		unproven_remove(&session->config, labels[i]);
}

static bool has_view(struct registry *registry)
{
	struct view *view = registry_view(registry);
	bool has = view->checkpoint.contents.log_length;

	view_unref(view);
	return has;
}

void session_remember_local(const struct session *session)
{
	if (session->local && session->federation && session->registry && has_view(session->registry))
		local_names_remember(&session->config, &session->url);
}

void session_release(struct session *session)
{
	session_remember_local(session);
	session_close(session);
	tell_meetings(session);
	if (session->options)
		pthread_mutex_destroy(&session->mutex);
	local_leave(session->local);
	if (session->has_config)
		config_release(&session->config);
	if (session->has_environment)
		config_environment_release(&session->environment);
	*session = (struct session){0};
}

int session_find_signing_key(const struct session *session, const char *typed, struct ecdsa_private_key **out,
			     struct fault *flt)
{
	struct config config;
	int verdict;

	if (session->local)
		return local_find_signing_key(session->local, out, flt);
	verdict = config_load(session->options->config, &session->environment, &config, flt);
	if (verdict)
		return verdict;
	/* The home registry stays the one that this session began with. */
	verdict = config_set_text(&config.home_url, session->config.home_url, flt);
	if (!verdict)
		verdict = keyring_find_signing_key(&config, typed, out, flt);
	config_release(&config);
	return verdict;
}

void session_content_path(const struct session *session, const struct digest *digest, char *out, size_t size)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	snprintf(out, size, "%s/sha256/%s", session->config.content_dir, text + strlen("sha256:"));
}

int session_update_package(struct session *session, const struct name *name, struct registry **out,
			   struct fault *flt)
{
	struct registry *registry = NULL;
	struct fault own = {0};

	/* Where the home registry is away, a package elsewhere may be had no less. */
	federation_update(session->federation, name, 1, &registry, &own, NULL);
	if (own.verdict) {
		absent_suggest(registry, name, &own);
		*flt = own;
		return own.verdict;
	}
	*out = registry;
	return 0;
}

int session_registry_of(struct session *session, struct span namespace, struct registry **out, struct fault *flt)
{
	return federation_registry_of(session->federation, namespace, out, flt);
}

static int read_operator(const struct session *session, struct operator_log **out, struct fault *flt)
{
	const struct config *config = &session->config;
	struct store_position position;
	struct fault own = {0};
	struct store *store;
	int verdict;

	if (!session->url.label[0])
		return 0;
	verdict = store_open(config->registries_dir, config->content_dir, config->cache_dir, session->url.label, &store,
			     flt);
	if (verdict)
		return verdict;
	/* One that does not parse is as good as none. */
	verdict = store_load_operator(store, out, &position, &own);
	store_close(store);
	if (verdict != WARG_UNDECIDED)
		return 0;
	*flt = own;
	return verdict;
}

int session_read_namespaces(const struct session *session, struct session_namespaces *out, struct fault *flt)
{
	int verdict = read_operator(session, &out->operator, flt);

	return verdict ? verdict : namespaces_load(session->config.namespace_map_path, &out->map, flt);
}

void session_namespaces_release(struct session_namespaces *namespaces)
{
	operator_log_unref(namespaces->operator);
	namespaces_release(&namespaces->map);
	*namespaces = (struct session_namespaces){0};
}

int session_read_name(const char *text, struct name *out, struct fault *flt)
{
	char own[sizeof(out->text)] = "";
	char *slash;

	snprintf(own, sizeof(own), "%s", text);
	slash = strchr(own, ':') ? NULL : strchr(own, '/');
	if (slash)
		*slash = ':';
	if (strlen(text) >= sizeof(own) || name_parse(span_of_text(own), out, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a package name: namespace:package, each in "
				       "lowercase words joined by '-'%s", text,
				       strstr(text, "://") ? "; a URL is given with --registry" :
				       strchr(text, '@') ? "; a version is given with --version" : "");
	return 0;
}
