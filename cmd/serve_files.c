/* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception */
/*
 * Reading and reloading a server's files (see serve_files.h).
 */
#include "serve_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/file.h"
#include "client/user/keyring.h"
#include "server/key_file.h"

void serve_files_init(struct serve_files *files, const struct serve_files *names)
{
	*files = (struct serve_files){
		.operator_key = names->operator_key,
		.authorized_keys = names->authorized_keys,
		.auth_token = names->auth_token,
		.certificate = names->certificate,
		.tls_key = names->tls_key,
	};
	buf_init(&files->token, CAP_SECRET);
	buf_init(&files->certificate_pem, CAP_FILE_CONFIG);
	buf_init(&files->tls_key_pem, CAP_FILE_CONFIG);
}

void serve_files_release(struct serve_files *files)
{
	authorized_keys_free(files->authorized);
	buf_wipe(&files->token);
	buf_wipe(&files->tls_key_pem);
	buf_release(&files->certificate_pem);
	files->authorized = NULL;
}

/*
 * Check that a file with a secret exists, and who may read it. If it does not exist, the message does not repeat the
 * path, which may be the secret itself.
 * @param what       "key"; NULL: others may read it, as a group often may a TLS key
 * @param is_shared  as key_file_check_mode()
 */
static int check_secret(const char *path, const char *option, const char *what, bool *is_shared, struct fault *flt)
{
	int fd, r = 0;

	if (!path)
		return 0;
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return fault_system(flt, errno, "the file that --%s names", option);
	if (what)
		r = key_file_check_mode(fd, path, what, is_shared, flt);
	close(fd);
	return r;
}

/* Append a NUL to the PEM text. */
static int read_pem(const char *path, struct buf *out, struct fault *flt)
{
	int r = path ? file_read_path(path, out, flt) : 0;

	return r || !path ? r : buf_append(out, (struct span){(const unsigned char *)"", 1}, flt);
}

static int read_token(struct serve_files *files, struct fault *flt)
{
	struct buf *token = &files->token;
	struct fault own = {0};
	int r = files->auth_token ? file_read_path(files->auth_token, token, flt) : 0;

	while (token->length && strchr(" \t\r\n", token->data[token->length - 1]))
		token->length--;
	if (!r && files->auth_token && !token->length)
		r = fault_undecided(flt, FAULT_MISUSE, "%.150s holds no token", files->auth_token);
	/* Clients could not send it. */
	if (!r && files->auth_token && keyring_check_token(buf_span(token), &own))
		r = fault_undecided(flt, FAULT_MISUSE, "%.150s: %s", files->auth_token, own.what);
	return r;
}

static int check_secrets(struct serve_files *files, struct fault *flt)
{
	int r = check_secret(files->operator_key, "operator-key-file", "key", &files->is_key_shared, flt);

	if (!r)
		r = check_secret(files->auth_token, "auth-token-file", "token", &files->is_token_shared, flt);
	return r ? r : check_secret(files->tls_key, "tls-key", NULL, NULL, flt);
}

int serve_files_read(struct serve_files *files, struct fault *flt)
{
	int r = check_secrets(files, flt);

	if (!r)
		r = read_token(files, flt);
	if (!r)
		r = read_pem(files->certificate, &files->certificate_pem, flt);
	if (!r)
		r = read_pem(files->tls_key, &files->tls_key_pem, flt);
	if (!r && files->authorized_keys)
		r = authorized_keys_read(files->authorized_keys, &files->authorized, flt);
	if (r)
		fault_blame(flt, FAULT_BY_USER);
	return r;
}

void serve_files_apply(const struct serve_files *files, struct embedded_registry *server)
{
	server->authorized = files->authorized;
	server->token = buf_span(&files->token);
	server->listen.certificate = (const char *)files->certificate_pem.data;
	server->listen.key = (const char *)files->tls_key_pem.data;
}

/* A reload must not change the operator's key: clients know the registry by it, and a new key must first be granted. */
static int check_operator(const struct serve_files *files, const struct embedded_registry *server, struct fault *flt)
{
	struct ecdsa_private_key *key;
	int r = 0;

	if (!files->operator_key || !server->key)
		return 0;
	if (key_file_read(files->operator_key, &key, flt))
		return flt ? flt->verdict : WARG_UNDECIDED;
	if (!digest_equals(ecdsa_public_key_id(ecdsa_private_key_public(key)),
			   ecdsa_public_key_id(ecdsa_private_key_public(server->key))))
		r = fault_undecided(flt, FAULT_MISUSE, "%.150s: it is another operator's key", files->operator_key);
	ecdsa_private_key_free(key);
	return r;
}

static bool has_certificate(const struct serve_files *files, const struct serve_files *other)
{
	return span_equals(buf_span(&files->certificate_pem), buf_span(&other->certificate_pem)) &&
	       span_equals(buf_span(&files->tls_key_pem), buf_span(&other->tls_key_pem));
}

/* A pipe without a writer would be waited for, and the signals that end the server with it. */
static int check_no_pipes(const struct serve_files *files, struct fault *flt)
{
	const char *const paths[] = {files->operator_key, files->authorized_keys, files->auth_token, files->certificate,
				     files->tls_key};
	struct stat status;

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (paths[i] && !stat(paths[i], &status) && S_ISFIFO(status.st_mode))
			return fault_undecided(flt, FAULT_MISUSE, "%.150s is a pipe, which is read at the start only",
					       paths[i]);
	return 0;
}

int serve_files_reload(struct serve_files *files, struct embedded_registry *server, struct fault *flt)
{
	struct serve_files anew;
	int r = check_no_pipes(files, flt);

	serve_files_init(&anew, files);
	if (!r)
		r = serve_files_read(&anew, flt);
	if (!r)
		r = check_operator(&anew, server, flt);
	if (!r && !has_certificate(files, &anew))
		r = http_server_renew(server->listener, (const char *)anew.certificate_pem.data,
				      (const char *)anew.tls_key_pem.data, flt);
	if (r) {
		fault_add(flt, "nothing was read again");
		fault_blame(flt, FAULT_BY_USER);
		serve_files_release(&anew);
		return r;
	}
	serve_files_apply(&anew, server);
	service_set_access(server->service, anew.authorized, buf_span(&anew.token));
	/* No thread uses the old ones any more. */
	serve_files_release(files);
	*files = anew;
	return 0;
}
