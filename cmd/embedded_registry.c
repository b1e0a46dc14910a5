/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Opening and ending a registry (see embedded_registry.h).
 */
#include "embedded_registry.h"

#include "server/begun.h"
#include "server/folder.h"
#include "server/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define REFRESH_USUAL 60 /* seconds */

/*
 * A key is made for a registry that begins. What was brought from elsewhere is signed by who has its key, and is
 * mirrored by others.
 */
static int read_key(struct embedded_registry *server, struct database *database, struct fault *flt)
{
	struct fault own = {0};
	uint64_t length = 0;
	int r;

	if (server->key_file)
		return key_file_read(server->key_file, &server->key, flt);
	if (server->key_text)
		return key_file_parse(span_of_text(server->key_text), &server->key, flt);
	r = published_length(database, &length, flt);
	if (r)
		return r;
	r = key_file_keep(database_folder(database), KEY_FILE_OPERATOR, !length && !server->origin, &server->key, &own);
	if (own.kind == FAULT_NO_KEY && server->origin)
		return 0;
	if (r)
		*flt = own;
	return r;
}

/* What has no meaning for a mirror, or only for one, is refused. */
static int check_role(const struct embedded_registry *server, struct fault *flt)
{
	const char *refused = NULL;

	if (server->key && server->refresh)
		refused = "--refresh is for a mirror: with the operator's key the registry is brought once";
	else if (!server->key && server->namespace_count)
		refused = "a mirror has the namespaces of its origin: --namespace needs the operator's key";
	else if (!server->key && (server->authorized || server->token.length))
		refused = "nothing is published to a mirror: --authorized-keys-file and --auth-token-file need the "
			  "operator's key";
	if (!refused)
		return 0;
	fault_undecided(flt, FAULT_MISUSE, "%s", refused);
	fault_blame(flt, FAULT_BY_USER);
	return flt->verdict;
}

/* A registry has begun once it has a record: until then it is told the same as a new one. */
static int choose_namespaces(struct embedded_registry *server, struct database *database, struct fault *flt)
{
	uint64_t length = 0;
	int r;

	if (server->namespace_count || !server->usual_namespace)
		return 0;
	r = published_length(database, &length, flt);
	if (r || length)
		return r;
	server->usual = (struct operator_wish){.name = server->usual_namespace};
	server->namespaces = &server->usual;
	server->namespace_count = 1;
	return 0;
}

/* @param database  taken */
static int open_service(struct embedded_registry *server, struct database *database, struct fault *flt)
{
	char folder[PATH_MAX], contents[PATH_MAX + sizeof("/contents")];
	const struct service_options options = {
		.database = database,
		.content_dir = server->content_dir ? server->content_dir : contents,
		.key = server->key,
		.origin = server->origin,
		.state_dir = server->state_dir,
		.refresh = server->refresh ? server->refresh : REFRESH_USUAL,
		.namespaces = server->namespaces,
		.namespace_count = server->namespace_count,
		.authorized = server->authorized,
		.token = server->token,
		.public_url = server->public_url,
		.content_url = server->content_url,
		.content_limit = server->content_limit,
		.failed = server->failed,
		.imported = server->imported,
		.user = server->user,
	};

	if (folder_path(database_folder(database), folder, flt)) {
		database_close(database);
		return flt->verdict;
	}
	snprintf(contents, sizeof(contents), "%s/contents", folder);
	return service_open(&options, &server->service, flt);
}

/* @param database  taken */
static int open_and_mark(struct embedded_registry *server, struct database *database, struct fault *flt)
{
	int folder = fcntl(database_folder(database), F_DUPFD_CLOEXEC, 0), r;

	if (folder < 0) {
		database_close(database);
		return fault_system(flt, errno, "%.150s", server->data_dir);
	}
	r = open_service(server, database, flt);
	if (!r && service_length(server->service))
		r = begun_mark(folder, flt);
	close(folder);
	return r;
}

static int open_data(struct embedded_registry *server, struct fault *flt)
{
	struct database *database = NULL;
	/* A registry that is brought here is not begun: it has one history, wherever it is. */
	int r = server->origin ? 0 : begun_check(server->data_dir, flt);

	if (!r)
		r = database_open(server->data_dir, &database, flt);
	if (r)
		return r;
	/* The key is looked for once the folder is ours: of two that start at once only one may make it. */
	r = read_key(server, database, flt);
	if (!r)
		r = check_role(server, flt);
	if (!r)
		r = choose_namespaces(server, database, flt);
	if (r) {
		database_close(database);
		return r;
	}
	return open_and_mark(server, database, flt);
}

int embedded_registry_open(struct embedded_registry *server, struct fault *flt)
{
	int r = open_data(server, flt);

	/* A database that lies is this machine's. */
	if (r)
		fault_blame(flt, FAULT_BY_SYSTEM);
	return r;
}

int embedded_registry_listen(struct embedded_registry *server, struct fault *flt)
{
	int r = http_server_start(server->service, &server->listen, &server->listener, flt);

	if (r)
		fault_blame(flt, FAULT_BY_SYSTEM);
	return r;
}

void embedded_registry_stop(struct embedded_registry *server)
{
	http_server_stop(server->listener);
	service_close(server->service);
	ecdsa_private_key_free(server->key);
	server->listener = NULL;
	server->service = NULL;
	server->key = NULL;
}
