/*
 * wargfs serve: a registry in one process.
 *
 * What the reference server reads from the environment is read from there, too; an option counts more.
 */
#include "client/file.h"
#include "commands.h"
#include "daemon.h"
#include "output.h"
#include "progress.h"
#include "server.h"
#include "server/key_file.h"
#include "service_manager.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTEN_USUAL "127.0.0.1:8090"
#define NAMESPACES 64 /* on one command line */
#define REFRESH_MOST 86400

enum {
	KEY_DATA = 300, KEY_CONTENT_DIR, KEY_NAMESPACE, KEY_OPERATOR_KEY_FILE, KEY_AUTHORIZED_KEYS_FILE,
	KEY_AUTH_TOKEN_FILE, KEY_CONTENT_LIMIT, KEY_BASE_URL, KEY_TLS_CERTIFICATE, KEY_TLS_KEY, KEY_IMPORT, KEY_REFRESH,
};

static const struct options_entry entries[] = {
	{KEY_DATA, "data", "DIR", "where the registry's state is kept"},
	{KEY_CONTENT_DIR, "content-dir", "DIR", "where contents are kept; contents in --data's, unless given"},
	{'l', "listen", "ADDRESS", "ADDRESS:PORT or unix:PATH; " LISTEN_USUAL " unless given"},
	{KEY_NAMESPACE, "namespace", "NAME", "have a namespace, or with NAME=REGISTRY one of another registry; "
					     "may be repeated"},
	{KEY_IMPORT, "import", "URL", "bring a registry here, to sign on with its operator's key; without that, be its "
				      "mirror"},
	{KEY_REFRESH, "refresh", "SEC", "of a mirror: look at its origin every so often; 60 unless given"},
	{KEY_OPERATOR_KEY_FILE, "operator-key-file", "FILE", "the operator's key; " KEY_FILE_OPERATOR " in --data's, "
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
	const char *import;
	struct http_url origin;
	struct progress progress;
	pthread_mutex_t mutex;          /* for what follows */
	struct progress_state imported;
	bool is_importing;
	struct fault said;
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

static int take_refresh(struct serve *serve, const char *text, struct fault *flt)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !seconds || seconds > REFRESH_MOST)
		return fault_undecided(flt, FAULT_MISUSE, "'%.40s' is no number of seconds from 1 to %d", text,
				       REFRESH_MOST);
	serve->server.refresh = (unsigned)seconds;
	return 0;
}

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct serve *serve = user;

	switch (key) {
	case KEY_DATA: serve->server.data_dir = value; break;
	case KEY_CONTENT_DIR: serve->server.content_dir = value; break;
	case 'l': serve->listen = value; break;
	case KEY_IMPORT: serve->import = value; break;
	case KEY_REFRESH: return take_refresh(serve, value, flt);
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
	if (server->refresh && !serve->import)
		return fault_undecided(flt, FAULT_MISUSE, "--refresh is for a mirror: --import URL");
	if (serve->import && http_url_parse(serve->import, &serve->origin, flt))
		return flt->verdict;
	if (serve->import)
		server->origin = &serve->origin;
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

/* What is said while the import's line stands at the terminal waits for its end. */
static void failed(void *user, const struct fault *flt)
{
	struct serve *serve = user;
	bool waits;

	pthread_mutex_lock(&serve->mutex);
	waits = serve->is_importing;
	if (waits)
		serve->said = *flt;
	pthread_mutex_unlock(&serve->mutex);
	if (!waits)
		options_fail(serve->command, flt);
}

/* A service manager waits for a registry that takes its time to come here. */
static void imported(void *user, const char *what, uint64_t done, uint64_t of)
{
	struct serve *serve = user;

	pthread_mutex_lock(&serve->mutex);
	serve->imported.unit = what;
	serve->imported.done = done;
	serve->imported.whole = of;
	pthread_mutex_unlock(&serve->mutex);
	service_manager_tell("EXTEND_TIMEOUT_USEC=300000000");
}

static void measure(void *user, struct progress_state *state)
{
	struct serve *serve = user;

	pthread_mutex_lock(&serve->mutex);
	state->unit = serve->imported.unit;
	state->done = serve->imported.done;
	state->whole = serve->imported.whole;
	pthread_mutex_unlock(&serve->mutex);
}

static int begin(struct serve *serve, struct fault *flt)
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
	server->imported = imported;
	server->user = serve;
	if (service_manager_socket(&server->listen.socket, flt))
		return flt->verdict;
	return server_open(server, flt);
}

/* Signals that end it end it at once: nothing was promised to anybody yet. */
static int open_registry(struct serve *serve, struct fault *flt)
{
	struct fault said;
	int r;

	if (!serve->import)
		return begin(serve, flt);
	serve->is_importing = true;
	progress_begin(&serve->progress, serve->origin.text, measure, serve);
	r = begin(serve, flt);
	progress_end(&serve->progress);
	pthread_mutex_lock(&serve->mutex);
	serve->is_importing = false;
	said = serve->said;
	pthread_mutex_unlock(&serve->mutex);
	if (said.verdict)
		options_fail(serve->command, &said);
	return r;
}

/* @param key  the operator's first, by which a registry is known */
static int say(const struct serve *serve, const struct ecdsa_public_key *key)
{
	const char *mirrored = serve->server.key ? NULL : serve->origin.text;
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
		if (mirrored)
			printf("mirror of   %s\n", mirrored);
		return fflush(stdout) ? STATUS_FAILED : STATUS_DONE;
	}
	json = json_new_object();
	json_put_text(json, "registry", url);
	json_put_text(json, "address", address);
	json_put_text(json, "keyId", key_id);
	json_put_text(json, "publicKey", ecdsa_public_key_text(key));
	json_put_uint(json, "records", service_length(serve->server.service));
	if (mirrored)
		json_put_text(json, "mirrorOf", mirrored);
	json_put_uint(json, "pid", (uint64_t)getpid());
	return output_json(serve->command, json) == STATUS_DONE && !fflush(stdout) ? STATUS_DONE : STATUS_FAILED;
}

static int say_what_runs(const struct serve *serve)
{
	struct operator_log *operator = service_operator(serve->server.service);
	int status = say(serve, log_keys_find(operator_log_keys(operator), operator_log_first_key(operator))->key);

	operator_log_unref(operator);
	return status;
}

/* The signals that end it are waited for from now on: no thread that is started gets them. */
static void hold_signals(sigset_t *ends)
{
	sigemptyset(ends);
	sigaddset(ends, SIGTERM);
	sigaddset(ends, SIGINT);
	pthread_sigmask(SIG_BLOCK, ends, NULL);
}

static int start(struct serve *serve, sigset_t *ends, struct fault *flt)
{
	int r = complete_options(serve, flt);

	if (!r)
		r = read_files(serve, flt);
	if (!r)
		r = open_registry(serve, flt);
	if (r)
		return r;
	hold_signals(ends);
	return server_listen(&serve->server, flt);
}

static int serve_until_told(struct serve *serve)
{
	struct fault flt = {0};
	sigset_t ends;
	int status, number;

	daemon_prepare();
	if (start(serve, &ends, &flt)) {
		status = options_fail(serve->command, &flt);
	} else {
		status = say_what_runs(serve);
		service_manager_tell("READY=1");
		while (status == STATUS_DONE && sigwait(&ends, &number))
			;
		service_manager_tell("STOPPING=1");
	}
	server_stop(&serve->server);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct serve serve = {.command = command, .server.content_limit = CAP_CONTENT,
			      .mutex = PTHREAD_MUTEX_INITIALIZER};
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
		"\nWith --import a registry is brought here from elsewhere, verified. With its operator's key it\n"
		"signs on here; without it this is a mirror, which follows its origin and takes no records.\n"
		"\nThe environment may say what options do not: WARG_OPERATOR_KEY, WARG_OPERATOR_KEY_FILE,\n"
		"WARG_NAMESPACE, WARG_CONTENT_DIR, WARG_LISTEN, WARG_AUTHORIZED_KEYS_FILE, WARG_CONTENT_BASE_URL.\n",
	.is_server = true,
	.group = (const struct command *const[]){&serve_fsck_command, NULL},
	.options = entries,
	.run = run,
};
