/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * wargfs serve: a registry in one process.
 *
 * What the reference server reads from the environment is read from there, too; an option counts more.
 */
#include "client/base/file.h"
#include "commands.h"
#include "daemon.h"
#include "fs/log.h"
#include "network.h"
#include "output.h"
#include "process.h"
#include "progress.h"
#include "serve_address.h"
#include "serve_environment.h"
#include "serve_files.h"
#include "server/key_file.h"
#include "service_manager.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_USUAL "127.0.0.1:8090"
#define NAMESPACES 64 /* on one command line */
#define ORIGINS 64    /* likewise */
#define REFRESH_MOST 86400

enum {
	KEY_DATA = 300, KEY_CONTENT_DIR, KEY_NAMESPACE, KEY_OPERATOR_KEY_FILE, KEY_AUTHORIZED_KEYS_FILE,
	KEY_AUTH_TOKEN_FILE, KEY_CONTENT_LIMIT, KEY_PUBLIC_URL, KEY_CONTENT_URL, KEY_TLS_CERTIFICATE, KEY_TLS_KEY,
	KEY_IMPORT, KEY_REFRESH, KEY_ALLOW_ORIGIN, KEY_CLIENT_CONNECTIONS,
};

static const struct options_entry entries[] = {
	{KEY_DATA, "data", "DIR", "where the registry's state is kept"},
	{KEY_CONTENT_DIR, "content-dir", "DIR", "where contents are kept; contents in --data's, unless given"},
	{'l', "listen", "ADDRESS", "PORT, ADDRESS:PORT or unix:PATH; " LISTEN_USUAL " unless given"},
	{KEY_NAMESPACE, "namespace", "NAME", "have a namespace, or with NAME=REGISTRY one of another registry; "
					     "may be repeated"},
	{KEY_IMPORT, "import", "URL", "bring a registry here, to sign on with its operator's key; without that, be its "
				      "mirror"},
	{KEY_REFRESH, "refresh", "SEC", "of a mirror: look at its origin every so often; 60 unless given"},
	{KEY_OPERATOR_KEY_FILE, "operator-key-file", "FILE", "the operator's key; " KEY_FILE_OPERATOR " in --data's, "
							     "made where missing, unless given"},
	{KEY_AUTHORIZED_KEYS_FILE, "authorized-keys-file", "FILE", "who may publish what"},
	{KEY_AUTH_TOKEN_FILE, "auth-token-file", "FILE", "the token that publishers have to send"},
	{KEY_CONTENT_LIMIT, "content-limit", "BYTES", "how large one content may be; with k, M or G behind it"},
	{KEY_CLIENT_CONNECTIONS, "client-connections", "N", "connections of one client at a time; 256 unless given"},
	{KEY_PUBLIC_URL, "public-url", "URL", "how the registry is reached; as each client asks, unless given"},
	{KEY_CONTENT_URL, "content-base-url", "URL", "where contents are, below content/; --public-url, unless given"},
	{'v', "verbose", NULL, "print each request that is answered"},
	{KEY_ALLOW_ORIGIN, "allow-origin", "ORIGIN", "web origin whose pages may send requests, or *; may be repeated"},
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
	char *state_dir; /* where its URL is pinned; NULL: there is no home */
	struct progress progress;
	struct log *log;
	pthread_mutex_t mutex;          /* for what follows */
	struct progress_state imported;
	bool is_importing;
	struct fault said;
	struct serve_environment environment;
	struct serve_files files;
	const char *origins[ORIGINS];
	size_t origin_count;
	struct operator_wish namespaces[NAMESPACES];
	size_t namespace_count;
	char public_url[CAP_URL + 2], content_url[CAP_URL + 2]; /* with '/' at their ends, once they are read */
	struct embedded_registry server;
};

/* ---- Options ---- */

/* @param text  kept: a '=' in it becomes its end, and the name gets lower case, as the reference has it */
static int take_namespace(struct serve *serve, char *text, struct fault *flt)
{
	char *registry = strchr(text, '=');

	for (char *at = text; *at && *at != '='; at++)
		*at = (char)tolower((unsigned char)*at);
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
		return fault_undecided(flt, FAULT_MISUSE, "'%.40s' is not a size: a number of bytes, or with k, M or G "
				       "behind it, %llu at most", text, CAP_CONTENT);
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

static int take_connections(struct serve *serve, const char *text, struct fault *flt)
{
	char *end;
	unsigned long connections = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !connections || connections > CAP_SERVED_CONNECTIONS)
		return fault_undecided(flt, FAULT_MISUSE, "'%.40s' is no number of connections from 1 to %d", text,
				       CAP_SERVED_CONNECTIONS);
	serve->server.listen.client_connections = (unsigned)connections;
	return 0;
}

/* An origin as browsers send it: a scheme, a host, and maybe a port; no path. */
static int take_origin(struct serve *serve, const char *text, struct fault *flt)
{
	const char *host = strstr(text, "://");

	if (serve->origin_count == ORIGINS)
		return fault_undecided(flt, FAULT_MISUSE, "more than %d origins", ORIGINS);
	if (strcmp(text, "*") && (!host || host == text || !host[3] || strcspn(host + 3, "/?#@ ") != strlen(host + 3)))
		return fault_undecided(flt, FAULT_MISUSE, "--allow-origin takes https://HOST, https://HOST:PORT or *");
	serve->origins[serve->origin_count++] = text;
	return 0;
}

static int take(void *user, int key, const char *value, struct fault *flt)
{
	struct serve *serve = user;

	switch (key) {
	case KEY_DATA: serve->server.data_dir = value; break;
	case KEY_CONTENT_DIR: serve->server.content_dir = value; break;
	case 'v': serve->environment.is_verbose = true; break;
	case 'l': serve->environment.listen = value; break;
	case KEY_IMPORT: serve->import = value; break;
	case KEY_REFRESH: return take_refresh(serve, value, flt);
	case KEY_NAMESPACE: return take_namespace(serve, (char *)(uintptr_t)value, flt);
	case KEY_OPERATOR_KEY_FILE: serve->server.key_file = value; break;
	case KEY_AUTHORIZED_KEYS_FILE: serve->files.authorized_keys = value; break;
	case KEY_AUTH_TOKEN_FILE: serve->files.auth_token = value; break;
	case KEY_CONTENT_LIMIT: return take_limit(serve, value, flt);
	case KEY_CLIENT_CONNECTIONS: return take_connections(serve, value, flt);
	case KEY_ALLOW_ORIGIN: return take_origin(serve, value, flt);
	case KEY_PUBLIC_URL: serve->server.public_url = value; break;
	case KEY_CONTENT_URL: serve->server.content_url = value; break;
	case KEY_TLS_CERTIFICATE: serve->files.certificate = value; break;
	case KEY_TLS_KEY: serve->files.tls_key = value; break;
	}
	return 0;
}

/* How the origin is reached, and where its URL is pinned. */
static int prepare_import(struct serve *serve, struct fault *flt)
{
	struct config_environment environment = {0};
	int r = config_environment_read(&environment, flt);

	if (!r)
		r = network_choose(serve->options.cacert, NULL, &environment, flt);
	if (!r && (environment.xdg_state_home || environment.home))
		r = config_name_state(&environment, &serve->state_dir, flt);
	serve->server.state_dir = serve->state_dir;
	config_environment_release(&environment);
	return r;
}

static int complete_options(struct serve *serve, struct fault *flt)
{
	struct embedded_registry *server = &serve->server;
	int r = serve_environment_read(&serve->environment, server, &serve->files, flt);

	if (!r && !serve->namespace_count && serve->environment.namespace)
		r = take_namespace(serve, serve->environment.namespace, flt);
	if (r)
		return r;
	if (server->refresh && !serve->import)
		return fault_undecided(flt, FAULT_MISUSE, "--refresh is for a mirror: give --import URL, too");
	if (serve->import && http_url_parse(serve->import, &serve->origin, flt))
		return flt->verdict;
	if (serve->import)
		server->origin = &serve->origin;
	if (serve->options.cacert && !serve->import)
		return fault_undecided(flt, FAULT_MISUSE, "--cacert is for the server that --import names");
	if (serve->import && prepare_import(serve, flt))
		return flt->verdict;
	if (!serve->files.certificate != !serve->files.tls_key)
		return fault_undecided(flt, FAULT_MISUSE, "--tls-certificate and --tls-key belong together: give both");
	return serve_environment_place(&serve->environment, server, flt);
}

/* ---- Files ---- */

/* Clients take a URL of printable ASCII, with a host. It is public: user information in it is refused. */
static bool is_public_url(const char *text)
{
	const char *host = strstr(text, "://");
	size_t length = strlen(text);

	if ((strncmp(text, "http://", 7) && strncmp(text, "https://", 8)) || length > CAP_URL ||
	    strcspn(text, " \"\\<>?#@") != length)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] >= 0x7f)
			return false;
	return strcspn(host + 3, "/:");
}

/* @param url  NULL: none; then what is read into `out` */
static int read_url(const char **url, char out[static CAP_URL + 2], struct fault *flt)
{
	const char *text = *url;
	size_t length = text ? strlen(text) : 0;
	char shown[HTTP_URL_SHOWN_SIZE];

	if (!text)
		return 0;
	http_url_show(span_of_text(text), shown);
	if (!is_public_url(text))
		return fault_undecided(flt, FAULT_MISUSE, "\"%s\" is not the URL of a registry: it begins with "
				       "https:// or http://, and has a host", shown);
	snprintf(out, CAP_URL + 2, "%s%s", text, text[length - 1] == '/' ? "" : "/");
	*url = out;
	return 0;
}

static int read_files(struct serve *serve, struct fault *flt)
{
	int r = read_url(&serve->server.public_url, serve->public_url, flt);

	if (!r)
		r = read_url(&serve->server.content_url, serve->content_url, flt);
	if (r)
		fault_blame(flt, FAULT_BY_USER);
	return r ? r : serve_files_read(&serve->files, flt);
}

/* Of what is taken, and is perhaps a mistake. */
static void warn(const struct serve *serve)
{
	const char *odd = authorized_keys_warning(serve->files.authorized);
	const char *const shared[] = {
		serve->files.is_key_shared ? serve->files.operator_key : NULL,
		serve->files.is_token_shared ? serve->files.auth_token : NULL,
	};

	for (unsigned i = 0; i < sizeof(shared) / sizeof(shared[0]); i++)
		if (shared[i])
			fprintf(stderr, "wargfs serve: warning: %s: others on this machine may read this secret\n",
				output_shown(shared[i]).text);
	if (odd)
		fprintf(stderr, "wargfs serve: warning: %s, %s\n",
			output_shown(serve->files.authorized_keys).text, odd);
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
		log_fault(serve->log, "", flt);
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

static void answered(void *user, const char *method, const char *path, unsigned status)
{
	(void)user;
	fprintf(stderr, "wargfs serve: %s /%.2000s %u\n", method, output_shown(path).text, status);
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
	struct embedded_registry *server = &serve->server;

	server->namespaces = serve->namespaces;
	server->namespace_count = serve->namespace_count;
	server->listen.origins = serve->origins;
	server->listen.origin_count = serve->origin_count;
	serve_files_apply(&serve->files, server);
	server->listen.address = serve->environment.listen ? serve->environment.listen : LISTEN_USUAL;
	if (serve->environment.is_verbose)
		server->listen.answered = answered;
	server->failed = failed;
	server->imported = imported;
	server->user = serve;
	return embedded_registry_open(server, flt);
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

/* If stdout is closed or full, serve anyway. */
static void flush_output(void)
{
	if (fflush(stdout))
		perror("wargfs serve: standard output");
}

static const char *find_origin(const struct serve *serve)
{
	return serve->server.key ? NULL : serve->origin.text;
}

/* @param key  the operator's first, by which a registry is known */
static int say_as_json(const struct serve *serve, const char *url, const char *key_id,
		       const struct ecdsa_public_key *key)
{
	struct json *json = json_new_object();

	if (*url)
		json_put_shown(json, "registry", url);
	else
		json_put_null(json, "registry");
	json_put_shown(json, "address", http_server_address(serve->server.listener));
	json_put_text(json, "keyId", key_id);
	json_put_text(json, "publicKey", ecdsa_public_key_text(key));
	json_put_uint(json, "records", service_length(serve->server.service));
	if (find_origin(serve))
		json_put_text(json, "mirrorOf", find_origin(serve));
	json_put_shown(json, "data", serve->server.data_dir);
	if (serve->server.content_url)
		json_put_text(json, "contentUrl", serve->server.content_url);
	json_put_uint(json, "pid", (uint64_t)getpid());
	return output_json(serve->command, json);
}

static int say(const struct serve *serve, const struct ecdsa_public_key *key)
{
	char url[CAP_URL + 2], key_id[DIGEST_TEXT_SIZE];
	int status = STATUS_DONE;

	serve_address_url(&serve->server, url);
	digest_format(ecdsa_public_key_id(key), key_id);
	if (serve->options.json) {
		status = say_as_json(serve, url, key_id, key);
	} else {
		printf("registry    %s\nlistens at  %s\nkey id      %s\npublic key  %s\nrecords     %llu\n",
		       *url ? output_shown(url).text : "(no URL: see --public-url)",
		       output_shown(http_server_address(serve->server.listener)).text, key_id,
		       ecdsa_public_key_text(key), (unsigned long long)service_length(serve->server.service));
		if (find_origin(serve))
			printf("mirror of   %s\n", find_origin(serve));
		if (*serve->environment.folder)
			printf("kept in     %s\n", output_shown(serve->environment.folder).text);
		if (serve->server.content_url)
			printf("contents    %scontent/\n", output_shown(serve->server.content_url).text);
	}
	if (status == STATUS_DONE)
		flush_output();
	return status == STATUS_DONE ? STATUS_DONE : STATUS_FAILED;
}

/* Without a service manager somebody may sit before it. */
static void say_how_to_go_on(const struct serve *serve)
{
	char url[CAP_URL + 2], end[64] = "Ctrl-C ends it";

	if (serve->options.json || service_manager_is_there())
		return;
	serve_address_url(&serve->server, url);
	if (!isatty(STDERR_FILENO))
		snprintf(end, sizeof(end), "'kill %lld' ends it", (long long)getpid());
	if (strncmp(url, "http", strlen("http")) == 0)
		fprintf(stderr, "wargfs serve: it serves now; 'wargfs mount %s MOUNTPOINT' shows it; %s\n",
			output_shown(url).text, end);
	else
		fprintf(stderr, "wargfs serve: it serves now; %s\n", end);
}

static int say_what_runs(const struct serve *serve)
{
	struct operator_log *operator = service_operator(serve->server.service);
	/* If the operator's log is damaged, show the key of the key file. */
	const struct ecdsa_public_key *key = operator_log_head(operator) ?
		log_keys_find(operator_log_keys(operator), operator_log_first_key(operator))->key :
		ecdsa_private_key_public(serve->server.key);
	int status = say(serve, key);

	operator_log_unref(operator);
	return status;
}

/* Block the signals that the main thread waits for, so that no other thread gets them. */
static void hold_signals(sigset_t *awaited)
{
	sigemptyset(awaited);
	sigaddset(awaited, SIGTERM);
	sigaddset(awaited, SIGINT);
	sigaddset(awaited, SIGHUP);
	pthread_sigmask(SIG_BLOCK, awaited, NULL);
	signal(SIGHUP, SIG_DFL);
}

/* Tell the service manager about the reload: it waits until it is complete. */
static void reload(struct serve *serve)
{
	char told[64];
	struct timespec now;
	struct fault flt = {0};

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(told, sizeof(told), "RELOADING=1\nMONOTONIC_USEC=%lld", now.tv_sec * 1000000ll + now.tv_nsec / 1000);
	service_manager_tell(told);
	if (serve_files_reload(&serve->files, &serve->server, &flt))
		log_fault(serve->log, "", &flt);
	else
		warn(serve);
	service_manager_tell("READY=1");
}

/* Serve until a signal ends the process. */
static void wait_for_signals(struct serve *serve, const sigset_t *awaited)
{
	int number;

	for (;;) {
		if (sigwait(awaited, &number))
			continue;
		if (number != SIGHUP)
			break;
		reload(serve);
	}
	/* A second signal ends without waiting for accepted requests; every acknowledged record is on disk. */
	pthread_sigmask(SIG_UNBLOCK, awaited, NULL);
}

static int start(struct serve *serve, sigset_t *awaited, struct fault *flt)
{
	int r = complete_options(serve, flt);

	if (!r)
		r = read_files(serve, flt);
	if (!r)
		r = service_manager_socket(&serve->server.listen.socket, flt);
	if (r)
		return r;
	/* Close inherited descriptors only now: a file may be given as /dev/fd/N. */
	process_close_others(&serve->server.listen.socket, 1);
	warn(serve);
	r = open_registry(serve, flt);
	if (r)
		return r;
	hold_signals(awaited);
	return embedded_registry_listen(&serve->server, flt);
}

static int serve_until_told(struct serve *serve)
{
	struct fault flt = {0};
	sigset_t awaited;
	int status;

	daemon_prepare("wargfs serve");
	/* Ignore SIGHUP until the files are read. */
	signal(SIGHUP, SIG_IGN);
	if (start(serve, &awaited, &flt)) {
		status = options_fail(serve->command, &flt);
	} else {
		status = say_what_runs(serve);
		serve_address_warn(&serve->server);
		service_manager_tell("READY=1");
		if (status == STATUS_DONE)
			say_how_to_go_on(serve);
		if (status == STATUS_DONE)
			wait_for_signals(serve, &awaited);
		service_manager_tell("STOPPING=1");
	}
	embedded_registry_stop(&serve->server);
	return status;
}

static int run(const struct command *command, int argc, char **argv)
{
	struct serve serve = {.command = command, .server.content_limit = CAP_CONTENT,
			      .mutex = PTHREAD_MUTEX_INITIALIZER};
	struct fault flt = {0};
	int status;

	serve_files_init(&serve.files, &serve.files);
	if (options_parse(command, argc, argv, take, &serve, &serve.options, &status))
		status = log_new("wargfs serve", &serve.log, &flt) ? options_fail(command, &flt) :
								      serve_until_told(&serve);
	free(serve.state_dir);
	log_free(serve.log);
	serve_files_release(&serve.files);
	return status;
}

const struct command serve_command = {
	.name = "serve",
	.arguments = "",
	.summary = "Be a registry",
	.text = "\nKeeps a registry in the folder that --data names, and answers clients until it is told to end, by\n"
		"SIGTERM or SIGINT. The first start makes the operator's key, unless there is one, and the log;\n"
		"each start adds the namespaces that it lacks. SIGHUP has its files of tokens, keys and certificates\n"
		"read again.\n"
		"\nWith --import a registry is brought here from elsewhere, verified. With its operator's key it\n"
		"signs on here; without it this is a mirror, which follows its origin and takes no records.\n"
		"\nThe environment may say what options do not: WARG_OPERATOR_KEY, WARG_OPERATOR_KEY_FILE,\n"
		"WARG_NAMESPACE, WARG_CONTENT_DIR, WARG_LISTEN, WARG_AUTHORIZED_KEYS_FILE, WARG_CONTENT_BASE_URL,\n"
		"WARG_VERBOSE. With the operator's key and no --data, state is kept in the user's data folder.\n",
	.is_server = true,
	.sends = true,
	.group = (const struct command *const[]){&serve_fsck_command, &serve_gc_command, NULL},
	.options = entries,
	.is_deed = true,
	.run = run,
};
