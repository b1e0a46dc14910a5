/*
 * Sessions (see session.h; discovery: protocol.md section 6).
 */
#include "output.h"
#include "session.h"

#include <stdio.h>
#include "client/discovery.h"
#include "client/keyring.h"

#include <string.h>

int session_load(struct session *session, const struct options *options, struct fault *flt)
{
	int verdict = config_environment_read(&session->environment, flt);

	session->options = options;
	if (verdict)
		return verdict;
	session->has_environment = true;
	verdict = config_load(options->config, &session->environment, &session->config, flt);
	if (verdict)
		return verdict;
	session->has_config = true;
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

int session_discover(struct session *session, unsigned timeout, struct fault *flt)
{
	struct http_url found;
	struct http *http;
	int verdict = http_new(&http, flt);

	if (verdict)
		return verdict;
	verdict = api_discover(http, &session->url, clock_in_seconds(timeout), &found, flt);
	http_free(http);
	if (verdict)
		return verdict;
	discovery_remember(session->config.state_dir, &session->url, &found);
	session->url = found;
	return 0;
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
	session->url = discovery_recall(session->config.state_dir, &session->url);
	return 0;
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
			  session->url.text, domain, namespace);
}

/* @param token  wipe it whatever becomes of it; a text, or empty where none is to be sent */
static int find_token(const struct session *session, struct buf *token, struct fault *flt)
{
	bool found = false;
	int verdict = keyring_find_token(&session->config, &session->url, token, &found, flt);

	return verdict || !found ? verdict : buf_append(token, (struct span){(const unsigned char *)"", 1}, flt);
}

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
		.failed = how->failed,
		.user = how->user,
	};
	struct federation_options options = {
		.map = session->config.namespace_map_path,
		.hints = hints_of(&session->config, how),
		.accept = accept_hint,
		.user = session,
		.welcome = how->welcome,
		.host = how->host,
	};
	struct buf token;
	int verdict = find_registry(session, how, home.timeout, flt);

	if (verdict)
		return verdict;
	buf_init(&token, CAP_SECRET + 1);
	if (!how->offline)
		verdict = find_token(session, &token, flt);
	home.url = session->url;
	home.token = (const char *)token.data;
	options.home = home;
	if (!verdict)
		verdict = federation_open(&options, &session->federation, flt);
	buf_wipe(&token);
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

void session_release(struct session *session)
{
	federation_close(session->federation);
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
	if (session->local)
		return local_find_signing_key(session->local, out, flt);
	return keyring_find_signing_key(&session->config, typed, out, flt);
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
	if (name_parse(span_of_text(text), out, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a package name: namespace:package, each in "
				       "lowercase words joined by '-'", text);
	return 0;
}
