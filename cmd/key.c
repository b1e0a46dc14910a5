/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs key: the keys that publishes are signed with, shared with the reference (interop.md section C 9 and 10).
 */
#include "client/user/keyring.h"
#include "commands.h"
#include "keyring_choice.h"
#include "output.h"
#include "secret.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BACKEND = 300 };

/* Of those that store a key. */
static const struct options_entry storing[] = {
	{KEY_BACKEND, "keyring-backend", "NAME", "where to keep it, and other keys: secret-service, flat-file, "
						 "linux-keyutils or mock"},
	{0}
};

static int take(void *user, int key, const char *value, struct fault *flt)
{
	const char **backend = user;

	(void)key;
	return keyring_choice_read(value, backend, flt);
}

static int read_config(const struct options *options, struct session *session, struct fault *flt)
{
	struct http_url url;
	int verdict = session_load(session, options, flt);

	/* Only looked at: the key's name is what was typed. */
	return verdict || !options->registry ? verdict : http_url_parse(options->registry, &url, flt);
}

/* As the reference prints it. */
static int print_key(const struct command *command, const struct options *options, const struct ecdsa_private_key *key)
{
	const struct ecdsa_public_key *public = ecdsa_private_key_public(key);
	char id[DIGEST_TEXT_SIZE];
	struct json *json;

	if (options->json) {
		json = json_new_object();
		json_put_digest(json, "keyId", ecdsa_public_key_id(public));
		json_put_text(json, "publicKey", ecdsa_public_key_text(public));
		return output_json(command, json);
	}
	digest_format(ecdsa_public_key_id(public), id);
	printf("Key ID: %s\nPublic Key: %s\n", id, ecdsa_public_key_text(public));
	return STATUS_DONE;
}

/* The name that a key is to have: its registry's as typed, or that of the key that there is without one. */
static int add_name(const struct options *options, struct config *config, struct fault *flt)
{
	const char *registry = options->registry;

	return config_add_key(config, registry ? registry : keyring_key_name(config, NULL), flt);
}

/* A key that is replaced is lost. @return whether another one may take its place */
static bool may_replace(const struct options *options, const struct ecdsa_private_key *before,
			const struct ecdsa_private_key *key)
{
	const struct digest *id = ecdsa_public_key_id(ecdsa_private_key_public(before));
	char text[DIGEST_TEXT_SIZE];

	if (digest_equals(id, ecdsa_public_key_id(ecdsa_private_key_public(key))))
		return true;
	digest_format(id, text);
	return output_ask(options, false, "The key %s is there already, and would be lost. Replace it?", text);
}

/* @param stopped  whether the person does not want it */
static int keep(const struct options *options, struct config *config, const struct ecdsa_private_key *key,
		bool *stopped, struct fault *flt)
{
	struct ecdsa_private_key *before = NULL;
	struct fault own = {0};
	int verdict = add_name(options, config, flt);

	if (verdict)
		return verdict;
	verdict = keyring_find_signing_key(config, options->registry, &before, &own);
	if (!verdict)
		*stopped = !may_replace(options, before, key);
	else if (verdict == WARG_INVALID)
		*stopped = !output_ask(options, false, "What is kept there is no key (%s). Replace it?", own.what);
	else if (own.kind != FAULT_NO_KEY)
		*flt = own;
	ecdsa_private_key_free(before);
	if (*stopped || flt->verdict)
		return flt->verdict;
	verdict = keyring_set_signing_key(config, options->registry, key, flt);
	return verdict ? verdict : config_save(config, flt);
}

static int take_typed(struct ecdsa_private_key **out, struct fault *flt)
{
	struct buf text;
	int verdict;

	buf_init(&text, CAP_SECRET);
	verdict = secret_read("The private key (ecdsa-p256:BASE64)", &text, flt);
	if (!verdict)
		verdict = ecdsa_private_key_parse(buf_span(&text), out, flt);
	if (verdict)
		fault_blame(flt, FAULT_BY_USER);
	buf_wipe(&text);
	return verdict;
}

/* ---- The commands, once their options are parsed and the configuration is read ---- */

/* Keep the key that there is now, if there is one. Steals it. */
static int finish_keeping(const struct command *command, const struct options *options, struct config *config,
			  struct ecdsa_private_key *key, struct fault *flt)
{
	bool stopped = false;
	int status;

	if (!flt->verdict)
		keep(options, config, key, &stopped, flt);
	if (flt->verdict)
		status = options_fail(command, flt);
	else
		status = stopped ? STATUS_FAILED : print_key(command, options, key);
	ecdsa_private_key_free(key);
	return status;
}

static int make(const struct command *command, const struct options *options, struct config *config)
{
	struct ecdsa_private_key *key = NULL;
	struct fault flt = {0};

	ecdsa_private_key_generate(&key, &flt);
	return finish_keeping(command, options, config, key, &flt);
}

static int set(const struct command *command, const struct options *options, struct config *config)
{
	struct ecdsa_private_key *key = NULL;
	struct fault flt = {0};

	take_typed(&key, &flt);
	return finish_keeping(command, options, config, key, &flt);
}

static int show(const struct command *command, const struct options *options, struct config *config)
{
	struct ecdsa_private_key *key = NULL;
	struct fault flt = {0};
	int status;

	if (keyring_find_signing_key(config, options->registry, &key, &flt))
		return options_fail(command, &flt);
	status = print_key(command, options, key);
	ecdsa_private_key_free(key);
	return status;
}

static int report_deleted(const struct command *command, const struct options *options, const char *name)
{
	struct json *json;

	if (!options->json) {
		printf("The signing key was deleted\n");
		return STATUS_DONE;
	}
	json = json_new_object();
	json_put_text(json, "deleted", name);
	return output_json(command, json);
}

static int delete(const struct command *command, const struct options *options, struct config *config)
{
	char *name = strdup(keyring_key_name(config, options->registry));
	struct fault flt = {0};
	int status = STATUS_FAILED;

	if (!name)
		fault_no_memory(&flt);
	else if (!output_ask(options, false, "Delete the signing key (%s)? It cannot be had back.", name))
		goto out;
	else
		keyring_delete_signing_key(config, options->registry, &flt);
	if (!flt.verdict) {
		config_remove_key(config, name);
		config_save(config, &flt);
	}
	status = flt.verdict ? options_fail(command, &flt) : report_deleted(command, options, name);
out:
	free(name);
	return status;
}

static int run(const struct command *command, int argc, char **argv,
	       int (*work)(const struct command *, const struct options *, struct config *))
{
	struct session session = {0};
	const char *backend = NULL;
	struct options options;
	struct fault flt = {0};
	int status, verdict;

	if (!options_parse(command, argc, argv, take, &backend, &options, &status))
		return status;
	verdict = read_config(&options, &session, &flt);
	if (!verdict && command->options)
		verdict = keyring_choice_make(&options, &session.environment, backend, &session.config, &flt);
	if (verdict)
		status = options_fail(command, &flt);
	else
		status = work(command, &options, &session.config);
	session_release(&session);
	return status;
}

static int run_new(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, make);
}

static int run_info(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, show);
}

static int run_set(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, set);
}

static int run_delete(const struct command *command, int argc, char **argv)
{
	return run(command, argc, argv, delete);
}

static const struct command new_command = {
	.name = "key new",
	.hides = true,
	.arguments = "",
	.summary = "Make a signing key, and keep it in the keyring",
	.text = "\nWith --registry it is for that registry alone, else for all that have none of their own. What is\n"
		"printed is public: a registry's operator wants the key's id to let it publish.\n",
	.asks = true,
	.options = storing,
	.is_deed = true,
	.run = run_new,
};

static const struct command show_command = {
	.name = "key info",
	.arguments = "",
	.summary = "Print the id and the public half of the key that signs",
	.text = "\nThe key for the registry that is given, else the one that the home registry's publishes are signed\n"
		"with.\n",
	.run = run_info,
};

static const struct command set_command = {
	.name = "key set",
	.hides = true,
	.arguments = "",
	.summary = "Keep a signing key that there is already",
	.text = "\nThe private key is asked for, and not shown while it is typed; or it is the first line of the\n"
		"standard input. Its form is ecdsa-p256: and base64.\n",
	.asks = true,
	.options = storing,
	.is_deed = true,
	.run = run_set,
};

static const struct command delete_command = {
	.name = "key delete",
	.arguments = "",
	.summary = "Delete the signing key from the keyring",
	.asks = true,
	.is_deed = true,
	.run = run_delete,
};

static const struct command *const group[] = {&new_command, &show_command, &set_command, &delete_command, NULL};

const struct command key_command = {
	.name = "key",
	.summary = "Make, show, take or delete the key that publishes are signed with",
	.text = "\nKeys are kept in the keyring that the configuration names: the desktop's, files, or the kernel's.\n"
		"They are shared with the client warg.\n",
	.group = group,
};
