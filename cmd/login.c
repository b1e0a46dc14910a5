/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs login: keeps a token for a registry, and has it sent from then on (interop.md section C 9 and 10, section D).
 */
#include "client/store/discovery.h"
#include "client/user/keyring.h"
#include "commands.h"
#include "keyring_choice.h"
#include "output.h"
#include "secret.h"
#include "session.h"

#include <stdio.h>
#include <string.h>

enum { KEY_IGNORE_HINTS = 300, KEY_NO_ACCEPT, KEY_NO_INIT, KEY_BACKEND };

static const struct options_entry entries[] = {
	{KEY_IGNORE_HINTS, "ignore-federation-hints", NULL, "from now on, ignore hints to other registries"},
	{KEY_NO_ACCEPT, "disable-auto-accept-federation-hints", NULL, "from now on, ask before a hint is followed"},
	{KEY_NO_INIT, "disable-auto-package-init", NULL, "from now on, a release initializes no package"},
	{KEY_BACKEND, "keyring-backend", "NAME", "where to keep it, and keys: secret-service, flat-file, "
						 "linux-keyutils or mock"},
	{0}
};

/* A login, from front to back. */
struct login {
	const char *backend; /* NULL: not given */
	bool ignores_hints, asks_for_hints, asks_for_init;
	struct options options;
	struct session session;
	struct ecdsa_private_key *made; /* NULL: there was a key already */
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct login *login = user;

	switch (key) {
	case KEY_IGNORE_HINTS:
		login->ignores_hints = true;
		return 0;
	case KEY_NO_ACCEPT:
		login->asks_for_hints = true;
		return 0;
	case KEY_NO_INIT:
		login->asks_for_init = true;
		return 0;
	default:
		return keyring_choice_read(value, &login->backend, flt);
	}
}

static int choose_registry(struct login *login, struct fault *flt)
{
	const char *typed = login->options.argument_count ? login->options.arguments[0] : NULL;

	if (typed && login->options.registry)
		return fault_undecided(flt, FAULT_MISUSE, "two registries are given");
	return session_choose(&login->session, typed, &login->options, flt);
}

/* The first registry becomes the home registry; another one does if the person wants it. */
static int choose_home(struct login *login, struct fault *flt)
{
	struct config *config = &login->session.config;
	const char *chosen = login->session.url.text;
	struct http_url home;

	if (config->home_url && !http_url_parse(config->home_url, &home, NULL) && !strcmp(home.text, chosen))
		return 0;
	if (config->home_url && !output_ask(&login->options, false, "The home registry is %s. Make %s the home "
					    "registry?", config->home_url, chosen))
		return 0;
	return config_set_text(&config->home_url, chosen, flt);
}

/* Who has no key at all gets one, as from the reference; one that is in the keyring already is taken. */
static int choose_key(struct login *login, struct fault *flt)
{
	struct config *config = &login->session.config;
	struct fault own = {0};
	int verdict;

	if (config->key_count)
		return 0;
	verdict = config_add_key(config, keyring_key_name(config, NULL), flt);
	if (verdict)
		return verdict;
	verdict = keyring_find_signing_key(config, NULL, &login->made, &own);
	ecdsa_private_key_free(login->made);
	login->made = NULL;
	if (verdict && own.kind != FAULT_NO_KEY)
		*flt = own;
	if (!verdict || flt->verdict)
		return flt->verdict;
	verdict = ecdsa_private_key_generate(&login->made, flt);
	return verdict ? verdict : keyring_set_signing_key(config, NULL, login->made, flt);
}

static int take_token(struct login *login, struct buf *token, struct fault *flt)
{
	char prompt[CAP_URL + 64];
	int verdict;

	snprintf(prompt, sizeof(prompt), "The token for %s", http_url_name(&login->session.url));
	verdict = secret_read(prompt, token, flt);
	if (!verdict)
		verdict = keyring_check_token(buf_span(token), flt);
	if (verdict)
		fault_blame(flt, FAULT_BY_USER);
	return verdict;
}

static void change_settings(const struct login *login, struct config *config)
{
	config->keyring_auth = true;
	if (login->ignores_hints)
		config->ignore_federation_hints = true;
	if (login->asks_for_hints)
		config->disable_auto_accept_federation_hints = true;
	if (login->asks_for_init)
		config->disable_auto_package_init = true;
}

static int discover(struct session *session, struct http_url *typed, struct fault *flt)
{
	*typed = session->url;
	return session_discover(session, SESSION_TIMEOUT, flt);
}

static int log_in(struct login *login, struct fault *flt)
{
	struct session *session = &login->session;
	struct http_url typed;
	struct buf token;
	int verdict = session_load(session, &login->options, flt);

	buf_init(&token, CAP_SECRET);
	if (!verdict)
		verdict = choose_registry(login, flt);
	if (!verdict)
		verdict = choose_home(login, flt);
	if (!verdict)
		verdict = keyring_choice_make(&login->options, &session->environment, login->backend,
					      &session->config, flt);
	if (!verdict)
		verdict = discover(session, &typed, flt);
	if (!verdict)
		verdict = take_token(login, &token, flt);
	if (!verdict)
		verdict = keyring_set_token(&session->config, &session->url, buf_span(&token), flt);
	/* Pin the URL: the token is sent before a registry is verified, so it must never go to another one. */
	if (!verdict)
		verdict = discovery_pin(session->config.state_dir, &typed, &session->url, flt);
	buf_wipe(&token);
	if (!verdict)
		verdict = choose_key(login, flt);
	if (verdict)
		return verdict;
	change_settings(login, &session->config);
	return config_save(&session->config, flt);
}

static int report(const struct command *command, const struct login *login)
{
	const struct ecdsa_public_key *made = login->made ? ecdsa_private_key_public(login->made) : NULL;
	const char *backend = keyring_backend_of(&login->session.config);
	char id[DIGEST_TEXT_SIZE];
	struct json *json;

	if (login->options.json) {
		json = json_new_object();
		json_put_text(json, "registry", login->session.url.text);
		json_put_text(json, "keyringBackend", backend);
		if (made) {
			json_put_digest(json, "keyId", ecdsa_public_key_id(made));
			json_put_text(json, "publicKey", ecdsa_public_key_text(made));
		}
		return output_json(command, json);
	}
	printf("Logged in to %s; the token is kept in the keyring %s\n", login->session.url.text, backend);
	if (made) {
		digest_format(ecdsa_public_key_id(made), id);
		printf("A signing key was made.\nKey ID: %s\nPublic Key: %s\n", id, ecdsa_public_key_text(made));
	}
	return STATUS_DONE;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct login login = {0};
	struct fault flt = {0};
	int status;

	if (!options_parse(command, argc, argv, take, &login, &login.options, &status))
		return status;
	status = log_in(&login, &flt) ? options_fail(command, &flt) : report(command, &login);
	ecdsa_private_key_free(login.made);
	session_release(&login.session);
	return status;
}

const struct command login_command = {
	.name = "login",
	.hides = true,
	.arguments = "[URL]",
	.summary = "Keep a token for a registry, and send it from now on",
	.text = "\nThe token is asked for, and not shown while it is typed; or it is the first line of the standard\n"
		"input. Where there is no signing key, one is made. URL is the same as --registry URL.\n",
	.most = 1,
	.asks = true,
	.sends = true,
	.options = entries,
	.is_deed = true,
	.run = run,
};
