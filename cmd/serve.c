/*
 * wargfs serve: a registry in one process.
 *
 * What the reference server reads from the environment is read from there, too; an option counts more.
 */
#include "client/file.h"
#include "commands.h"
#include "output.h"
#include "server.h"
#include "server/operator_key.h"
#include "service_manager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LISTEN_USUAL "127.0.0.1:8090"
#define NAMESPACES 64 /* on one command line */

enum {
	KEY_DATA = 300, KEY_CONTENT_DIR, KEY_NAMESPACE, KEY_OPERATOR_KEY_FILE, KEY_AUTHORIZED_KEYS_FILE,
	KEY_AUTH_TOKEN_FILE, KEY_CONTENT_LIMIT, KEY_BASE_URL, KEY_TLS_CERTIFICATE, KEY_TLS_KEY,
};

static const struct options_entry entries[] = {
	{KEY_DATA, "data", "DIR", "where the registry's state is kept"},
	{KEY_CONTENT_DIR, "content-dir", "DIR", "where contents are kept; contents in --data's, unless given"},
	{'l', "listen", "ADDRESS", "ADDRESS:PORT or unix:PATH; " LISTEN_USUAL " unless given"},
	{KEY_NAMESPACE, "namespace", "NAME", "have a namespace, or with NAME=REGISTRY one of another registry; "
					     "may be repeated"},
	{KEY_OPERATOR_KEY_FILE, "operator-key-file", "FILE", "the operator's key; " OPERATOR_KEY_FILE " in --data's, "
							     "made where missing, unless given"},
	{KEY_AUTHORIZED_KEYS_FILE, "authorized-keys-file", "FILE", "who may publish what"},
	{KEY_AUTH_TOKEN_FILE, "auth-token-file", "FILE", "the token that one has to have for publishing"},
	{KEY_CONTENT_LIMIT, "content-limit", "BYTES", "how large one content may be; with k, M or G behind it"},
	{KEY_BASE_URL, "content-base-url", "URL", "how the registry is reached from outside"},
	{KEY_TLS_CERTIFICATE, "tls-certificate", "FILE", "the certificate for https, with its chain, in PEM"},
	{KEY_TLS_KEY, "tls-key", "FILE", "its key, in PEM"},
	{0}
};

/* A server, from front to back. */
struct serve {
	const struct command *command;
	struct options options;
	const char *listen, *authorized_file, *token_file, *base_url, *certificate_file, *tls_key_file;
	struct operator_wish namespaces[NAMESPACES];
	size_t namespace_count;
	char url[CAP_URL + 2]; /* of base_url, with '/' at its end */
	struct buf token, certificate, tls_key;
	struct authorized_keys *authorized;
	struct server server;
};

/* ---- Options ---- */

/* @param text  kept: a '=' in it becomes its end */
static int take_namespace(struct serve *serve, char *text, struct fault *flt)
{
	char *registry = strchr(text, '=');

	if (serve->namespace_count == NAMESPACES)
		return fault_undecided(flt, FAULT_MISUSE, "more than %d namespaces at a time", NAMESPACES);
	if (registry)
		*registry++ = 0;
	serve->namespaces[serve->namespace_count++] = (struct operator_wish){text, registry};
	return 0;
}

static int take_limit(struct serve *serve, const char *text, struct fault *flt)
{
	static const char units[] = "kMG";
	const char *unit;
	char *end;
	uint64_t number;
	unsigned shift = 0;

	errno = 0;
	number = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	if (unit) {
		shift = 10 * (unsigned)(unit - units + 1);
		end++;
	}
	if (*text < '0' || *text > '9' || *end || errno || number > CAP_CONTENT >> shift || !number)
		return fault_undecided(flt, FAULT_MISUSE, "'%.40s' is no size from 1 to %llu bytes", text, CAP_CONTENT);
	serve->server.content_limit = number << shift;
	return 0;
}

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct serve *serve = user;

	switch (key) {
	case KEY_DATA: serve->server.data_dir = value; break;
	case KEY_CONTENT_DIR: serve->server.content_dir = value; break;
	case 'l': serve->listen = value; break;
	case KEY_NAMESPACE: return take_namespace(serve, (char *)(uintptr_t)value, flt);
	case KEY_OPERATOR_KEY_FILE: serve->server.key_file = value; break;
	case KEY_AUTHORIZED_KEYS_FILE: serve->authorized_file = value; break;
	case KEY_AUTH_TOKEN_FILE: serve->token_file = value; break;
	case KEY_CONTENT_LIMIT: return take_limit(serve, value, flt);
	case KEY_BASE_URL: serve->base_url = value; break;
	case KEY_TLS_CERTIFICATE: serve->certificate_file = value; break;
	case KEY_TLS_KEY: serve->tls_key_file = value; break;
	}
	return 0;
}

/* What is not said, and has no usual value, may be in the environment. */
static const char *or_environment(const char *given, const char *name)
{
	const char *value = given ? given : secure_getenv(name);

	return value && *value ? value : NULL;
}

static int complete_options(struct serve *serve, struct fault *flt)
{
	const char *namespace = or_environment(NULL, "WARG_NAMESPACE");
	struct server *server = &serve->server;

	server->content_dir = or_environment(server->content_dir, "WARG_CONTENT_DIR");
	server->key_file = or_environment(server->key_file, "WARG_OPERATOR_KEY_FILE");
	server->key_text = or_environment(NULL, "WARG_OPERATOR_KEY");
	serve->listen = or_environment(serve->listen, "WARG_LISTEN");
	serve->authorized_file = or_environment(serve->authorized_file, "WARG_AUTHORIZED_KEYS_FILE");
	serve->base_url = or_environment(serve->base_url, "WARG_CONTENT_BASE_URL");
	if (!server->data_dir)
		return fault_undecided(flt, FAULT_MISUSE, "where is the registry to be kept? --data DIR");
	if (!serve->certificate_file != !serve->tls_key_file)
		return fault_undecided(flt, FAULT_MISUSE, "a certificate needs its key, and a key its certificate");
	if (!serve->namespace_count && namespace)
		return take_namespace(serve, (char *)(uintptr_t)namespace, flt);
	return 0;
}

/* ---- Files ---- */

/* PEM is text that ends with a NUL. */
static int read_pem(const char *path, struct buf *out, struct fault *flt)
{
	int r = path ? file_read_path(path, out, flt) : 0;

	return r || !path ? r : buf_append(out, (struct span){(const unsigned char *)"", 1}, flt);
}

static int read_token(struct serve *serve, struct fault *flt)
{
	struct buf *token = &serve->token;
	int r = serve->token_file ? file_read_path(serve->token_file, token, flt) : 0;

	while (token->length && strchr(" \t\r\n", token->data[token->length - 1]))
		token->length--;
	if (!r && serve->token_file && !token->length)
		r = fault_undecided(flt, FAULT_MISUSE, "%.150s holds no token", serve->token_file);
	return r;
}

static int read_base_url(struct serve *serve, struct fault *flt)
{
	const char *url = serve->base_url;
	size_t length = url ? strlen(url) : 0;

	if (!url)
		return 0;
	if ((strncmp(url, "http://", 7) && strncmp(url, "https://", 8)) || length > CAP_URL ||
	    strcspn(url, " \"\\<>?#") != length)
		return fault_undecided(flt, FAULT_MISUSE, "'%.150s' is no URL of a registry", url);
	snprintf(serve->url, sizeof(serve->url), "%s%s", url, url[length - 1] == '/' ? "" : "/");
	return 0;
}

static int read_files(struct serve *serve, struct fault *flt)
{
	int r = read_base_url(serve, flt);

	if (!r)
		r = read_token(serve, flt);
	if (!r)
		r = read_pem(serve->certificate_file, &serve->certificate, flt);
	if (!r)
		r = read_pem(serve->tls_key_file, &serve->tls_key, flt);
	if (!r && serve->authorized_file)
		r = authorized_keys_read(serve->authorized_file, &serve->authorized, flt);
	if (r)
		fault_blame(flt, FAULT_BY_USER);
	return r;
}

/* ---- Serving ---- */

static void failed(void *user, const struct fault *flt)
{
	const struct serve *serve = user;

	options_fail(serve->command, flt);
}

static int start(struct serve *serve, struct fault *flt)
{
	struct server *server = &serve->server;

	server->namespaces = serve->namespaces;
	server->namespace_count = serve->namespace_count;
	server->authorized = serve->authorized;
	server->token = buf_span(&serve->token);
	server->base_url = *serve->url ? serve->url : NULL;
	server->listen.address = serve->listen ? serve->listen : LISTEN_USUAL;
	server->listen.certificate = (const char *)serve->certificate.data;
	server->listen.key = (const char *)serve->tls_key.data;
	server->failed = failed;
	server->user = serve;
	if (service_manager_socket(&server->listen.socket, flt))
		return flt->verdict;
	return server_start(server, flt);
}

static int say(const struct serve *serve)
{
	struct ecdsa_public_key *key = ecdsa_private_key_public(serve->server.key);
	const char *address = listener_address(serve->server.listener);
	char url[CAP_URL + 2], key_id[DIGEST_TEXT_SIZE];
	struct json *json;

	digest_format(ecdsa_public_key_id(key), key_id);
	if (*serve->url)
		snprintf(url, sizeof(url), "%s", serve->url);
	else if (*address == '/' || !strchr(address, ':'))
		snprintf(url, sizeof(url), "unix:%s", address);
	else
		snprintf(url, sizeof(url), "%s://%s/", serve->certificate_file ? "https" : "http", address);
	if (!serve->options.json) {
		printf("registry    %s\nlistens at  %s\nkey id      %s\npublic key  %s\nrecords     %llu\n", url,
		       address, key_id, ecdsa_public_key_text(key),
		       (unsigned long long)service_length(serve->server.service));
		return fflush(stdout) ? STATUS_FAILED : STATUS_DONE;
	}
	json = json_new_object();
	json_put_text(json, "registry", url);
	json_put_text(json, "address", address);
	json_put_text(json, "keyId", key_id);
	json_put_text(json, "publicKey", ecdsa_public_key_text(key));
	json_put_uint(json, "records", service_length(serve->server.service));
	json_put_uint(json, "pid", (uint64_t)getpid());
	return output_json(serve->command, json) == STATUS_DONE && !fflush(stdout) ? STATUS_DONE : STATUS_FAILED;
}

/* The signals that end it are waited for: no thread that is started from now on gets them. */
static void hold_signals(sigset_t *ends)
{
	struct rlimit files;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(ends);
	sigaddset(ends, SIGTERM);
	sigaddset(ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, ends, NULL);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int serve_until_told(struct serve *serve)
{
	struct fault flt = {0};
	sigset_t ends;
	int status, signal;

	hold_signals(&ends);
	if (complete_options(serve, &flt) || read_files(serve, &flt) || start(serve, &flt)) {
		status = options_fail(serve->command, &flt);
	} else {
		status = say(serve);
		service_manager_tell("READY=1");
		while (status == STATUS_DONE && sigwait(&ends, &signal))
			;
		service_manager_tell("STOPPING=1");
	}
	server_stop(&serve->server);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct serve serve = {.command = command, .server.content_limit = CAP_CONTENT};
	int status;

	buf_init(&serve.token, CAP_SECRET);
	buf_init(&serve.certificate, CAP_FILE_CONFIG);
	buf_init(&serve.tls_key, CAP_FILE_CONFIG);
	if (options_parse(command, argc, argv, take, &serve, &serve.options, &status))
		status = serve_until_told(&serve);
	authorized_keys_free(serve.authorized);
	buf_wipe(&serve.token);
	buf_wipe(&serve.tls_key);
	buf_release(&serve.certificate);
	return status;
}

const struct command serve_command = {
	.name = "serve",
	.arguments = "",
	.summary = "Be a registry",
	.text = "\nKeeps a registry in the folder that --data names, and answers clients until it is told to end, by\n"
		"SIGTERM or SIGINT. The first start makes the operator's key, unless there is one, and the log;\n"
		"each start adds the namespaces that it lacks.\n"
		"\nThe environment may say what options do not: WARG_OPERATOR_KEY, WARG_OPERATOR_KEY_FILE,\n"
		"WARG_NAMESPACE, WARG_CONTENT_DIR, WARG_LISTEN, WARG_AUTHORIZED_KEYS_FILE, WARG_CONTENT_BASE_URL.\n",
	.is_server = true,
	.group = (const struct command *const[]){&serve_fsck_command, NULL},
	.options = entries,
	.run = run,
};
