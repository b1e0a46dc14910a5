/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * The environment of the reference server, and the usual data folder (see serve_environment.h).
 */
#include "serve_environment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/user/config.h"
#include "server/key_file.h"

#define ID_SHOWN 16 /* digits of the key's id: as many as make it differ from all others */

/* A variable that is empty is unset. */
static char *read_variable(const char *name)
{
	char *value = secure_getenv(name);

	return value && *value ? value : NULL;
}

static const char *or_variable(const char *given, const char *name)
{
	return given && *given ? given : read_variable(name);
}

/* The reference keeps its state in memory, unless it is told where a PostgreSQL is. */
static int check_store(struct fault *flt)
{
	const char *store = read_variable("WARG_DATA_STORE");

	if (!store || !strcmp(store, "memory"))
		return 0;
	return fault_undecided(flt, FAULT_MISUSE, "WARG_DATA_STORE is \"%.40s\": records are kept in SQLite here, in "
			       "the folder of --data; unset it, or see wargfs-warg(7)", store);
}

int serve_environment_read(struct serve_environment *environment, struct embedded_registry *server,
			   struct serve_files *files, struct fault *flt)
{
	const char *verbose = read_variable("WARG_VERBOSE");

	environment->listen = or_variable(environment->listen, "WARG_LISTEN");
	environment->namespace = read_variable("WARG_NAMESPACE");
	environment->is_verbose |= verbose && strcmp(verbose, "0");
	server->content_dir = or_variable(server->content_dir, "WARG_CONTENT_DIR");
	server->content_url = or_variable(server->content_url, "WARG_CONTENT_BASE_URL");
	server->key_file = or_variable(server->key_file, "WARG_OPERATOR_KEY_FILE");
	server->key_text = read_variable("WARG_OPERATOR_KEY");
	files->authorized_keys = or_variable(files->authorized_keys, "WARG_AUTHORIZED_KEYS_FILE");
	files->operator_key = server->key_file;
	return check_store(flt);
}

/* ---- The usual data folder ---- */

static int read_key_id(const struct embedded_registry *server, char out[static DIGEST_TEXT_SIZE], struct fault *flt)
{
	struct ecdsa_private_key *key;
	int r;

	if (server->key_file)
		r = key_file_read(server->key_file, &key, flt);
	else
		r = key_file_parse(span_of_text(server->key_text), &key, flt);
	if (r) {
		fault_blame(flt, FAULT_BY_USER);
		return r;
	}
	digest_format(ecdsa_public_key_id(ecdsa_private_key_public(key)), out);
	ecdsa_private_key_free(key);
	return 0;
}

static int name_folder(const char *key_id, char out[static PATH_MAX], struct fault *flt)
{
	struct config_environment user;
	int length, r = config_environment_read(&user, flt);

	if (r)
		return r;
	length = snprintf(out, PATH_MAX, "%s%s/wargfs/registries/%.*s", user.xdg_data_home ? user.xdg_data_home :
			  user.home, user.xdg_data_home ? "" : "/.local/share", ID_SHOWN, strchr(key_id, ':') + 1);
	if (!user.xdg_data_home && !user.home)
		r = fault_undecided(flt, FAULT_MISUSE, "where is the registry to be kept, as there is no HOME? "
				    "--data DIR");
	else if (length >= PATH_MAX)
		r = fault_undecided(flt, FAULT_MISUSE, "the path of the user's data folder is too long: --data DIR");
	config_environment_release(&user);
	return r;
}

int serve_environment_place(struct serve_environment *environment, struct embedded_registry *server, struct fault *flt)
{
	char key_id[DIGEST_TEXT_SIZE];
	int r;

	if (server->data_dir)
		return 0;
	if (!server->key_file && !server->key_text)
		return fault_undecided(flt, FAULT_MISUSE, "where is the registry to be kept? --data DIR");
	r = read_key_id(server, key_id, flt);
	if (!r)
		r = name_folder(key_id, environment->folder, flt);
	if (!r)
		server->data_dir = environment->folder;
	return r;
}
