/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs logout: deletes a registry's token (interop.md section C 9 and 10).
 */
#include "client/store/discovery.h"
#include "client/user/keyring.h"
#include "commands.h"
#include "output.h"
#include "session.h"

#include <stdio.h>
#include <string.h>

/* Of the URL itself, where the reference has it, and of what it stood for last, where login keeps it. */
static int delete_tokens(struct session *session, bool *any, struct fault *flt)
{
	const struct config *config = &session->config;
	struct http_url found = session->url;
	bool own = false, others = false;
	int verdict = discovery_recall(config->state_dir, &session->url, &found, flt);

	if (!verdict)
		verdict = keyring_delete_token(config, &session->url, &own, flt);
	if (!verdict && strcmp(found.label, session->url.label))
		verdict = keyring_delete_token(config, &found, &others, flt);
	*any = own || others;
	return verdict;
}

/* Nothing is sent any more to the home registry. @param changed  whether something was */
static int stop_sending(struct session *session, bool *changed, struct fault *flt)
{
	struct config *config = &session->config;
	struct http_url home;

	*changed = config->keyring_auth && config->home_url && !http_url_parse(config->home_url, &home, NULL) &&
		   !strcmp(home.text, session->url.text);
	if (!*changed)
		return 0;
	config->keyring_auth = false;
	return config_save(config, flt);
}

static int log_out(struct session *session, const struct options *options, struct fault *flt)
{
	const char *typed = options->argument_count ? options->arguments[0] : NULL;
	bool any = false, changed = false;
	int verdict = session_load(session, options, flt);

	if (!verdict && typed && options->registry)
		verdict = fault_undecided(flt, FAULT_MISUSE, "two registries are given");
	if (!verdict)
		verdict = session_choose(session, typed, options, flt);
	if (!verdict)
		verdict = delete_tokens(session, &any, flt);
	if (!verdict)
		verdict = stop_sending(session, &changed, flt);
	if (!verdict && !any && !changed)
		verdict = fault_undecided(flt, FAULT_ABSENT, "there is no token for %.200s", session->url.text);
	return verdict;
}

static int report(const struct command *command, const struct options *options, const struct session *session)
{
	struct json *json;

	if (!options->json) {
		printf("Logged out of %s\n", session->url.text);
		return STATUS_DONE;
	}
	json = json_new_object();
	json_put_text(json, "registry", session->url.text);
	return output_json(command, json);
}

static int run(const struct command *command, int argc, char **argv)
{
	struct session session = {0};
	struct options options;
	struct fault flt = {0};
	int status;

	if (!options_parse(command, argc, argv, NULL, NULL, &options, &status))
		return status;
	status = log_out(&session, &options, &flt) ? options_fail(command, &flt) :
						     report(command, &options, &session);
	session_release(&session);
	return status;
}

const struct command logout_command = {
	.name = "logout",
	.arguments = "[URL]",
	.summary = "Delete a registry's token",
	.text = "\nIf it is the home registry, no token is sent any more. URL is the same as --registry URL.\n",
	.most = 1,
	.is_deed = true,
	.run = run,
};
