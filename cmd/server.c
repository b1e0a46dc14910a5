/*
 * Opening and ending a registry (see server.h).
 */
#include "server.h"

#include "server/operator_key.h"

#include <limits.h>
#include <stdio.h>

static int read_key(struct server *server, struct fault *flt)
{
	if (server->key_file)
		return operator_key_read(server->key_file, &server->key, flt);
	if (server->key_text)
		return operator_key_parse(span_of_text(server->key_text), &server->key, flt);
	return operator_key_keep(server->data_dir, OPERATOR_KEY_FILE, true, &server->key, flt);
}

/* A registry has begun once it has a record: until then it is told the same as a new one. */
static int choose_namespaces(struct server *server, struct database *database, struct fault *flt)
{
	uint64_t length = 0;
	int r;

	if (server->namespace_count || !server->usual_namespace)
		return 0;
	r = committed_length(database, &length, flt);
	if (r || length)
		return r;
	server->usual = (struct operator_wish){.name = server->usual_namespace};
	server->namespaces = &server->usual;
	server->namespace_count = 1;
	return 0;
}

/* @param database  taken */
static int open_service(struct server *server, struct database *database, struct fault *flt)
{
	char contents[PATH_MAX];
	const struct service_options options = {
		.database = database,
		.data_dir = server->data_dir,
		.content_dir = server->content_dir ? server->content_dir : contents,
		.key = server->key,
		.namespaces = server->namespaces,
		.namespace_count = server->namespace_count,
		.authorized = server->authorized,
		.token = server->token,
		.base_url = server->base_url,
		.content_limit = server->content_limit,
		.failed = server->failed,
		.user = server->user,
	};

	snprintf(contents, sizeof(contents), "%s/contents", server->data_dir);
	return service_open(&options, &server->service, flt);
}

static int start(struct server *server, struct fault *flt)
{
	struct database *database = NULL;
	int r = database_open(server->data_dir, &database, flt);

	if (r)
		return r;
	/* The key is looked for once the folder is ours: of two that start at once only one may make it. */
	r = read_key(server, flt);
	if (!r)
		r = choose_namespaces(server, database, flt);
	if (r) {
		database_close(database);
		return r;
	}
	r = open_service(server, database, flt);
	return r ? r : listener_start(server->service, &server->listen, &server->listener, flt);
}

int server_start(struct server *server, struct fault *flt)
{
	int r = start(server, flt);

	/* A database that lies is this machine's. */
	if (r)
		fault_blame(flt, FAULT_BY_SYSTEM);
	return r;
}

void server_stop(struct server *server)
{
	listener_stop(server->listener);
	service_close(server->service);
	ecdsa_private_key_free(server->key);
	server->listener = NULL;
	server->service = NULL;
	server->key = NULL;
}
