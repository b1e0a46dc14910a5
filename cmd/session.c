/*
 * Sessions (see session.h; discovery: protocol.md section 6).
 */
#include "session.h"

#include <stdio.h>
#include <string.h>

int session_load(struct session *session, const struct options *options, struct fault *flt)
{
	int verdict = config_environment_read(&session->environment, flt);

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
	return http_url_parse(text, &session->url, flt);
}

static int discover(struct session *session, unsigned timeout, struct fault *flt)
{
	struct http_url found;
	struct http *http;
	int verdict = http_new(&http, flt);

	if (verdict)
		return verdict;
	verdict = api_discover(http, &session->url, clock_in_seconds(timeout), &found, flt);
	http_free(http);
	if (!verdict)
		session->url = found;
	return verdict;
}

int session_open(struct session *session, const struct session_open *how, struct fault *flt)
{
	struct registry_options options = {
		.registries_dir = session->config.registries_dir,
		.content_dir = session->config.content_dir,
		.own_dir = session->config.cache_dir,
		.state_dir = session->config.state_dir,
		.timeout = how->timeout ? how->timeout : SESSION_TIMEOUT,
		.refresh = how->refresh,
		.changed = how->changed,
		.failed = how->failed,
		.user = how->user,
	};
	int verdict = discover(session, options.timeout, flt);

	if (verdict)
		return verdict;
	options.url = session->url;
	return registry_open(&options, &session->registry, flt);
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
	registry_close(session->registry);
	if (session->has_config)
		config_release(&session->config);
	if (session->has_environment)
		config_environment_release(&session->environment);
	*session = (struct session){0};
}

void session_content_path(const struct session *session, const struct digest *digest, char *out, size_t size)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	snprintf(out, size, "%s/sha256/%s", session->config.content_dir, text + strlen("sha256:"));
}

int session_read_name(const char *text, struct name *out, struct fault *flt)
{
	if (name_parse(span_of_text(text), out, NULL))
		return fault_undecided(flt, FAULT_MISUSE, "'%.100s' is not a package name: namespace:package, each in "
				       "lowercase words joined by '-'", text);
	return 0;
}
